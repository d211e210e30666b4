"""Ctrl-C and a polite kill end a run after the step that is under way, with a checkpoint."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """A context in which the first signal asks to stop; a second one ends the process at once.

    Attributes:
        is_set: whether somebody asked.
    """

    def __init__(self) -> None:
        self.is_set = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        # Only the main thread may set handlers; elsewhere the caller has its own way to stop.
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._ask) for one in SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.is_set = True
        self._restore()

    def _restore(self) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)
        self._before = {}


def leave_signals_to_parent(_worker: int = 0) -> None:
    """In a worker process: Ctrl-C and the end of a job reach every process; the parent decides.

    Workers end when the parent closes their queue, or is gone.
    """
    for one in SIGNALS:
        signal.signal(one, signal.SIG_IGN)
