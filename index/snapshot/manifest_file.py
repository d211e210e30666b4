"""The manifest's file in a snapshot's folder, and the files that it does not name."""

import logging
import os

from embedding.errors import SnapshotUnfit
from index.snapshot.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, SEGMENT_NAME, Manifest
from index.snapshot.private_folder import LOCK_NAME, PrivateFolder

logger = logging.getLogger(__name__)

NEW_MANIFEST_NAME = "manifest.new"
"""Of a manifest that has not yet taken the last one's place."""


def read_manifest(folder: PrivateFolder) -> bytes | None:
    """Return the manifest's bytes, not looked at; None when there is none.

    Raises:
        SnapshotUnfit: too long, or it cannot be read.
    """
    try:
        with folder.reading(MANIFEST_NAME) as stream:
            if os.fstat(stream.fileno()).st_size > MAX_MANIFEST_BYTES:
                raise SnapshotUnfit("the snapshot's manifest is too long")
            return stream.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SnapshotUnfit(f"the snapshot's manifest cannot be read: {error.strerror}") from error


def remove_unnamed(folder: PrivateFolder, manifest: Manifest | None) -> None:
    """Remove the snapshot's files that a manifest does not name; only under the folder's lock.

    Args:
        folder: of the snapshot.
        manifest: None for one that names no file.

    Raises:
        OSError: a file cannot be removed.
    """
    unnamed = _unnamed(folder, manifest)
    for name in unnamed:
        folder.remove(name)
    if unnamed:
        folder.sync()


def remove_left_over(
    folder: PrivateFolder, manifest: Manifest | None, *, content: bytes | None, gallery_id: str
) -> None:
    """Remove what a dead writer left; the files of a living one are under its lock.

    Args:
        folder: of the snapshot.
        manifest: that was read just now; None for none.
        content: the manifest's bytes then. When they are others by now, nothing is removed.
        gallery_id: opaque, for the log.
    """
    if not _unnamed(folder, manifest):
        return
    try:
        with folder.locking(wait=False) as held:
            if held and read_manifest(folder) == content:
                remove_unnamed(folder, manifest)
    except OSError as error:  # On a read-only disk the snapshot can still be read.
        logger.warning(
            "what is left over of a snapshot of gallery %s cannot be removed: %s",
            gallery_id,
            error.strerror,
        )


def remove_snapshot(folder: PrivateFolder) -> None:
    """Remove the manifest, the files and the lock; only under that lock.

    Raises:
        OSError: a file cannot be removed.
    """
    folder.remove(MANIFEST_NAME)
    folder.sync()  # Without a manifest the rest counts as left over.
    remove_unnamed(folder, None)
    folder.remove(LOCK_NAME)


def only_ours(folder: PrivateFolder) -> bool:
    """Return whether everything in the folder is of a snapshot."""
    ours = {MANIFEST_NAME, NEW_MANIFEST_NAME, LOCK_NAME}
    return all(name in ours or SEGMENT_NAME.fullmatch(name) for name in folder.names())


def _unnamed(folder: PrivateFolder, manifest: Manifest | None) -> list[str]:
    """Names of the snapshot's files that the manifest does not name."""
    named = {entry.name for entry in manifest.files} if manifest is not None else set()
    return [
        name
        for name in folder.names()
        if name == NEW_MANIFEST_NAME or (SEGMENT_NAME.fullmatch(name) and name not in named)
    ]
