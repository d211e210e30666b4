"""Facts of the whole store, or of one gallery, that are neither people nor keys."""

from typing import Final, Literal, get_args

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from index.sealing import ChunkContext, Sealer
from index.store.ids import new_ids
from index.store.tables import facts

GalleryFact = Literal[
    "calibration", "track_calibration", "normalisation", "track_normalisation", "purged"
]
"""What is known of a gallery as a whole; it goes with the gallery."""

SealedFact = Literal["normalisation", "track_normalisation"]
"""Those that hold embeddings; they lie on disk as a sealer made them."""

_CLEAR: Final = b"\x93NUMPY"

_NAMED: Final = select(facts.c.value).where(facts.c.name == bindparam("name"))
"""Made once: it is asked at every identification."""


def read_fact(connection: Connection, name: str) -> bytes | None:
    """Return the fact; None where it was never written."""
    value: bytes | None = connection.scalar(_NAMED, {"name": name})
    return value


def write_fact(connection: Connection, name: str, value: bytes) -> None:
    """Write the fact over what it was."""
    if first_fact(connection, name, value) != value:
        connection.execute(update(facts).where(facts.c.name == name).values(value=value))


def delete_fact(connection: Connection, name: str) -> None:
    """Delete the fact, if there is one."""
    connection.execute(delete(facts).where(facts.c.name == name))


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


def seal_fact(kind: GalleryFact, value: bytes, *, gallery_id: str, sealer: Sealer) -> bytes:
    """Return a fact as it goes to disk."""
    if kind not in get_args(SealedFact):
        return value
    return sealer.seal(value, context=_context(kind, gallery_id))


def unseal_fact(kind: GalleryFact, value: bytes, *, gallery_id: str, sealer: Sealer) -> bytes:
    """Return what `seal_fact` was given.

    Raises:
        StoreCorrupt: the bytes were changed, or are another gallery's.
        SealKeyMissing: they are sealed with a key that is not at hand.
    """
    if kind not in get_args(SealedFact) or _is_clear(value):
        return value
    return sealer.unseal(value, context=_context(kind, gallery_id))


def reseal_facts(connection: Connection, gallery_id: str, *, old: Sealer, new: Sealer) -> None:
    """Seal a gallery's facts with the current key; the gallery must be held.

    Args:
        connection: a transaction.
        gallery_id: opaque.
        old: opens what is there.
        new: seals it.

    Raises:
        As `unseal_fact`.
    """
    kinds: tuple[SealedFact, ...] = get_args(SealedFact)
    for kind in kinds:
        name = gallery_fact(kind, gallery_id)
        value = read_fact(connection, name)
        if value is None or (not _is_clear(value) and new.is_current(value)):
            continue
        clear = unseal_fact(kind, value, gallery_id=gallery_id, sealer=old)
        write_fact(connection, name, seal_fact(kind, clear, gallery_id=gallery_id, sealer=new))


def _is_clear(value: bytes) -> bool:
    """Whether embeddings lie in the clear, as before a first sealing: then as an .npy file."""
    return value.startswith(_CLEAR)


def _context(kind: GalleryFact, gallery_id: str) -> ChunkContext:
    return ChunkContext(purpose="fact", owner_id=gallery_id, file=kind, chunk=0, last=True)
