"""What one of all processes does at a time: claimed by a number, and given back at its end."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager


class Claims(ABC):
    """Claims of a database; thread safe. They end with the process that has them."""

    def __init__(self) -> None:
        self._held: set[int] = set()
        self._lock = threading.Lock()

    @contextmanager
    def claimed(self, code: bytes) -> Iterator[bool]:
        """Run a block with a claim; gives whether nobody else has it.

        Args:
            code: at least 4 bytes that tell it from others; the first 4 count.

        Raises:
            StoreError: the database cannot be asked.
        """
        number = int.from_bytes(code[:4], "big", signed=True)
        with self._lock:
            free = number not in self._held
            if free:
                self._held.add(number)
        if not free:
            yield False
            return
        try:
            free = self._take(number)
            try:
                yield free
            finally:
                if free:
                    self._give_back(number)
        finally:
            with self._lock:
                self._held.discard(number)

    @abstractmethod
    def _take(self, number: int) -> bool:
        """Claim it against other processes; returns whether it was free."""

    @abstractmethod
    def _give_back(self, number: int) -> None:
        """End the claim."""

    def close(self) -> None:  # noqa: B027 - only some have something to close
        """Let go of all; a second call does nothing."""


class OwnClaims(Claims):
    """Claims among the threads of a process that has its database for itself."""

    def _take(self, number: int) -> bool:  # noqa: ARG002
        return True

    def _give_back(self, number: int) -> None:
        """Nothing: it was never asked for."""
