"""Tests of the clients: all that the service can do, and what they do when it fails in passing."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anyio
import httpx
import pytest
from fastapi.routing import iter_route_contexts

from embedding.errors import (
    FaceGalleryError,
    FaceQualityTooLow,
    GalleryExists,
    KeyInvalid,
    RequestInvalid,
    ServerUnreachable,
    SubjectChanged,
    SubjectNotFound,
)
from service import calls
from service.async_client import AsyncHttpClient, connect_async
from service.auth import Role
from service.http_client import HttpClient, connect
from service.retrying import Retries, retry_after_s
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.server_process import Server, start
from tests.service.support import FakeService

MODELS = json.dumps({"models": []}).encode()
BUSY = json.dumps({"code": "internal", "detail": "not now"}).encode()
Answer = tuple[int, Mapping[str, str], bytes]


@pytest.fixture
def running(settings: Settings) -> Iterator[Server]:
    """A real service with a fresh data folder."""
    server = start(settings)
    yield server
    server.process.kill()
    server.process.communicate()


@dataclass(slots=True)
class Scripted:
    """A service on a real socket that answers what it is told, then with empty lists."""

    url: str
    answers: list[Answer | None]
    asked: list[str] = field(default_factory=list)


@contextmanager
def scripted(*answers: Answer | None) -> Iterator[Scripted]:
    """Such a service; None hangs up."""
    found = Scripted(url="", answers=list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            found.asked.append(f"{self.command} {self.path}")
            answer = found.answers.pop(0) if found.answers else (200, {}, MODELS)
            if answer is None:
                self.close_connection = True
                return
            status, headers, body = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def ask(service: Scripted, call: calls.Call[Any], *, retries: Retries) -> tuple[Any, list[float]]:
    """What both clients answer, or raise, and the waits between; they must agree."""
    script = list(service.answers)
    waits: list[float] = []
    with httpx.Client(base_url=service.url) as http:
        client = HttpClient(http, retries=retries, sleep=waits.append)
        answer = _outcome(lambda: client.send(call))
    service.answers = script
    asynchronous = anyio.run(_ask_async, service, call, retries)
    if isinstance(answer, Exception):
        assert type(asynchronous[0]) is type(answer)
    else:
        assert asynchronous[0] == answer
    assert len(asynchronous[1]) == len(waits)
    assert len(service.asked) == 2 * (len(waits) + 1)
    return answer, waits


async def _ask_async(
    service: Scripted, call: calls.Call[Any], retries: Retries
) -> tuple[Any, list[float]]:
    waits: list[float] = []

    async def sleep(wait_s: float) -> None:
        waits.append(wait_s)

    async with httpx.AsyncClient(base_url=service.url) as http:
        client = AsyncHttpClient(http, retries=retries, sleep=sleep)
        try:
            return await client.send(call), waits
        except FaceGalleryError as error:
            return error, waits


def _outcome(work: Callable[[], object]) -> object:
    try:
        return work()
    except FaceGalleryError as error:
        return error


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_passing_failure_is_tried_again(status: int) -> None:
    """A repeatable call gets its answer once the service has one; waits grow, never the same."""
    with scripted((status, {}, BUSY), (status, {}, BUSY), (status, {}, BUSY)) as service:
        answer, waits = ask(service, calls.models(), retries=Retries(first_wait_s=1.0))
    assert answer.models == []
    assert all(low <= w <= 2 * low for w, low in zip(waits, (0.5, 1.0, 2.0), strict=True))


def test_a_connection_that_broke_is_made_again() -> None:
    """A service that restarts closes connections; a repeatable call outlives that."""
    with scripted(None, None) as service:
        answer, waits = ask(service, calls.galleries(), retries=Retries())
        assert isinstance(answer, FaceGalleryError)  # the script's end has models, not galleries
        assert len(waits) == 2


def test_patience_ends() -> None:
    """After so many tries the last answer, or that nobody answers, is raised."""
    with scripted(*[(503, {}, BUSY)] * 9) as service:
        answer, waits = ask(service, calls.models(), retries=Retries(max_tries=3))
    assert isinstance(answer, FaceGalleryError)
    assert len(waits) == 2
    with scripted(*[None] * 9) as service:
        answer, waits = ask(service, calls.models(), retries=Retries(max_tries=2))
    assert isinstance(answer, ServerUnreachable)
    assert len(waits) == 1


@pytest.mark.parametrize(
    "call",
    [
        calls.create_gallery("g"),
        calls.delete_gallery("g"),
        calls.remove_subject("g", "s"),
        calls.create_key(role=Role.ADMIN),
        calls.change_gallery("g", new_name="h"),
        calls.remove_template("g", "t"),
        calls.move_templates("g", "s", ["t"]),
        calls.merge_subjects("g", "s", into="o"),
        calls.declare_look_alikes("g", "s", "o"),
    ],
    ids=lambda call: f"{call.method} {call.path}",
)
@pytest.mark.parametrize("answer", [None, (503, {"Retry-After": "0"}, BUSY)])
def test_what_must_not_happen_twice_is_sent_once(
    call: calls.Call[Any], answer: Answer | None
) -> None:
    """A write may have been carried out although its answer was lost: its caller has to look."""
    with scripted(answer) as service:
        outcome, waits = ask(service, call, retries=Retries())
    assert isinstance(outcome, FaceGalleryError)
    assert waits == []


def test_an_enroll_that_is_still_worked_on_is_asked_for_again() -> None:
    """The first try goes on over a connection that broke; the client waits for its answer."""
    in_use = json.dumps({"code": "idempotency_key_in_use", "detail": "not now"}).encode()
    call = calls.enroll([b"x"], gallery="g", subject="s")
    with scripted(None, (409, {"Retry-After": "1"}, in_use)) as service:
        _, waits = ask(service, call, retries=Retries())
    assert waits[1] == 1.0
    assert len(waits) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500])
def test_what_will_not_pass_is_not_tried_again(status: int) -> None:
    """A refusal is the same the next time."""
    with scripted((status, {}, BUSY)) as service:
        answer, waits = ask(service, calls.models(), retries=Retries())
    assert isinstance(answer, FaceGalleryError)
    assert waits == []


def test_the_service_s_own_wish_counts() -> None:
    """It is waited as long as ``Retry-After`` says, and not at all if that is too long."""
    with scripted((429, {"Retry-After": "7"}, BUSY), (503, {"Retry-After": "0"}, BUSY)) as service:
        _, waits = ask(service, calls.models(), retries=Retries())
    assert waits == [7.0, 0.0]
    with scripted((429, {"Retry-After": "21"}, BUSY)) as service:
        answer, waits = ask(service, calls.models(), retries=Retries(max_wait_s=20.0))
    assert isinstance(answer, FaceGalleryError)
    assert waits == []


def test_retry_after_in_all_its_forms() -> None:
    """Seconds, a date, a date that is over; nonsense counts as not said."""

    def told(text: str) -> float | None:
        return retry_after_s(httpx.Response(503, headers={"Retry-After": text}))

    soon = datetime.now(UTC) + timedelta(seconds=100)
    at = told(format_datetime(soon, usegmt=True))
    assert at is not None
    assert 50 < at <= 100
    assert told("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert told(" 12 ") == 12.0
    for nonsense in ("", "soon", "-1", "1.5", "nan", "\u0661", "Wed, 99 Oct 2015 07:28:00 GMT"):
        response = httpx.Response(503, headers=[(b"Retry-After", nonsense.encode())])
        assert retry_after_s(response) is None
    assert told("9" * 5000) is not None


def test_a_slow_service_is_not_asked_again() -> None:
    """One that took the request and does not answer in time would only get slower."""
    request = httpx.Request("GET", "http://127.0.0.1/")
    slow = httpx.ReadTimeout("", request=request)
    away = httpx.ConnectTimeout("", request=request)
    assert Retries().wait_s(calls.models(), num_tries=1, outcome=slow) is None
    assert Retries().wait_s(calls.models(), num_tries=1, outcome=away) is not None


def test_something_else_at_the_address() -> None:
    """A page of another program, or of another version, is told as such."""
    for status, body in (
        (200, b"<html>hello</html>"),
        (200, b"[]"),
        (200, b'{"models": 3}'),
        (404, b"<html>not here</html>"),
        (404, b"[]"),
        (404, b'{"detail": "Not Found"}'),
    ):
        with scripted((status, {}, body)) as service:
            answer, _ = ask(service, calls.models(), retries=Retries())
        assert isinstance(answer, ServerUnreachable)
        assert service.url in str(answer)


def test_every_route_has_a_call(shared_service: FakeService) -> None:
    """What the service can do the clients can ask for, in both forms."""
    made: list[calls.Call[Any]] = [
        calls.enroll([b"x"], gallery="g"), calls.identify(b"x", gallery="g"), calls.detect(b"x"),
        calls.galleries(), calls.create_gallery("g"), calls.delete_gallery("g"),
        calls.subjects("g"), calls.subject("g", "s"), calls.change_subject("g", "s", {}),
        calls.remove_subject("g", "s"),
        calls.keys(), calls.create_key(role=Role.ADMIN), calls.revoke_key("k"), calls.models(),
        calls.ready(), calls.erasure("g", "s"), calls.audit(), calls.gallery("g"),
        calls.change_gallery("g"), calls.templates("g", "s"), calls.template("g", "t"),
        calls.remove_template("g", "t"), calls.template_erasure("g", "t"),
        calls.move_templates("g", "s", ["t"]), calls.merge_subjects("g", "s", into="o"),
        calls.look_alikes("g"), calls.look_alikes_of("g", "s"),
        calls.declare_look_alikes("g", "s", "o"), calls.withdraw_look_alikes("g", "s", "o"),
        calls.events(), calls.reviews(),
        calls.review("r"), calls.claim_review("r"), calls.release_review("r"),
        calls.decide_review("r", "same"), calls.review_crop("r"), calls.template_crop("g", "t"),
        calls.verify([b"x", b"y"]),
        calls.identify_across(b"x", galleries=["g"]), calls.calibrate("g"), calls.threshold("g"),
        calls.import_gallery("g", b"x"), calls.gallery_erasure("g"),
    ]  # fmt: skip
    paths = {(call.method, call.path) for call in made}
    names = {
        "gallery": "g", "subject_id": "s", "key_id": "k", "template_id": "t", "other_id": "o"
    }  # fmt: skip
    names |= {"review_id": "r"}
    routes = {
        (method, str(context.path).format(**names))
        for context in iter_route_contexts(shared_service.app.routes)
        for method in (context.methods or ())
        if str(context.path).startswith("/v1") and method != "HEAD"
    }
    # Of the log as a file there is no call: its lines are for a file, not for an answer.
    files = {("GET", "/v1/audit/export"), ("GET", calls.export_path("g"))}
    assert paths | files == routes | {("GET", "/readyz")}
    for client in (HttpClient, AsyncHttpClient):
        methods = {name for name in vars(client) if not name.startswith("_")}
        methods -= {"send", "follow", "export_gallery"}  # `follow` is the stream of `events`
        assert len(methods) == len(made)
        assert all(hasattr(calls, name) for name in methods)


def test_no_photo_is_no_request() -> None:
    """Who gives no photo hears that, and not of a form that the library did not make."""
    for call in (calls.enroll, calls.verify):
        with pytest.raises(RequestInvalid, match="at least one photo"):
            call([], gallery="default", subject="ann")


def test_names_are_one_segment_of_a_path() -> None:
    """A slash or a question mark in an id leads to no other route."""
    assert calls.subject("../keys", "a/b?c").path == "/v1/galleries/..%2Fkeys/subjects/a%2Fb%3Fc"


def test_all_of_it_against_a_real_service(running: Server) -> None:
    """Enroll, identify, look, remove: each answer comes typed, each refusal as its own error."""
    photo = make_photo(["ann"])
    with connect(running.url, key=str(running.key)) as client:
        assert client.ready().status == "ok"
        assert client.enroll([photo], gallery="default", subject="ann", dry_run=True).dry_run
        enrolled = client.enroll([photo], gallery="default", external_id="a-1", subject="ann")
        again = client.enroll([photo], gallery="default", subject_id=enrolled.subject_id)
        assert not again.created
        found = client.identify(photo, gallery="default")
        assert found.faces[0].decision == "match"
        assert len(client.detect(photo).faces) == 1
        for far in (None, 0.001):
            verified = client.verify([photo], subject_id=enrolled.subject_id, far=far)
            assert (verified.decision, verified.match.far) == ("match", far or 0.01)
        assert client.verify([photo, make_photo(["ben"])]).decision == "no_match"
        asked = client.identify(photo, gallery="default", face="largest", fpir=0.001)
        assert asked.match.fpir == 0.001
        across = client.identify_across(photo, galleries=["default"], threshold=0.9)
        assert (across.faces[0].gallery, across.galleries[0].match.value) == ("default", 0.9)
        assert client.threshold("default").calibration is None
        with pytest.raises(RequestInvalid):
            client.calibrate("default")
        one = client.subject("default", str(enrolled.subject_id))
        assert (one.name, one.external_id, one.num_templates) == ("ann", "a-1", 2)
        assert client.subjects("default").subjects == [one]
        patch = {
            "metadata": {"badge": 17},
            "name": None,
            "expires_at": datetime(2090, 1, 1, tzinfo=UTC),
        }
        changed = client.change_subject("default", one.id, patch, version=one.version)
        assert (changed.metadata, changed.name) == ({"badge": 17}, None)
        assert client.subjects("default", external_id="a-1").subjects == [changed]
        with pytest.raises(SubjectChanged):
            client.change_subject("default", one.id, {"name": "ann"}, version=one.version)
        removed = client.remove_subject("default", one.id)
        assert removed.num_templates == 2
        assert client.erasure("default", one.id).content.subject_id == one.id
        assert "subject.remove" in [each.action for each in client.audit().entries]
        last = client.audit(newest_first=True, action="subject", limit=1).entries
        assert [each.action for each in last] == ["subject.remove"]
        assert client.audit(actor="nobody").entries == []
        refused = client.audit(refused=True).entries
        assert [each.action for each in refused if " /v1/" not in each.action] == []
        assert refused
        with pytest.raises(SubjectNotFound):
            client.subject("default", one.id)
        with pytest.raises(GalleryExists):
            client.create_gallery("default")
        with pytest.raises(FaceQualityTooLow) as caught:
            client.enroll([make_photo(["ann"], face_px=20)], gallery="default", subject="ann")
        assert "too_small" in caught.value.reasons
        made = client.create_key(role=Role.IDENTIFIER, galleries=["default"])
        client.revoke_key(made.key_id)
        assert client.revoke_key(made.key_id).revoked_at is not None
        assert [model.name for model in client.models().models if model.default] == ["fake"]
    with connect(running.url, key=made.key) as client, pytest.raises(KeyInvalid):
        client.identify(photo, gallery="default")


def test_many_at_once(running: Server) -> None:
    """The client for asyncio sends requests side by side, and everybody gets the own answer."""
    names = ["ann", "ben", "cat", "dan"]
    found: dict[str, str | None] = {}

    async def work() -> None:
        async with connect_async(running.url, key=str(running.key)) as client:
            for name in names:
                await client.enroll([make_photo([name])], gallery="default", subject=name)

            async def one(name: str) -> None:
                answer = await client.identify(make_photo([name]), gallery="default")
                subject = answer.faces[0].subject
                found[name] = subject.name if subject else None

            async with anyio.create_task_group() as tasks:
                for name in names:
                    tasks.start_soon(one, name)
            with pytest.raises(SubjectNotFound):
                await client.remove_subject("default", "absent")

    anyio.run(work)
    assert found == {name: name for name in names}
