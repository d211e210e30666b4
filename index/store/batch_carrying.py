"""Carries over, from the state of one gallery's batches to another's, who has to stay out."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert

from index.store.batch_tables import photos, sources

_CARRIED = -1
"""Run of what came from another state; those of a source count from 1, and 0 is elsewhere."""

_AT_A_TIME = 1000
_COLUMNS = (
    "key",
    "state",
    "size_bytes",
    "mtime_ns",
    "content_hash",
    "name_digest",
    "external_digest",
)


def kept_out(connection: Connection) -> Iterator[Sequence[dict[str, Any]]]:
    """Yield the photos that were taken out of the gallery, and their copies, some at a time."""
    other = photos.alias()
    of_removed = select(other.c.id).where(
        other.c.content_hash == photos.c.content_hash, other.c.state == "removed"
    )
    query = (
        select(photos.c.id, sources.c.address, *(photos.c[name] for name in _COLUMNS))
        .join(sources, sources.c.id == photos.c.source_id)
        .where(
            or_(
                photos.c.state == "removed",
                (photos.c.state == "duplicate") & of_removed.exists(),
            )
        )
    )
    last = 0
    while True:
        some = query.where(photos.c.id > last).order_by(photos.c.id).limit(_AT_A_TIME)
        rows = connection.execute(some).all()
        if not rows:
            return
        last = rows[-1].id
        yield [{name: getattr(row, name) for name in ("address", *_COLUMNS)} for row in rows]


def keep_out(connection: Connection, lots: Iterable[Sequence[dict[str, Any]]]) -> None:
    """Keep what another state keeps out, instead of what it kept out the last time."""
    connection.execute(delete(photos).where(photos.c.run == _CARRIED))
    for some in lots:
        addresses = {row["address"] for row in some}
        connection.execute(
            upsert(sources).on_conflict_do_nothing(),
            [{"address": each} for each in sorted(addresses)],
        )
        statement = upsert(photos).values(
            {name: bindparam(name) for name in _COLUMNS}
            | {
                "source_id": select(sources.c.id)
                .where(sources.c.address == bindparam("address"))
                .scalar_subquery(),
                "run": _CARRIED,
            }
        )
        # Over a failure: once the photo can be read, its person would come back.
        statement = statement.on_conflict_do_update(
            index_elements=["source_id", "key"],
            set_={name: statement.excluded[name] for name in (*_COLUMNS, "run")},
            where=photos.c.state == "failed",
        )
        connection.execute(statement, list(some))
