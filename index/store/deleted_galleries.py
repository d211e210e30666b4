"""Galleries that were deleted, as their receipts remember them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from embedding.errors import GalleryNotFound
from index.store.change_log import GalleryState
from index.store.database import Database
from index.store.stored_gallery import StoredGallery
from index.store.tables import deleted_galleries, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedGallery:
    """A deletion.

    Attributes:
        id: public id that the gallery had.
        num_templates: that went with it.
        num_subjects: with at least one template, likewise.
        removed_at: when. UTC.
        purged: whether its bytes are out of the database's files, too.
    """

    id: str
    num_templates: int
    num_subjects: int
    removed_at: datetime
    purged: bool


class DeletedGalleries:
    """The deletions of a database; every method is one transaction and thread safe."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, name: str) -> DeletedGallery:
        """Return the last deletion of a gallery that had a name.

        Raises:
            GalleryNotFound: none had it, or what had it is there.
        """
        return self._one(deleted_galleries.c.name == name)

    def of(self, public_id: str) -> DeletedGallery:
        """Return the deletion of the gallery with an id.

        Raises:
            GalleryNotFound: it was not deleted, or never there.
        """
        return self._one(deleted_galleries.c.public_id == public_id)

    def unpurged(self) -> tuple[str, ...]:
        """Return the ids of those whose bytes may still be in the database's files."""
        query = select(deleted_galleries.c.public_id).where(
            deleted_galleries.c.purged_at.is_(None)
        )
        with self._database.transaction() as connection:
            return tuple(connection.scalars(query))

    def mark_purged(self, public_ids: Sequence[str]) -> None:
        """Remember that the database is rid of them."""
        if not public_ids:
            return
        change = update(deleted_galleries).values(purged_at=utc_now())
        with self._database.transaction() as connection:
            connection.execute(change.where(deleted_galleries.c.public_id.in_(public_ids)))

    def _one(self, which: ColumnElement[bool]) -> DeletedGallery:
        query = select(deleted_galleries).where(which).order_by(deleted_galleries.c.id.desc())
        with self._database.transaction() as connection:
            row = connection.execute(query.limit(1)).first()
        if row is None:
            raise GalleryNotFound("no gallery of this name was deleted")
        return _deleted(row)


def remember_deleted(
    connection: Connection, gallery: StoredGallery, state: GalleryState, *, at: datetime
) -> None:
    """Remember a deletion, in its transaction.

    Args:
        connection: in that transaction.
        gallery: its row.
        state: what it holds.
        at: when it is deleted.
    """
    connection.execute(
        insert(deleted_galleries).values(
            public_id=gallery.id,
            name=gallery.name,
            num_templates=state.num_templates,
            num_subjects=state.num_subjects,
            removed_at=at,
        )
    )


def _deleted(row: Row[Any]) -> DeletedGallery:
    return DeletedGallery(
        id=row.public_id,
        num_templates=row.num_templates,
        num_subjects=row.num_subjects,
        removed_at=row.removed_at,
        purged=row.purged_at is not None,
    )
