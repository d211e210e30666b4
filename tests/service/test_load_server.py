"""Tests over real sockets: callers who leave, and the end of a server."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from service.admission import Admission, Wanted
from service.app import create_app
from service.assembly import open_parts
from service.serving import Server, listen
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.support import HeldDetector, check_problem

LONG_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server in a thread of this process."""

    url: str
    key: str
    server: Server
    thread: threading.Thread
    app: FastAPI

    @property
    def headers(self) -> dict[str, str]:
        """Of an admin."""
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def queue(self) -> Admission:
        """Of the app."""
        queue: Admission = self.app.state.admission
        return queue

    def identify(self) -> httpx.Response:
        """One photo, over a connection of its own."""
        return httpx.post(
            f"{self.url}/v1/identify",
            headers=self.headers,
            files={"photo": make_photo(["ann"])},
            timeout=LONG_S,
        )


def until(met: Callable[[], bool]) -> None:
    """Returns once something is so."""
    end = time.monotonic() + LONG_S
    while not met():
        if time.monotonic() > end:
            raise AssertionError("it never came")
        time.sleep(0.001)


@pytest.fixture
def detector() -> Iterator[HeldDetector]:
    """A detector that is let go in the end."""
    held = HeldDetector()
    yield held
    held.let_go.set()


@pytest.fixture
def running(settings: Settings, detector: HeldDetector) -> Iterator[Running]:
    """A server with one worker."""
    settings = settings.model_copy(update={"num_workers": 1, "deadline_s": 300.0, "port": 0})
    with open_parts(settings, detector=detector) as parts, listen(settings) as listener:
        created = parts.keys.create_first()
        if created is None:
            raise AssertionError("a fresh folder has no key")
        app = create_app(settings, parts=parts)
        started = threading.Event()
        server = Server(uvicorn.Config(app, log_config=None), app, started.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        started.wait(LONG_S)
        port = listener.getsockname()[1]
        yield Running(
            url=f"http://127.0.0.1:{port}", key=created[1], server=server, thread=thread, app=app
        )
        detector.let_go.set()
        server.should_exit = True
        thread.join(LONG_S)


def test_who_hangs_up_is_not_worked_for(running: Running, detector: HeldDetector) -> None:
    """A caller who hangs up while waiting is dropped; no worker ever looks at the photo."""
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(running.identify)
        until(lambda: detector.num_looks == 1)
        body = httpx.Request(
            "POST", running.url, headers=running.headers, files={"photo": make_photo(["ben"])}
        )
        content = body.read()
        head = "".join(f"{name}: {value}\r\n" for name, value in body.headers.items())
        port = int(running.url.rsplit(":", 1)[1])
        with socket.create_connection(("127.0.0.1", port)) as caller:
            caller.sendall(f"POST /v1/identify HTTP/1.1\r\n{head}\r\n".encode() + content)
            until(lambda: running.queue.num_queued == 1)
        until(lambda: running.queue.num_queued == 0)
        detector.let_go.set()
        assert first.result().status_code == 200
    assert running.identify().status_code == 200
    assert detector.num_looks == 2


def test_the_end_finishes_what_was_accepted(running: Running, detector: HeldDetector) -> None:
    """From the stop on newcomers hear 503; who works and who waits is answered; then it ends."""
    with ThreadPoolExecutor(2) as pool:
        accepted = [pool.submit(running.identify) for _ in range(2)]
        until(lambda: (running.queue.num_working, running.queue.num_queued) == (1, 1))
        running.server.should_exit = True
        until(lambda: running.app.state.stopping.begun)
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
        until(lambda: detector.num_looks == 1)
        waiting = pool.submit(running.identify)
        until(lambda: running.queue.num_queued == 1)
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
            until(lambda: detector.num_looks == 1)
        until(lambda: wanted != [])
        detector.let_go.set()
        until(lambda: running.queue.num_working == 0)
    assert detector.num_looks == 1
    listed = httpx.get(f"{running.url}/v1/galleries/default/subjects", headers=running.headers)
    assert listed.json()["subjects"] == []
    with socket.create_connection(("127.0.0.1", port)) as caller:
        _send_enroll(running, caller, 5)
        assert caller.recv(1000).startswith(b"HTTP/1.1 201")
    listed = httpx.get(f"{running.url}/v1/galleries/default/subjects", headers=running.headers)
    assert [each["num_templates"] for each in listed.json()["subjects"]] == [5]
