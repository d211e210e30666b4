"""The stream of events, over real sockets: begun, resumed, ended, and bounded."""

import json
import socket
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from index.events import NewEvent
from service.auth import Role
from service.schemas import EventAnswer
from service.session_cookie import COOKIE, PAGE_HEADER
from service.settings import Settings
from tests.fakes import make_photo
from tests.index.waiting import wait_until
from tests.service.events.streams import Stream, end_of, listen
from tests.service.own_server import Heard, heard
from tests.service.server_process import start
from tests.service.support import check_problem


def test_a_decision_is_told_as_it_is_made(running: Heard) -> None:
    """One event a face, with ids, decision, source and request, and nothing more."""
    subject_id = running.enroll("ann")
    with listen(running) as stream:
        assert stream.response.headers["content-type"].startswith("text/event-stream")
        assert stream.response.headers["cache-control"] == "no-store"
        running.identify("ann", "ben", source="door-2")
        found = [stream.event(), stream.event()]
    by_decision = {each["decision"]: each for each in found}
    known, stranger = by_decision["match"], by_decision["unknown"]
    assert (known["subject_id"], stranger["subject_id"]) == (subject_id, None)
    assert {each["source"] for each in found} == {"door-2"}
    assert known["request_id"] == stranger["request_id"] is not None
    assert {each["face"] for each in found} == {0, 1}
    assert known["gallery"] == "default"
    assert known.keys() == EventAnswer.model_fields.keys() | {"event"}
    assert "ann" not in json.dumps(found)


def test_a_stream_is_resumed(running: Heard) -> None:
    """By the header that browsers send, which comes before the query, or by the query."""
    running.enroll("ann")
    running.identify("ann", source="1")
    running.identify("ann", source="2")
    running.identify("ann", source="3")
    with listen(running, after="oldest") as stream:
        first, second = stream.event()["id"], stream.event()["id"]
    with listen(running, after=second) as stream:
        assert stream.event()["source"] == "3"
    headers = running.headers() | {"Last-Event-ID": first}
    with listen(running, headers, after=second) as stream:
        assert stream.event()["source"] == "2"


def test_the_beginning_has_a_cursor(running: Heard) -> None:
    """Who heard nothing before the connection broke goes on where it began."""
    with httpx.stream(
        "GET", f"{running.url}/v1/events", headers=running.headers(), timeout=30.0
    ) as response:
        cursor = Stream(response).block()["id"]
    running.identify("ben", source="meanwhile")
    with listen(running, after=cursor) as stream:
        assert stream.event()["source"] == "meanwhile"


