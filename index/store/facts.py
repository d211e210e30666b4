"""Facts of the whole store, or of one gallery, that are neither people nor keys."""

from typing import Literal, get_args

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from index.store.ids import new_ids
from index.store.tables import facts

GalleryFact = Literal["calibration", "track_calibration", "purged"]
"""What is known of a gallery as a whole; it goes with the gallery."""


def read_fact(connection: Connection, name: str) -> bytes | None:
    """Return the fact; None where it was never written."""
    value: bytes | None = connection.scalar(select(facts.c.value).where(facts.c.name == name))
    return value


def write_fact(connection: Connection, name: str, value: bytes) -> None:
    """Write the fact over what it was."""
    if first_fact(connection, name, value) != value:
        connection.execute(update(facts).where(facts.c.name == name).values(value=value))


def first_fact(connection: Connection, name: str, value: bytes) -> bytes:
    """Return the fact, which is the value given unless somebody wrote one before."""
    known = read_fact(connection, name)
    if known is not None:
        return known
    try:
        with connection.begin_nested():
            connection.execute(insert(facts).values(name=name, value=value))
    except IntegrityError:
        # Another process was quicker.
        return read_fact(connection, name) or value
    return value


def database_id(connection: Connection) -> str:
    """Return the id that the database keeps for life, made on first use.

    Snapshots, ledgers and backups carry it, so that none is taken for that of another.
    """
    return first_fact(connection, "database_id", new_ids(1)[0].encode()).decode()


def gallery_fact(kind: GalleryFact, gallery_id: str) -> str:
    """Return the name that a gallery's fact has among those of the store."""
    return f"{kind}:{gallery_id}"


def forget_gallery_facts(connection: Connection, gallery_id: str) -> None:
    """Delete all facts of a gallery, in the transaction that deletes the gallery."""
    names = [gallery_fact(kind, gallery_id) for kind in get_args(GalleryFact)]
    connection.execute(delete(facts).where(facts.c.name.in_(names)))
