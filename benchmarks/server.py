"""Starts the real service on a free loopback port, for the demo and the benchmarks."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from service.http_client import HttpClient


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A service that answers.

    Attributes:
        url: such as http://127.0.0.1:41873.
        client: speaks to it with the admin key.
        api: the same, typed.
        seconds_to_ready: from starting the process to /readyz answering 200.
        pid: of the process.
    """

    url: str
    client: httpx.Client
    api: HttpClient
    seconds_to_ready: float
    pid: int


@contextmanager
def running_server(
    data_folder: Path, *, log: IO[str] | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[RunningServer]:
    """A service on a fresh data folder; stopped in the end, whatever happens.

    Args:
        data_folder: of the service.
        log: a file that takes what it logs; None for one that is thrown away.
        variables: settings, as of its environment.

    Raises:
        RuntimeError: it did not start; the message holds what it wrote.
    """
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("FACEGALLERY_")
    }
    environment |= variables or {}
    command = [sys.executable, "-m", "service.cli", "serve", "--port", "0", "--json"]
    # A file, for a pipe that nobody reads is full after some hundred requests.
    with tempfile.TemporaryFile(mode="w+") as thrown_away:
        command += ["--data-folder", str(data_folder)]
        yield from _running(command, environment, log or thrown_away)


def _running(
    command: list[str], environment: dict[str, str], log: IO[str]
) -> Iterator[RunningServer]:
    started = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env=environment,
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            process.wait(timeout=30)
            log.seek(0)
            raise RuntimeError(f"the service did not start: {log.read()}")
        told = json.loads(line)
        headers = {"Authorization": f"Bearer {told['admin_key']}"}
        with httpx.Client(base_url=told["url"], headers=headers, timeout=60) as client:
            while client.get("/readyz").status_code != httpx.codes.OK:
                time.sleep(0.02)
            ready = time.perf_counter() - started
            yield RunningServer(
                url=told["url"],
                client=client,
                api=HttpClient(client),
                seconds_to_ready=ready,
                pid=process.pid,
            )
    finally:
        process.terminate()
        process.communicate(timeout=30)
