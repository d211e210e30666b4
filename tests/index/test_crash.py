"""An acknowledged enroll survives the kill of its process."""

import os
import signal
from pathlib import Path

from index.galleries import Galleries
from tests.index.killing import DEAD, forking
from tests.index.samples import identify, unit_vectors

_KILLS = 20


def test_an_acknowledged_enroll_survives_a_kill(data_folder: Path) -> None:
    """Of 20 enrolls whose process was killed right after its acknowledgement none is lost."""
    with forking("tests.index.crash_child") as child:
        for number in range(_KILLS):
            child.say(str(data_folder), number)
            os.kill(int(child.hear()), signal.SIGKILL)
            assert child.hear() == DEAD
    with Galleries.open(data_folder) as galleries:
        gallery = galleries.get("people")
        for number in range(_KILLS):
            subject = identify(gallery, unit_vectors(1, seed=number)[0]).subject
            assert subject is not None
            assert subject.name == f"person {number}"
        assert (gallery.num_subjects, gallery.num_templates) == (_KILLS, _KILLS)
