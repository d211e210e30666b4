"""Tests of a real server in a process of its own, over a real socket."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.cli import main
from service.serving import listen
from service.settings import Settings
from tests.fakes import FakeDetector, make_photo
from tests.service.server_process import REPOSITORY, SERVE, Server, start
from tests.service.support import MiB

LOADING = (
    "import contextlib, sys, time, service.serving as serving\n"
    "@contextlib.contextmanager\n"
    "def slow(*_, **__):\n"
    "    try:\n"
    "        print('loading', flush=True)\n"
    "        time.sleep(60)\n"
    "        yield\n"
    "    finally:\n"
    "        print('closed', flush=True)\n"
    "serving.open_parts = slow\n" + SERVE
)


@pytest.fixture
def server(settings: Settings) -> Iterator[Server]:
    """A running server with a fresh data folder."""
    running = start(settings)
    yield running
    running.process.kill()
    running.process.communicate()


def test_restart_keeps_everything(server: Server, settings: Settings) -> None:
    """The first start shows one admin key; after a restart key and subjects still work."""
    headers = {"Authorization": f"Bearer {server.key}"}
    assert httpx.get(f"{server.url}/readyz").status_code == 200
    answer = httpx.post(
        f"{server.url}/v1/enroll",
        headers=headers,
        data={"subject": "ann"},
        files=[("photos", ("a.png", make_photo(["ann"])))],
    )
    assert answer.status_code == 201
    assert "server" not in answer.headers
    assert server.stop() == 0
    again = start(settings)
    try:
        assert again.key is None
        found = httpx.post(
            f"{again.url}/v1/identify", headers=headers, files={"photo": make_photo(["ann"])}
        )
        assert found.json()["faces"][0]["decision"] == "match"
        assert again.stop(signal.SIGINT) == 0
    finally:
        again.process.kill()
        again.process.communicate()


def test_an_end_while_it_loads(tmp_path: Path) -> None:
    """SIGTERM before anything is served ends it in order: what was opened is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOADING, "serve", "--port", "0", "--data-folder", str(tmp_path)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert process.stdout.read() == "closed\n"
    finally:
        process.kill()
        process.communicate()


def test_command_line_goes_through_the_server(
    server: Server,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """While a server holds the data folder the same commands work over HTTP with a key."""
    monkeypatch.setenv("FACEGALLERY_DATA_FOLDER", str(settings.data_folder))
    monkeypatch.setenv("FACEGALLERY_MODEL", str(settings.model))
    (tmp_path / "people" / "ann").mkdir(parents=True)
    (tmp_path / "people" / "ann" / "1.png").write_bytes(make_photo(["ann"]))
    (tmp_path / "people" / "ann" / "2.png").write_bytes(make_photo([]))

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(arguments, detector=FakeDetector())
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    code, _, said = run("subjects", "list")
    assert code == 3
    assert "FACEGALLERY_KEY" in said
    code, _, said = run("subjects", "list", "--key", "fg_wrong")
    assert code == 3
    assert "[key_invalid]" in said
    assert "fg_wrong" not in said

    monkeypatch.setenv("FACEGALLERY_KEY", str(server.key))
    code, out, _ = run("enroll", str(tmp_path / "people"), "--json")
    report = json.loads(out)
    assert (code, report["num_enrolled"], report["num_failed"]) == (1, 1, 1)
    assert report["photos"][1]["failure"]["code"] == "no_face"
    code, out, _ = run("identify", str(tmp_path / "people" / "ann" / "1.png"), "--json")
    assert json.loads(out)["photos"][0]["answer"]["faces"][0]["decision"] == "match"
    subject = json.loads(run("subjects", "list", "--json")[1])["subjects"][0]
    removed = json.loads(run("subjects", "remove", subject["id"], "--json")[1])
    assert removed["num_templates"] == 1
    assert run("galleries", "create", "door")[0] == 0
    assert "door" in run("galleries", "list")[1]
    assert run("galleries", "delete", "door", "--yes")[0] == 0
    made = json.loads(run("keys", "create", "--role", "identifier", "--json")[1])
    assert made["key_id"] in run("keys", "list")[1]
    assert run("keys", "revoke", made["key_id"])[0] == 0
    assert "fake" in run("models", "list")[1]
    assert run("subjects", "remove", "absent")[0] == 3


def test_large_upload_is_cut_off(server: Server) -> None:
    """Of 100 MB the server takes no more than its limit and what lies in the buffers."""
    num_sent = 0

    def body() -> Iterator[bytes]:
        nonlocal num_sent
        yield b'--x\r\nContent-Disposition: form-data; name="photo"; filename="a"\r\n\r\n'
        for _ in range(100):
            num_sent += 1
            yield bytes(MiB)

    headers = {
        "Authorization": f"Bearer {server.key}",
        "Content-Type": "multipart/form-data; boundary=x",
    }
    try:
        answer = httpx.post(f"{server.url}/v1/identify", headers=headers, content=body())
    except httpx.WriteError:
        pass  # the connection was closed while we were still sending
    else:
        assert answer.status_code == 413
        assert answer.json()["code"] == "request_too_large"
    assert num_sent < 60
    assert httpx.get(f"{server.url}/readyz").status_code == 200


@pytest.mark.parametrize(
    "sent",
    [b"NONSENSE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n",
     b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"],
    ids=["words", "version", "tls", "long"],
)  # fmt: skip
def test_what_is_no_request_learns_nothing(server: Server, sent: bytes) -> None:
    """Bytes that are no request get a short 400 or nothing, no server, version or traceback."""
    address = httpx.URL(server.url)
    with socket.create_connection((address.host, address.port or 0), timeout=10) as caller:
        caller.sendall(sent)
        caller.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := caller.recv(65_536):
            answer += chunk
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert len(answer) < 1000
    for told in (b"server:", b"uvicorn", b"python", b"Traceback", b"h11"):
        assert told.lower() not in answer.lower()


def test_second_server_on_a_folder_is_refused(
    server: Server,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A data folder has one server; the second one says where the first is."""
    monkeypatch.setenv("FACEGALLERY_DATA_FOLDER", str(settings.data_folder))
    with pytest.raises(SystemExit) as caught:
        main(["serve", "--port", "0"], detector=FakeDetector())
    assert caught.value.code == 3
    assert server.url in capsys.readouterr().err


def test_port_in_use_is_told(
    server: Server,
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A port that is taken is an error with a way out, and no key is spent on it."""
    monkeypatch.setenv("FACEGALLERY_MODEL", str(settings.model))
    port = server.url.rsplit(":", 1)[1]
    with pytest.raises(SystemExit) as caught:
        main(
            ["serve", "--port", port, "--data-folder", str(tmp_path / "other")],
            detector=FakeDetector(),
        )
    said = capsys.readouterr()
    assert caught.value.code == 3
    assert "port" in said.err
    assert "fg_" not in said.out + said.err


def test_answers_do_not_wait_for_acknowledgements(settings: Settings) -> None:
    """Accepted connections send at once; waiting cost each answer 40 ms."""
    with (
        listen(settings.model_copy(update={"port": 0})) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
