"""Threads joined by bounded queues: the first error, or a stop, ends all of them."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

logger = logging.getLogger(__name__)

_Item = TypeVar("_Item")


class Stopped(Exception):
    """The flow was stopped; whoever waits at a queue ends."""


class _Stoppable(Protocol):
    def stop(self) -> None: ...


class Channel(Generic[_Item]):
    """A bounded queue that knows when its last producer has ended."""

    def __init__(self, capacity: int, *, num_producers: int = 1) -> None:
        """Take at most `capacity` items before a producer has to wait."""
        self._items: deque[_Item] = deque()
        self._capacity = capacity
        self._num_producers = num_producers
        self._stopped = False
        lock = threading.Lock()
        # Two, so that an item wakes one who takes, and room one who puts, and not everybody.
        self._filled = threading.Condition(lock)
        self._drained = threading.Condition(lock)

    def put(self, item: _Item) -> None:
        """Append an item, once there is room.

        Raises:
            Stopped: the flow was stopped.
        """
        with self._drained:
            while len(self._items) >= self._capacity and not self._stopped:
                self._drained.wait()
            if self._stopped:
                raise Stopped
            self._items.append(item)
            self._filled.notify()

    def take(self, num: int, *, wait_s: float = 0.0) -> list[_Item]:
        """Return the next items, at least one and at most `num`; empty when all producers ended.

        Args:
            num: of a full batch.
            wait_s: how long to wait for a full batch once there is one item.

        Raises:
            Stopped: the flow was stopped.
        """
        with self._filled:
            self._wait_for(1, until=None)
            if wait_s and len(self._items) < num:
                self._wait_for(num, until=time.monotonic() + wait_s)
            taken = [self._items.popleft() for _ in range(min(num, len(self._items)))]
            self._drained.notify(len(taken))
            if self._items:
                # Whoever was woken for these may have been this one.
                self._filled.notify()
        return taken

    def __iter__(self) -> Iterator[_Item]:
        while some := self.take(1):
            yield some[0]

    def end(self) -> None:
        """One producer has ended."""
        with self._filled:
            self._num_producers -= 1
            self._filled.notify_all()

    def stop(self) -> None:
        """Wake everybody who waits; they raise `Stopped`."""
        with self._filled:
            self._stopped = True
            self._filled.notify_all()
            self._drained.notify_all()

    def _wait_for(self, num: int, *, until: float | None) -> None:
        while True:
            if self._stopped:
                raise Stopped
            if len(self._items) >= num or not self._num_producers:
                return
            left_s = None if until is None else until - time.monotonic()
            if left_s is not None and left_s <= 0:
                return
            self._filled.wait(left_s)


class Flow:
    """Threads and the channels between them; a context manager that outlives its threads."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._channels: list[_Stoppable] = []
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def channel(self, channel: Channel[_Item]) -> Channel[_Item]:
        """Return the channel, which is stopped with the flow."""
        self._channels.append(channel)
        return channel

    def start(self, name: str, work: Callable[[], None], *, ends: Channel[_Item]) -> None:
        """Run work in a thread; when it returns, one producer of the channel has ended."""

        def run() -> None:
            try:
                work()
                ends.end()
            except Stopped:
                logger.debug("%s was stopped", name)
            except BaseException as error:
                self.stop(error)

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self, error: BaseException | None = None) -> None:
        """End all threads at their next wait; the first error is raised at the end."""
        with self._lock:
            self._error = self._error or error
        for channel in self._channels:
            channel.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            self.stop()
        for thread in self._threads:
            thread.join()
        if self._error is not None and (kind is None or issubclass(kind, Stopped)):
            raise self._error
