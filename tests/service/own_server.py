"""A service on loopback within the test's own process, so that a test can look into it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import uvicorn

from service.app import create_app
from service.settings import Settings
from service.stopping import Stopping
from tests.fakes import FakeDetector, make_photo
from tests.index.waiting import PATIENCE_S, wait_until
from tests.service.support import OpenedService


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard(OpenedService):
    """A running service."""

    url: str

    @property
    def stopping(self) -> Stopping:
        """Of the app."""
        stopping: Stopping = self.app.state.stopping
        return stopping

    def identify(self, *people: str, gallery: str = "default", **fields: str) -> None:
        """Look for fake people."""
        answer = httpx.post(
            f"{self.url}/v1/identify",
            headers=self.headers(),
            data={"gallery": gallery, **fields},
            files={"photo": make_photo(people)},
        )
        if answer.status_code != 200:
            raise AssertionError(answer.text)

    def enroll(self, person: str, *, gallery: str = "default") -> str:
        """Enroll a fake person; returns the subject's id."""
        answer = httpx.post(
            f"{self.url}/v1/enroll",
            headers=self.headers(),
            data={"subject": person, "gallery": gallery},
            files=[("photos", ("photo", make_photo([person])))],
        )
        if answer.status_code != 201:
            raise AssertionError(answer.text)
        return str(answer.json()["subject_id"])


@contextmanager
def heard(settings: Settings) -> Iterator[Heard]:
    """A service on these settings with the fake detector, on a free port of loopback."""
    app = create_app(settings, detector=FakeDetector())
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, access_log=False, lifespan="on"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started or not thread.is_alive())
        if not server.started:
            raise AssertionError("it never started")
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Heard(app=app, url=f"http://127.0.0.1:{port}")
    finally:
        app.state.stopping.begin()
        server.should_exit = True
        thread.join(PATIENCE_S)
        if thread.is_alive():
            raise AssertionError("it never stopped")
