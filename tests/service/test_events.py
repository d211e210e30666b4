"""Tests of events over HTTP: the stream and the page, over real sockets."""

import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from embedding.errors import CursorExpired, FeatureOff, KeyInvalid, RequestInvalid
from index.events import NewEvent
from service.async_client import AsyncHttpClient
from service.auth import Role
from service.cli import main
from service.http_client import HttpClient, connect
from service.schemas import EventAnswer
from service.session_cookie import COOKIE, PAGE_HEADER
from service.settings import Settings
from tests.fakes import FakeDetector, make_photo
from tests.index.waiting import wait_until
from tests.service.own_server import Heard, heard
from tests.service.support import FakeService, check_problem, fake_service
from tests.service.test_processes import on_postgres  # noqa: F401 - a fixture
from tests.service.test_server import start

Block = dict[str, str]


@pytest.fixture
def with_events(settings: Settings) -> Settings:
    """Settings that keep events."""
    return settings.model_copy(update={"events": True, "reviews": True})


@pytest.fixture
def running(with_events: Settings) -> Iterator[Heard]:
    """A running service that keeps events."""
    with heard(with_events) as service:
        yield service


@pytest.fixture
def service(with_events: Settings) -> Iterator[FakeService]:
    """A service that keeps events, for what is answered at once."""
    with fake_service(with_events) as started:
        yield started


class Stream:
    """A connection to the stream, read block by block."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def block(self) -> Block:
        """The next block: the fields of its lines, comments under an empty name."""
        found: Block = {}
        for line in self._lines:
            if not line:
                return found
            name, _, value = line.partition(":")
            found[name] = value.strip()
        raise EOFError

    def event(self) -> dict[str, Any]:
        """The next block with data."""
        while "data" not in (found := self.block()):
            pass
        content: dict[str, Any] = json.loads(found["data"])
        if found["event"] != "end" and content["id"] != found["id"]:
            raise AssertionError(found)
        return content | {"event": found["event"]}

    def rest(self) -> list[Block]:
        """All blocks until the service ends the stream."""
        found = []
        try:
            while True:
                found.append(self.block())
        except EOFError:
            return found


@contextmanager
def listen(
    service: Heard, headers: dict[str, str] | None = None, **query: str
) -> Iterator[Stream]:
    """A stream, which has begun."""
    with httpx.stream(
        "GET",
        f"{service.url}/v1/events",
        headers=headers or service.headers(),
        params=query,
        timeout=30.0,
    ) as response:
        if response.status_code != 200:
            response.read()
            raise AssertionError(response.text)
        stream = Stream(response)
        if "retry" not in stream.block():
            raise AssertionError("no beginning")
        yield stream


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


def test_an_acknowledged_decision_is_in_the_log(service: FakeService) -> None:
    """Once identify has answered, its event is there, whatever happens next."""
    service.enroll("ann")
    for number in range(3):
        service.http.post(
            "/v1/identify",
            headers=service.headers() | {"X-Request-ID": f"r{number}"},
            files={"photo": make_photo(["ann"])},
        )
        page = service.http.get("/v1/events?wait=0&after=oldest", headers=service.headers()).json()
        assert [each["request_id"] for each in page["events"]] == [
            f"r{n}" for n in range(number + 1)
        ]


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


def test_galleries_are_kept_apart(running: Heard) -> None:
    """A tied key hears of its galleries only, an untied one of the gallery that it asks for."""
    running.parts.create_gallery("mine")
    tied = running.headers(Role.LISTENER, galleries=["mine"])
    with listen(running, tied) as stream, listen(running, gallery="mine") as asked:
        running.identify("ann", gallery="default", source="other")
        running.identify("ann", gallery="mine", source="own")
        assert stream.event()["source"] == "own"
        assert asked.event()["source"] == "own"
    page = httpx.get(f"{running.url}/v1/events?wait=0&after=oldest", headers=tied).json()
    assert [each["source"] for each in page["events"]] == ["own"]


def test_a_stream_follows_its_gallery_and_not_its_name(running: Heard) -> None:
    """Renamed, a tied key's gallery is heard on; another one of the old name is not."""
    running.parts.create_gallery("mine")
    with listen(running, running.headers(Role.LISTENER, galleries=["mine"])) as stream:
        running.identify("ann", gallery="mine", source="before")
        assert stream.event()["source"] == "before"
        running.parts.galleries.rename("mine", "ours")
        running.parts.create_gallery("mine")
        running.identify("ann", gallery="mine", source="foreign")
        running.identify("ann", gallery="ours", source="after")
        told = stream.event()
    assert (told["source"], told["gallery"]) == ("after", "ours")


