"""Tests of the queue in front of the workers: room, order, deadlines, callers who leave."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect

from embedding.errors import BodyTooSlow, DeadlinePassed, Overloaded, ServiceStopping
from service.admission import Admission
from service.retrying import Retries

LONG_S = 60.0
SOON_S = 0.02


def admission(
    *, workers: int = 1, queued: int = 2, deadline_s: float = LONG_S, body_s: float = LONG_S
) -> Admission:
    """A queue with one worker and two places beside it, unless told."""
    return Admission(
        num_workers=workers, max_queued=queued, deadline_s=deadline_s, body_timeout_s=body_s
    )


class Caller:
    """Who sends a request, and may leave."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.request = Request({"type": "http", "headers": []}, self._receive)

    async def _receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}


class Held:
    """Work that goes on until it is let go; notes who began, in order."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.let_go = threading.Event()

    def work(self, name: str) -> Callable[[], str]:
        """Work that gives its name back."""

        def run() -> str:
            self.begun.append(name)
            self.let_go.wait(LONG_S)
            return name

        return run


@pytest.fixture
def held() -> Iterator[Held]:
    """Work that is let go at the end, so that no thread stays."""
    work = Held()
    yield work
    work.let_go.set()


async def until(met: Callable[[], bool]) -> None:
    """Returns once something is so."""
    async with asyncio.timeout(LONG_S):
        while not met():
            await asyncio.sleep(0.001)


async def one(queue: Admission, work: Callable[[], str], caller: Caller | None = None) -> str:
    """A whole request without a body."""
    request = (caller or Caller()).request
    with queue.place(request) as place:
        return await place.work(work)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs a test on an event loop of its own."""
    asyncio.run(test())


def test_first_come_first_served(held: Held) -> None:
    """With one worker, requests are begun one after the other in the order of their coming."""

    async def test() -> None:
        queue = admission()
        tasks = []
        for name in ("a", "b", "c"):
            tasks.append(asyncio.create_task(one(queue, held.work(name))))
            await until(lambda: queue.num_working + queue.num_queued == len(tasks))
        await until(lambda: held.begun == ["a"])
        assert (queue.num_working, queue.num_queued) == (1, 2)
        held.let_go.set()
        assert await asyncio.gather(*tasks) == ["a", "b", "c"]
        assert held.begun == ["a", "b", "c"]
        assert (queue.num_working, queue.num_queued) == (0, 0)

    run(test)


def test_a_full_queue_refuses(held: Held) -> None:
    """Beyond the places a request hears at once when to come again; later there is room."""

    async def test() -> None:
        queue = admission(workers=1, queued=1)
        tasks = [asyncio.create_task(one(queue, held.work(each))) for each in "ab"]
        await until(lambda: queue.num_working + queue.num_queued == 2)
        with pytest.raises(Overloaded) as caught:
            await one(queue, held.work("c"))
        assert caught.value.retry_after_s >= 1
        assert queue.num_refused == 1
        held.let_go.set()
        await asyncio.gather(*tasks)
        assert await one(queue, held.work("d")) == "d"

    run(test)


def test_bodies_that_are_read_take_places() -> None:
    """A request holds its place while its body comes, so that bodies in memory are bounded."""

    async def test() -> None:
        queue = admission(workers=1, queued=0)
        with queue.place(Caller().request):
            assert queue.num_queued == 1
            with pytest.raises(Overloaded):
                queue.check_room()
        queue.check_room()

    run(test)


def test_a_passed_deadline_begins_nothing(held: Held) -> None:
    """Who waited too long is told so, and its work never starts, not even later."""

    async def test() -> None:
        queue = admission(deadline_s=SOON_S)
        first = asyncio.create_task(one(queue, held.work("a")))
        await until(lambda: held.begun == ["a"])
        with pytest.raises(DeadlinePassed):
            await one(queue, held.work("late"))
        held.let_go.set()
        assert await first == "a"
        assert await one(queue, held.work("b")) == "b"
        assert held.begun == ["a", "b"]

    run(test)


def test_who_leaves_is_not_worked_for(held: Held) -> None:
    """A caller who disconnects while waiting leaves the queue; the one behind moves up."""

    async def test() -> None:
        queue = admission()
        first = asyncio.create_task(one(queue, held.work("a")))
        await until(lambda: held.begun == ["a"])
        caller = Caller()
        left = asyncio.create_task(one(queue, held.work("gone"), caller))
        await until(lambda: queue.num_queued == 1)
        behind = asyncio.create_task(one(queue, held.work("b")))
        await until(lambda: queue.num_queued == 2)
        caller.gone.set()
        with pytest.raises(ClientDisconnect):
            await left
        assert queue.num_queued == 1
        held.let_go.set()
        assert [await first, await behind] == ["a", "b"]
        assert held.begun == ["a", "b"]

    run(test)


def test_a_cancelled_wait_does_not_take_the_worker_along(held: Held) -> None:
    """Requests that are cancelled, before or as their turn comes, leave the worker to others."""

    async def test() -> None:
        queue = admission()
        await queue._turn(Caller().request)
        for its_turn_came in (False, True):
            waiting = asyncio.create_task(one(queue, held.work("gone")))
            await until(lambda: queue.num_queued == 0 and len(queue._turns) == 1)
            if its_turn_came:
                queue._give_back()
            waiting.cancel()
            with suppress(asyncio.CancelledError):
                await waiting
        assert held.begun == []
        assert queue.num_working == 0
        held.let_go.set()
        assert await one(queue, held.work("a")) == "a"

    run(test)


