"""Who may have photos worked on now, who waits, and who is told to come again.

Everything here runs on the event loop; the work itself runs in threads.
"""

import asyncio
import contextvars
import math
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import ParamSpec, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from embedding.errors import BodyTooSlow, DeadlinePassed, Overloaded, ServiceStopping
from service.access import check_since

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

_FIRST_GUESS_S = 0.1
"""What one piece of work takes, until it was seen."""

_TOO_MUCH_AGAIN_S = 60
"""After how long it is worth trying again what took too long."""

_NEWEST_SHARE = 0.1
"""Of the newest piece of work in the running mean of their times."""


class Wanted:
    """Whether the work on a request is still waited for; thread safe."""

    def __init__(self) -> None:
        self._gone = threading.Event()
        self._within_s = math.inf
        self._begun_s = time.monotonic()

    def begin(self, *, within_s: float) -> None:
        """The work begins, and is waited for so long."""
        self._within_s = within_s
        self._begun_s = time.monotonic()

    def end(self) -> None:
        """The caller has gone."""
        self._gone.set()

    def check(self) -> None:
        """See `Place.check_wanted`."""
        if self._gone.is_set():
            raise ClientDisconnect
        if time.monotonic() - self._begun_s > self._within_s:
            raise DeadlinePassed(
                f"the work took more than {self._within_s:g} s and was stopped; nothing was "
                "saved: send fewer photos at a time",
                # Longer than a client of ours waits: the same would take as long again.
                retry_after_s=_TOO_MUCH_AGAIN_S,
            )