def test_silence_is_broken(running: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat tells no event, and its cursor goes past events of other galleries."""
    monkeypatch.setattr("service.event_stream.HEARTBEAT_S", 0.1)
    monkeypatch.setattr("service.event_stream.TICK_S", 0.05)
    running.parts.create_gallery("mine")
    tied = running.headers(Role.LISTENER, galleries=["mine"])
    with listen(running, tied) as stream:
        before = stream.block()
        running.identify("ann")
        while (after := stream.block())["id"] == before["id"]:
            pass
    assert "data" not in after
    assert after.keys() == {"", "id"}


def test_a_revoked_key_hears_no_more(running: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream ends within seconds and says why; it cannot be begun again."""
    monkeypatch.setattr("service.event_stream.KEY_EVERY_S", 0.1)
    info, key = running.parts.keys.create(role=Role.LISTENER)
    headers = {"Authorization": f"Bearer {key}"}
    with listen(running, headers) as stream:
        httpx.delete(
            f"{running.url}/v1/keys/{info.key_id}", headers=running.headers()
        ).raise_for_status()
        assert end_of(stream)["code"] == "key_invalid"
    check_problem(httpx.get(f"{running.url}/v1/events", headers=headers), 401, "key_invalid")


def test_an_expired_key_hears_no_more(running: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is revoked."""
    monkeypatch.setattr("service.event_stream.KEY_EVERY_S", 0.1)
    end = datetime.now(UTC) + timedelta(hours=1)
    _, key = running.parts.keys.create(role=Role.LISTENER, expires_at=end)
    with listen(running, {"Authorization": f"Bearer {key}"}) as stream:
        monkeypatch.setattr("service.keys._now", lambda: end)
        assert end_of(stream)["code"] == "key_invalid"


def test_who_signs_out_hears_no_more(running: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that the page began ends with its session, though the key is in force."""
    monkeypatch.setattr("service.event_stream.KEY_EVERY_S", 0.1)
    token, _ = running.parts.sessions.begin(running.key())
    headers = {PAGE_HEADER: running.url, "Cookie": f"{COOKIE}={token}"}
    with listen(running, headers) as stream:
        running.parts.sessions.end(token)
        assert end_of(stream)["code"] == "session_ended"


def test_theend_of_the_service_ends_streams(running: Heard) -> None:
    """A stream does not hold it up, and says that it is worth coming again."""
    with listen(running) as stream:
        running.stopping.begin()
        assert end_of(stream)["code"] == "stopping"


def test_places_are_bounded(with_events: Settings) -> None:
    """By key with 429, in all with 503; a place is free again when its caller has left."""
    few = with_events.model_copy(update={"max_listeners": 3, "max_listeners_per_key": 2})
    with heard(few) as service:
        one, other = service.headers(Role.LISTENER), service.headers(Role.LISTENER)
        with listen(service, one), listen(service, one):
            refused = httpx.get(f"{service.url}/v1/events", headers=one)
            check_problem(refused, 429, "key_limited")
            assert int(refused.headers["retry-after"]) > 0
            with listen(service, other):
                refused = httpx.get(f"{service.url}/v1/events", headers=other)
                check_problem(refused, 503, "service_error")
                assert int(refused.headers["retry-after"]) > 0
        listeners = service.app.state.listeners
        wait_until(lambda: not listeners._all and not listeners._by_key)
        with listen(service, one), listen(service, one):
            pass


def test_a_slow_reader_is_dropped(running: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes nothing loses its place; nothing is kept for it beyond its connection."""
    monkeypatch.setattr("service.event_stream.SEND_WITHIN_S", 0.3)
    gallery_id = running.parts.galleries.get("default").id
    one = NewEvent(
        kind="identified", gallery_id=gallery_id, subject_id=None, decision="unknown", face=0
    )
    # More than the buffers of both ends of a connection hold.
    running.parts.galleries.events.record([one] * 20_000)
    listeners = running.app.state.listeners
    port = int(running.url.rpartition(":")[2])
    key = running.key(Role.LISTENER)
    with closing(socket.socket()) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", port))
        begin = "GET /v1/events?after=oldest HTTP/1.1\r\nHost: x\r\n"
        slow.sendall(f"{begin}Authorization: Bearer {key}\r\n\r\n".encode())
        wait_until(lambda: len(listeners._all) == 1)
        wait_until(lambda: not listeners._all)


def test_many_listeners_hear_the_same(running: Heard) -> None:
    """All of them each event once, in the same order, while several identify at once."""
    num_listeners, people = 6, ("ann", "ben", "cat", "dan")
    heard_by: list[list[str]] = [[] for _ in range(num_listeners)]
    ready = threading.Barrier(num_listeners + 1)
    keys = [running.headers() for _ in range(num_listeners)]

    def hear(place: int) -> None:
        with listen(running, keys[place]) as stream:
            ready.wait(30.0)
            while len(heard_by[place]) < 4 * len(people):
                heard_by[place].append(stream.event()["id"])

    threads = [threading.Thread(target=hear, args=(n,)) for n in range(num_listeners)]
    for thread in threads:
        thread.start()
    ready.wait(30.0)

    def call(person: str) -> None:
        for _ in range(4):
            running.identify(person)

    callers = [threading.Thread(target=call, args=(person,)) for person in people]
    for caller in callers:
        caller.start()
    for thread in (*callers, *threads):
        thread.join(60.0)
    assert all(each == heard_by[0] for each in heard_by)
    assert len(set(heard_by[0])) == 4 * len(people)


@pytest.mark.postgres
@pytest.mark.usefixtures("on_postgres")
def test_processes_tell_each_other(with_events: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever process identifies, whoever listens to another hears it, each once, in order."""
    monkeypatch.setenv("FACEGALLERY_EVENTS", "true")
    server = start(with_events, "--processes", "2")
    headers = {"Authorization": f"Bearer {server.key}"}
    found: list[list[str]] = [[], []]
    ready = threading.Barrier(3)
    ends: list[str] = []

    def hear(place: int) -> None:
        with httpx.stream(
            "GET", f"{server.url}/v1/events", headers=headers, timeout=30.0
        ) as response:
            stream = Stream(response)
            stream.block()
            ready.wait(30.0)
            while len(found[place]) < 12:
                found[place].append(stream.event()["id"])
            ready.wait(30.0)
            ends.append(end_of(stream)["code"])

    threads = [threading.Thread(target=hear, args=(place,)) for place in range(2)]
    try:
        for thread in threads:
            thread.start()
        ready.wait(30.0)
        for _ in range(12):
            # A connection each, so that either process gets some.
            httpx.post(
                f"{server.url}/v1/identify", headers=headers, files={"photo": make_photo(["ann"])}
            ).raise_for_status()
        ready.wait(30.0)
        assert server.stop() == 0
        for thread in threads:
            thread.join(30.0)
    finally:
        server.process.kill()
        server.process.communicate()
    assert found[0] == found[1]
    assert len(set(found[0])) == 12
    assert ends == ["stopping", "stopping"]
