"""Moves and merges in processes that kill themselves half-way; started by `test_moves_killed`.

For every line on its input, ``move N`` or ``merge N``, it forks a process that opens the data
folder, does that, and kills itself right after its statement number N of it. One that gets to the
end prints ``done``.
"""

import itertools
import os
import signal
import sys
from pathlib import Path

from sqlalchemy import Engine, event

from index.galleries import Galleries


def _kill_after(statement: int) -> None:
    numbers = itertools.count(1)

    def count(*_: object) -> None:
        if next(numbers) == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Engine, "after_cursor_execute", count)


def _change(folder: Path, url: str | None, what: str, statement: int) -> None:
    galleries = Galleries.open(folder, database_url=url, upkeep_s=None)
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
    sys.stdout.write("done\n")
    sys.stdout.flush()
    os._exit(0)


def _main(folder: Path, url: str | None) -> None:
    for line in sys.stdin:
        what, statement = line.split()
        process = os.fork()
        if process == 0:
            _change(folder, url, what, int(statement))
        os.waitpid(process, 0)
        sys.stdout.write("dead\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
