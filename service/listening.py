"""Who follows events at the moment: how many may, and who wakes them. Runs on the event loop."""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from anyio import to_thread

from embedding.errors import KeyLimited, ServiceError, StoreError
from index.events import EventPage
from index.store.event_log import EventLog

logger = logging.getLogger(__name__)

POLL_S = 0.25
"""How late an event of another process is heard of; one query by each process that is listened to,
whoever listens."""

PAGE = 100

_COME_AGAIN_S = 5


class Listener:
    """One caller who follows: woken when there may be something new."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.woken.set()

    async def wait(self, timeout_s: float) -> bool:
        """Whether it was woken within a time."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.woken.wait(), timeout_s)
        return self.woken.is_set()


class Listeners:
    """All callers who follow events through this process.

    Args:
        events: of the data folder.
        max_in_all: so many at once.
        max_per_key: likewise with one key.
    """

    def __init__(self, events: EventLog, *, max_in_all: int, max_per_key: int) -> None:
        self._events = events
        self._max_in_all = max_in_all
        self._max_per_key = max_per_key
        self._by_key: Counter[str] = Counter()
        self._all: set[Listener] = set()
        self._poll: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        # Reads under way that began after the last wake-up: all who are woken at the newest event
        # share one. None is kept: what is removed is not given any more.
        self._reading: dict[str, asyncio.Task[EventPage]] = {}
        events.watch(self._told)

    def close(self) -> None:
        """Hears of nothing any more."""
        self._events.unwatch(self._told)
        if self._poll is not None:
            self._poll.cancel()

    @contextmanager
    def place(self, key_id: str) -> Iterator[Listener]:
        """A place for a caller, to be held as long as it follows.

        Raises:
            KeyLimited: as many follow with this key as may.
            ServiceError: as many follow as may.
        """
        self.check_room(key_id)
        listener = Listener()
        self._by_key[key_id] += 1
        self._all.add(listener)
        if self._events.shared and self._poll is None:
            self._poll = asyncio.create_task(self._poll_for_others())
        try:
            yield listener
        finally:
            self._all.discard(listener)
            self._by_key[key_id] -= 1
            if not self._by_key[key_id]:
                del self._by_key[key_id]
            if not self._all and self._poll is not None:
                self._poll.cancel()
                self._poll = None

    def check_room(self, key_id: str) -> None:
        """Passes while a place is free. Raises as `place`."""
        if self._by_key[key_id] >= self._max_per_key:
            raise KeyLimited(
                f"{self._max_per_key} callers follow events with this key, which is the limit",
                retry_after_s=_COME_AGAIN_S,
            )
        if len(self._all) >= self._max_in_all:
            raise ServiceError(
                f"{self._max_in_all} callers follow events, which is the limit; come again later",
                retry_after_s=_COME_AGAIN_S,
            )

    async def read(self, after: str | None) -> EventPage:
        """Events of all galleries behind a cursor.

        Raises:
            CursorExpired: they are not all kept any more.
            RequestInvalid: not a cursor of events.
            StoreError: the database cannot be read.
        """
        if after is None:
            return await self._read(None)
        task = self._reading.get(after)
        if task is None:
            task = self._reading[after] = asyncio.create_task(self._read(after))
            task.add_done_callback(partial(self._read_ended, after))
        return await asyncio.shield(task)

    async def _read(self, after: str | None) -> EventPage:
        return await to_thread.run_sync(lambda: self._events.page(after=after, limit=PAGE))

    def _read_ended(self, after: str, task: asyncio.Task[EventPage]) -> None:
        if self._reading.get(after) is task:
            del self._reading[after]
        if not task.cancelled():
            task.exception()  # Whoever asked may have gone: that nobody takes it is no fault.

    def _told(self) -> None:
        """Of a commit, in any thread."""
        with suppress(RuntimeError):  # The loop was closed meanwhile.
            self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        self._reading.clear()
        for listener in self._all:
            listener.woken.set()

    async def _poll_for_others(self) -> None:
        known = -1
        while True:
            try:
                newest = await to_thread.run_sync(self._events.newest)
            except StoreError as error:
                logger.warning("cannot look for events of other processes: %s", error)
            else:
                if newest != known:
                    known = newest
                    self._wake()
            await asyncio.sleep(POLL_S)
