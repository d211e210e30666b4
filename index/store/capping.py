"""Removes what a subject has too many of, in the transaction of the enroll that brought them."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, select

from index.store.lots import in_lots
from index.store.tables import subjects, templates


@dataclass(frozen=True, slots=True, kw_only=True)
class Surplus:
    """A template that went.

    Attributes:
        row_id: of its vector in memory.
        template_id: public.
        subject_id: public.
    """

    row_id: int
    template_id: str
    subject_id: str


def remove_surplus(
    connection: Connection, gallery: int, subject_ids: Collection[str], *, cap: int
) -> list[Surplus]:
    """Delete the templates beyond the cap of each of the subjects.

    Those of the best quality stay, of equal quality the later ones. Measured against the first
    ones, the most different and the most typical ones, this missed the fewest.

    Args:
        connection: in a transaction that holds the gallery; counters and log are the caller's.
        gallery: row id.
        subject_ids: public.
        cap: so many templates of a subject stay, at least 1.

    Returns:
        What went, by subject, the poorest last.
    """
    gone = [
        Surplus(row_id=row.id, template_id=row.public_id, subject_id=public_id)
        for subject, public_id in _with_more(connection, gallery, subject_ids, cap)
        for row in connection.execute(
            select(templates.c.id, templates.c.public_id)
            .where(templates.c.subject_id == subject)
            .order_by(
                templates.c.quality.desc(), templates.c.sequence.desc(), templates.c.id.desc()
            )
            .offset(cap)
        )
    ]
    for some in in_lots([each.row_id for each in gone]):
        connection.execute(delete(templates).where(templates.c.id.in_(some)))
    return gone


def _with_more(
    connection: Connection, gallery: int, subject_ids: Collection[str], cap: int
) -> Iterator[tuple[int, str]]:
    """Row and public ids of those of the subjects that have more templates than the cap."""
    for some in in_lots(sorted(subject_ids)):
        rows = connection.execute(
            select(subjects.c.id, subjects.c.public_id)
            .join_from(subjects, templates)
            .where(subjects.c.gallery_id == gallery, subjects.c.public_id.in_(some))
            .group_by(subjects.c.id, subjects.c.public_id)
            .having(func.count() > cap)
            .order_by(subjects.c.id)
        ).all()
        yield from ((row.id, row.public_id) for row in rows)
