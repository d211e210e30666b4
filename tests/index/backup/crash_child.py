"""Restores backups in processes that are killed; started by `test_crash`.

Each line on its input is a JSON list for one forked process that restores the backup in a folder.
With ``[folder, url, "before", number]`` it kills itself before that change of names on the disk,
with ``[folder, url, "after_s", seconds]`` the system kills it then. What became of it is said.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from index.backup.restoring import restore
from tests.index.backup.places import place_in

_CALLS = ("link", "mkdir", "rename", "rmdir", "unlink")


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


def _restore(folder: Path, url: str | None, when: str, moment: float) -> None:
    if when == "before":
        _die_before(int(moment))
    else:
        # Nothing handles the alarm: it ends the process wherever it is.
        signal.setitimer(signal.ITIMER_REAL, moment)
    restore(folder / "backup", place_in(folder, url), replace=True)


def _main() -> None:
    for line in sys.stdin:
        folder, url, when, moment = json.loads(line)
        process = os.fork()
        if process == 0:
            _restore(Path(folder), url, when, moment)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        _say("dead" if os.WIFSIGNALED(status) else f"ended {status}")


if __name__ == "__main__":
    _main()
