"""Rotating keys and sealing for the first time, over database and snapshots together."""

import shutil
import time
from pathlib import Path

from embedding.errors import RequestInvalid, SettingsInvalid, StoreError, StoreInUse
from index.encryption import sealed_start
from index.galleries import Galleries
from index.key_ring import KeyRing
from index.memory import MemoryOptions
from index.place import Place
from index.sealing import Sealer
from index.snapshot.key_use import SNAPSHOTS_NAME, sealed_snapshots
from index.store.folder import DATABASE_NAME, check_whole, held_folder
from index.store.key_use import sealed_with
from index.store.postgres import PostgresDatabase
from index.store.reading import reading_sqlite

SETTLING_S = 120.0
"""Running services have read a changed key file by then: they look every 20 seconds."""


def retire_key(place: Place, key_file: Path, key_id: str) -> KeyRing:
    """Take a key that nothing is sealed with any more out of a key file; returns the others.

    Works beside a running service. Backups are not looked at: those that are sealed with the key
    need it as long as they are kept.

    Raises:
        RequestInvalid: something is sealed with it, or a running service may still use it.
        SealKeyMissing: no such key in the file.
        SettingsInvalid: the key is the current one, or the file cannot be used.
        StoreError: the database cannot be read.
    """
    check_whole(place.data_folder)
    needed = _needed_for(place, key_id)
    if needed:
        raise RequestInvalid(
            f"key {key_id} is still needed for {', '.join(needed)}; a running service seals them "
            f"anew within a minute, and what is left then, or without one, facegallery-index "
            f"reseal does"
        )
    age_s = time.time() - key_file.stat().st_mtime if key_file.exists() else SETTLING_S
    # A clock that was set back since tells nothing: the change may be a moment old.
    if age_s < SETTLING_S and _may_be_served(place):
        when = f"{age_s:.0f} s ago" if age_s >= 0 else "at a time that is yet to come"
        advice = "" if age_s >= 0 else f"touch {key_file}, "
        raise RequestInvalid(
            f"the key file was changed {when}, and a service that runs may seal with the old key "
            f"until it has read it; {advice}try again in {SETTLING_S:.0f} s, or stop the service"
        )
    return KeyRing.retire(key_file, key_id)


def seal(place: Place, sealer: Sealer) -> int:
    """Seal a store that lies in the clear; returns how many templates were changed.

    What lay in the clear is overwritten: rows, the write-ahead log, snapshots. Stopped half-way
    it goes on at the next call, and until then nothing else opens the store.

    Args:
        place: without a sealer; no process may hold its folder, and no other its database.
        sealer: seals from now on.

    Raises:
        SealKeyMissing: it is sealed already.
        StoreInUse: another process holds the folder.
        StoreError: it cannot be read or written.
    """
    with held_folder(place.data_folder):
        # Nobody else may share it either, which the lock that is taken next would allow.
        pass
    with place.opened() as store:
        num_changed = store.reseal(new=sealer)
        remove_folder(place.data_folder / SNAPSHOTS_NAME)
        store.database.purge(full=True)
    return num_changed


def reseal(place: Place, *, options: MemoryOptions | None = None) -> int:
    """Seal everything with the current key now; returns how many templates were changed.

    What the old key sealed is out of the database's files afterwards, too.

    Args:
        place: of the galleries.
        options: how services hold the vectors, so that their snapshots fit.

    Raises:
        SettingsInvalid: there is no key.
        StoreInUse: a service holds the folder: it does this by itself.
        StoreError: something cannot be sealed or purged now; the next call goes on.
    """
    if place.sealer is None:
        raise SettingsInvalid(
            "there is nothing to seal anew without a key; give the key file with "
            "FACEGALLERY_SEALING_KEY_FILE"
        )
    with Galleries.open(
        place.data_folder,
        database_url=place.database_url,
        sealer=place.sealer,
        ledger=place.ledger,
        audit_anchor=place.audit_anchor,
        options=options,
        # Its thread could be quicker, and what it changed would not be counted.
        upkeep_s=None,
    ) as galleries:
        num_changed = galleries.reseal()
        galleries.maintain()
    return num_changed


def remove_folder(path: Path) -> None:
    """Remove a folder of snapshots, which are made anew.

    Raises:
        StoreError: it cannot be removed.
    """
    try:
        if path.exists():
            shutil.rmtree(path)
    except OSError as error:
        raise StoreError(f"the snapshots cannot be removed: {error.strerror}") from error


def _needed_for(place: Place, key_id: str) -> list[str]:
    database = place.data_folder / DATABASE_NAME
    if place.database_url is not None:
        server = PostgresDatabase(place.database_url)
        try:
            with server.picture() as connection:
                found = sealed_with(connection, key_id)
        finally:
            server.close()
    elif database.exists():
        with reading_sqlite(database) as connection:
            found = sealed_with(connection, key_id)
    else:
        raise StoreError(
            f"there is no database in {place.data_folder}; give the folder whose templates the "
            f"key seals"
        )
    start = sealed_start(key_id)
    num_snapshots = sum(
        any(each.startswith(start) for each in snapshot.starts)
        for snapshot in sealed_snapshots(place.data_folder / SNAPSHOTS_NAME)
    )
    return found + ([f"{num_snapshots} snapshots"] if num_snapshots else [])


def _may_be_served(place: Place) -> bool:
    if place.database_url is not None:
        return True
    try:
        with held_folder(place.data_folder):
            return False
    except StoreInUse:
        return True
