"""Enrolls in processes that wait to be killed; started by `test_crash`.

For every line on its input it forks a process that opens the data folder, enrolls the subject
of that name, prints its process id as the acknowledgement, and waits. One interpreter start
serves all of them.
"""

import os
import signal
import sys
from pathlib import Path

from index.galleries import Galleries
from tests.index.samples import FINGERPRINT, new_template, unit_vectors


def _enroll(folder: Path, number: int) -> None:
    galleries = Galleries.open(folder)
    if not galleries.list():
        galleries.create("people", fingerprint=FINGERPRINT)
    embedding = unit_vectors(1, seed=number)[0]
    galleries.get("people").enroll([new_template(embedding)], name=f"person {number}")
    sys.stdout.write(f"{os.getpid()}\n")
    sys.stdout.flush()
    signal.pause()


def _main(folder: Path) -> None:
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            _enroll(folder, int(line))
        os.waitpid(process, 0)
        sys.stdout.write("dead\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
