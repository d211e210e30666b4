"""Which keys the snapshots on disk are sealed with, told without unsealing them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedding.errors import SnapshotUnfit
from index.snapshot.manifest import MANIFEST_NAME, SEGMENT_NAME, sealed_body
from index.snapshot.sealed_file import first_sealed

SNAPSHOTS_NAME = "snapshots"
"""Folder in the data folder with a folder for each gallery."""

_START_BYTES = 64
"""More than form and key id take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSnapshot:
    """One snapshot.

    Attributes:
        path: its folder.
        starts: how the manifest and each file begin, as the sealer made them; in a snapshot in
            the clear anything.
    """

    path: Path
    starts: tuple[bytes, ...]


def sealed_snapshots(path: Path) -> Iterator[SealedSnapshot]:
    """Yield the snapshots in a folder.

    Raises:
        SnapshotUnfit: one cannot be read.
    """
    if not path.is_dir():
        return
    try:
        for folder in sorted(each for each in path.iterdir() if each.is_dir()):
            yield SealedSnapshot(path=folder, starts=tuple(_starts(folder)))
    except OSError as error:
        raise SnapshotUnfit(f"a snapshot cannot be read: {error.strerror}") from error


def _starts(folder: Path) -> Iterator[bytes]:
    for each in sorted(folder.iterdir()):
        if each.name == MANIFEST_NAME:
            yield sealed_body(each.read_bytes())[:_START_BYTES]
        elif SEGMENT_NAME.fullmatch(each.name):
            # Ids are sealed first, and keys only move on.
            with each.open("rb") as stream:
                yield first_sealed(stream.read(_START_BYTES))
