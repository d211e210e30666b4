"""Moves and merges in processes that kill themselves half-way; started by `test_moves_killed`.

A command is ``folder, url, what, statement``: the process opens the data folder, does the ``move``
or ``merge``, and kills itself right after that statement of it.
"""

import itertools
import os
import signal
from pathlib import Path

from sqlalchemy import Engine, event

from index.galleries import Galleries
from tests.index.killing import serve


def _kill_after(statement: int) -> None:
    numbers = itertools.count(1)

    def count(*_: object) -> None:
        if next(numbers) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "after_cursor_execute", count)


def _change(folder: str, url: str | None, what: str, statement: int) -> None:
    galleries = Galleries.open(Path(folder), database_url=url, upkeep_s=None)
    if galleries._follower is not None:
        # Its statements would be counted, too.
        galleries._follower.stop()
    gallery = galleries.get("people")
    anna, bert = gallery.find_subject(name="Anna"), gallery.find_subject(name="Bert")
    assert anna is not None
    assert bert is not None
    some = [each.id for each in gallery.templates(anna.id)[:2]]
    _kill_after(statement)
    if what == "move":
        gallery.move_templates(anna.id, some, to_subject_id=bert.id)
    else:
        gallery.merge_subjects(anna.id, into=bert.id)


if __name__ == "__main__":
    serve(_change)
