"""Keeps the galleries of this process close to a database that other processes change too."""

import logging
import threading
import time
from collections.abc import Callable

from embedding.errors import StoreError
from index.faults import log_fault
from index.store.postgres import PostgresDatabase

logger = logging.getLogger(__name__)

POLL_S = 0.5
"""How long another process's enroll stays unseen where its hint is lost."""

_HINTS_APART_S = 0.02
"""NOTIFY takes a lock that all commits of the server share: many changes go into one."""

_RETRY_S = 1.0
"""Between two tries while the database cannot be reached."""


class Follower:
    """Two threads: one follows the database by polling, one tells other processes of changes.

    A hint from another process only ends the wait between two polls, so one that is lost costs
    one period. No enroll waits for a hint to go out.
    """

    def __init__(
        self, database: PostgresDatabase, *, sync: Callable[[], None], poll_s: float = POLL_S
    ) -> None:
        self._database = database
        self._sync = sync
        self._poll_s = poll_s
        self._hint_due = threading.Event()
        self._stopping = threading.Event()
        self._synced_at = time.monotonic()
        self._threads = [
            threading.Thread(target=self._follow, name="follower", daemon=True),
            threading.Thread(target=self._tell, name="follower hints", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def staleness_s(self) -> float:
        """Seconds since this process last knew all that the others had committed."""
        return time.monotonic() - self._synced_at

    def hint(self) -> None:
        """Tell the other processes soon that something changed."""
        self._hint_due.set()

    def stop(self) -> None:
        """End the threads; returns when they have ended. A second call does nothing."""
        self._stopping.set()
        self._hint_due.set()
        for thread in self._threads:
            thread.join()

    def _follow(self) -> None:
        while not self._stopping.is_set():
            try:
                with self._database.listening() as connection:
                    while not self._stopping.is_set():
                        begun = time.monotonic()
                        self._sync()
                        self._synced_at = begun
                        self._database.wait_for_hint(connection, self._poll_s)
            except StoreError as error:
                # Said once a try; `staleness_s` grows, and the next try goes on from here.
                logger.warning("cannot follow the database: %s", error)
                self._stopping.wait(_RETRY_S)
            except Exception as error:
                # Whatever it is: without this thread no enroll of others would be seen again.
                log_fault(logger, "cannot follow the database", error)
                self._stopping.wait(_RETRY_S)

    def _tell(self) -> None:
        while True:
            self._hint_due.wait()
            if self._stopping.is_set():
                return
            self._hint_due.clear()
            try:
                self._database.notify()
            except StoreError as error:
                logger.warning("could not tell other processes of a change: %s", error)
            except Exception as error:
                # Whatever it is: without this thread no change would be told any more.
                log_fault(logger, "could not tell other processes of a change", error)
            self._stopping.wait(_HINTS_APART_S)
