"""What a database holds, in figures and ids: what a backup says of itself."""

from dataclasses import dataclass

from sqlalchemy import Connection, select

from index.ledger.chain import LedgerHead
from index.store.erasures import remembered_head
from index.store.facts import database_id
from index.store.migrate import check_current
from index.store.seal_mark import marked_key_id
from index.store.tables import REVISION, galleries


@dataclass(frozen=True, slots=True, kw_only=True)
class GallerySummary:
    """One gallery.

    Attributes:
        id: public.
        fingerprint: of its model.
        sequence: number of the last entry of its change log.
        num_templates: of all subjects.
        num_subjects: with at least one template.
    """

    id: str
    fingerprint: str
    sequence: int
    num_templates: int
    num_subjects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A database.

    Attributes:
        database_id: kept for life.
        schema: revision.
        galleries: the oldest first.
        ledger: how far its removal ledger went; None without one.
        key_id: of the key that everything is sealed with; None in the clear.
    """

    database_id: str
    schema: str
    galleries: tuple[GallerySummary, ...]
    ledger: LedgerHead | None
    key_id: str | None


def summary(connection: Connection) -> Summary:
    """Return what a database holds.

    Raises:
        StoreError: its schema is of an older version, or it is empty.
        StoreNewer: its schema is of a newer version.
    """
    check_current(connection)
    rows = connection.execute(select(galleries).order_by(galleries.c.id)).all()
    return Summary(
        database_id=database_id(connection),
        schema=REVISION,
        galleries=tuple(
            GallerySummary(
                id=row.public_id,
                fingerprint=row.fingerprint,
                sequence=row.sequence,
                num_templates=row.num_templates,
                num_subjects=row.num_subjects,
            )
            for row in rows
        ),
        ledger=remembered_head(connection),
        key_id=marked_key_id(connection),
    )
