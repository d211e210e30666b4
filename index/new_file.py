"""A new file that appears whole, or not at all, and never in the place of another."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def new_private_file(path: Path) -> Iterator[BinaryIO]:
    """Give a stream to write; at the block's end its file is on disk under its name, mode 0600.

    Until then it has a temporary name in the same folder, and is removed when the block fails.
    The file system must know hard links, for renaming would silently replace another file.

    Raises:
        FileExistsError: there is a file of this name, at the beginning or at the end.
        OSError: the folder cannot be written, or is full.
    """
    if path.exists() or path.is_symlink():
        raise FileExistsError(f"{path} exists")
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(file, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        path.hardlink_to(temporary)
    finally:
        temporary.unlink()
    _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
