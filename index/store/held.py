"""A SQLite file of a batch that one process at a time works with."""

import fcntl
import os
from pathlib import Path

from embedding.errors import StoreError, StoreInUse
from index.private_files import make_private_folder


def hold(path: Path) -> int:
    """Make the file, mode 0600, if it is missing, and keep other processes out.

    Returns:
        A descriptor; whoever closes it lets others in.

    Raises:
        StoreError: it, or its folder, cannot be made.
        StoreInUse: another process has it.
    """
    try:
        make_private_folder(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # Not on the file itself: SQLite's own locks are gone once any descriptor is closed.
        lock = lock_of(path)
        held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(held)
        raise StoreInUse("another batch works with this file; wait until it has ended") from error
    return held


def lock_of(path: Path) -> Path:
    """Return the file whose lock stands for the other one."""
    return path.with_name(path.name + ".lock")
