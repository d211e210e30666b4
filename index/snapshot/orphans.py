"""Snapshots of galleries that are gone: a process died between the two removals."""

import re
from collections.abc import Callable, Collection
from pathlib import Path

from index.sealing import ClearSealer
from index.snapshot.folder import SnapshotFolder
from index.snapshot.manifest import SnapshotOwner

_GALLERY_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def remove_orphans(path: Path, *, existing: Callable[[], Collection[str]]) -> int:
    """Remove the snapshots of galleries that do not exist; returns how many.

    Args:
        path: of the folder with a folder for each gallery; it need not be there.
        existing: returns the ids of all galleries.

    Raises:
        StoreError: one cannot be removed, or the ids cannot be read.
    """
    # Looked at before the galleries: what is made in between is not taken for an orphan.
    names = [each.name for each in path.iterdir()] if path.is_dir() else []
    names = [each for each in names if _GALLERY_ID.fullmatch(each)]
    orphans = set(names) - set(existing()) if names else set()
    for name in orphans:
        # Whose vectors they are does not matter any more.
        owner = SnapshotOwner(
            gallery_id=name,
            database_id="",
            fingerprint="",
            space_id=None,
            dimension=1,
            dtype="float32",
        )
        SnapshotFolder(path / name, owner=owner, sealer=ClearSealer()).delete()
    return len(orphans)
