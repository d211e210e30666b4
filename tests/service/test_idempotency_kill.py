"""Enrolls whose answer was lost: killed processes, broken connections, and what clients do."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import httpx
import pytest

from embedding.errors import IdempotencyKeyReused, ServerUnreachable
from service.async_client import connect_async
from service.http_client import connect
from service.retrying import Retries
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.server_process import REPOSITORY, Server, start

SERVE = ("serve", "--port", "0", "--json")
PHOTO = make_photo(["ann"])


@contextmanager
def dying(settings: Settings, when: str) -> Iterator[str]:
    """The address of a service that dies at its first enroll."""
    environment = os.environ | {
        "FACEGALLERY_DATA_FOLDER": str(settings.data_folder),
        "FACEGALLERY_MODEL": str(settings.model),
        "FACEGALLERY_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.service.dying_child", when, *SERVE],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdout is None:
        raise AssertionError("no pipe")
    try:
        yield json.loads(process.stdout.readline())["url"]
        assert process.wait(20) == -9
    finally:
        process.kill()
        process.communicate()


def _num_templates(url: str, key: str) -> int:
    with connect(url, key=key) as client:
        return sum(each.num_templates for each in client.galleries().galleries)


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_killed_enroll_that_comes_again_is_there_once(settings: Settings, when: str) -> None:
    """Killed just before or just after its commit: the retry enrolls, or answers what was done."""
    first = start(settings)
    key = str(first.key)
    assert first.stop() == 0
    first.process.communicate()
    headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "one"}
    request = {"data": {"subject": "ann"}, "files": [("photos", ("a", PHOTO))]}
    with dying(settings, when) as url, pytest.raises(httpx.RequestError):
        httpx.post(f"{url}/v1/enroll", headers=headers, **request)  # type: ignore[arg-type]
    again = start(settings)
    try:
        for number in range(2):
            answer = httpx.post(f"{again.url}/v1/enroll", headers=headers, **request)  # type: ignore[arg-type]
            assert answer.status_code == 201
            replayed = answer.headers.get("idempotency-replayed")
            assert replayed == ("true" if number or when == "after" else None)
        assert _num_templates(again.url, key) == 1
    finally:
        again.process.kill()
        again.process.communicate()


class Dropping:
    """A proxy that hands requests on, and keeps the first answers to itself."""

    def __init__(self, url: str, *, num_dropped: int) -> None:
        self.num_requests = 0
        self._num_dropped = num_dropped
        self._target = (httpx.URL(url).host, httpx.URL(url).port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        """Ends it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            with caller, socket.create_connection(self._target) as target:
                self.num_requests += 1
                target.sendall(_whole(caller))
                answer = _whole(target)
                # By now it was carried out.
                if self.num_requests > self._num_dropped:
                    caller.sendall(answer)
                    caller.shutdown(socket.SHUT_WR)


def _whole(caller: socket.socket) -> bytes:
    """A request or an answer, with its body."""
    sent = b""
    while b"\r\n\r\n" not in sent:
        sent += caller.recv(1 << 20)
    head, _, body = sent.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        body += caller.recv(1 << 20)
    return head + b"\r\n\r\n" + body


@pytest.fixture
def running(settings: Settings) -> Iterator[Server]:
    """A real service."""
    server = start(settings)
    yield server
    server.process.kill()
    server.process.communicate()


@contextmanager
def dropping(running: Server, *, num_dropped: int) -> Iterator[Dropping]:
    """A proxy before it."""
    proxy = Dropping(running.url, num_dropped=num_dropped)
    try:
        yield proxy
    finally:
        proxy.close()


@pytest.mark.parametrize("form", ["sync", "async"])
def test_an_enroll_whose_answer_was_lost_is_sent_again(running: Server, form: str) -> None:
    """Both clients repeat an enroll by default; after two lost answers it is there once."""
    key = str(running.key)
    retries = Retries(first_wait_s=0.001)
    with dropping(running, num_dropped=2) as proxy:
        if form == "sync":
            with connect(proxy.url, key=key, retries=retries) as client:
                answer = client.enroll([PHOTO], gallery="default", subject="ann")
        else:

            async def enroll() -> object:
                async with connect_async(proxy.url, key=key, retries=retries) as client:
                    return await client.enroll([PHOTO], gallery="default", subject="ann")

            answer = anyio.run(enroll)  # type: ignore[assignment]
        assert proxy.num_requests == 3
    assert answer.created
    assert _num_templates(running.url, key) == 1


def test_a_program_may_keep_the_key_itself(running: Server) -> None:
    """Given up and started again, it sends the same key, and hears what was done then."""
    key = str(running.key)
    with dropping(running, num_dropped=1) as proxy:
        for retries in (Retries(max_tries=1), Retries(max_tries=1)):
            with connect(proxy.url, key=key, retries=retries) as client:
                try:
                    answer = client.enroll(
                        [PHOTO], gallery="default", subject="ann", idempotency_key="mine"
                    )
                except ServerUnreachable:
                    assert proxy.num_requests == 1
    assert answer.created
    with connect(running.url, key=key) as client, pytest.raises(IdempotencyKeyReused):
        client.enroll([PHOTO], gallery="default", subject="ben", idempotency_key="mine")
    assert _num_templates(running.url, key) == 1


def test_each_enroll_has_a_key_of_its_own(running: Server) -> None:
    """Twice the same call is twice an enroll: only a repetition of the client's own is one."""
    with connect(running.url, key=str(running.key)) as client:
        for _ in range(2):
            client.enroll([PHOTO], gallery="default", subject="ann")
    assert _num_templates(running.url, str(running.key)) == 2
