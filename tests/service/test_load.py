"""Tests of the app under load and at its end."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service import access
from service.app import create_app
from service.assembly import Parts
from service.auth import OWNER, Role
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.support import HeldDetector, check_problem

LONG_S = 60.0


@pytest.fixture
def detector() -> Iterator[HeldDetector]:
    """A detector that is let go in the end."""
    held = HeldDetector()
    yield held
    held.let_go.set()


class Caller:
    """Speaks to an app that runs on this event loop."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        parts: Parts = app.state.parts
        key = parts.keys.create_first()
        if key is None:
            raise AssertionError("there is a key already")
        self.headers = {"Authorization": f"Bearer {key[1]}"}
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://test", timeout=LONG_S
        )

    async def identify(self, *, headers: dict[str, str] | None = None) -> httpx.Response:
        """One photo."""
        return await self.http.post(
            "/v1/identify",
            headers=self.headers if headers is None else headers,
            files={"photo": make_photo(["ann"])},
        )

    def start(self, num: int = 1) -> list[asyncio.Task[httpx.Response]]:
        """So many photos at the same time."""
        return [asyncio.create_task(self.identify()) for _ in range(num)]

    async def busy(self, *, working: int, queued: int) -> None:
        """Returns once so many photos are worked on and so many wait."""
        queue = self.app.state.admission
        async with asyncio.timeout(LONG_S):
            while (queue.num_working, queue.num_queued) != (working, queued):
                await asyncio.sleep(0.001)


def run(
    settings: Settings,
    detector: HeldDetector,
    test: Callable[[Caller], Coroutine[Any, Any, None]],
    **changed: object,
) -> None:
    """Runs a test with a caller of a fresh app of one worker."""

    async def whole() -> None:
        changes = {"num_workers": 1, **changed}
        app = create_app(settings.model_copy(update=changes), detector=detector)
        async with app.router.lifespan_context(app):
            caller = Caller(app)
            async with caller.http:
                await test(caller)

    asyncio.run(whole())


def test_beyond_the_queue_is_429(settings: Settings, detector: HeldDetector) -> None:
    """What finds no room is told when to come again, before its key; the others are answered."""

    async def test(caller: Caller) -> None:
        tasks = caller.start(2)
        await caller.busy(working=1, queued=1)
        refused = await caller.identify(headers={})
        check_problem(refused, 429, "overloaded")
        assert int(refused.headers["retry-after"]) == refused.json()["retry_after_s"] >= 1
        assert (await caller.http.get("/readyz")).status_code == 200
        removed = await caller.http.delete(
            "/v1/galleries/default/subjects/absent", headers=caller.headers
        )
        check_problem(removed, 404, "subject_not_found")
        detector.let_go.set()
        assert [(await task).status_code for task in tasks] == [200, 200]
        assert (await caller.identify()).status_code == 200

    run(settings, detector, test, max_queued=1)


def test_a_passed_deadline_is_503(settings: Settings, detector: HeldDetector) -> None:
    """A photo that found no worker in time is answered so, and nobody looks at it."""

    async def test(caller: Caller) -> None:
        (first,) = caller.start()
        await caller.busy(working=1, queued=0)
        late = await caller.identify()
        check_problem(late, 503, "deadline_passed")
        assert int(late.headers["retry-after"]) >= 1
        detector.let_go.set()
        assert (await first).status_code == 200
        assert detector.num_looks == 1

    run(settings, detector, test, deadline_s=0.02)


def test_a_key_that_is_revoked_while_it_waits_is_refused(
    settings: Settings, detector: HeldDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks at the photo of a key that ended in the queue, and the worker is free again."""
    monkeypatch.setattr(access, "KEY_HOLDS_S", 0.0)

    async def test(caller: Caller) -> None:
        parts: Parts = caller.app.state.parts
        info, other = parts.keys.create(role=Role.IDENTIFIER)
        (first,) = caller.start()
        await caller.busy(working=1, queued=0)
        headers = {"Authorization": f"Bearer {other}"}
        waiting = asyncio.create_task(caller.identify(headers=headers))
        await caller.busy(working=1, queued=1)
        parts.keys.revoke(info.key_id, caller=OWNER)
        detector.let_go.set()
        assert (await first).status_code == 200
        check_problem(await waiting, 401, "key_invalid")
        assert detector.num_looks == 1
        assert (await caller.identify()).status_code == 200

    run(settings, detector, test)


def test_a_slow_body_is_408(settings: Settings, detector: HeldDetector) -> None:
    """A body that does not come in time is given up, and the connection with it."""

    async def test(caller: Caller) -> None:
        answers: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            await asyncio.sleep(LONG_S)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            answers.append(dict(message))

        headers = {"content-type": "application/json", **caller.headers}
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/identify",
            "query_string": b"",
            "headers": [(name.lower().encode(), each.encode()) for name, each in headers.items()],
        }
        await caller.app(scope, receive, send)
        assert answers[0]["status"] == 408
        assert (b"connection", b"close") in answers[0]["headers"]
        assert json.loads(answers[1]["body"])["code"] == "body_too_slow"
        await caller.busy(working=0, queued=0)

    run(settings, detector, test, body_timeout_s=0.02)


def test_after_the_stop_newcomers_are_503(settings: Settings, detector: HeldDetector) -> None:
    """What came before is answered; what comes after goes elsewhere, except for /healthz."""

    async def test(caller: Caller) -> None:
        tasks = caller.start(2)
        await caller.busy(working=1, queued=1)
        caller.app.state.stopping.begin()
        refused = await caller.identify()
        check_problem(refused, 503, "stopping")
        assert refused.headers["connection"] == "close"
        assert "x-request-id" in refused.headers
        check_problem(await caller.http.get("/readyz"), 503, "stopping")
        assert (await caller.http.get("/healthz")).status_code == 200
        stopping = caller.app.state.stopping
        assert not await stopping.drained(within_s=0.02, hurry=lambda: False)
        assert not await stopping.drained(within_s=LONG_S, hurry=lambda: True)
        detector.let_go.set()
        assert await stopping.drained(within_s=LONG_S, hurry=lambda: False)
        assert [(await task).status_code for task in tasks] == [200, 200]

    run(settings, detector, test)


def test_a_new_enroll_is_found_by_the_next_request(
    settings: Settings, detector: HeldDetector
) -> None:
    """Whoever is enrolled is identified by the very next request, also among many callers."""
    detector.let_go.set()

    async def test(caller: Caller) -> None:
        for person in ("ann", "ben", "cat"):
            others = caller.start(3)
            enrolled = await caller.http.post(
                "/v1/enroll",
                headers=caller.headers,
                data={"subject": person},
                files=[("photos", ("a", make_photo([person])))],
            )
            found = await caller.http.post(
                "/v1/identify", headers=caller.headers, files={"photo": make_photo([person])}
            )
            assert found.json()["faces"][0]["subject"]["id"] == enrolled.json()["subject_id"]
            assert {(await each).status_code for each in others} == {200}

    run(settings, detector, test, num_workers=2)