@pytest.mark.parametrize("again", [False, True])
def test_a_stream_of_one_gallery_ends_with_its_name(running: Heard, *, again: bool) -> None:
    """Who asked for a gallery that got another name is told, also where the name is given anew."""
    running.parts.create_gallery("mine")
    tied = running.headers(Role.LISTENER, galleries=["mine"])
    with listen(running, tied, gallery="mine") as door, listen(running, gallery="mine") as desk:
        running.parts.galleries.rename("mine", "ours")
        if again:
            running.parts.create_gallery("mine")
        else:
            assert desk.event()["code"] == "gallery_not_found"
        assert door.event()["code"] == "key_forbidden"


def test_a_foreign_gallery_is_refused(service: FakeService) -> None:
    """Whether it exists or not; one's own that does not exist is not found."""
    service.parts.create_gallery("mine")
    headers = service.headers(Role.LISTENER, galleries=["mine", "absent"])
    for gallery in ("default", "nowhere"):
        answer = service.http.get("/v1/events", params={"gallery": gallery}, headers=headers)
        check_problem(answer, 403, "key_forbidden")
    answer = service.http.get("/v1/events?gallery=absent", headers=headers)
    check_problem(answer, 404, "gallery_not_found")


def test_a_listener_hears_decisions_only(running: Heard) -> None:
    """Of a review it learns the person once somebody has said that it is the same."""
    subject_id = running.enroll("ann")
    _review_ann(running)
    (review,) = running.parts.galleries.reviews.page(state=None, limit=2)[0]
    with (
        listen(running, running.headers(Role.LISTENER), after="oldest") as door,
        listen(running, after="oldest") as desk,
    ):
        assert [door.event()["decision"], desk.event()["decision"]] == ["review", "review"]
        running.parts.galleries.reviews.decide(review.id, "same", by="key-1", tell=True)
        told = door.event()
        assert (told["event"], told["verdict"]) == ("review_decided", "same")
        assert told["subject_id"] == desk.event()["subject_id"] == subject_id
    page = httpx.get(
        f"{running.url}/v1/events?wait=0&after=oldest", headers=running.headers(Role.LISTENER)
    ).json()
    assert [each["subject_id"] for each in page["events"]] == [None, subject_id]


def _review_ann(running: Heard) -> None:
    """Have somebody who looks like two people be a review."""
    httpx.post(
        f"{running.url}/v1/enroll",
        headers=running.headers(),
        data={"subject": "twin", "force": "true"},
        files=[("photos", ("photo", make_photo(["ann"])))],
    ).raise_for_status()
    running.identify("ann", queue_reviews="true", source="desk-1")


@pytest.mark.parametrize("own", [{"threshold": "-1"}, {"fpir": "0.05"}])
def test_a_threshold_of_one_s_own_opens_no_door(service: FakeService, own: dict[str, str]) -> None:
    """What a caller's own rule would say is told to the caller alone, and queues nothing."""
    service.enroll("ann")
    for gallery in ({"gallery": "default"}, {"galleries": "default"}):
        answer = service.http.post(
            "/v1/identify",
            headers=service.headers(),
            data={**own, **gallery, "source": "door-1"},
            files={"photo": make_photo(["ben"])},
        )
        assert answer.status_code == 200
    assert service.parts.galleries.events.newest() == 0
    refused = service.http.post(
        "/v1/identify",
        headers=service.headers(),
        data={**own, "queue_reviews": "true"},
        files={"photo": make_photo(["ann"])},
    )
    check_problem(refused, 422, "request_invalid")


