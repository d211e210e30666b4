"""Removals for the tests of the ledger."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from index.ledger.entries import Removal
from index.ledger.ledger import RemovalLedger

DATABASE_ID = "3f0c9c1e-6a44-4b0e-9a53-0d6c1a3b7c11"
KEY = bytes(range(32))
GALLERY_ID = str(uuid.UUID(int=1))


def removal(number: int) -> Removal:
    """Return the removal of a subject; other numbers give other subjects and times."""
    return Removal(
        gallery_id=GALLERY_ID,
        subject_id=str(uuid.UUID(int=1_000_000 + number)),
        template_id=None,
        kind="subject",
        at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number, microseconds=7),
    )


def subject_of(entry: Removal) -> str:
    """Return the subject's id of an entry that has one."""
    assert entry.subject_id is not None
    return entry.subject_id


def open_ledger(path: Path) -> RemovalLedger:
    """Return the ledger at a path, begun when there is none."""
    return RemovalLedger.open(path, database_id=DATABASE_ID, key=KEY, create=True)
