"""The time by which people expire: it never goes back while a process runs."""

import threading
from datetime import datetime

from index.store.tables import utc_now


class ForwardClock:
    """The latest time that was ever asked for; thread safe.

    A clock that is set back brings nobody back who had expired before.
    """

    def __init__(self) -> None:
        self._latest: datetime | None = None
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the time, UTC."""
        now = utc_now()
        with self._lock:
            if self._latest is None or now > self._latest:
                self._latest = now
            return self._latest