def test_a_closed_queue_finishes_what_it_began(held: Held) -> None:
    """At the end work that was begun gives its answer; who waits, and who comes, is refused."""

    async def test() -> None:
        queue = admission()
        first = asyncio.create_task(one(queue, held.work("a")))
        await until(lambda: held.begun == ["a"])
        waiting = asyncio.create_task(one(queue, held.work("b")))
        await until(lambda: queue.num_queued == 1)
        queue.close()
        with pytest.raises(ServiceStopping):
            await waiting
        with pytest.raises(ServiceStopping):
            await one(queue, held.work("c"))
        held.let_go.set()
        assert await first == "a"
        assert held.begun == ["a"]

    run(test)


def test_a_cancelled_request_keeps_its_worker_until_the_work_ends(held: Held) -> None:
    """Work cannot be broken off, so its worker is not given to another before it has ended."""

    async def test() -> None:
        queue = admission()
        first = asyncio.create_task(one(queue, held.work("a")))
        await until(lambda: held.begun == ["a"])
        behind = asyncio.create_task(one(queue, held.work("b")))
        await until(lambda: queue.num_queued == 1)
        first.cancel()
        await asyncio.sleep(SOON_S)
        assert held.begun == ["a"]
        assert queue.num_working == 1
        held.let_go.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await behind == "b"

    run(test)


def test_work_stays_on_the_same_threads() -> None:
    """However many requests come, as many threads as workers see photos: each keeps memory."""

    async def test() -> None:
        queue = admission(workers=2, queued=40)

        def name() -> str:
            return threading.current_thread().name

        names = await asyncio.gather(*(one(queue, name) for _ in range(40)))
        assert len(set(names)) <= 2

    run(test)


def test_an_error_gives_the_worker_back() -> None:
    """Work that fails raises its error, and the next one is worked on."""

    async def test() -> None:
        queue = admission(queued=0)

        def fail() -> str:
            raise ValueError("its own")

        with pytest.raises(ValueError, match="its own"):
            await one(queue, fail)
        assert await one(queue, lambda: "fine") == "fine"
        assert queue.num_queued == 0

    run(test)


def test_a_slow_body_is_given_up() -> None:
    """A body that does not come in time frees its place."""

    async def never() -> str:
        await asyncio.sleep(LONG_S)
        return "late"

    async def quick() -> str:
        return "here"

    async def test() -> None:
        queue = admission(body_s=SOON_S, queued=0)

        async def read(reading: Awaitable[str]) -> str:
            with queue.place(Caller().request) as place:
                return await place.read(reading)

        with pytest.raises(BodyTooSlow):
            await read(never())
        assert await read(quick()) == "here"

    run(test)


def test_a_body_has_no_time_left_after_the_end() -> None:
    """Who sends when the queue is closed, and who begins to afterwards, hears of the end."""

    async def scene() -> None:
        queue = Admission(num_workers=1, max_queued=1, deadline_s=1.0, body_timeout_s=3600.0)
        sending = asyncio.create_task(queue.read(asyncio.Event().wait()))
        await asyncio.sleep(0)
        queue.close()
        queue.close()
        with pytest.raises(ServiceStopping):
            await sending
        with pytest.raises(ServiceStopping):
            await queue.read(asyncio.Event().wait())

    asyncio.run(scene())


def test_work_hears_that_its_caller_has_gone(held: Held) -> None:
    """Work that asks whether it is still wanted is told, once the caller hangs up."""

    async def run() -> None:
        queue, caller = admission(), Caller()
        with queue.place(caller.request) as place:
            told = threading.Event()

            def work() -> str:
                place.check_wanted()
                held.work("ann")()
                for _ in range(60_000):
                    try:
                        place.check_wanted()
                    except ClientDisconnect:
                        told.set()
                        raise
                    threading.Event().wait(0.001)
                return "never told"

            running = asyncio.ensure_future(place.stoppable_work(work))
            await until(lambda: held.begun == ["ann"])
            caller.gone.set()
            held.let_go.set()
            with pytest.raises(ClientDisconnect):
                await running
            assert told.is_set()
        queue.close()

    asyncio.run(run())


def test_work_that_takes_too_long_is_told() -> None:
    """It may go on so long from its beginning; its caller hears why, and a client gives up."""

    async def run() -> None:
        queue = Admission(
            num_workers=1,
            max_queued=0,
            deadline_s=LONG_S,
            body_timeout_s=LONG_S,
            work_timeout_s=SOON_S,
        )
        with queue.place(Caller().request) as place:

            def work() -> None:
                place.check_wanted()
                threading.Event().wait(2 * SOON_S)
                place.check_wanted()

            with pytest.raises(DeadlinePassed, match="nothing was saved") as caught:
                await place.stoppable_work(work)
            assert caught.value.retry_after_s > Retries().max_wait_s
        queue.close()

    asyncio.run(run())
