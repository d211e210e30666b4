"""An acknowledged enroll survives the kill of its process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from index.galleries import Galleries
from tests.index.samples import identify, unit_vectors

_KILLS = 20


def test_an_acknowledged_enroll_survives_a_kill(data_folder: Path) -> None:
    """Of 20 enrolls whose process was killed right after its acknowledgement none is lost."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.index.crash_child", str(data_folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as parent:
        assert parent.stdin is not None
        assert parent.stdout is not None
        for number in range(_KILLS):
            parent.stdin.write(f"{number}\n")
            parent.stdin.flush()
            os.kill(int(parent.stdout.readline()), signal.SIGKILL)
            assert parent.stdout.readline() == "dead\n"
        parent.stdin.close()
    with Galleries.open(data_folder) as galleries:
        gallery = galleries.get("people")
        for number in range(_KILLS):
            subject = identify(gallery, unit_vectors(1, seed=number)[0]).subject
            assert subject is not None
            assert subject.name == f"person {number}"
        assert (gallery.num_subjects, gallery.num_templates) == (_KILLS, _KILLS)
