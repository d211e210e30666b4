"""Galleries that are made anew for another model, and what is in them."""

from pathlib import Path

from embedding.embedder import FaceEmbedder
from index.batch.build import BuildOptions
from index.batch.reembed import ReEmbedded, ReEmbedOptions, reembed
from index.batch.sources.folder_tree import FolderTree
from index.batch.sources.source import SourceRules
from index.batch.stages import FaceRules
from index.galleries import Galleries


def run(
    galleries: Galleries,
    tree: Path,
    embedder: FaceEmbedder,
    *,
    switch: bool = True,
    allow_missing: bool = False,
    old_state: Path | None = None,
    delete_old: bool = False,
    mapping: Path | None = None,
) -> ReEmbedded:
    """Make the gallery anew."""
    return reembed(
        FolderTree(tree, rules=SourceRules(without_subjects=True)),
        galleries,
        "people",
        embedder=embedder,
        options=ReEmbedOptions(
            build=BuildOptions(faces=FaceRules(force=True), lot_size=4),
            switch=switch,
            allow_missing=allow_missing,
            delete_old=delete_old,
            mapping=mapping,
        ),
        old_state=old_state,
    )


def content(galleries: Galleries, name: str = "people") -> list[tuple[object, ...]]:
    """Who is in a gallery, with which photos and boxes."""
    gallery = galleries.get(name)
    return sorted(
        (str(subject.name), str(subject.external_id), each.image_hash, each.box)
        for subject in gallery.subjects().subjects
        for each in gallery.templates(subject.id)
    )
