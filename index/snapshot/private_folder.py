"""A folder that is used through its descriptor: no link is followed, no other user can read.

Every call raises OSError as the system gives it; who uses the folder says what that means.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Self

from index.private_files import writing_new

LOCK_NAME = "lock"

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A pipe would wait for its other end without O_NONBLOCK.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class PrivateFolder:
    """An open folder; closed by `close` or at the end of a with block.

    Args:
        path: an existing folder, not a link to one.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, _FOLDER)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self._descriptor)

    def names(self) -> list[str]:
        """Return the names of all entries."""
        return os.listdir(self._descriptor)  # noqa: PTH208 - pathlib takes no descriptor

    @contextmanager
    def reading(self, name: str) -> Iterator[FileIO]:
        """Open a plain file, without a buffer of ours."""
        file = os.open(name, _READ, dir_fd=self._descriptor)
        with FileIO(file) as stream:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(None, "it is not a plain file")
            yield stream

    def creating(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Make a new file of mode 0600; its content is on the disk when the block ends."""
        return writing_new(name, folder=self._descriptor)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in place of what had that name."""
        os.rename(old, new, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def remove(self, name: str) -> None:
        """Remove a file or link; nothing happens when there is none."""
        try:
            os.unlink(name, dir_fd=self._descriptor)
        except FileNotFoundError:
            return

    def sync(self) -> None:
        """Bring the names of all files to the disk."""
        os.fsync(self._descriptor)

    @contextmanager
    def locking(self, *, wait: bool) -> Iterator[bool]:
        """Hold the folder's lock, if it is to be had, against threads and processes.

        Args:
            wait: until it is free.

        Yields:
            Whether it is held; False also when the lock was removed with the folder meanwhile.
        """
        try:
            lock = os.open(LOCK_NAME, _LOCK, 0o600, dir_fd=self._descriptor)
        except FileNotFoundError:
            # Nothing can be made in a folder that was removed.
            yield False
            return
        try:
            yield self._take(lock, wait=wait)
        finally:
            os.close(lock)

    def _take(self, lock: int, *, wait: bool) -> bool:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            named = os.stat(LOCK_NAME, dir_fd=self._descriptor, follow_symlinks=False)
        except (BlockingIOError, FileNotFoundError):
            return False
        return os.path.samestat(named, os.fstat(lock))
