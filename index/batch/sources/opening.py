"""Which kind of source a path is."""

from pathlib import Path

from embedding.errors import RequestInvalid
from index.batch.sources.folder_tree import FolderTree
from index.batch.sources.manifest import CSV_SUFFIX, JSON_SUFFIXES, Manifest
from index.batch.sources.paths import printable
from index.batch.sources.source import Source, SourceRules


def open_source(path: Path, *, rules: SourceRules, root: Path | None = None) -> Source:
    """Return the photos of a folder tree or a manifest.

    Args:
        path: a folder, or a file that ends with ``.csv``, ``.jsonl`` or ``.ndjson``.
        rules: how it is read.
        root: folder that a manifest's paths are relative to; None for its own.

    Raises:
        RequestInvalid: it is none of these, or cannot be read at all.
    """
    suffix = path.suffix.lower()
    if suffix == CSV_SUFFIX or suffix in JSON_SUFFIXES:
        return Manifest(path, root=root, rules=rules)
    if root is not None:
        raise RequestInvalid("only a manifest has paths that are relative to another folder")
    if path.is_dir():
        return FolderTree(path, rules=rules)
    raise RequestInvalid(
        f"{printable(str(path))} is neither a folder nor a .csv, .jsonl or .ndjson file"
    )
