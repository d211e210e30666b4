"""More connections than descriptors, against a real server in a process of its own."""

import os
import resource
import socket
from contextlib import ExitStack
from pathlib import Path

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


def test_no_descriptor_at_all_is_nobody_waiting() -> None:
    """A lack that others caused is no error that the event loop would multiply."""
    with Accepting(socket.create_server(("127.0.0.1", 0)), num_descriptors=1 << 20) as listener:
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
        with socket.create_connection(listener.getsockname()), ExitStack() as stack:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            taken = stack.enter_context(Path(os.devnull).open())
            resource.setrlimit(resource.RLIMIT_NOFILE, (taken.fileno() + 1, hard))
            stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            with pytest.raises(BlockingIOError, match="descriptor"):
                listener.accept()
        connection, _ = listener.accept()
        connection.close()
