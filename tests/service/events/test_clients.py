"""Clients and the command that follow events."""

import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from embedding.errors import CursorExpired, FeatureOff, KeyInvalid, RequestInvalid
from service.async_client import AsyncHttpClient
from service.auth import Role
from service.cli import main
from service.http_client import HttpClient, connect
from service.schemas import EventAnswer
from service.settings import Settings
from tests.fakes import FakeDetector, make_photo
from tests.service.own_server import Heard, heard
from tests.service.server_process import start
from tests.service.support import fake_service


def _sources(events: Sequence[EventAnswer]) -> list[str | None]:
    return [each.source for each in events]


def test_the_client_goes_on_after_a_restart(with_events: Settings) -> None:
    """Its loop runs through a restart of the service; no event is missed or comes twice."""
    database = Path(with_events.data_folder)
    found: list[EventAnswer] = []
    with heard(with_events) as service:
        port = int(service.url.rpartition(":")[2])
        key = service.key()
        service.identify("ann", source="1")
        following = threading.Event()

        def follow() -> None:
            with connect(f"http://127.0.0.1:{port}", key=key) as client:
                for event in client.follow(after="oldest"):
                    found.append(event)
                    following.set()
                    if event.source == "3":
                        return

        thread = threading.Thread(target=follow)
        thread.start()
        assert following.wait(30.0)
    assert database.exists()
    with fake_service(with_events) as between:
        between.http.post(
            "/v1/identify",
            headers=between.headers(),
            data={"source": "2"},
            files={"photo": make_photo(["ann"])},
        )
    again = start_at(with_events, port)
    try:
        httpx.post(
            f"http://127.0.0.1:{port}/v1/identify",
            headers={"Authorization": f"Bearer {key}"},
            data={"source": "3"},
            files={"photo": make_photo(["ann"])},
        ).raise_for_status()
        thread.join(60.0)
    finally:
        again.process.kill()
        again.process.communicate()
    assert not thread.is_alive()
    assert _sources(found) == ["1", "2", "3"]


def start_at(settings: Settings, port: int) -> Any:
    """A real service at a port, with events."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FACEGALLERY_EVENTS", "true")
        return start(settings, "--port", str(port))


def test_the_asynchronous_client_follows(running: Heard) -> None:
    """As the other one; both tell for good refusals as their own errors."""
    running.identify("ann", source="1")
    info, key = running.parts.keys.create(role=Role.LISTENER)

    async def first() -> EventAnswer:
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=running.url, headers=headers) as http:
            events = AsyncHttpClient(http).follow(after="oldest")
            event = await anext(events)
            await events.aclose()
            with pytest.raises(RequestInvalid):
                await anext(AsyncHttpClient(http).follow(after="forged"))
            return event

    assert anyio.run(first).source == "1"
    with connect(running.url, key=key) as client:
        assert next(client.follow(after="oldest")).source == "1"
        page = client.events(after="oldest", limit=1)
        assert (_sources(page.events), page.more) == (["1"], False)
        with pytest.raises(RequestInvalid):
            next(client.follow(after="forged"))
        running.parts.keys._rows.revoke(info.key_id)
        with pytest.raises(KeyInvalid):
            next(client.follow())


@pytest.mark.parametrize(
    ("end", "error"),
    [("cursor_expired", CursorExpired), ("key_invalid", KeyInvalid), ("feature_off", FeatureOff)],
)
def test_an_end_for_good_ends_the_client_s_loop(end: str, error: type[Exception]) -> None:
    """What another connection would not mend is raised."""

    def answer(_: httpx.Request) -> httpx.Response:
        said = json.dumps({"code": end, "detail": "no more"})
        return httpx.Response(200, text=f"retry: 1\n\nevent: end\ndata: {said}\n\n")

    with (
        httpx.Client(transport=httpx.MockTransport(answer), base_url="http://x") as http,
        pytest.raises(error, match="no more"),
    ):
        next(HttpClient(http, sleep=lambda _: None).follow())


def test_an_end_in_passing_does_not() -> None:
    """It comes again with the newest cursor that it heard of, and waits longer each time."""
    asked: list[str | None] = []
    waits: list[float] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params.get("after"))
        if len(asked) == 1:
            said = json.dumps({"code": "stopping", "detail": "later"})
            return httpx.Response(
                200, text=f"retry: 1\nid: A\n\n: alive\nid: B\n\nevent: end\ndata: {said}\n\n"
            )
        if len(asked) < 6:
            raise httpx.ConnectError("", request=request)
        return httpx.Response(422, json={"code": "request_invalid", "detail": "enough"})

    with (
        httpx.Client(transport=httpx.MockTransport(answer), base_url="http://x") as http,
        pytest.raises(RequestInvalid, match="enough"),
    ):
        next(HttpClient(http, sleep=waits.append).follow(after="0"))
    assert asked == ["0", "B", "B", "B", "B", "B"]
    assert waits[-1] > waits[0]


def test_the_command_prints_events(
    with_events: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through a running service, a line each, and it ends after as many as were asked for."""
    monkeypatch.setenv("FACEGALLERY_DATA_FOLDER", str(with_events.data_folder))
    monkeypatch.setenv("FACEGALLERY_MODEL", str(with_events.model))
    monkeypatch.setenv("FACEGALLERY_EVENTS", "true")
    server = start(with_events)
    try:
        headers = {"Authorization": f"Bearer {server.key}"}
        for source in ("door-1", "door-2"):
            httpx.post(
                f"{server.url}/v1/identify",
                headers=headers,
                data={"source": source},
                files={"photo": make_photo(["ann"])},
            ).raise_for_status()
        monkeypatch.setenv("FACEGALLERY_KEY", str(server.key))
        with pytest.raises(SystemExit) as caught:
            main(["events", "follow", "--after", "oldest", "-n", "2"], detector=FakeDetector())
        assert caught.value.code == 0
        first, second = capsys.readouterr().out.splitlines()
        assert "default unknown - door-1 " in first
        with pytest.raises(SystemExit):
            main(
                ["events", "follow", "--after", first.split()[-1], "-n", "1", "--json"],
                detector=FakeDetector(),
            )
        assert json.loads(capsys.readouterr().out)["id"] == second.split()[-1]
        assert server.stop() == 0
    finally:
        server.process.kill()
        server.process.communicate()
