"""Writes snapshots in processes that are killed; started by `test_crash`.

Each line on its input is a JSON list for one forked process. ``["step", folder, action, number]``
kills itself before call number `number` to the system, and answers whether it got so far.
``["forever", folder, sequence]`` prints its process id, then writes one snapshot after another and
prints the sequence of each that was acknowledged, until it is killed.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from tests.index.snapshot.samples import open_snapshot
from tests.index.snapshot.states import segments_at

_CALLS = ("open", "mkdir", "fsync", "rename", "unlink", "rmdir", "close")


def _say(word: object) -> None:
    os.write(1, f"{word}\n".encode())


def _die_before(number: int) -> None:
    calls = 0

    def counted(call: Any) -> Any:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal calls
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            calls += 1
            return call(*arguments, **options)

        return wrapper

    for name in _CALLS:
        setattr(os, name, counted(getattr(os, name)))


def _step(folder: Path, action: str, number: int) -> None:
    snapshot = open_snapshot(folder)
    _die_before(number)
    if action == "write":
        snapshot.write(1, segments_at(1))
    elif action == "read":
        snapshot.read()
    else:
        snapshot.delete()


def _forever(folder: Path, sequence: int) -> None:
    _say(os.getpid())
    snapshot = open_snapshot(folder)
    while True:
        sequence += 1
        if snapshot.write(sequence, segments_at(sequence)):
            _say(sequence)


def _main() -> None:
    for line in sys.stdin:
        kind, folder, *arguments = json.loads(line)
        process = os.fork()
        if process == 0:
            (_step if kind == "step" else _forever)(Path(folder), *arguments)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        _say("dead" if os.WIFSIGNALED(status) else f"ended {status}")


if __name__ == "__main__":
    _main()
