"""The thread that keeps a data folder in order."""

import logging
import threading
import time
from collections.abc import Callable

from embedding.errors import FaceGalleryError
from index.faults import log_fault

logger = logging.getLogger(__name__)

UPKEEP_S = 20.0
"""How often; what is removed leaves the live files within about this time."""


class Upkeep:
    """Calls something again and again until it is stopped; what fails is tried the next time.

    Args:
        maintain: what to call.
        every_s: between the end of one call and the next.
    """

    def __init__(self, maintain: Callable[[], object], *, every_s: float) -> None:
        self._maintain = maintain
        self._every_s = every_s
        self._failing_since: float | None = None
        self._stopping = threading.Event()
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

    @property
    def failing_s(self) -> float:
        """Seconds since the first of the calls that failed in a row; 0 after one that did not."""
        since = self._failing_since
        return 0.0 if since is None else time.monotonic() - since

    def soon(self) -> None:
        """Make the next call now."""
        self._due.set()

    def stop(self) -> None:
        """End the thread; returns when it has ended. A second call does nothing."""
        self._stopping.set()
        self._due.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._due.wait(self._every_s)
            self._due.clear()
            if self._stopping.is_set():
                return
            begun = time.monotonic()
            if self._succeeds():
                self._failing_since = None
            elif self._failing_since is None:
                self._failing_since = begun

    def _succeeds(self) -> bool:
        try:
            self._maintain()
        except FaceGalleryError as error:
            logger.warning("the upkeep is tried again in %s s: %s", self._every_s, error)
        except Exception as error:
            # Whatever it is: without this thread nothing that was removed would be purged again.
            log_fault(logger, f"the upkeep is tried again in {self._every_s} s", error)
        else:
            return True
        return False
