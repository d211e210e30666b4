"""A lock that many readers share and one writer has alone."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class ReadersWriterLock:
    """Many readers at once, or one writer; a waiting writer goes before new readers.

    Not reentrant: who holds it must not ask for it again.
    """

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._num_reading = 0
        self._num_writers_waiting = 0
        self._writing = False

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the lock together with other readers."""
        with self._condition:
            while self._writing or self._num_writers_waiting:
                self._condition.wait()
            self._num_reading += 1
        try:
            yield
        finally:
            with self._condition:
                self._num_reading -= 1
                if self._num_reading == 0:
                    self._condition.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock alone."""
        with self._condition:
            self._num_writers_waiting += 1
            try:
                while self._writing or self._num_reading:
                    self._condition.wait()
                self._writing = True
            finally:
                self._num_writers_waiting -= 1
                # A writer that was interrupted while it waited must not leave readers waiting.
                self._condition.notify_all()
        try:
            yield
        finally:
            with self._condition:
                self._writing = False
                self._condition.notify_all()
