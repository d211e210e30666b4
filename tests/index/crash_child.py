"""Enrolls in processes that wait to be killed; started by `test_crash`.

A command is ``folder, number``: the process opens the data folder, enrolls the subject of that
number, says its process id as the acknowledgement, and waits.
"""

import os
import signal
from pathlib import Path

from index.galleries import Galleries
from tests.index.killing import say, serve
from tests.index.samples import FINGERPRINT, new_template, unit_vectors


def _enroll(folder: str, number: int) -> None:
    galleries = Galleries.open(Path(folder))
    if not galleries.list():
        galleries.create("people", fingerprint=FINGERPRINT)
    embedding = unit_vectors(1, seed=number)[0]
    galleries.get("people").enroll([new_template(embedding)], name=f"person {number}")
    say(os.getpid())
    signal.pause()


if __name__ == "__main__":
    serve(_enroll)
