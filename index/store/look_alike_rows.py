"""Pairs of subjects of one gallery that a photo may not tell apart, by people's declaration."""

from collections.abc import Iterable
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    delete,
    insert,
    or_,
    select,
    union_all,
)

from embedding.errors import RequestInvalid
from index.store.lots import in_lots
from index.store.subject_rows import row_of
from index.store.tables import UtcTime, look_alikes, subjects, utc_now

_ONE = subjects.alias("one")
_OTHER = subjects.alias("other")
_NOW = bindparam("now", type_=UtcTime())
# Without those of whom one has expired.
_PAIRS = (
    select(_ONE.c.public_id.label("one"), _OTHER.c.public_id.label("other"))
    .join_from(look_alikes, _ONE, look_alikes.c.subject_id == _ONE.c.id)
    .join(_OTHER, look_alikes.c.other_id == _OTHER.c.id)
    .where(
        *(or_(each.c.expires_at.is_(None), each.c.expires_at > _NOW) for each in (_ONE, _OTHER))
    )
)
_OWN = (
    select(subjects.c.id)
    .where(
        subjects.c.gallery_id == bindparam("gallery"),
        subjects.c.public_id == bindparam("public_id"),
    )
    .scalar_subquery()
)
# Two queries in one: with OR, a database would read the whole table. Made once, since it is asked
# at every identification.
_OF_SUBJECT = union_all(
    _PAIRS.where(look_alikes.c.subject_id == _OWN), _PAIRS.where(look_alikes.c.other_id == _OWN)
)


def declare(
    connection: Connection, gallery: int, one: str, other: str, *, now: datetime | None = None
) -> bool:
    """Write a pair; returns whether it was new.

    Args:
        connection: in a transaction that holds the gallery.
        gallery: row id.
        one: public id.
        other: public id.
        now: who has expired by then is not there; None for everybody.

    Raises:
        RequestInvalid: both are the same subject.
        SubjectNotFound: one of them is not in the gallery.
    """
    pair = _pair(connection, gallery, one, other, now=now)
    if connection.execute(select(look_alikes).where(_is(pair))).first() is not None:
        return False
    connection.execute(
        insert(look_alikes).values(subject_id=pair[0], other_id=pair[1], declared_at=utc_now())
    )
    return True


def withdraw(
    connection: Connection, gallery: int, one: str, other: str, *, now: datetime | None = None
) -> bool:
    """Delete a pair; returns whether it was there. Arguments and errors as `declare`."""
    pair = _pair(connection, gallery, one, other, now=now)
    return connection.execute(delete(look_alikes).where(_is(pair))).rowcount > 0


def pairs_of(connection: Connection, gallery: int, *, now: datetime) -> list[tuple[str, str]]:
    """Return all pairs of a gallery, as public ids, in the order of the subjects' rows.

    Pairs of whom one has expired by the time are left out, here and in the functions below.
    """
    rows = connection.execute(
        _PAIRS.where(_ONE.c.gallery_id == gallery).order_by(_ONE.c.id, _OTHER.c.id), {"now": now}
    )
    return [(row.one, row.other) for row in rows]


def some_pairs(
    connection: Connection, gallery: int, *, after: tuple[int, int], limit: int, now: datetime
) -> list[Row[Any]]:
    """Return the next pairs, as `one` and `other`, with their row ids `first` and `second`.

    Args:
        connection: in a transaction.
        gallery: row id.
        after: row ids of the last pair before; (0, 0) for the first.
        limit: at most so many.
        now: see `pairs_of`.
    """
    first, second = look_alikes.c.subject_id, look_alikes.c.other_id
    behind = (first > after[0]) | ((first == after[0]) & (second > after[1]))
    query = _PAIRS.add_columns(first.label("first"), second.label("second"))
    return list(
        connection.execute(
            query.where(_ONE.c.gallery_id == gallery, behind).order_by(first, second).limit(limit),
            {"now": now},
        ).all()
    )


def partners_of(
    connection: Connection, gallery: int, public_id: str, *, now: datetime
) -> list[str]:
    """Return the public ids of the look-alikes of a subject; none of one that is gone."""
    given = {"gallery": gallery, "public_id": public_id, "now": now}
    rows = connection.execute(_OF_SUBJECT, given)
    return [row.other if row.one == public_id else row.one for row in rows]


def declare_known(
    connection: Connection, gallery: int, pairs: Iterable[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Write those of the pairs whose subjects are both in the gallery; returns the new ones.

    Args:
        connection: in a transaction that holds the gallery.
        gallery: row id.
        pairs: of public ids.
    """
    wanted = [(one, other) for one, other in pairs if one != other]
    known: set[str] = set()
    for some in in_lots(sorted(set(chain.from_iterable(wanted)))):
        query = select(subjects.c.public_id).where(
            subjects.c.gallery_id == gallery, subjects.c.public_id.in_(some)
        )
        known.update(connection.scalars(query))
    return [
        (one, other)
        for one, other in wanted
        if one in known and other in known and declare(connection, gallery, one, other)
    ]


def _pair(
    connection: Connection, gallery: int, one: str, other: str, *, now: datetime | None
) -> tuple[int, int]:
    """The row ids, the smaller one first."""
    first, second = (row_of(connection, gallery, each, now=now) for each in (one, other))
    if first == second:
        raise RequestInvalid("a subject cannot be its own look-alike; give two subjects")
    return min(first, second), max(first, second)


def _is(pair: tuple[int, int]) -> ColumnElement[bool]:
    return (look_alikes.c.subject_id == pair[0]) & (look_alikes.c.other_id == pair[1])
