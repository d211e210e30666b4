"""Which kind of source a path is."""

from pathlib import Path

from embedding.errors import RequestInvalid
from index.batch.sources.embeddings import NPY_SUFFIX, PARQUET_SUFFIX, ReadyEmbeddings
from index.batch.sources.folder_tree import FolderTree
from index.batch.sources.lines import CSV_SUFFIX, JSON_SUFFIXES
from index.batch.sources.manifest import Manifest
from index.batch.sources.paths import printable
from index.batch.sources.source import Source, SourceRules
from index.batch.sources.tar_shards import TAR_SUFFIX, TarShards, holds_shards


def open_source(
    path: Path,
    *,
    rules: SourceRules,
    root: Path | None = None,
    names: Path | None = None,
    fingerprint: str | None = None,
) -> Source:
    """Return the photos of a folder tree, a manifest or tar files, or embeddings.

    Args:
        path: a folder of folders or of tar files, or a file that ends with ``.csv``, ``.jsonl``,
            ``.ndjson``, ``.npy``, ``.parquet`` or ``.tar``.
        rules: how it is read.
        root: folder that a manifest's paths are relative to; None for its own.
        names: whose the rows of a ``.npy`` are; None for the file beside it.
        fingerprint: of the model that made embeddings, where the file does not say it.

    Raises:
        RequestInvalid: it is none of these, cannot be read at all, or options do not fit it;
            `EmbeddingInvalid`, `ModelMismatch` and `SettingsInvalid` as `ReadyEmbeddings`.
    """
    suffix = path.suffix.lower()
    is_manifest = suffix == CSV_SUFFIX or suffix in JSON_SUFFIXES
    is_ready = suffix in (NPY_SUFFIX, PARQUET_SUFFIX) and not path.is_dir()
    if root is not None and not is_manifest:
        raise RequestInvalid("only a manifest has paths that are relative to another folder")
    if names is not None and suffix != NPY_SUFFIX:
        raise RequestInvalid("only a .npy file has its names in another file")
    if fingerprint is not None and not is_ready:
        raise RequestInvalid("only embeddings were made by a model before")
    if is_ready:
        return ReadyEmbeddings(path, names=names, fingerprint=fingerprint, rules=rules)
    if is_manifest:
        return Manifest(path, root=root, rules=rules)
    if suffix == TAR_SUFFIX or (path.is_dir() and holds_shards(path)):
        return TarShards(path, rules=rules)
    if path.is_dir():
        return FolderTree(path, rules=rules)
    raise RequestInvalid(
        f"{printable(str(path))} is neither a folder nor a file of a kind that can be read "
        "(.csv, .jsonl, .ndjson, .npy, .parquet, .tar)"
    )
