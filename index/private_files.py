"""Small files with secrets, mode 0600, that are there as a whole or not at all."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def create_private(path: Path, content: bytes) -> None:
    """Make a file that does not exist yet; after a kill or a power cut it is whole or absent.

    Raises:
        FileExistsError: there is one already; it stays as it is.
        OSError: the folder cannot be written, or its file system has no hard links.
    """
    temporary = _written(path, content)
    try:
        # Unlike a rename, a link never takes another file's place.
        path.hardlink_to(temporary)
    finally:
        temporary.unlink()
    _sync_folder(path.parent)


def replace_private(path: Path, content: bytes) -> None:
    """Put a file in the place of another; after a kill or a power cut it is one of the two.

    Raises:
        OSError: the folder cannot be written.
    """
    _written(path, content).rename(path)
    _sync_folder(path.parent)


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Keep other processes that use this out while files of the folder are read and replaced.

    Raises:
        OSError: the folder cannot be opened or locked.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _written(path: Path, content: bytes) -> Path:
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    return temporary


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
