"""Puts a backup in the place of a data folder, once it was opened and checked.

The files are copied into the data folder's `restoring`, opened there with the ledger, which
carries its removals out, and checked. Until then nothing of what was there is touched. Then what
was there moves into a folder of its own, and the files of `restoring` into its place, while
nothing can open the data folder (`index.backup.placing`). Stopped at any moment, the restore is
run again.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from embedding.errors import LedgerUnfit, RequestInvalid, SealKeyMissing, StoreCorrupt, StoreError
from index.audit.anchor import ANCHOR_NAME
from index.audit.entries import AuditEvent
from index.backup.manifest import MANIFEST_NAME, BackupManifest, decode
from index.backup.placing import RESTORING_NAME, entries, put_in_place
from index.backup.saving import file_sha256
from index.findings import Report
from index.inspection import inspect
from index.place import Place
from index.places import check_outside
from index.private_files import sync_folder, writing_new
from index.store.folder import SECRET_FILE, held_folder
from index.store.postgres import PostgresDatabase
from index.store.summary import summary

logger = logging.getLogger(__name__)

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What a restore did.

    Attributes:
        manifest: of the backup.
        report: of the check of what was restored.
        replaced: folder with what was there before; None where nothing was.
    """

    manifest: BackupManifest
    report: Report
    replaced: Path | None


def restore(source: Path, place: Place, *, replace: bool) -> Restored:
    """Put a backup into a data folder and return what was done, all of it on disk.

    On PostgreSQL the tables were put back with its own tools before: the secrets are restored,
    and the removals of the ledger carried out.

    Args:
        source: folder of the backup.
        place: where to; its ledger is needed if the backup's database had one.
        replace: also where the data folder holds something, which is kept aside.

    Raises:
        LedgerUnfit: the ledger is missing, or not this database's newest one.
        RequestInvalid: the data folder is not empty, or the source is no backup.
        SealKeyMissing: the backup is sealed with a key that is not at hand.
        StoreCorrupt: the backup is damaged; nothing was changed.
        StoreInUse: a process holds the data folder.
        StoreNewer: the backup is of a newer version of this program.
        StoreError: something cannot be read or written.
    """
    manifest = read_backup(source)
    _check_fits(manifest, source, place)
    with held_folder(place.data_folder), _disk_errors(place.data_folder):
        if entries(place.data_folder) and not replace:
            raise RequestInvalid(
                f"{place.data_folder} is not empty; restore into a new folder, or give --replace "
                f"to have what is there kept aside"
            )
        staging = place.data_folder / RESTORING_NAME
        if staging.exists():
            shutil.rmtree(staging)
        with ExitStack() as undo:
            undo.callback(shutil.rmtree, staging, ignore_errors=True)
            staging.mkdir(mode=0o700)
            for name in (each.name for each in manifest.files):
                _copy(source / name, staging / name)
            sync_folder(staging)
            report = _opened_and_checked(manifest, place, staging)
            undo.pop_all()
        replaced = put_in_place(place.data_folder)
    logger.info("restored a backup of %s", manifest.made_at.isoformat())
    return Restored(manifest=manifest, report=report, replaced=replaced)


def read_backup(source: Path) -> BackupManifest:
    """Return the manifest of a backup, all of whose files are as they were written.

    Raises:
        RequestInvalid: there is no backup.
        StoreCorrupt: it is damaged; says which file.
        StoreNewer: made by a newer version of this program.
    """
    try:
        manifest = decode((source / MANIFEST_NAME).read_bytes())
    except OSError as error:
        raise RequestInvalid(
            f"{source} is no backup: its {MANIFEST_NAME} cannot be read ({error.strerror})"
        ) from error
    for saved in manifest.files:
        path = source / saved.name
        try:
            whole = path.stat().st_size == saved.bytes and file_sha256(path) == saved.sha256
        except OSError as error:
            raise StoreCorrupt(
                f"{saved.name} of the backup cannot be read ({error.strerror}); use another backup"
            ) from error
        if not whole:
            raise StoreCorrupt(
                f"{saved.name} of the backup was cut short or changed since it was written; use "
                f"another backup"
            )
    return manifest


def _check_fits(manifest: BackupManifest, source: Path, place: Place) -> None:
    shared = place.database_url is not None
    if manifest.database != ("postgresql" if shared else "sqlite"):
        raise RequestInvalid(
            f"the backup is of a {manifest.database} database, but FACEGALLERY_DATABASE_URL is "
            f"{'set' if shared else 'not set'}; restore it to the kind that it was made of"
        )
    held = manifest.summary
    if held.ledger is not None and place.ledger is None:
        raise LedgerUnfit(
            "the backup's database has a removal ledger, without which removed people would come "
            "back; give the newest one with FACEGALLERY_REMOVAL_LEDGER"
        )
    if held.key_id is not None and place.sealer is None:
        raise SealKeyMissing(
            f"the backup is sealed with key {held.key_id}; give its key file with "
            f"FACEGALLERY_SEALING_KEY_FILE"
        )
    if place.ledger is not None:
        check_outside(place.ledger, data_folder=place.data_folder, what="the removal ledger")
    if source.resolve().is_relative_to(place.data_folder.resolve()):
        raise RequestInvalid("the backup lies inside the data folder; move it out first")
    if place.database_url is not None:
        _check_database(place.database_url, held.database_id)


def _check_database(url: str, database_id: str) -> None:
    database = PostgresDatabase(url)
    try:
        with database.picture() as connection:
            found = summary(connection).database_id
    finally:
        database.close()
    if found != database_id:
        raise RequestInvalid(
            "the PostgreSQL database is another one than the backup's; restore the dump that was "
            "made with it first"
        )


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as reader, writing_new(target) as writer:
        shutil.copyfileobj(reader, writer, _PIECE_BYTES)


def _opened_and_checked(manifest: BackupManifest, place: Place, staging: Path) -> Report:
    """Open the copy, so that removals are carried out, and check all of it."""
    if place.database_url is not None and not any(
        SECRET_FILE.fullmatch(each.name) for each in manifest.files
    ):
        raise StoreCorrupt("the backup holds no secrets; use another backup")
    # With an anchor of its own: one elsewhere stays as it is until the restored log is in use.
    copy = replace(place.at(staging), audit_anchor=None)
    with copy.opened() as store:
        if store.database_id != manifest.summary.database_id:
            raise StoreCorrupt("the backup's database is not the one that its manifest names")
        num_removed = store.num_carried_out
        store.audit.record(AuditEvent(action="database.restore"))
    report = inspect(copy, repair=False)
    if not report.whole:
        raise StoreCorrupt(
            f"the backup is not whole: {report.findings[0].problem}; use another backup"
        )
    if place.audit_anchor is not None:
        (staging / ANCHOR_NAME).unlink()
    report.num_removals_carried_out = num_removed
    return report


@contextmanager
def _disk_errors(data_folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the backup cannot be restored into {data_folder}: "
            f"{error.strerror or os.strerror(error.errno or 0)}; check the disk's free space and "
            f"the rights of this user, and run it again"
        ) from error
