"""Restores backups in processes that are killed; started by `test_crash`.

A command restores the backup in a folder. With ``folder, url, "before", number`` the process kills
itself before that change of names on the disk, with ``folder, url, "after_s", seconds`` the system
kills it then.
"""

import os
import signal
from pathlib import Path

from index.backup.restoring import restore
from tests.index.backup.places import place_in
from tests.index.killing import die_at, serve

_CALLS = ("link", "mkdir", "rename", "rmdir", "unlink")


def _restore(folder: str, url: str | None, when: str, moment: float) -> None:
    if when == "before":
        die_at(int(moment), [(os, name) for name in _CALLS])
    else:
        # Nothing handles the alarm: it ends the process wherever it is.
        signal.setitimer(signal.ITIMER_REAL, moment)
    here = Path(folder)
    restore(here / "backup", place_in(here, url), replace=True)


if __name__ == "__main__":
    serve(_restore)
