"""Many threads' rows in one commit: whoever comes while one is written waits for the next."""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Rows = TypeVar("Rows")

_AT_ONCE = 500


class _Waiting(Generic[Rows]):
    """What one caller wants written, and what became of it."""

    __slots__ = ("done", "error", "rows")

    def __init__(self, rows: Rows) -> None:
        self.rows = rows
        self.done = False
        self.error: BaseException | None = None


class GroupCommit(Generic[Rows]):
    """Calls `write` with the rows of all who wait; no thread of its own, none waits longer.

    A commit waits for the disk. Callers who come meanwhile are written together by the first of
    them that gets its turn.

    Args:
        write: commits what several callers gave, all or nothing.
    """

    def __init__(self, write: Callable[[Sequence[Rows]], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: list[_Waiting[Rows]] = []

    def add(self, rows: Rows) -> None:
        """Return once the rows are committed.

        Raises:
            Exception: what `write` raised; nothing of it was committed.
        """
        mine = _Waiting(rows)
        with self._lock:
            self._waiting.append(mine)
        with self._turn:
            if not mine.done:
                self._write_waiting()
        if mine.error is not None:
            raise mine.error

    def _write_waiting(self) -> None:
        """Write all who wait, the one with the turn among them."""
        with self._lock:
            lots, self._waiting = self._waiting, []
        for start in range(0, len(lots), _AT_ONCE):
            some = lots[start : start + _AT_ONCE]
            error: BaseException | None = None
            try:
                self._write([each.rows for each in some])
            except BaseException as raised:
                error = raised
            for each in some:
                each.error = error
                each.done = True
