"""Events that nobody waits for, written by a thread, many in one commit."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from embedding.errors import StoreError
from index.audit.actor import LOCAL, actor_id
from index.audit.entries import AuditEvent
from index.audit.verifying import DROPPED
from index.faults import log_fault

logger = logging.getLogger(__name__)

NOTED_WITHIN_S = 0.5
"""So long a note waits for others: two commits a second at most, whatever the load."""

MAX_NOTES = 10_000
"""So many wait while the database fails; what comes then is counted, and the count is entered."""

_AGAIN_S = 5.0
"""Between two tries while the database fails, each of which is a line of the log."""

_LOT = 1000


class Notes:
    """A queue with its thread, which begins with the first event; thread safe.

    Args:
        write: enters events in one commit; what it raises is tried again.
    """

    def __init__(self, write: Callable[[Sequence[AuditEvent]], None]) -> None:
        self._write = write
        self._waiting: list[AuditEvent] = []
        self._num_dropped = 0
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, event: AuditEvent) -> None:
        """Take an event, with its time and actor of now."""
        event = replace(event, at=event.at or datetime.now(UTC), actor=event.actor or actor_id())
        with self._lock:
            if len(self._waiting) >= MAX_NOTES:
                self._num_dropped += 1
                return
            self._waiting.append(event)
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
                self._thread.start()

    def flush(self) -> None:
        """Write what waits now.

        Raises:
            StoreError: it cannot be written; it goes on waiting.
        """
        with self._writing:
            while True:
                with self._lock:
                    lot = self._waiting[:_LOT]
                    num_dropped = self._num_dropped
                dropped = [
                    AuditEvent(action=DROPPED, facts={"num_events": num_dropped}, actor=LOCAL)
                ]
                if not lot and not num_dropped:
                    return
                self._write(lot + (dropped if num_dropped else []))
                with self._lock:
                    del self._waiting[: len(lot)]
                    self._num_dropped -= num_dropped

    def close(self) -> None:
        """Write what waits and end the thread; a second call does nothing."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join()
        self._flush()

    def _run(self) -> None:
        while not self._closing.wait(NOTED_WITHIN_S):
            self._flush()

    def _flush(self) -> None:
        try:
            self.flush()
        except StoreError as error:
            logger.warning("entries of the audit log are written later: %s", error)
            self._closing.wait(_AGAIN_S)
        except Exception as error:
            log_fault(logger, "entries of the audit log are written later", error)
