"""The data folder: who holds it, its secrets, and where the database lies."""

import errno
import fcntl
import json
import logging
import os
import re
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from embedding.errors import SettingsInvalid, StoreCorrupt, StoreError, StoreInUse
from index.key_ring import is_placeholder
from index.private_files import create_private, make_private_folder, sync_folder

logger = logging.getLogger(__name__)

DATABASE_NAME = "facegallery.sqlite"
LOCK_NAME = "facegallery.lock"
RESTORED_NAME = "restored"
"""In the data folder: there while a restore puts its files in the place of others."""

_LOCK_BYTES = 512
"""The lock's content is padded to one sector, so that a reader never sees half of it."""

SECRET_BYTES = 32
_SECRET_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

SECRET_FILE = re.compile(_SECRET_NAME.pattern + r"\.secret")
"""Names of the files that secrets lie in."""


class DataFolder:
    """A data folder that this process holds until `close` or its end.

    The lock is the kernel's (flock), so that of a dead process is free at once.
    """

    def __init__(self, path: Path, lock: int, *, shared: bool) -> None:
        self._path = path
        self._lock = lock
        self._shared = shared
        self._making_secret = threading.Lock()

    @classmethod
    def open(cls, path: Path, *, url: str | None = None, shared: bool = False) -> Self:
        """Return the folder, held; created with mode 0700 when it does not exist.

        Args:
            path: the folder.
            url: where this process serves HTTP, for others that find the folder in use.
            shared: hold it together with other processes that do the same, which is right only
                where the database is elsewhere.

        Raises:
            StoreInUse: another process holds it; carries its `url`.
            StoreError: it cannot be created, read or written.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _not_usable(path, error) from error
        try:
            _take(lock, shared=shared)
            check_whole(path)
            folder = cls(path, lock, shared=shared)
            if not shared:
                folder.set_url(url)
                _make_database(folder.database)
            sync_folder(path)
        except OSError as error:
            os.close(lock)
            raise _not_usable(path, error) from error
        except BaseException:
            os.close(lock)
            raise
        if path.stat().st_mode & 0o077:
            logger.warning("the data folder can be read by other users; chmod 700 closes it")
        return folder

    @property
    def path(self) -> Path:
        """The folder."""
        return self._path

    @property
    def database(self) -> Path:
        """The SQLite file, mode 0600; its write-ahead log gets the same mode."""
        return self._path / DATABASE_NAME

    def set_url(self, url: str | None) -> None:
        """Write this process's id and address into the lock, for others to read.

        Those who share a folder do not: none of them is in the others' way.
        """
        if self._shared:
            return
        content = json.dumps({"pid": os.getpid(), "url": url}).encode()
        os.pwrite(self._lock, content.ljust(_LOCK_BYTES), 0)

    def secret(self, name: str) -> bytes:
        """Return 32 random bytes of this folder, made on first use.

        Args:
            name: the purpose: lower-case letters, digits and hyphens.

        Raises:
            SettingsInvalid: it is a placeholder.
            StoreCorrupt: the secret's file has another length.
            StoreError: it cannot be read or written.
        """
        if not _SECRET_NAME.fullmatch(name):
            raise ValueError("a secret's name has lower-case letters, digits and hyphens")
        path = self._path / f"{name}.secret"
        try:
            with self._making_secret:
                if not path.exists():
                    # Another process that shares the folder may make it meanwhile.
                    with suppress(FileExistsError):
                        create_private(path, secrets.token_bytes(SECRET_BYTES))
            secret = path.read_bytes()
        except OSError as error:
            raise _not_usable(path, error) from error
        _check_secret(path, secret)
        return secret

    def close(self) -> None:
        """Give the folder back; a second call does nothing."""
        if self._lock >= 0:
            if not self._shared:
                os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = -1


@contextmanager
def held_folder(path: Path) -> Iterator[None]:
    """Hold a data folder alone, made when it is missing, and look at nothing in it.

    Raises:
        StoreInUse: another process holds it, alone or together with others.
        StoreError: it cannot be created or written.
    """
    try:
        make_private_folder(path)
        lock = os.open(path / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _not_usable(path, error) from error
    try:
        _take(lock, shared=False)
        yield
    finally:
        os.close(lock)


def read_secret(data_folder: Path, name: str) -> bytes:
    """Return a secret of a data folder that another process may hold.

    Raises:
        StoreError: there is none of this name, or it cannot be read.
    """
    path = data_folder / f"{name}.secret"
    try:
        secret = path.read_bytes()
    except OSError as error:
        raise StoreError(
            f"{path} cannot be read: {error.strerror}; give the folder of the galleries, in which "
            f"a service makes it"
        ) from error
    _check_secret(path, secret)
    return secret


def check_whole(path: Path) -> None:
    """Pass a data folder in which no restore was stopped while files took their places.

    Raises:
        StoreError: one was, so files of before and after lie side by side.
    """
    if (path / RESTORED_NAME).exists():
        raise StoreError(
            "a restore of this data folder was stopped half-way; run facegallery-index restore "
            "again with --replace"
        )


def _take(lock: int, *, shared: bool) -> None:
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        pid, url = _holder(lock)
    else:
        return
    who = "another process" if pid is None else f"another process (pid {pid})"
    way = "stop it first" if url is None else f"stop it first, or go through its address {url}"
    raise StoreInUse(f"{who} holds the data folder; {way}", url=url)


def _holder(lock: int) -> tuple[int | None, str | None]:
    try:
        content = json.loads(os.pread(lock, 65_536, 0))
        pid, url = content["pid"], content["url"]
    except (ValueError, KeyError, TypeError):
        return None, None
    return pid if isinstance(pid, int) else None, url if isinstance(url, str) else None


def _check_secret(path: Path, secret: bytes) -> None:
    if len(secret) != SECRET_BYTES:
        raise StoreCorrupt(
            f"{path.name} in the data folder must have {SECRET_BYTES} bytes, but has "
            f"{len(secret)}; restore it from a backup"
        )
    if is_placeholder(secret):
        raise SettingsInvalid(
            f"{path.name} in the data folder is a placeholder: repeated bytes, a sequence or a "
            f"text; put the file back from a backup, or delete it to have a random one made"
        )


def _make_database(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _not_usable(path: Path, error: OSError) -> StoreError:
    if error.errno in {errno.ENOTDIR, errno.EEXIST}:
        return StoreError(f"{path} is not a folder; give a folder for the data")
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return StoreError(f"{path} cannot be written; give this user the right to write there")
    return StoreError(
        f"{path} cannot be used: {error.strerror}; check the disk's free space and the rights of "
        f"this user"
    )
