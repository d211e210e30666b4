"""The open file of a ledger: its lock, its bytes, and what the disk says in our words."""

import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from embedding.errors import LedgerUnfit, SettingsInvalid, StoreError
from index.private_files import new_private_file


class LedgerFile:
    """A file that threads and processes use in turn."""

    def __init__(self, path: Path, file: int) -> None:
        self._path = path
        self._file = file
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Self:
        """Return the file, open to read and write.

        Raises:
            LedgerUnfit: there is none.
            StoreError: it cannot be opened.
        """
        try:
            return cls(path, os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except FileNotFoundError as error:
            raise _missing(path) from error
        except OSError as error:
            raise _not_usable(path, error) from error

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._file < 0

    @contextmanager
    def held(self) -> Iterator[None]:
        """Run a block alone, among the threads and among the processes.

        Raises:
            StoreError: the disk fails in the block, or the file was closed.
        """
        with self._lock:
            if self.closed:
                raise _closed()
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX)
                try:
                    yield
                finally:
                    fcntl.flock(self._file, fcntl.LOCK_UN)
            except OSError as error:
                raise _not_usable(self._path, error) from error

    def check_place(self) -> None:
        """Pass when the path still leads to the open file: else appends would go nowhere.

        Raises:
            LedgerUnfit: it was removed or replaced, or is a pipe or the like.
        """
        opened = os.fstat(self._file)
        if not stat.S_ISREG(opened.st_mode):
            raise LedgerUnfit(f"{self._path} is not a file; give the path of the removal ledger")
        try:
            named = self._path.stat()
        except FileNotFoundError as error:
            raise _missing(self._path) from error
        if not os.path.samestat(named, opened):
            raise LedgerUnfit(
                f"{self._path} was replaced while it was open; put the removal ledger back"
            )

    def size(self) -> int:
        """Return the size in bytes.

        Raises:
            StoreError: the file was closed.
        """
        if self.closed:
            raise _closed()
        return os.fstat(self._file).st_size

    def read(self, size: int, place: int) -> bytes:
        """Return the bytes at a place, fewer at the file's end; needs no `held`.

        Raises:
            StoreError: the disk fails, or the file was closed.
        """
        if self.closed:
            raise _closed()
        try:
            return os.pread(self._file, size, place)
        except OSError as error:
            raise _not_usable(self._path, error) from error

    def write(self, content: bytes, place: int) -> None:
        """Write bytes at a place; not on disk before `sync`."""
        rest = memoryview(content)
        while rest:
            written = os.pwrite(self._file, rest, place)
            rest, place = rest[written:], place + written

    def sync(self) -> None:
        """Return when all that was written is on disk."""
        os.fdatasync(self._file)

    def cut(self, end: int) -> None:
        """Take off what lies from a place on."""
        os.ftruncate(self._file, end)

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        with self._lock:
            if not self.closed:
                os.close(self._file)
                self._file = -1


def create(path: Path, content: bytes) -> None:
    """Make the file with this content, unless there is one.

    Raises:
        SettingsInvalid: its folder is missing.
        StoreError: it cannot be written.
    """
    if not path.parent.is_dir():
        # It is not made: an unmounted disk would go unnoticed.
        raise SettingsInvalid(
            f"the folder {path.parent} of the removal ledger is missing; mount or make it"
        )
    try:
        with new_private_file(path) as stream:
            stream.write(content)
    except FileExistsError:
        return
    except OSError as error:
        raise _not_usable(path, error) from error


def _closed() -> StoreError:
    return StoreError("the removal ledger was closed; open it again")


def _missing(path: Path) -> LedgerUnfit:
    return LedgerUnfit(f"there is no removal ledger at {path}; put back its newest copy")


def _not_usable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the removal ledger {path} cannot be used: {error.strerror}; check the disk's free space "
        f"and the rights of this user"
    )
