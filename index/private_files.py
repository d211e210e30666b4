"""New files of mode 0600 that are there as a whole or not at all, and folders of mode 0700."""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NO_HARD_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
"""What file systems without hard links answer: FAT the first, network and user-space ones any."""


@contextmanager
def writing_new(name: str | Path, *, folder: int | None = None) -> Iterator[BinaryIO]:
    """Make a file, mode 0600, and give a stream; at the block's end its content is on the disk.

    Its name is not, before the folder is synced.

    Args:
        name: that no file has.
        folder: descriptor of the folder that a name without one is in.

    Raises:
        FileExistsError: there is a file of this name.
        OSError: the folder cannot be written, or is full.
    """
    file = os.open(name, _NEW, 0o600, dir_fd=folder)
    with os.fdopen(file, "wb") as stream:
        yield stream
        stream.flush()
        os.fsync(file)


@contextmanager
def new_private_file(path: Path) -> Iterator[BinaryIO]:
    """Give a stream to write; at the block's end its file is on disk under its name, mode 0600.

    Until then it has a temporary name in the same folder, and is removed when the block fails.
    Several may be written at once, so no lock is held meanwhile, and the file system must know
    hard links: renaming would silently replace another file.

    Raises:
        FileExistsError: there is a file of this name, at the beginning or at the end.
        OSError: the folder cannot be written, or is full.
    """
    _check_absent(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        with writing_new(temporary) as stream:
            yield stream
        path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def create_private(path: Path, content: bytes) -> None:
    """Make a small new file; after a kill or a power cut it is whole or absent.

    The folder is locked meanwhile: not to be called within `changing`.

    Raises:
        FileExistsError: there is one already; it stays as it is.
        OSError: the folder cannot be written or locked.
    """
    with changing(path.parent):
        _check_absent(path)
        temporary = _written(path, content)
        try:
            _give_name(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)


def replace_private(path: Path, content: bytes) -> None:
    """Put a file in the place of another; after a kill or a power cut it is one of the two.

    Only to be called within `changing`.

    Raises:
        OSError: the folder cannot be written.
    """
    _written(path, content).rename(path)
    sync_folder(path.parent)


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Keep other threads and processes that use this out while files of the folder are changed.

    Raises:
        OSError: the folder cannot be opened or locked.
    """
    lock = os.open(folder, _FOLDER)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def make_private_folder(path: Path) -> None:
    """Make a folder and what is missing above it with mode 0700; the names are on the disk."""
    if path.is_dir():
        return
    make_private_folder(path.parent)
    path.mkdir(mode=0o700, exist_ok=True)
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Bring the names of all files in a folder to the disk."""
    folder = os.open(path, _FOLDER)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check_absent(path: Path) -> None:
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


def _written(path: Path, content: bytes) -> Path:
    # Always the same name, so that what a kill leaves, which is secret, goes with the next one.
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    try:
        with writing_new(temporary) as stream:
            stream.write(content)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _give_name(temporary: Path, path: Path) -> None:
    try:
        # Unlike a rename, a link never takes the place of a file that appeared meanwhile.
        path.hardlink_to(temporary)
    except OSError as error:
        if error.errno not in _NO_HARD_LINKS:
            raise
        # The path was free when the folder was locked, and all of this program take that lock.
        temporary.rename(path)
