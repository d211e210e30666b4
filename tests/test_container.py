"""The container's steps, run in a clean environment: the Dockerfile without an engine."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import venv
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


def copied_by_dockerfile() -> list[str]:
    """The sources of every COPY line."""
    lines = re.findall(r"^COPY (.+)$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)
    return [name for line in lines for name in line.split()[:-1]]


def built_by_dockerfile() -> list[str]:
    """The commands that make the image once everything is copied."""
    text = (REPOSITORY / "Dockerfile").read_text()
    return re.findall(r"^RUN (.+)$", text[text.rindex("\nCOPY ") :], re.MULTILINE)


def started_by_dockerfile(line: str) -> list[str]:
    """The program of the line ``CMD`` or ``HEALTHCHECK``, with its arguments."""
    text = (REPOSITORY / "Dockerfile").read_text()
    found = re.search(rf"^{line}\b.*?(\[.+\])$", text, re.MULTILINE)
    if found is None:
        raise AssertionError(f"the Dockerfile has no line {line}")
    return [str(each) for each in json.loads(found[1])]


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.slow
def test_the_image_installs_starts_and_gets_healthy(tmp_path: Path) -> None:
    """No torch is installed, the shipped model is served, and the health check tells which."""
    app = tmp_path / "app"
    app.mkdir()
    for name in copied_by_dockerfile():
        source = REPOSITORY / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, app / name, ignore=ignored)
        else:
            shutil.copy(source, app / name)
    venv.create(tmp_path / "env", with_pip=True)
    port = str(free_port())
    environment = {name: value for name, value in os.environ.items() if "FACEGALLERY" not in name}
    environment |= {
        "PATH": f"{tmp_path / 'env' / 'bin'}:{os.environ['PATH']}",
        "FACEGALLERY_DATA_FOLDER": str(tmp_path / "data"),
        "FACEGALLERY_PORT": port,
    }

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=app, env=environment, capture_output=True, text=True, check=False
        )

    commands = built_by_dockerfile()
    assert commands
    for command in commands:
        installed = run("sh", "-c", command)
        assert installed.returncode == 0, installed.stderr
    health = started_by_dockerfile("HEALTHCHECK")
    packages = run("python", "-m", "pip", "list", "--format=freeze").stdout.lower()
    assert "facegallery==" in packages
    assert "\ntorch==" not in packages
    assert "\npsycopg==" in packages  # the compose file keeps galleries in PostgreSQL
    server = subprocess.Popen(
        started_by_dockerfile("CMD"),
        cwd=app,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while run(*health).returncode != 0:
            assert server.poll() is None, "the service stopped"
            assert time.monotonic() < deadline, "not healthy after a minute"
            time.sleep(0.2)
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
    assert run(*health).returncode == 1


def test_the_compose_file_reaches_loopback_only() -> None:
    """The published port is bound to 127.0.0.1, and the container runs without rights."""
    text = (REPOSITORY / "docker-compose.yml").read_text()
    assert re.findall(r'"(.*):\d+:8321"', text) == ["127.0.0.1"]
    assert "cap_drop:" in text
    assert re.search(r"^USER facegallery$", (REPOSITORY / "Dockerfile").read_text(), re.MULTILINE)


def test_the_image_copies_what_is_there() -> None:
    """Every COPY source exists, and the start command is the one that users type."""
    assert all((REPOSITORY / name).exists() for name in copied_by_dockerfile())
    assert 'CMD ["facegallery", "serve"]' in (REPOSITORY / "Dockerfile").read_text()
