"""Builds galleries, and re-embeds them, in processes that are killed; started by `test_crash`.

Each line on its input is a JSON list for one forked process: ``[model, tree, data, number,
what]``; `what` is ``build``, or ``re-embed`` with the model. It kills itself at moment `number` of
those at which something is committed, just before and just after; with -1 it prints its id and
waits to be killed. Then it answers ``dead`` or ``ended``.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from index.batch.build import BuildOptions
from index.batch.reembed import ReEmbedOptions, reembed
from index.batch.sources.folder_tree import FolderTree
from index.batch.sources.source import SourceRules
from index.batch.stages import FaceRules
from index.galleries import Galleries
from index.store.batch_state import BatchState
from index.store.gallery_store import GalleryStore
from index.store.store import Store
from tests.index.batch.samples import Place

_COMMITS = (
    (BatchState, ("begin_run", "met", "record", "committed", "settle", "replaced_is_gone")),
    (BatchState, ("follow", "revive_duplicates")),
    (BatchState, ("carry_removed_to",)),
    (GalleryStore, ("enroll", "remove_template", "remove_subject", "set_rules")),
    (GalleryStore, ("declare_look_alikes",)),
    (Store, ("create_gallery", "switch")),
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


def _run(model: str, tree: str, data: str, number: int, what: str) -> None:
    # Here and not at the top: the nets' threads would not outlive a fork.
    from embedding.embedder import FaceEmbedder
    from tests.fakes import FakeDetector

    embedder = FaceEmbedder.open(Path(model), detector=FakeDetector(), num_threads=1)
    if number < 0:
        _say(os.getpid())
    else:
        _die_at(number)
    options = BuildOptions(lot_size=3, num_workers=2)
    if what == "build":
        Place(data=Path(data), embedder=embedder).build(Path(tree), options)
        return
    options = replace(options, faces=FaceRules(force=True))
    source = FolderTree(Path(tree), rules=SourceRules(without_subjects=True))
    with Galleries.open(Path(data), upkeep_s=None) as galleries:
        reembed(
            source, galleries, "people", embedder=embedder, options=ReEmbedOptions(build=options)
        )


def _main() -> None:
    for line in sys.stdin:
        arguments = json.loads(line)
        process = os.fork()
        if process == 0:
            _run(*arguments)
            os._exit(0)
        _, status = os.waitpid(process, 0)
        _say("dead" if os.WIFSIGNALED(status) else f"ended {status}")


if __name__ == "__main__":
    _main()
