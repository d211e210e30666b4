"""What the tests of the service share: a service on fakes, odd photos, an ASGI caller."""

import dataclasses
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray
from starlette.testclient import TestClient

from embedding.detect import DetectedFace
from service.app import create_app
from service.assembly import Parts
from service.auth import Role
from service.settings import Settings
from tests.fakes import FakeDetector, fake_thresholds, make_photo, write_fake_model
from tests.service.documented import Documented

MiB = 1024 * 1024


def write_model(folder: Path, *, seed: int = 0, name: str = "fake") -> Path:
    """A fake model directory whose card also holds thresholds for the review rate."""
    match = [each for each in fake_thresholds() if each.fpir == 0.01]
    review = [dataclasses.replace(each, fpir=0.05, value=each.value - 0.1) for each in match]
    return write_fake_model(folder, seed=seed, name=name, thresholds=(*match, *review))


class HeldDetector(FakeDetector):
    """Looks for faces once it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.num_looks = 0
        self.let_go = threading.Event()

    def detect(self, photo_HWC: NDArray[np.uint8]) -> list[DetectedFace]:
        """As the fake one, later."""
        self.num_looks += 1
        self.let_go.wait(60.0)
        return super().detect(photo_HWC)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedService:
    """A service in this process, with the means to make keys."""

    app: FastAPI

    @property
    def parts(self) -> Parts:
        """What the app has opened."""
        parts: Parts = self.app.state.parts
        return parts

    def key(self, role: Role = Role.ADMIN, *, galleries: list[str] | None = None) -> str:
        """A new key."""
        return self.parts.keys.create(role=role, galleries=galleries)[1]

    def headers(
        self, role: Role = Role.ADMIN, *, galleries: list[str] | None = None
    ) -> dict[str, str]:
        """Request headers with a new key."""
        return {"Authorization": f"Bearer {self.key(role, galleries=galleries)}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeService(OpenedService):
    """A started service with a client that needs no socket."""

    http: TestClient
    settings: Settings

    def num_templates(self) -> int:
        """Of all galleries."""
        return sum(gallery.num_templates for gallery in self.parts.galleries.list())

    def enroll(self, *people: str, photo: bytes | None = None) -> dict[str, str]:
        """Enrolls fake people under their own names; their subject ids by name."""
        ids = {}
        for person in people:
            answer = self.http.post(
                "/v1/enroll",
                headers=self.headers(),
                data={"subject": person},
                files=[("photos", ("photo", photo or make_photo([person])))],
            )
            if answer.status_code != 201:
                raise AssertionError(answer.text)
            ids[person] = str(answer.json()["subject_id"])
        return ids


@contextmanager
def fake_service(settings: Settings) -> Iterator[FakeService]:
    """A service on these settings with the fake detector, started and stopped."""
    app = create_app(settings, detector=FakeDetector())
    with TestClient(Documented(app), follow_redirects=False) as http:
        yield FakeService(app=app, http=http, settings=settings)


def check_problem(answer: Any, status: int, code: str) -> None:
    """Checks for a problem document with this status and code that says what is wrong."""
    found = (answer.status_code, answer.headers["content-type"], answer.json().get("code"))
    if found != (status, "application/problem+json", code) or len(answer.json()["detail"]) < 10:
        raise AssertionError(answer.text)


def png(width: int, height: int, *, data: bytes, extra: bytes = b"") -> bytes:
    """A grey one-bit PNG with given compressed rows, and a private chunk if wanted."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), *([(b"prVt", extra)] if extra else []), (b"IDAT", data)]
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(_chunk, [*chunks, (b"IEND", b"")]))


def _chunk(chunk: tuple[bytes, bytes]) -> bytes:
    kind, content = chunk
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def with_ballast(photo: bytes, num_bytes: int) -> tuple[bytes, bytes]:
    """A PNG made larger by a private chunk of random bytes; also that chunk's content."""
    ballast = os.urandom(num_bytes)
    after_header = 8 + 25
    return photo[:after_header] + _chunk((b"prVt", ballast)) + photo[after_header:], ballast


def bomb() -> bytes:
    """A PNG of 30,000 x 30,000 pixels in about 100 kB."""
    side = 30_000
    rows = zlib.compressobj(1)
    block = bytes(side * (1 + side // 8))
    return png(side, side, data=rows.compress(block) + rows.flush())


@dataclass(frozen=True, slots=True, kw_only=True)
class RawAnswer:
    """What an ASGI app sent, and how much of the body it had asked for."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    num_bytes_read: int


def post_raw(
    app: FastAPI,
    path: str,
    headers: Mapping[str, str],
    chunk: bytes,
    num_chunks: int,
    *,
    first: bytes = b"",
) -> RawAnswer:
    """Posts a body chunk by chunk, after a first part, counting what the app takes."""
    sent: list[dict[str, Any]] = []
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        body = first + chunk if taken == 1 else chunk
        return {"type": "http.request", "body": body, "more_body": taken < num_chunks}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }

    async def call() -> None:
        await app(scope, receive, send)

    anyio.run(call)
    start = sent[0]
    return RawAnswer(
        status=start["status"],
        headers={name.decode(): value.decode() for name, value in start["headers"]},
        body=b"".join(message.get("body", b"") for message in sent[1:]),
        num_bytes_read=taken * len(chunk),
    )
