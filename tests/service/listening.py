"""A real server over real sockets, in a thread of the test's own process, and raw callers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from service.admission import Admission
from service.app import create_app
from service.assembly import Parts, open_parts
from service.serving import Server, config_of, listen
from service.settings import Settings
from tests.fakes import FakeDetector, make_photo

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

    @property
    def parts(self) -> Parts:
        """What the app has opened."""
        parts: Parts = self.app.state.parts
        return parts

    def identify(self) -> httpx.Response:
        """One photo, over a connection of its own."""
        return httpx.post(
            f"{self.url}/v1/identify",
            headers=self.headers,
            files={"photo": make_photo(["ann"])},
            timeout=LONG_S,
        )

    def connect(self) -> socket.socket:
        """A connection to send bytes over; it is closed in the end by whoever asked."""
        port = int(self.url.rsplit(":", 1)[1])
        return socket.create_connection(("127.0.0.1", port), timeout=LONG_S)

    def send(self, *parts: bytes) -> bytes:
        """All that comes back for bytes over a connection of their own, until it is closed."""
        with self.connect() as caller:
            for part in parts:
                caller.sendall(part)
            return everything(caller)


def everything(caller: socket.socket) -> bytes:
    """What comes until the other side closes, which it must."""
    received = bytearray()
    try:
        while chunk := caller.recv(65_536):
            received += chunk
    except ConnectionError:
        pass  # closed while bytes that nobody reads were on their way
    return bytes(received)


@contextmanager
def listening(settings: Settings, *, detector: FakeDetector | None = None) -> Iterator[Running]:
    """A server on a free loopback port; ended in the end."""
    settings = settings.model_copy(update={"port": 0})
    with (
        open_parts(settings, detector=detector or FakeDetector()) as parts,
        listen(settings) as listener,
    ):
        created = parts.keys.create_first()
        if created is None:
            raise AssertionError("a fresh folder has no key")
        app = create_app(settings, parts=parts)
        started = threading.Event()
        server = Server(config_of(app, settings), app, started.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            started.wait(LONG_S)
            port = listener.getsockname()[1]
            yield Running(
                url=f"http://127.0.0.1:{port}",
                key=created[1],
                server=server,
                thread=thread,
                app=app,
            )
        finally:
            server.should_exit = True
            thread.join(LONG_S)