def test_several_galleries_give_one_event_a_face(service: FakeService) -> None:
    """In the gallery of whoever was named; a stranger is one of the first gallery."""
    service.parts.create_gallery("staff")
    service.http.post(
        "/v1/enroll",
        headers=service.headers(),
        data={"subject": "ann", "gallery": "staff"},
        files=[("photos", ("photo", make_photo(["ann"])))],
    ).raise_for_status()
    asked = {"galleries": "default,staff", "source": "door-1"}
    photo = make_photo(["ann", "ben"])
    service.http.post(
        "/v1/identify", headers=service.headers(), data=asked, files={"photo": photo}
    ).raise_for_status()
    page = service.http.get("/v1/events?wait=0&after=oldest", headers=service.headers()).json()
    told = {(each["gallery"], each["decision"]) for each in page["events"]}
    assert told == {("staff", "match"), ("default", "unknown")}
    assert len(page["events"]) == 2
    queued = service.http.post(
        "/v1/identify",
        headers=service.headers(),
        data=asked | {"queue_reviews": "true"},
        files={"photo": photo},
    )
    check_problem(queued, 422, "request_invalid")


@pytest.mark.parametrize("role", [Role.IDENTIFIER, Role.AUDITOR])
def test_other_roles_hear_nothing(service: FakeService, role: Role) -> None:
    """A camera's key that is stolen does not tell who comes and goes."""
    answer = service.http.get("/v1/events", headers=service.headers(role))
    check_problem(answer, 403, "key_forbidden")


def test_without_the_setting_nothing_is_kept(settings: Settings) -> None:
    """By default no event is written, and who asks for them is told which setting it takes."""
    with fake_service(settings) as off:
        off.enroll("ann")
        off.http.post(
            "/v1/identify",
            headers=off.headers(),
            data={"source": "door-1"},
            files={"photo": make_photo(["ann"])},
        )
        assert off.parts.galleries.events.newest() == 0
        for query in ("", "?wait=0"):
            answer = off.http.get(f"/v1/events{query}", headers=off.headers())
            check_problem(answer, 409, "feature_off")
            assert "FACEGALLERY_EVENTS" in answer.json()["detail"]


@pytest.mark.parametrize(
    "cursor", ["", "x", "A" * 32, "oldest!", "NaN", "1e309", "-1", "é", "OLDEST", "\0"]
)
@pytest.mark.parametrize("wait", ["0", "1"])
def test_forged_cursors_are_refused(service: FakeService, cursor: str, wait: str) -> None:
    """As a problem document, before a stream begins, in the query and in the header."""
    headers = service.headers(Role.LISTENER)
    query = {"wait": wait, "after": cursor}
    answer = service.http.get("/v1/events", params=query, headers=headers)
    check_problem(answer, 422, "request_invalid")
    if cursor.isascii() and cursor.isprintable() and cursor:
        answer = service.http.get(
            "/v1/events", params={"wait": wait}, headers=headers | {"Last-Event-ID": cursor}
        )
        check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize(
    "query", ["wait=2", "wait=NaN", "limit=0", "limit=1001", "limit=1e3", "after=" + "A" * 2000]
)
def test_other_values_are_refused(service: FakeService, query: str) -> None:
    """What is out of range is told before a stream begins."""
    answer = service.http.get(f"/v1/events?{query}", headers=service.headers())
    check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize("source", ["", "a" * 65, "two words", "é", "a/b", "a\nb", "\0"])
