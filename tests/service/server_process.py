"""A real server in a process of its own, on the fake detector."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from service.settings import Settings

REPOSITORY = Path(__file__).parents[2]
_PATIENCE_S = 60.0
SERVE = (
    "import sys; from tests.fakes import FakeDetector; from service.cli import main; "
    "main(sys.argv[1:], detector=FakeDetector())"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server."""

    process: subprocess.Popen[str]
    url: str
    key: str | None

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Ends it; its exit code."""
        self.process.send_signal(how)
        return self.process.wait(timeout=_PATIENCE_S)


def start(settings: Settings, *arguments: str, program: str = SERVE) -> Server:
    """A server on a free port of the loopback address."""
    environment = os.environ | {
        "FACEGALLERY_DATA_FOLDER": str(settings.data_folder),
        "FACEGALLERY_MODEL": str(settings.model),
        "FACEGALLERY_LOG_LEVEL": "warning",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", program, "serve", "--port", "0", "--json", *arguments],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    if process.stdout is None:
        raise AssertionError("no pipe")
    line = process.stdout.readline()
    if not line:
        raise AssertionError(f"the server ended with {process.wait(timeout=_PATIENCE_S)}")
    said = json.loads(line)
    return Server(process=process, url=said["url"], key=said["admin_key"])
