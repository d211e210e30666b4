"""Checks everything of a data folder, and repairs what can be made anew."""

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from embedding.errors import (
    LedgerUnfit,
    SealKeyMissing,
    SnapshotUnfit,
    StoreCorrupt,
    StoreError,
)
from index.calibration.inspecting import calibration_problems
from index.findings import Report
from index.place import Place
from index.records import EMBEDDING_DIMENSION
from index.sealing import Sealer
from index.snapshot.folder import SnapshotFolder
from index.snapshot.key_use import SNAPSHOTS_NAME
from index.snapshot.manifest import SnapshotOwner
from index.store.database import Database
from index.store.folder import DATABASE_NAME, SECRET_BYTES, SECRET_FILE, DataFolder, check_whole
from index.store.gallery_rows import read_anchor, read_galleries
from index.store.reading import sqlite_problems
from index.store.store import (
    Store,
    open_database,
    read_database_id,
)
from index.store.stored_gallery import StoredGallery
from index.store.verification import GalleryVerification, removals_not_done

_LEFT_OVER = ("*.new", "restoring")
"""What a process leaves that died while it made a secret or restored a backup."""


def inspect(place: Place, *, repair: bool) -> Report:
    """Return what is wrong with a data folder and its database.

    Templates are read some thousand at a time. Removals of the ledger that the database has not
    done are carried out, as at every opening.

    Args:
        place: no other process may hold its folder, unless on PostgreSQL.
        repair: count counters anew, delete snapshots that cannot be used and what was left over.

    Raises:
        StoreInUse: another process holds the folder.
        StoreNewer: written by a newer version of this program.
        StoreError: the folder is missing, or cannot be read or written.
    """
    if not place.data_folder.is_dir():
        raise StoreError(
            f"there is no data folder {place.data_folder}; give the folder of the galleries"
        )
    check_whole(place.data_folder)
    report = Report()
    if place.database_url is None and not (place.data_folder / DATABASE_NAME).exists():
        report.add("database", "there is no database in the data folder")
        return report
    with place.folder() as folder, ExitStack() as stack:
        _inspect_files(folder, report, repair=repair)
        damaged = _inspect_file_of_database(place, folder, report)
        store, usable = None, True
        if not damaged:
            store, usable = _opened_store(place, folder, report)
        sealer = place.sealer_in_use if usable else None
        if store is not None:
            stack.callback(store.close)
            report.num_removals_carried_out = store.num_carried_out
            _inspect_removals(store, report, repair=repair)
            for problem in store.audit.verify().findings:
                report.add("audit", problem)
            _inspect_galleries(store.database, folder, sealer, report, repair=repair)
            return report
        with contextlib.suppress(StoreCorrupt):
            # What keeps it from opening was told already; what can be read is looked at.
            database = open_database(folder, place.database_url)
            stack.callback(database.close)
            _inspect_galleries(database, folder, sealer, report, repair=repair)
    return report


def _inspect_files(folder: DataFolder, report: Report, *, repair: bool) -> None:
    for each in sorted(folder.path.iterdir()):
        if SECRET_FILE.fullmatch(each.name) and each.stat().st_size != SECRET_BYTES:
            report.add("secret", f"{each.name} must have {SECRET_BYTES} bytes")
    for pattern in _LEFT_OVER:
        for each in sorted(folder.path.glob(pattern)):
            if repair:
                _remove(each)
            report.add("left_over", f"{each.name} is left over", repaired=repair)


def _inspect_file_of_database(place: Place, folder: DataFolder, report: Report) -> bool:
    if place.database_url is not None:
        # A server verifies its pages itself, where its checksums are on, and keeps its keys.
        return False
    problems = sqlite_problems(folder.database, thorough=True)
    for each in problems:
        report.add("database", each)
    return bool(problems)


def _opened_store(place: Place, folder: DataFolder, report: Report) -> tuple[Store | None, bool]:
    """Open the store as a service does; returns also whether templates can be unsealed."""
    try:
        store = Store(
            folder,
            sealer=place.sealer_in_use,
            database_url=place.database_url,
            ledger=place.ledger,
            audit_anchor=place.audit_anchor,
        )
    except SealKeyMissing as error:
        report.add("sealing", str(error))
        return None, False
    except LedgerUnfit as error:
        report.add("ledger", str(error))
        return None, True
    except StoreCorrupt as error:
        report.add("database", str(error))
        return None, True
    return store, True


def _inspect_removals(store: Store, report: Report, *, repair: bool) -> None:
    """Look for what the ledger says is gone; it is removed again where repairs are wanted."""
    try:
        for removal in removals_not_done(store.database, store.removals()):
            if repair:
                store.remove_again(removal)
            gone = removal.template_id or removal.subject_id or removal.gallery_id
            report.add("ledger", f"{removal.kind} {gone} was removed, but is there",
                       repaired=repair)  # fmt: skip
    except LedgerUnfit as error:
        report.add("ledger", str(error))


def _inspect_galleries(
    database: Database, folder: DataFolder, sealer: Sealer | None, report: Report, *, repair: bool
) -> None:
    try:
        listed = read_galleries(database)
        database_id = read_database_id(database)
    except StoreCorrupt as error:
        report.add("database", f"the galleries cannot be listed: {error}")
        return
    for gallery in listed:
        report.num_galleries += 1
        GalleryVerification(database, gallery, sealer=sealer, report=report).run(repair=repair)
        for problem in calibration_problems(database, gallery, sealer=sealer):
            report.add("calibration", problem)
        if sealer is not None:
            _inspect_snapshot(
                database, gallery, folder.path, sealer, report,
                database_id=database_id, repair=repair,
            )  # fmt: skip
    known = {each.id for each in listed}
    for left in _folders(folder.path / SNAPSHOTS_NAME):
        if left.name not in known:
            if repair:
                _remove(left)
            report.add(
                "left_over",
                f"the snapshot {left.name} is of a gallery that is gone",
                repaired=repair,
            )


def _inspect_snapshot(
    database: Database,
    gallery: StoredGallery,
    data_folder: Path,
    sealer: Sealer,
    report: Report,
    *,
    database_id: str,
    repair: bool,
) -> None:
    path = data_folder / SNAPSHOTS_NAME / gallery.id
    if not path.exists():
        return
    problems = []
    # Which of the two a service keeps is its setting; a snapshot is good as either.
    for dtype in ("float32", "float16"):
        owner = SnapshotOwner(
            gallery_id=gallery.id,
            database_id=database_id,
            fingerprint=gallery.fingerprint,
            space_id=gallery.space_id,
            dimension=EMBEDDING_DIMENSION,
            dtype=dtype,
        )
        try:
            found = SnapshotFolder(path, owner=owner, sealer=sealer).verify()
            if found is not None and found.anchor != read_anchor(
                database, gallery, found.sequence
            ):
                raise SnapshotUnfit("the database went another way since it was written")
        except (SnapshotUnfit, SealKeyMissing) as error:
            problems.append(str(error))
        else:
            return
    telling = next((each for each in problems if "another dtype" not in each), problems[0])
    if repair:
        _remove(path)
    report.add("snapshot", f"the snapshot of gallery {gallery.id}: {telling}", repaired=repair)


def _folders(path: Path) -> Iterator[Path]:
    return (
        (each for each in sorted(path.iterdir()) if each.is_dir()) if path.is_dir() else iter(())
    )


def _remove(path: Path) -> None:
    try:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError as error:
        raise StoreError(f"{path.name} cannot be removed: {error.strerror}") from error