def test_sources_that_are_none_are_refused(service: FakeService, source: str) -> None:
    """A source is short and an id, in forms and in JSON."""
    answer = service.http.post(
        "/v1/identify",
        headers=service.headers(),
        data={"source": source},
        files={"photo": make_photo(["ann"])},
    )
    check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize("wait", ["0", "1"])
def test_an_old_cursor_says_what_to_do(with_events: Settings, wait: str) -> None:
    """410, with the way to begin again."""
    few = with_events.model_copy(update={"events_max": 2})
    with fake_service(few) as service:
        headers = service.headers()
        begun = service.http.get("/v1/events?wait=0", headers=headers).json()["next_cursor"]
        for _ in range(4):
            service.http.post(
                "/v1/identify", headers=headers, files={"photo": make_photo(["ann"])}
            )
        service.parts.galleries.maintain()
        query = {"wait": wait, "after": begun}
        answer = service.http.get("/v1/events", params=query, headers=headers)
        check_problem(answer, 410, "cursor_expired")
        assert "after=oldest" in answer.json()["detail"]
        page = service.http.get("/v1/events?wait=0&after=oldest", headers=headers).json()
        assert len(page["events"]) == 2


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


def _end_of(stream: Stream) -> dict[str, Any]:
    blocks = stream.rest()
    content: dict[str, Any] = json.loads(blocks[-1]["data"])
    if blocks[-1]["event"] != "end":
        raise AssertionError(blocks)
    return content


def test_a_revoked_key_hears_no_more(running: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stream ends within seconds and says why; it cannot be begun again."""
    monkeypatch.setattr("service.event_stream.KEY_EVERY_S", 0.1)
    info, key = running.parts.keys.create(role=Role.LISTENER)
    headers = {"Authorization": f"Bearer {key}"}
    with listen(running, headers) as stream:
        httpx.delete(
            f"{running.url}/v1/keys/{info.key_id}", headers=running.headers()
        ).raise_for_status()
        assert _end_of(stream)["code"] == "key_invalid"
    check_problem(httpx.get(f"{running.url}/v1/events", headers=headers), 401, "key_invalid")


def test_an_expired_key_hears_no_more(running: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that is revoked."""
    monkeypatch.setattr("service.event_stream.KEY_EVERY_S", 0.1)
    soon = datetime.now(UTC) + timedelta(seconds=2)
    _, key = running.parts.keys.create(role=Role.LISTENER, expires_at=soon)
    with listen(running, {"Authorization": f"Bearer {key}"}) as stream:
        assert _end_of(stream)["code"] == "key_invalid"


def test_who_signs_out_hears_no_more(running: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that the page began ends with its session, though the key is in force."""
    monkeypatch.setattr("service.event_stream.KEY_EVERY_S", 0.1)
    token, _ = running.parts.sessions.begin(running.key())
    headers = {PAGE_HEADER: running.url, "Cookie": f"{COOKIE}={token}"}
    with listen(running, headers) as stream:
        running.parts.sessions.end(token)
        assert _end_of(stream)["code"] == "session_ended"


def test_the_end_of_the_service_ends_streams(running: Heard) -> None:
    """A stream does not hold it up, and says that it is worth coming again."""
    with listen(running) as stream:
        running.stopping.begin()
        assert _end_of(stream)["code"] == "stopping"


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


def test_a_removed_person_is_not_told_of_any_more(running: Heard) -> None:
    """From the removal's answer on, in streams and pages, whoever reads from before."""
    subject_id = running.enroll("ann")
    running.identify("ann")
    headers = running.headers()
    httpx.delete(
        f"{running.url}/v1/galleries/default/subjects/{subject_id}", headers=headers
    ).raise_for_status()
    running.identify("ben", source="later")
    with listen(running, after="oldest") as stream:
        assert stream.event()["source"] == "later"
    page = httpx.get(f"{running.url}/v1/events?wait=0&after=oldest", headers=headers)
    assert subject_id not in page.text


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
            ends.append(_end_of(stream)["code"])

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
