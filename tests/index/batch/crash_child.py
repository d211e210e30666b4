"""Builds galleries in processes that are killed; started by `test_crash`.

Each line on its input is a JSON list for one forked process: ``[model, tree, data, number]``. It
kills itself at moment `number` of those at which something is committed, just before and just
after; with -1 it prints its id and waits to be killed. Then it answers ``dead`` or ``ended``.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from index.batch.build import BuildOptions
from index.store.batch_state import BatchState
from index.store.gallery_store import GalleryStore
from tests.index.batch.samples import Place

_COMMITS = (
    (BatchState, ("begin_run", "met", "record", "committed", "settle", "replaced_is_gone")),
    (BatchState, ("follow", "revive_duplicates")),
    (GalleryStore, ("enroll", "remove_template")),
)


def _say(word: object) -> None:
    os.write(1, f"{word}\n".encode())


def _die_at(number: int) -> None:
    moments = 0

    def moment() -> None:
        nonlocal moments
        if moments == number:
            os.kill(os.getpid(), signal.SIGKILL)
        moments += 1

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            moment()
            result = call(*arguments, **options)
            moment()
            return result

        return wrapper

    for owner, names in _COMMITS:
        for name in names:
            setattr(owner, name, watched(getattr(owner, name)))


def _build(model: str, tree: str, data: str, number: int) -> None:
    # Here and not at the top: the nets' threads would not outlive a fork.
    from embedding.embedder import FaceEmbedder
    from tests.fakes import FakeDetector

    embedder = FaceEmbedder.open(Path(model), detector=FakeDetector(), num_threads=1)
    if number < 0:
        _say(os.getpid())
    else:
        _die_at(number)
    Place(data=Path(data), embedder=embedder).build(
        Path(tree), BuildOptions(lot_size=3, num_workers=2)
    )


def _main() -> None:
    for line in sys.stdin:
        arguments = json.loads(line)
        process = os.fork()
        if process == 0:
            _build(*arguments)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        _say("dead" if os.WIFSIGNALED(status) else f"ended {status}")


if __name__ == "__main__":
    _main()
