"""What a backup says of itself: JSON under a hash, the last file that is written.

The first line names the sha256 of what follows. It tells damage, not forgery: who can write a
backup can write its hashes.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from embedding.errors import StoreCorrupt, StoreNewer
from index.ledger.chain import LedgerHead
from index.store.folder import DATABASE_NAME, SECRET_FILE
from index.store.summary import GallerySummary, Summary

MANIFEST_NAME = "manifest.json"
FORMAT = 1

_FIRST_LINE = b"facegallery-backup sha256=%s\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedFile:
    """One file of a backup.

    Attributes:
        name: in the backup and in the data folder.
        bytes: its size.
        sha256: of all of it, in hex.
    """

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupManifest:
    """A backup.

    Attributes:
        made_at: when, UTC.
        database: ``sqlite``, or ``postgresql``, whose tables are not in the backup.
        summary: what the database held.
        files: all but the manifest.
    """

    made_at: datetime
    database: str
    summary: Summary
    files: tuple[SavedFile, ...]

    def encode(self) -> bytes:
        """Return the bytes of the manifest's file."""
        content = {
            "format": FORMAT,
            "made_at": self.made_at.isoformat(),
            "database": self.database,
            "summary": asdict(self.summary),
            "files": [asdict(each) for each in self.files],
        }
        body = json.dumps(content, indent=1).encode()
        return _FIRST_LINE % _sha256(body) + body


def decode(content: bytes) -> BackupManifest:
    """Return the manifest of a file's bytes.

    Raises:
        StoreCorrupt: damaged, or no manifest.
        StoreNewer: made by a newer version of this program.
    """
    body = content[len(_FIRST_LINE % _sha256(b"")) :]
    if content != _FIRST_LINE % _sha256(body) + body:
        raise StoreCorrupt(
            "the backup's manifest is damaged: its sha256 does not fit; use another backup"
        )
    try:
        found = json.loads(body)
        if found["format"] != FORMAT:
            raise StoreNewer(
                f"the backup has format {found['format']}, but this program knows {FORMAT}; "
                f"install the version of FaceGallery that made it, or a newer one"
            )
        return BackupManifest(
            made_at=datetime.fromisoformat(found["made_at"]),
            database=found["database"],
            summary=_summary(found["summary"]),
            files=tuple(_file(each) for each in found["files"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreCorrupt("the backup's manifest is not as it must be") from error


def _summary(found: dict[str, Any]) -> Summary:
    ledger = found["ledger"]
    galleries = tuple(GallerySummary(**each) for each in found["galleries"])
    head = None if ledger is None else LedgerHead(**ledger)
    return Summary(**(found | {"galleries": galleries, "ledger": head}))


def _file(found: dict[str, Any]) -> SavedFile:
    saved = SavedFile(**found)
    # Names become paths: no others than those that a backup writes.
    if saved.name != DATABASE_NAME and not SECRET_FILE.fullmatch(saved.name):
        raise ValueError("a backup holds the database and secrets only")
    return saved


def _sha256(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()
