"""What a database remembers of its sealing, so that a wrong or missing key is noticed at once."""

from sqlalchemy import Connection, select

from embedding.errors import SealKeyMissing
from index.encryption import key_id_of
from index.sealing import ChunkContext, Sealer
from index.store.facts import read_fact, write_fact
from index.store.tables import templates

_MARK = "seal_mark"


def check_sealer(connection: Connection, sealer: Sealer, *, database_id: str) -> None:
    """Pass a sealer that opens what this database holds; an empty one is marked as its own.

    Raises:
        SealKeyMissing: its key is not the database's, it has none though templates are sealed,
            or it has one though templates lie in the clear.
        StoreCorrupt: the mark was changed.
    """
    mark = read_fact(connection, _MARK)
    if mark is not None and not sealer.encrypts:
        raise SealKeyMissing(
            "the templates are sealed, but no key was given; give the key file with "
            "FACEGALLERY_SEALING_KEY_FILE"
        )
    if mark is not None:
        sealer.unseal(mark, context=_context(database_id))
    elif sealer.encrypts:
        if connection.execute(select(templates.c.id).limit(1)).first() is not None:
            raise SealKeyMissing(
                "a key was given, but the templates lie in the clear; seal them first with "
                "facegallery-index seal"
            )
        write_mark(connection, new_mark(sealer, database_id=database_id))


def new_mark(sealer: Sealer, *, database_id: str) -> bytes:
    """Return a mark of the sealer's current key, not written yet."""
    return sealer.seal(b"", context=_context(database_id))


def write_mark(connection: Connection, mark: bytes) -> None:
    """Remember that everything in the database is sealed with the mark's key, or a later one."""
    write_fact(connection, _MARK, mark)


def mark_is_current(connection: Connection, sealer: Sealer) -> bool:
    """Return whether all was sealed with the current key when the mark was written."""
    mark = read_fact(connection, _MARK)
    return mark is not None and sealer.is_current(mark)


def marked_key_id(connection: Connection) -> str | None:
    """Return the id of the key that all is sealed with; None where templates lie in the clear."""
    mark = read_fact(connection, _MARK)
    return None if mark is None else key_id_of(mark)


def _context(database_id: str) -> ChunkContext:
    return ChunkContext(purpose="seal mark", owner_id=database_id, file="mark", chunk=0, last=True)
