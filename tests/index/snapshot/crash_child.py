"""Writes snapshots in processes that are killed; started by `test_crash`.

``"step", folder, action, number`` kills itself before call number `number` to the system.
``"forever", folder, sequence`` says its process id, then writes one snapshot after another and
says the sequence of each that was acknowledged, until it is killed.
"""

import os
from pathlib import Path
from typing import Any

from tests.index.killing import die_at, say, serve
from tests.index.snapshot.samples import open_snapshot
from tests.index.snapshot.states import segments_at

_CALLS = ("open", "mkdir", "fsync", "rename", "unlink", "rmdir", "close")


def _step(folder: Path, action: str, number: int) -> None:
    snapshot = open_snapshot(folder)
    die_at(number, [(os, name) for name in _CALLS])
    if action == "write":
        snapshot.write(1, segments_at(1))
    elif action == "read":
        snapshot.read()
    else:
        snapshot.delete()


def _forever(folder: Path, sequence: int) -> None:
    say(os.getpid())
    snapshot = open_snapshot(folder)
    while True:
        sequence += 1
        if snapshot.write(sequence, segments_at(sequence)):
            say(sequence)


def _run(kind: str, folder: str, *arguments: Any) -> None:
    (_step if kind == "step" else _forever)(Path(folder), *arguments)


if __name__ == "__main__":
    serve(_run)
