"""The rows of galleries: read, made, and given each other's names."""

from dataclasses import dataclass

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from embedding.errors import GalleryExists, RequestInvalid
from index.repeats import Repeatable
from index.rules import NEW_GALLERY_LEAD
from index.store.change_log import anchor_at, begin_change
from index.store.database import Database
from index.store.kept_answers import keep_answer
from index.store.stored_gallery import StoredGallery
from index.store.tables import galleries, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a gallery is called, and the number of the last entry of its change log."""

    name: str
    sequence: int


def read_galleries(database: Database) -> tuple[StoredGallery, ...]:
    """Return all galleries of a database, oldest first."""
    with database.transaction() as connection:
        rows = connection.execute(select(galleries).order_by(galleries.c.id)).all()
    return tuple(map(_stored, rows))


def read_gallery(connection: Connection, public_id: str) -> StoredGallery | None:
    """Return the gallery with this id; None without one."""
    row = connection.execute(select(galleries).where(galleries.c.public_id == public_id)).first()
    return None if row is None else _stored(row)


def read_standings(database: Database) -> dict[str, Standing]:
    """Return what each gallery is called and where its change log stands, by its id."""
    query = select(galleries.c.public_id, galleries.c.name, galleries.c.sequence)
    with database.transaction() as connection:
        rows = connection.execute(query).all()
    return {row.public_id: Standing(name=row.name, sequence=row.sequence) for row in rows}


def read_anchor(database: Database, gallery: StoredGallery, sequence: int) -> str | None:
    """Return what tells the change of a gallery at a number from that of any other history."""
    with database.transaction() as connection:
        return anchor_at(connection, gallery.row_id, sequence)


def insert_gallery(
    connection: Connection,
    public_id: str,
    *,
    name: str,
    fingerprint: str,
    space: tuple[str, bytes] | None,
    repeatable: Repeatable[StoredGallery] | None,
) -> StoredGallery:
    """Write a new gallery and return it.

    Args:
        connection: in a transaction.
        public_id: a new one.
        name: checked.
        fingerprint: of the model.
        space: id and sealed matrix of the gallery's own; None for the model's.
        repeatable: how it is remembered that it was made; None for not.

    Raises:
        GalleryExists: there is one with this name.
        IdempotencyKeyInUse: a request with the same key was quicker.
    """
    space_id, sealed_space = space or (None, None)
    try:
        connection.execute(
            insert(galleries).values(
                public_id=public_id,
                name=name,
                fingerprint=fingerprint,
                sequence=0,
                created_at=utc_now(),
                space_id=space_id,
                sealed_space=sealed_space,
                smallest_lead=NEW_GALLERY_LEAD,
            )
        )
    except IntegrityError:
        raise GalleryExists("a gallery with this name exists already; take another name") from None
    stored = _stored(
        connection.execute(select(galleries).where(galleries.c.public_id == public_id)).one()
    )
    if repeatable is not None:
        keep_answer(
            connection,
            repeatable.key,
            gallery=stored.row_id,
            subject=None,
            answer=repeatable.answer(stored),
        )
    return stored


def switch_names(
    connection: Connection,
    old: StoredGallery,
    new: StoredGallery,
    *,
    kept_name: str,
    sequence: int,
) -> None:
    """Give a gallery another one's name.

    Args:
        connection: in a transaction that changes no third gallery.
        old: whose name it is.
        new: gets it.
        kept_name: that the old one gets, checked.
        sequence: where the old one's change log stands.

    Raises:
        GalleryExists: another gallery has the kept name.
        GalleryNotFound: one of the two was deleted.
        GalleryReplaced: one of the two has another name by now.
        RequestInvalid: the old one was changed after the sequence.
    """
    # In the order of their rows, as whoever holds several does.
    held = {
        each.id: begin_change(connection, each.row_id, name=each.name)
        for each in sorted((old, new), key=lambda each: each.row_id)
    }
    if held[old.id].sequence != sequence:
        raise RequestInvalid("the gallery was changed meanwhile; run it again")
    try:
        for gallery, name in ((old, kept_name), (new, old.name)):
            connection.execute(
                update(galleries).where(galleries.c.id == gallery.row_id).values(name=name)
            )
    except IntegrityError:
        raise GalleryExists(
            "there is a gallery with the name that the old one would get; delete it first"
        ) from None


def _stored(row: Row[tuple[object, ...]]) -> StoredGallery:
    return StoredGallery(
        row_id=row.id,
        id=row.public_id,
        name=row.name,
        fingerprint=row.fingerprint,
        space_id=row.space_id,
        sealed_space=row.sealed_space,
        created_at=row.created_at,
    )
