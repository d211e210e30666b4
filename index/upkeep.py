"""The thread that keeps a data folder in order."""

import logging
import threading
from collections.abc import Callable

from embedding.errors import FaceGalleryError

logger = logging.getLogger(__name__)

UPKEEP_S = 20.0
"""How often; what is removed leaves the live files within about this time."""


class Upkeep:
    """Calls something again and again until it is stopped; what fails is tried the next time.

    Args:
        maintain: what to call.
        every_s: between the end of one call and the next.
    """

    def __init__(self, maintain: Callable[[], None], *, every_s: float) -> None:
        self._maintain = maintain
        self._every_s = every_s
        self._stopping = threading.Event()
        self._due = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)
        self._thread.start()

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
            try:
                self._maintain()
            except FaceGalleryError as error:
                logger.warning("the upkeep is tried again in %s s: %s", self._every_s, error)