class Admission:
    """A bounded queue in front of the workers.

    A request takes a place before its body is read, so the places also bound the bodies that
    lie in memory. With its body read it waits for a worker, first come, first served. It leaves
    the queue when its caller has gone, when its deadline has passed, or when the service stops;
    its work is then never begun. Work that was begun is finished, unless it asks whether it is
    still wanted (`Place.check_wanted`).
    """

    def __init__(
        self,
        *,
        num_workers: int,
        max_queued: int,
        deadline_s: float,
        body_timeout_s: float,
        work_timeout_s: float = math.inf,
    ) -> None:
        """Open the queue.

        Args:
            num_workers: pieces of work that run at the same time.
            max_queued: requests that may have a place beside those that are worked on.
            deadline_s: how long a request whose body was read waits for a worker.
            body_timeout_s: how long the reading of a body may take.
            work_timeout_s: how long work may go on that asks whether it is still wanted.
        """
        self.num_refused = 0
        self._num_workers = num_workers
        self._num_places = num_workers + max_queued
        self._deadline_s = deadline_s
        self._body_timeout_s = body_timeout_s
        self._work_timeout_s = work_timeout_s
        self._num_taken = 0
        self._num_free = num_workers
        self._turns: deque[asyncio.Future[None]] = deque()
        self._reading: set[asyncio.Timeout] = set()
        # Threads of their own: shared ones would change from photo to photo, and each would keep
        # memory of the nets and of the allocator.
        self._threads = ThreadPoolExecutor(num_workers, thread_name_prefix="photos")
        self._mean_work_s = _FIRST_GUESS_S
        self._closed = False

    @property
    def num_working(self) -> int:
        """Requests that are worked on."""
        return self._num_workers - self._num_free

    @property
    def num_queued(self) -> int:
        """Requests that have a place and are not worked on: read, or waiting for a worker."""
        return self._num_taken - self.num_working

    def check_room(self) -> None:
        """Passes while a place is free.

        Raises:
            Overloaded: no place is free; says when it is worth coming again.
            ServiceStopping: the queue was closed.
        """
        if self._closed:
            raise _stopping()
        if self._num_taken >= self._num_places:
            self.num_refused += 1
            wait_s = self._num_taken * self._mean_work_s / self._num_workers
            raise Overloaded(
                f"{self._num_taken} requests are waiting or worked on, which is the limit; "
                "come again later",
                retry_after_s=max(1, math.ceil(wait_s)),
            )

    @contextmanager
    def place(self, request: Request) -> Iterator["Place"]:
        """A place for a request, to be held until its answer is known.

        Raises:
            Overloaded: no place is free.
            ServiceStopping: the queue was closed.
        """
        self.check_room()
        self._num_taken += 1
        try:
            yield Place(self, request)
        finally:
            self._num_taken -= 1

    def close(self) -> None:
        """Refuses who waits and who still sends; what was begun goes on. May be called twice."""
        self._closed = True
        self._threads.shutdown(wait=False)
        for turn in self._turns:
            if not turn.done():
                turn.set_exception(_stopping())
        self._turns.clear()
        for limit in self._reading:
            if not limit.expired():
                limit.reschedule(0.0)

    async def read(self, reading: Awaitable[Result], *, within_s: float | None = None) -> Result:
        """What the reading of a body gives.

        Args:
            reading: the body.
            within_s: how long it may take; None for the usual time.

        Raises:
            BodyTooSlow: it was not read in time.
            ServiceStopping: the queue was closed while it was read.
        """
        within_s = self._body_timeout_s if within_s is None else within_s
        # One that begins after the end has no time left.
        limit = asyncio.timeout(0.0 if self._closed else within_s)
        try:
            async with limit:
                self._reading.add(limit)
                return await reading
        except TimeoutError as error:
            if self._closed:
                raise _stopping() from error
            raise BodyTooSlow(
                f"the body of the request did not come within {within_s:g} s"
            ) from error
        finally:
            self._reading.discard(limit)

    async def work(
        self, request: Request, work: Callable[[], Result], *, wanted: Wanted | None = None
    ) -> Result:
        """What slow work gives, done in a worker thread when it is this request's turn.

        Args:
            request: that asks for it.
            work: to be done.
            wanted: is told when the work begins, and when the caller has gone; None for work
                that does not ask.

        Raises:
            DeadlinePassed: no worker was free in time.
            ClientDisconnect: the caller went away while it waited.
            KeyInvalid, SessionEnded: its key or session ended while it waited.
            ServiceStopping: the queue was closed while it waited.
        """
        came_s = time.monotonic()
        await self._turn(request)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        watcher: asyncio.Task[None] | None = None
        try:
            await check_since(request, came_s)
            if wanted is not None:
                wanted.begin(within_s=self._work_timeout_s)
                watcher = loop.create_task(_tell_the_work_when_gone(request, wanted))
            return await self._in_thread(work)
        finally:
            if watcher is not None:
                watcher.cancel()
            self._mean_work_s += _NEWEST_SHARE * (loop.time() - begun - self._mean_work_s)
            self._give_back()

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        """What work gives that runs in a thread; returns when it has ended, even if cancelled."""
        run = partial(contextvars.copy_context().run, work)
        running = asyncio.get_running_loop().run_in_executor(self._threads, run)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise

    async def _turn(self, request: Request) -> None:
        """Returns when a worker is this request's."""
        if self._closed:
            raise _stopping()
        if self._num_free:
            self._num_free -= 1
            return
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._turns.append(turn)
        timer = loop.call_later(self._deadline_s, self._expire, turn)
        watcher = loop.create_task(_tell_when_gone(request, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._give_back()
            raise
        finally:
            timer.cancel()
            watcher.cancel()
            with suppress(ValueError):
                self._turns.remove(turn)

    def _expire(self, turn: asyncio.Future[None]) -> None:
        if not turn.done():
            turn.set_exception(
                DeadlinePassed(
                    f"no worker was free within {self._deadline_s:g} s; nothing was begun",
                    retry_after_s=max(1, math.ceil(self._deadline_s)),
                )
            )

    def _give_back(self) -> None:
        """Hands a worker to the first who still waits."""
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._num_free += 1


class Place:
    """A request's place: first its body is read, then its work is done."""

    def __init__(self, admission: Admission, request: Request) -> None:
        self._admission = admission
        self._request = request
        self._wanted = Wanted()

    async def read(self, reading: Awaitable[Result]) -> Result:
        """See `Admission.read`."""
        return await self._admission.read(reading)

    async def work(
        self,
        work: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """See `Admission.work`."""
        return await self._admission.work(self._request, partial(work, *args, **kwargs))

    async def stoppable_work(
        self,
        work: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """See `Admission.work`; the work asks `check_wanted` now and then."""
        return await self._admission.work(
            self._request, partial(work, *args, **kwargs), wanted=self._wanted
        )

    def check_wanted(self) -> None:
        """Passes while the work that was begun is waited for; may be called from its thread.

        Raises:
            ClientDisconnect: the caller has gone.
            DeadlinePassed: it takes too long.
        """
        self._wanted.check()


async def _tell_when_gone(request: Request, turn: asyncio.Future[None]) -> None:
    """Ends a wait whose caller has gone; after a whole body nothing else can come."""
    message = await request.receive()
    if message["type"] == "http.disconnect" and not turn.done():
        turn.set_exception(ClientDisconnect())


async def _tell_the_work_when_gone(request: Request, wanted: Wanted) -> None:
    message = await request.receive()
    if message["type"] == "http.disconnect":
        wanted.end()


def _stopping() -> ServiceStopping:
    return ServiceStopping("the service shuts down; nothing was begun, send it again")


def admission_of(request: Request) -> Admission:
    """The queue of the app that answers."""
    admission: Admission = request.app.state.admission
    return admission


async def check_room(request: Request) -> None:
    """A dependency: refuses a request while no place is free, before its key costs anything.

    Raises:
        Overloaded: no place is free.
        ServiceStopping: the queue was closed.
    """
    admission: Admission | None = getattr(request.app.state, "admission", None)
    if admission is not None:
        admission.check_room()
