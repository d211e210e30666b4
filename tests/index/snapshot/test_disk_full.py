"""A full disk is an error that leaves the last snapshot as it was."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_CHILD = [sys.executable, "-m", "tests.index.snapshot.disk_full_child"]
_ROOT = Path(__file__).parents[3]
_MOUNT = 'mount -t tmpfs -o size=300k,mode=0700 tmpfs "$1" && shift && exec "$@"'


def _report(*command: str) -> dict[str, Any]:
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _can_mount(path: Path) -> bool:
    if shutil.which("unshare") is None:
        return False
    command = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", str(path), "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("limit", [0, 1000, 5000])
def test_a_write_that_the_system_cuts_off(tmp_path: Path, limit: int) -> None:
    """With a limit on the size of files: a clear error, reading goes on, later it works."""
    report = _report(*_CHILD, str(limit), str(tmp_path))
    assert "snapshot of gallery gallery-1 cannot be written: File too large" in report["error"]
    del report["error"]
    assert report == {"unchanged": True, "read_while_full": True, "written_later": True}


def test_a_disk_without_room(tmp_path: Path) -> None:
    """On a file system of 300 KB that is filled to the last byte: the same."""
    if not _can_mount(tmp_path):
        pytest.skip("a small file system can be mounted by root alone")
    command = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh", str(tmp_path)]
    report = _report(*command, *_CHILD, "disk", str(tmp_path))
    assert "cannot be written: No space left on device; make room" in report["error"]
    del report["error"]
    assert report == {"unchanged": True, "read_while_full": True, "written_later": True}
