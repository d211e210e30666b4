"""Where the state of batches lies, and that it goes with its gallery: it holds paths of photos."""

import re
from collections.abc import Callable, Collection
from pathlib import Path

from embedding.errors import StoreError

STATE_FOLDER = "batch"
"""In the data folder: one state file a gallery."""

_OF_GALLERY = re.compile(
    r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.sqlite(?:-wal|-shm|\.lock)?"
)


def state_file(data_folder: Path, gallery_id: str) -> Path:
    """Return where the state of a gallery's batches lies unless it is told otherwise."""
    return data_folder / STATE_FOLDER / f"{gallery_id}.sqlite"


def remove_orphans(data_folder: Path, *, existing: Callable[[], Collection[str]]) -> int:
    """Remove the state files of galleries that do not exist; returns how many files.

    Args:
        data_folder: need not hold any.
        existing: returns the ids of all galleries.

    Raises:
        StoreError: one cannot be removed, or the ids cannot be read.
    """
    folder = data_folder / STATE_FOLDER
    # Looked at before the galleries: what is made in between is not taken for an orphan.
    files = list(folder.iterdir()) if folder.is_dir() else []
    found = {path: match[1] for path in files if (match := _OF_GALLERY.fullmatch(path.name))}
    ids = existing() if found else ()
    orphans = [path for path, gallery_id in found.items() if gallery_id not in ids]
    try:
        for path in orphans:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"{path} cannot be removed: {error.strerror}") from error
    return len(orphans)
