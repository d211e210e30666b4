"""Makes a backup of a data folder, also while a service works on it."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedding.errors import RequestInvalid, StoreCorrupt, StoreError
from index.backup.manifest import MANIFEST_NAME, BackupManifest, SavedFile
from index.private_files import create_private, sync_folder, writing_new
from index.store.database import Database
from index.store.folder import DATABASE_NAME, SECRET_BYTES, SECRET_FILE, check_whole
from index.store.postgres import PostgresDatabase
from index.store.reading import copy_sqlite, reading_sqlite, sqlite_problems
from index.store.summary import Summary, summary
from index.store.tables import utc_now


def save(data_folder: Path, target: Path, *, database_url: str | None) -> BackupManifest:
    """Write a backup into a new folder and return its manifest, all of it on disk.

    The folder has a temporary name until it is whole. The database is copied as it is at one
    moment. The sealing key and the removal ledger are not in it: a backup with its key is as
    good as one in the clear, and the newest ledger goes with every backup.

    Args:
        data_folder: a service may hold it.
        target: does not exist; its parent does.
        database_url: of a PostgreSQL database, of which only the summary is saved: its tables
            are for PostgreSQL's own tools.

    Raises:
        RequestInvalid: the target exists, or lies in the data folder.
        StoreCorrupt: the database or a secret is damaged: what would be saved is of no use.
        StoreError: something cannot be read or written; no target is left then.
    """
    _check_target(data_folder, target)
    check_whole(data_folder)
    database = data_folder / DATABASE_NAME
    if database_url is None and not database.is_file():
        raise StoreError(
            f"there is no database in {data_folder}; give the folder of the galleries"
        )
    with _new_folder(target) as folder:
        if database_url is None:
            copy = folder / DATABASE_NAME
            create_private(copy, b"")
            copy_sqlite(database, copy)
            _check_copy(copy)
            with reading_sqlite(copy) as connection:
                held = summary(connection)
        else:
            held = _summary_of(PostgresDatabase(database_url))
        # After the database: a secret is never changed, and there before anything needs it.
        for secret in sorted(data_folder.iterdir()):
            if SECRET_FILE.fullmatch(secret.name):
                _copy_secret(secret, folder / secret.name)
        manifest = BackupManifest(
            made_at=utc_now(),
            database="sqlite" if database_url is None else "postgresql",
            summary=held,
            files=tuple(_synced(each) for each in sorted(folder.iterdir())),
        )
        create_private(folder / MANIFEST_NAME, manifest.encode())
    return manifest


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _check_target(data_folder: Path, target: Path) -> None:
    if not data_folder.is_dir():
        raise StoreError(
            f"there is no data folder {data_folder}; give the folder of the galleries"
        )
    if os.path.lexists(target):
        raise RequestInvalid(f"{target} exists already; give the name of a new folder")
    if not target.parent.is_dir():
        # It is not made: an unmounted disk would go unnoticed.
        raise RequestInvalid(f"the folder {target.parent} is missing; mount or make it")
    if target.parent.resolve().is_relative_to(data_folder.resolve()):
        raise RequestInvalid(
            f"{target} lies inside the data folder, and would be lost with it; give a place "
            f"outside, best on another disk"
        )


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """Give a folder, mode 0700, that takes the target's name at the end; none when it fails."""
    temporary = target.with_name(f".{target.name}.{os.getpid()}.new")
    try:
        temporary.mkdir(mode=0o700)
        yield temporary
        sync_folder(temporary)
        temporary.rename(target)
        sync_folder(target.parent)
    except OSError as error:
        raise StoreError(
            f"the backup {target} cannot be written: {error.strerror}; check the disk's free "
            f"space and the rights of this user"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _check_copy(copy: Path) -> None:
    problems = sqlite_problems(copy, thorough=False)
    if problems:
        raise StoreCorrupt(
            f"the database is damaged ({problems[0]}), so no backup of it is made; run "
            f"facegallery-index check, and restore an earlier backup"
        )


def _summary_of(database: Database) -> Summary:
    try:
        with database.picture() as connection:
            return summary(connection)
    finally:
        database.close()


def _copy_secret(source: Path, target: Path) -> None:
    secret = source.read_bytes()
    if len(secret) != SECRET_BYTES:
        raise StoreCorrupt(
            f"{source.name} in the data folder must have {SECRET_BYTES} bytes, but has "
            f"{len(secret)}; restore it from an earlier backup"
        )
    with writing_new(target) as stream:
        stream.write(secret)


def _synced(path: Path) -> SavedFile:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())
    return SavedFile(name=path.name, bytes=path.stat().st_size, sha256=file_sha256(path))
