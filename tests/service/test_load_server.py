"""Tests over real sockets: callers who leave, and the end of a server."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from service.admission import Wanted
from service.settings import Settings
from tests.fakes import make_photo
from tests.index.waiting import wait_until
from tests.service.listening import LONG_S, Running, listening
from tests.service.support import HeldDetector, check_problem


@pytest.fixture
def detector() -> Iterator[HeldDetector]:
    """A detector that is let go in the end."""
    held = HeldDetector()
    yield held
    held.let_go.set()


@pytest.fixture
def running(settings: Settings, detector: HeldDetector) -> Iterator[Running]:
    """A server with one worker."""
    settings = settings.model_copy(update={"num_workers": 1, "deadline_s": 300.0})
    with listening(settings, detector=detector) as started:
        yield started
        detector.let_go.set()


def test_who_hangs_up_is_not_worked_for(running: Running, detector: HeldDetector) -> None:
    """A caller who hangs up while waiting is dropped; no worker ever looks at the photo."""
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(running.identify)
        wait_until(lambda: detector.num_looks == 1)
        body = httpx.Request(
            "POST", running.url, headers=running.headers, files={"photo": make_photo(["ben"])}
        )
        content = body.read()
        head = "".join(f"{name}: {value}\r\n" for name, value in body.headers.items())
        with running.connect() as caller:
            caller.sendall(f"POST /v1/identify HTTP/1.1\r\n{head}\r\n".encode() + content)
            wait_until(lambda: running.queue.num_queued == 1)
        wait_until(lambda: running.queue.num_queued == 0)
        detector.let_go.set()
        assert first.result().status_code == 200
    assert running.identify().status_code == 200
    assert detector.num_looks == 2


def test_the_end_finishes_what_was_accepted(running: Running, detector: HeldDetector) -> None:
    """From the stop on newcomers hear 503; who works and who waits is answered; then it ends."""
    with ThreadPoolExecutor(2) as pool:
        accepted = [pool.submit(running.identify) for _ in range(2)]
        wait_until(lambda: (running.queue.num_working, running.queue.num_queued) == (1, 1))
        running.server.should_exit = True
        wait_until(lambda: running.app.state.stopping.begun)
        refused = running.identify()
        check_problem(refused, 503, "stopping")
        assert refused.headers["connection"] == "close"
        assert httpx.get(f"{running.url}/readyz").status_code == 503
        assert httpx.get(f"{running.url}/healthz").status_code == 200
        detector.let_go.set()
        assert [each.result().status_code for each in accepted] == [200, 200]
    running.thread.join(LONG_S)
    assert not running.thread.is_alive()
    with pytest.raises(httpx.ConnectError):
        running.identify()


def test_what_has_not_begun_at_the_last_is_refused(
    running: Running, detector: HeldDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the time is over, who waits hears 503; the photo in work still gets its answer."""
    monkeypatch.setattr("service.serving.GRACEFUL_SHUTDOWN_S", 0.1)
    with ThreadPoolExecutor(2) as pool:
        begun = pool.submit(running.identify)
        wait_until(lambda: detector.num_looks == 1)
        waiting = pool.submit(running.identify)
        wait_until(lambda: running.queue.num_queued == 1)
        running.server.should_exit = True
        check_problem(waiting.result(), 503, "stopping")
        detector.let_go.set()
        assert begun.result().status_code == 200
    running.thread.join(LONG_S)
    assert detector.num_looks == 1


def _send_enroll(running: Running, caller: socket.socket, num_photos: int) -> None:
    """An enroll of several photos, over an open connection."""
    request = httpx.Request(
        "POST",
        running.url,
        headers=running.headers | {"Idempotency-Key": "one"},
        data={"subject": "ann"},
        files=[("photos", ("a", make_photo(["ann"], variant=n))) for n in range(num_photos)],
    )
    content = request.read()
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    caller.sendall(f"POST /v1/enroll HTTP/1.1\r\n{head}\r\n".encode() + content)


def test_an_enroll_ends_between_photos_when_its_caller_hangs_up(
    running: Running, detector: HeldDetector
) -> None:
    """The photo in work is looked at, the next ones are not, and nothing at all is saved."""
    port = int(running.url.rsplit(":", 1)[1])
    wanted: list[Wanted] = []
    end = Wanted.end

    def noted(one: Wanted) -> None:
        end(one)
        wanted.append(one)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wanted, "end", noted)
        with socket.create_connection(("127.0.0.1", port)) as caller:
            _send_enroll(running, caller, 5)
            wait_until(lambda: detector.num_looks == 1)
        wait_until(lambda: wanted != [])
        detector.let_go.set()
        wait_until(lambda: running.queue.num_working == 0)
    assert detector.num_looks == 1
    listed = httpx.get(f"{running.url}/v1/galleries/default/subjects", headers=running.headers)
    assert listed.json()["subjects"] == []
    with socket.create_connection(("127.0.0.1", port)) as caller:
        _send_enroll(running, caller, 5)
        assert caller.recv(1000).startswith(b"HTTP/1.1 201")
    listed = httpx.get(f"{running.url}/v1/galleries/default/subjects", headers=running.headers)
    assert [each["num_templates"] for each in listed.json()["subjects"]] == [5]
