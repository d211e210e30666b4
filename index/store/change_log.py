"""The change log of a gallery: what happened, numbered from the gallery's own counter.

The counter's row is held from the first read to the commit, so numbers commit in order and
without gaps; an identity column would commit them out of order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from embedding.errors import GalleryNotFound
from index.store.tables import changes, galleries

ChangeKind = Literal[
    "subject_added",
    "subject_relabeled",
    "subject_removed",
    "template_added",
    "template_removed",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry without its number; ids only, for names are erasable."""

    kind: ChangeKind
    subject_id: str | None
    template_id: str | None = None


def begin_change(connection: Connection, gallery: int) -> int:
    """Return the last number given out, with the gallery's counter held until the commit.

    Raises:
        GalleryNotFound: the gallery was deleted.
    """
    sequence: int | None = connection.scalar(
        select(galleries.c.sequence).where(galleries.c.id == gallery).with_for_update()
    )
    if sequence is None:
        raise GalleryNotFound("the gallery was deleted")
    return sequence


def write_changes(
    connection: Connection,
    gallery: int,
    entries: Sequence[Change],
    *,
    last_sequence: int,
    at: datetime,
) -> None:
    """Write entries with the numbers after `last_sequence`, and move the counter on."""
    connection.execute(
        insert(changes),
        [
            {
                "gallery_id": gallery,
                "sequence": sequence,
                "kind": entry.kind,
                "subject": entry.subject_id,
                "template": entry.template_id,
                "at": at,
            }
            for sequence, entry in enumerate(entries, start=last_sequence + 1)
        ],
    )
    connection.execute(
        update(galleries)
        .where(galleries.c.id == gallery)
        .values(sequence=last_sequence + len(entries))
    )
