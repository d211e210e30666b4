"""More connections than descriptors, against a real server in a process of its own."""

import asyncio
import os
import resource
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.accepting import Accepting
from service.settings import Settings
from tests.fakes import make_photo
from tests.index.waiting import wait_until
from tests.service.server_process import SERVE, start

NUM_DESCRIPTORS = 120
LIMITED = (
    "import resource; "
    f"resource.setrlimit(resource.RLIMIT_NOFILE, ({NUM_DESCRIPTORS}, {NUM_DESCRIPTORS})); {SERVE}"
)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="looks into /proc")
def test_connections_never_take_the_last_descriptors(
    settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whoever is one too many is cut off; others are served on, and afterwards everybody is."""
    server = start(settings, program=LIMITED)
    port = int(server.url.rsplit(":", 1)[1])
    descriptors = Path(f"/proc/{server.process.pid}/fd")

    def num_open() -> int:
        return len(list(descriptors.iterdir()))

    def enrolls() -> bool:
        files = [("photos", ("a.png", make_photo(["ann"])))]
        try:
            answer = httpx.post(
                f"{server.url}/v1/enroll", headers=headers, data={"subject": "ann"}, files=files
            )
        except httpx.TransportError:
            return False
        return answer.status_code == 201

    headers = {"Authorization": f"Bearer {server.key}"}
    try:
        assert enrolls()
        with ExitStack() as stack:
            others = [
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                for _ in range(2 * NUM_DESCRIPTORS)
            ]
            wait_until(lambda: num_open() > NUM_DESCRIPTORS // 2)
            # Nothing was sent, so whoever is let in is not answered for twenty seconds.
            others[-1].settimeout(60.0)
            assert others[-1].recv(1) == b""
            assert num_open() < NUM_DESCRIPTORS * 0.9
            for each in others[:NUM_DESCRIPTORS]:
                each.close()
            wait_until(enrolls)
        wait_until(lambda: num_open() < NUM_DESCRIPTORS // 4)
        assert enrolls()
        assert httpx.get(f"{server.url}/readyz").json()["upkeep_failing_s"] == 0
        assert server.stop() == 0
    finally:
        server.process.kill()
        server.process.communicate()
    logged = capfd.readouterr().err.splitlines()
    assert len([line for line in logged if "too many connections" in line]) == 1
    assert len(logged) == 1


def test_without_any_descriptor_the_loop_rests() -> None:
    """It tries a few times, not all the while, and takes whoever waited once there is one."""
    num_tries = 0

    class Counted(Accepting):
        def accept(self) -> tuple[socket.socket, Any]:
            nonlocal num_tries
            num_tries += 1
            return super().accept()

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        writer.close()

    async def scene(listener: Counted, caller: socket.socket) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        async with await asyncio.start_server(answer, sock=listener):
            with Path(os.devnull).open() as taken:
                resource.setrlimit(resource.RLIMIT_NOFILE, (taken.fileno() + 1, hard))
                try:
                    caller.setblocking(False)
                    await asyncio.get_running_loop().sock_connect(caller, listener.getsockname())
                    while not num_tries:
                        await asyncio.sleep(0)
                    for _ in range(100):
                        await asyncio.sleep(0.001)
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert num_tries < 10
            assert await asyncio.get_running_loop().sock_recv(caller, 9) == b"here"

    server = socket.create_server(("127.0.0.1", 0))
    with Counted(server, num_descriptors=1 << 20) as listener, socket.socket() as caller:
        listener.setblocking(False)
        asyncio.run(scene(listener, caller))


def test_nobody_waiting_is_told_as_usual() -> None:
    """Also after a lack of descriptors, which is told once."""
    server = socket.create_server(("127.0.0.1", 0))
    with Accepting(server, num_descriptors=1 << 20) as listener:
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        with socket.create_connection(listener.getsockname()), ExitStack() as stack:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            taken = stack.enter_context(Path(os.devnull).open())
            resource.setrlimit(resource.RLIMIT_NOFILE, (taken.fileno() + 1, hard))
            stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            with pytest.raises(OSError, match="open files"):
                listener.accept()
            with pytest.raises(BlockingIOError):
                listener.accept()
        connection, _ = listener.accept()
        connection.close()
