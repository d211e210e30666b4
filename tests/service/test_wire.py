"""What only shows over a socket: broken HTTP, headers without end, callers who send slowly."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h11
import httpx
import pytest

from service import wire
from service.app import create_app
from service.settings import Settings
from tests.fakes import make_photo
from tests.index.waiting import wait_until
from tests.service.listening import LONG_S, Running, everything, listening

SOON_S = 0.1
HOST = b"Host: localhost\r\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, fake_model: Path) -> Iterator[Running]:
    """A server that all these tests share, and that none of them may harm."""
    folder = tmp_path_factory.mktemp("wire")
    with listening(Settings(data_folder=folder / "data", model=str(fake_model))) as started:
        yield started


ImpatientFor = Callable[[float], Running]


@pytest.fixture
def impatient_for(
    tmp_path: Path, fake_model: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ImpatientFor]:
    """Starts a server that soon gives up, but waits for galleries' files as long as it is told."""
    monkeypatch.setattr(wire, "HEADERS_WITHIN_S", SOON_S)
    with ExitStack() as stack:

        def begin(transfer_timeout_s: float) -> Running:
            settings = Settings(
                data_folder=tmp_path / "data",
                model=str(fake_model),
                body_timeout_s=SOON_S,
                transfer_timeout_s=transfer_timeout_s,
                http_export=True,
            )
            return stack.enter_context(listening(settings))

        yield begin


@pytest.fixture
def impatient(impatient_for: ImpatientFor) -> Running:
    """A server that soon gives up."""
    return impatient_for(SOON_S)


def read_answer(received: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and document of the one answer in some bytes."""
    reader = h11.Connection(h11.CLIENT)
    reader.send(h11.Request(method="GET", target="/", headers=[("Host", "localhost")]))
    reader.send(h11.EndOfMessage())
    reader.receive_data(received)
    head = reader.next_event()
    if not isinstance(head, h11.Response):
        raise AssertionError(f"no answer: {received[:200]!r}")
    body = b""
    while isinstance(event := reader.next_event(), h11.Data):
        body += event.data
    headers = {name.decode(): value.decode() for name, value in head.headers}
    return head.status_code, headers, json.loads(body)


def check_refused(received: bytes, status: int, code: str) -> None:
    """Checks for one problem document, after which the connection was closed."""
    found, headers, document = read_answer(received)
    assert (found, document["status"], document["code"]) == (status, status, code)
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["x-content-type-options"] == "nosniff"


def head_of(running: Running, method: str, path: str, *lines: str) -> bytes:
    """The head of a request with an admin's key."""
    all_lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *lines]
    all_lines += [f"Authorization: {running.headers['Authorization']}", "", ""]
    return "\r\n".join(all_lines).encode()


