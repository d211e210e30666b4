"""Puts verified files in the place of those of a data folder; what is stopped can be finished.

`restored` in the data folder is written first, and goes last. It says what lay there before, and
in which folder that is kept; while it is there, nothing opens the data folder. What is named in it
and not kept yet was there before. All else of a backup's names is a copy that a restore which was
stopped had put there: it is made anew.
"""

import json
import os
import secrets
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from embedding.errors import StoreCorrupt
from index.private_files import create_private, make_private_folder, sync_folder
from index.store.folder import DATABASE_NAME, LOCK_NAME, RESTORED_NAME, SECRET_FILE
from index.store.tables import utc_now

RESTORING_NAME = "restoring"
"""Folder in the data folder with what is not in its place yet."""

REPLACED_PREFIX = "replaced-"
"""How folders begin that hold what a restore found in its place."""

_UNFINISHED_NAME = f"{RESTORED_NAME}.new"
"""What `create_private` writes first."""

_NO_ENTRIES = frozenset({LOCK_NAME, RESTORING_NAME, RESTORED_NAME, _UNFINISHED_NAME})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placing:
    """What `restored` says.

    Attributes:
        kept: name of the folder for what was there before.
        old: names of that.
    """

    kept: str
    old: tuple[str, ...]


def entries(data_folder: Path) -> list[str]:
    """Return what lies in a data folder, but for its lock and what restores left there."""
    return sorted(
        each.name
        for each in data_folder.iterdir()
        if each.name not in _NO_ENTRIES and not each.name.startswith(REPLACED_PREFIX)
    )


def put_in_place(data_folder: Path) -> Path | None:
    """Move what is in `restoring` to its place; returns where the old is kept, if there was any.

    Raises:
        StoreCorrupt: what a stopped restore has written cannot be read.
        OSError: something cannot be moved; the next call goes on.
    """
    placing = _begun(data_folder)
    kept = data_folder / placing.kept
    _keep(data_folder, placing, kept)
    for name in entries(data_folder):
        if _is_of_backup(name):
            (data_folder / name).unlink()
    staging = data_folder / RESTORING_NAME
    for each in sorted(staging.iterdir(), key=lambda path: path.name == DATABASE_NAME):
        if each.name != LOCK_NAME:
            each.rename(data_folder / each.name)
    sync_folder(data_folder)
    (data_folder / _UNFINISHED_NAME).unlink(missing_ok=True)
    (data_folder / RESTORED_NAME).unlink()
    sync_folder(data_folder)
    shutil.rmtree(staging)
    sync_folder(data_folder)
    return kept if placing.old else None


def _begun(data_folder: Path) -> _Placing:
    """Return what a stopped restore has begun, or begin."""
    path = data_folder / RESTORED_NAME
    if path.exists():
        try:
            found = json.loads(path.read_bytes())
            return _Placing(kept=found["kept"], old=tuple(found["old"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreCorrupt(
                f"{path} cannot be read, so it is unknown which files were there before; move all "
                f"files out of {data_folder}, but not its {REPLACED_PREFIX}... folders, and run "
                f"it again"
            ) from error
    placing = _Placing(
        # A clock that goes wrong must not give a folder's name again.
        kept=f"{REPLACED_PREFIX}{utc_now():%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
        old=tuple(entries(data_folder)),
    )
    create_private(path, json.dumps(asdict(placing)).encode())
    return placing


def _keep(data_folder: Path, placing: _Placing, kept: Path) -> None:
    if not placing.old:
        return
    make_private_folder(kept)
    for name in placing.old:
        if os.path.lexists(data_folder / name) and not os.path.lexists(kept / name):
            (data_folder / name).rename(kept / name)
    sync_folder(kept)
    sync_folder(data_folder)


def _is_of_backup(name: str) -> bool:
    return name.startswith(DATABASE_NAME) or SECRET_FILE.fullmatch(name) is not None
