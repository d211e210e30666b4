"""The change log of a gallery: what happened, numbered from the gallery's own counter.

The counter's row is held from the first read to the commit, so numbers commit in order and
without gaps; an identity column would commit them out of order. The gallery's counts lie in the
same row and change with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, select, update

from embedding.errors import GalleryNotFound, GalleryReplaced
from index.store.bulk import driver_time, insert_rows
from index.store.tables import changes, galleries

ChangeKind = Literal[
    "subject_added",
    "subject_relabeled",
    "subject_removed",
    "template_added",
    "template_removed",
    "template_moved",
    "subject_merged",
    "subject_merged_into",
    "rules_changed",
    "look_alike_declared",
    "look_alike_withdrawn",
]
"""Those from `template_moved` on change no vector, but answers: whoever keeps answers keeps them
up to a number of the log. A moved template is logged with its new subject; a merge with the
subject that went, and next with the one that it went into."""


_ERASING: frozenset[ChangeKind] = frozenset(
    {"subject_removed", "template_removed", "subject_merged"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One entry without its number; ids only, for names are erasable.

    Attributes:
        template_row: the template's id in memory.
    """

    kind: ChangeKind
    subject_id: str | None
    template_id: str | None = None
    template_row: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryState:
    """Where a gallery's counter stands, and what the gallery holds at that point.

    Attributes:
        sequence: number of the newest entry of the change log; 0 before the first.
        num_templates: of all subjects.
        num_subjects: with at least one template.
    """

    sequence: int
    num_templates: int
    num_subjects: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The gallery's state before and after a committed change.

    A copy in memory that was at `before` is at `after` once it has made the change too.
    """

    before: GalleryState
    after: GalleryState


def read_state(
    connection: Connection, gallery: int, *, hold: bool = False, name: str | None = None
) -> GalleryState:
    """Return the gallery's state.

    Args:
        connection: in a transaction.
        gallery: row id.
        hold: keep the row from other changes until the commit.
        name: that it is known by; None for any.

    Raises:
        GalleryNotFound: the gallery was deleted.
        GalleryReplaced: it has another name by now.
    """
    query = select(
        galleries.c.sequence,
        galleries.c.num_templates,
        galleries.c.num_subjects,
        galleries.c.name,
    ).where(galleries.c.id == gallery)
    row = connection.execute(query.with_for_update() if hold else query).first()
    if row is None:
        raise GalleryNotFound("the gallery was deleted")
    if name is not None and row.name != name:
        # What was meant for the name would go into, or out of, a gallery that nobody asks.
        raise GalleryReplaced(
            "the name stands for another gallery since a moment ago; do the same again"
        )
    return GalleryState(
        sequence=row.sequence, num_templates=row.num_templates, num_subjects=row.num_subjects
    )


def begin_change(connection: Connection, gallery: int, *, name: str | None = None) -> GalleryState:
    """Return the gallery's state, held until the commit; arguments and errors as `read_state`."""
    return read_state(connection, gallery, hold=True, name=name)


def write_changes(
    connection: Connection,
    gallery: int,
    entries: Sequence[Change],
    *,
    before: GalleryState,
    at: datetime,
    num_templates: int = 0,
    num_subjects: int = 0,
) -> GalleryState:
    """Write entries with the numbers after the state's, and move counter and counts on.

    Args:
        connection: the transaction that `begin_change` was called in.
        gallery: row id.
        entries: in their order.
        before: what `begin_change` returned.
        at: when.
        num_templates: so many more than before; negative for fewer.
        num_subjects: likewise.

    Returns:
        The state after the commit.
    """
    written_at = driver_time(connection, at)
    insert_rows(
        connection,
        changes,
        [
            {
                "gallery_id": gallery,
                "sequence": sequence,
                "kind": entry.kind,
                "subject": entry.subject_id,
                "template": entry.template_id,
                "template_row": entry.template_row,
                "at": written_at,
            }
            for sequence, entry in enumerate(entries, start=before.sequence + 1)
        ],
    )
    after = GalleryState(
        sequence=before.sequence + len(entries),
        num_templates=before.num_templates + num_templates,
        num_subjects=before.num_subjects + num_subjects,
    )
    connection.execute(
        update(galleries)
        .where(galleries.c.id == gallery)
        .values(
            sequence=after.sequence,
            num_templates=after.num_templates,
            num_subjects=after.num_subjects,
        )
    )
    return after


@dataclass(frozen=True, slots=True, kw_only=True)
class RowChanges:
    """What a copy in memory has to do to follow the log.

    Attributes:
        sequence: where it stands afterwards.
        added: ids of templates that came and were not removed again.
        removed: ids of templates to forget, where they are known.
        erases: whether rows of people or templates went, whose bytes are to be purged.
    """

    sequence: int
    added: tuple[int, ...]
    removed: tuple[int, ...]
    erases: bool


def rows_changed(connection: Connection, gallery: int, *, after: int, limit: int) -> RowChanges:
    """Return what comes after a number, at most so many entries of the log."""
    rows = connection.execute(
        select(changes.c.sequence, changes.c.kind, changes.c.template_row)
        .where(changes.c.gallery_id == gallery, changes.c.sequence > after)
        .order_by(changes.c.sequence)
        .limit(limit)
    ).all()
    added = {row.template_row for row in rows if row.kind == "template_added"}
    removed = {row.template_row for row in rows if row.kind == "template_removed"}
    # A row is without an id where it was logged by an earlier version and is gone.
    return RowChanges(
        sequence=rows[-1].sequence if rows else after,
        added=tuple(sorted(added - removed - {None})),
        removed=tuple(sorted(removed - {None})),
        erases=any(row.kind in _ERASING for row in rows),
    )


def has_moves(connection: Connection, gallery: int, *, after: int) -> bool:
    """Return whether a template got another subject after a number."""
    move: ChangeKind = "template_moved"
    query = select(changes.c.sequence).where(
        changes.c.gallery_id == gallery, changes.c.sequence > after, changes.c.kind == move
    )
    return connection.execute(query.limit(1)).first() is not None


def anchor_at(connection: Connection, gallery: int, sequence: int) -> str | None:
    """Return what tells the entry at a number from that of any other history; None without one.

    A database that was restored from a backup counts on from an earlier number, and its next
    entries have other random ids and times.
    """
    if sequence == 0:
        return ""
    row = connection.execute(
        select(changes.c.kind, changes.c.subject, changes.c.template, changes.c.at).where(
            changes.c.gallery_id == gallery, changes.c.sequence == sequence
        )
    ).first()
    return None if row is None else f"{row.kind} {row.subject} {row.template} {row.at.isoformat()}"