BROKEN = {
    "junk": b"\x00\x01\x02 junk\r\n\r\n",
    "TLS": bytes.fromhex("16030100c4010000c003") + bytes(200) + b"\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "no version": b"GET /healthz HTTP\r\n" + HOST + b"\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\n" + 2 * HOST + b"\r\n",
    "space in a name": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X Y: 1\r\n\r\n",
    "NUL in a value": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n",
    "negative length": b"POST /v1/detect HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    "two lengths": b"POST /v1/detect HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "length of 1,000 digits": b"POST /v1/detect HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: "
    + b"9" * 1000
    + b"\r\n\r\n",
    "length and coding": b"POST /v1/detect HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": b"POST /v1/detect HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip\r\n\r\n",
    "bytes in the path": b"GET /v1/galleries/\xff\xfe HTTP/1.1\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_http(running: Running, name: str) -> None:
    """What is no HTTP/1.1 gets a problem document, and the connection is closed."""
    check_refused(running.send(BROKEN[name]), 400, "request_malformed")


@pytest.mark.parametrize("one", [True, False])
def test_headers_without_end(running: Running, one: bool) -> None:
    """One huge header, or thousands of them, are refused once 64 KiB have come."""
    lines = b"X: " + b"x" * 200_000 if one else b"".join(b"X-%d: 1\r\n" % n for n in range(20_000))
    received = running.send(b"GET /healthz HTTP/1.1\r\n" + HOST + lines)
    check_refused(received, 431, "headers_too_large")


@pytest.mark.parametrize("part", ["header", "address"])
def test_headers_that_are_whole_and_huge(running: Running, part: str) -> None:
    """Where the end comes in the same breath as the rest, they are refused all the same."""
    filler = b"x" * 100_000
    start = b"GET /healthz?" + filler if part == "address" else b"GET /healthz"
    header = b"X: " + filler + b"\r\n" if part == "header" else b""
    received = running.send(start + b" HTTP/1.1\r\n" + HOST + header + b"\r\n")
    check_refused(received, 431, "headers_too_large")


def test_a_chunk_that_is_none(running: Running) -> None:
    """A body whose chunks are broken is refused while the app waits for it; nothing is done."""
    head = head_of(
        running,
        "POST",
        "/v1/galleries",
        "Content-Type: application/json",
        "Transfer-Encoding: chunked",
    )
    check_refused(running.send(head + b"junk\r\n"), 400, "request_malformed")
    assert [each.name for each in running.parts.galleries.list()] == ["default"]


def test_who_hangs_up_in_the_middle_of_a_body(running: Running) -> None:
    """A caller who announces more than comes leaves nothing behind, and no place taken."""
    photo = httpx.Request("POST", "http://x", files={"photos": make_photo(["ann"])})
    body = photo.read()
    head = head_of(
        running,
        "POST",
        "/v1/enroll",
        f"Content-Type: {photo.headers['Content-Type']}",
        f"Content-Length: {len(body)}",
    )
    with running.connect() as caller:
        caller.sendall(head + body[:-10])
        caller.shutdown(socket.SHUT_WR)
        everything(caller)
    wait_until(lambda: running.queue.num_queued == 0)
    assert running.parts.galleries.get("default").num_subjects == 0
    assert running.identify().status_code == 200


def test_bytes_that_are_no_text(running: Running) -> None:
    """Bytes outside of UTF-8 in path, query, key and request id are a clear 4xx or left out."""
    key = f"Authorization: {running.headers['Authorization']}\r\n".encode()
    for target, lines, status in (
        (b"/v1/galleries/%ff%fe/subjects", key, 404),
        (b"/v1/galleries/%00/subjects", key, 404),
        (b"/v1/galleries/default/subjects?cursor=%ff%00", key, 422),
        (b"/v1/galleries/default/subjects?limit=%ff", key, 422),
        (b"/v1/galleries", b"Authorization: Bearer fg_\xff\xfe_\x80\r\n", 401),
        (b"/v1/galleries", key + b"X-Request-ID: \xff\xfe\r\n", 200),
        (b"/metrics", b"Authorization: Bearer \xff\xfe\r\n", 404),
    ):
        received = running.send(
            b"GET " + target + b" HTTP/1.1\r\nConnection: close\r\n" + HOST + lines + b"\r\n"
        )
        assert read_answer(received)[0] == status


def test_headers_that_come_slowly(impatient: Running) -> None:
    """Headers that have not come in time are answered 408, and the connection is closed."""
    received = impatient.send(b"GET /healthz HTTP/1.1\r\n")
    check_refused(received, 408, "request_too_slow")


def test_headers_byte_by_byte(impatient: Running) -> None:
    """A byte now and then does not keep a connection open."""
    with impatient.connect() as caller:
        ended = threading.Event()

        def drip() -> None:
            number = 0
            while not ended.wait(SOON_S / 4):
                number += 1
                try:
                    caller.sendall(b"GET /healthz HTTP/1.1\r\n" if number == 1 else b"X: 1\r\n")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        received = everything(caller)
        ended.set()
        thread.join(LONG_S)
    check_refused(received, 408, "request_too_slow")


def test_a_connection_on_which_nothing_comes(impatient: Running) -> None:
    """Who connects and says nothing is cut off without a word."""
    assert impatient.send() == b""


def test_the_second_request_has_a_limit_too(impatient: Running) -> None:
    """A connection that was good once gets no more time for the next request."""
    whole = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
    received = impatient.send(whole + b"GET /healthz HTTP/1.1\r\n")
    assert received.startswith(b"HTTP/1.1 200 ")
    second = received[received.index(b"HTTP/1.1 408 ") :]
    check_refused(second, 408, "request_too_slow")


def test_a_body_that_nobody_reads(impatient_for: ImpatientFor) -> None:
    """A refused caller who sends on byte by byte is cut off, however long files may take."""
    impatient = impatient_for(10 * LONG_S)
    head = b"POST /v1/enroll HTTP/1.1\r\nContent-Length: 1000000\r\n" + HOST + b"\r\n"
    with impatient.connect() as caller:
        caller.sendall(head)
        ended = threading.Event()

        def drip() -> None:
            while not ended.wait(SOON_S / 4):
                try:
                    caller.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        received = everything(caller)
        ended.set()
        thread.join(LONG_S)
    assert received.startswith(b"HTTP/1.1 401 ")


BODIES = [
    (method.upper(), path, kind)
    for path, operations in create_app(Settings()).openapi()["paths"].items()
    for method, operation in operations.items()
    for kind in operation.get("requestBody", {}).get("content", {})
]


def test_every_body_has_a_time_limit(impatient: Running) -> None:
    """Each route with a body gives 408 when it does not come, whatever the body's kind."""
    assert len(BODIES) > 4
    for method, path, kind in BODIES:
        boundary = "; boundary=x" if kind.startswith("multipart") else ""
        head = head_of(
            impatient,
            method,
            path.replace("{gallery}", "default"),
            f"Content-Type: {kind}{boundary}",
            "Content-Length: 100",
        )
        received = impatient.send(head + b"--x\r\n")
        if read_answer(received)[2]["code"] != "feature_off":  # said before a body is read
            check_refused(received, 408, "body_too_slow")
