"""Builds galleries, and re-embeds them, in processes that are killed; started by `test_crash`.

A command is ``model, tree, data, number, what``; `what` is ``build``, or ``re-embed`` with the
model. The process kills itself at moment `number` of those at which something is committed, just
before and just after; with -1 it says its id and waits to be killed.
"""

import os
from dataclasses import replace
from pathlib import Path

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
from tests.index.killing import die_at, say, serve

_COMMITS = (
    (BatchState, ("begin_run", "met", "record", "committed", "settle", "replaced_is_gone")),
    (BatchState, ("follow", "revive_duplicates")),
    (BatchState, ("carry_removed_to",)),
    (GalleryStore, ("enroll", "remove_template", "remove_subject", "set_rules")),
    (GalleryStore, ("declare_look_alikes",)),
    (Store, ("create_gallery", "switch")),
)


def _run(model: str, tree: str, data: str, number: int, what: str) -> None:
    # Here and not at the top: the nets' threads would not outlive a fork.
    from embedding.embedder import FaceEmbedder
    from tests.fakes import FakeDetector

    embedder = FaceEmbedder.open(Path(model), detector=FakeDetector(), num_threads=1)
    if number < 0:
        say(os.getpid())
    else:
        commits = [(owner, name) for owner, names in _COMMITS for name in names]
        die_at(number, commits, after_too=True)
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


if __name__ == "__main__":
    serve(_run)
