"""Rows of events: numbered in the order of their commits, read behind a number."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, select, update

from index.events import NewEvent
from index.store.bulk import driver_time, insert_rows
from index.store.facts import first_fact, read_fact
from index.store.lots import in_lots
from index.store.subject_rows import not_expired
from index.store.tables import events, facts, galleries, subjects

_HEAD = "events_head"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsHead:
    """How far events go.

    Attributes:
        newest: number of the last one that was ever written; 0 before the first.
        dropped: up to which they are not kept any more.
    """

    newest: int = 0
    dropped: int = 0


def read_events_head(connection: Connection) -> EventsHead:
    """Return how far events go, as it was committed."""
    value = read_fact(connection, _HEAD)
    return EventsHead() if value is None else _decode(value)


def hold_events_head(connection: Connection) -> EventsHead:
    """Return how far events go, and keep others from writing any until the commit."""
    query = select(facts.c.value).where(facts.c.name == _HEAD).with_for_update()
    value = connection.execute(query).scalar()
    if value is None:
        first_fact(connection, _HEAD, _encode(EventsHead()))
        # Another process may have been quicker, and gone on since.
        value = connection.execute(query).scalar_one()
    return _decode(value)


def write_events_head(connection: Connection, head: EventsHead) -> None:
    """Write how far events go; it is held."""
    connection.execute(update(facts).where(facts.c.name == _HEAD).values(value=_encode(head)))


def hold_subjects(connection: Connection, public_ids: Collection[str]) -> dict[str, int]:
    """Return row ids of subjects by public id, who are kept from being removed until the commit.

    Who is gone is left out. Held before anything that a removal takes along, in the order of
    their rows: nobody waits in a circle.
    """
    found: dict[str, int] = {}
    for some in in_lots(sorted(set(public_ids))):
        rows = connection.execute(
            select(subjects.c.id, subjects.c.public_id)
            .where(subjects.c.public_id.in_(some))
            .order_by(subjects.c.id)
            .with_for_update(read=True, key_share=True)
        )
        found |= {row.public_id: row.id for row in rows}
    return found


def hold_for_merge(connection: Connection, *subject_rows: int) -> None:
    """Wait for whoever writes about subjects, and keep others from it until the commit.

    In the order of their rows, as `hold_subjects` does: what is written then is moved with the
    rest, and what comes later finds the one that stays.
    """
    connection.execute(
        select(subjects.c.id)
        .where(subjects.c.id.in_(subject_rows))
        .order_by(subjects.c.id)
        .with_for_update()
    ).all()


def insert_events(
    connection: Connection,
    new: Sequence[NewEvent],
    *,
    at: datetime,
    subject_rows: dict[str, int],
) -> int:
    """Write events, but none of a subject that is gone; returns how many.

    Args:
        connection: in a transaction.
        new: in their order.
        at: UTC.
        subject_rows: row ids by public id, from `hold_subjects`.
    """
    kept = [each for each in new if each.subject_id is None or each.subject_id in subject_rows]
    if not kept:
        return 0
    head = hold_events_head(connection)
    time = driver_time(connection, at)
    rows = [
        {
            "number": head.newest + place,
            "at": time,
            "kind": each.kind,
            "gallery": each.gallery_id,
            "subject_id": None if each.subject_id is None else subject_rows[each.subject_id],
            "decision": each.decision,
            "face": each.face,
            "source": each.source,
            "request": each.request_id,
            "review": each.review_id,
            "verdict": each.verdict,
        }
        for place, each in enumerate(kept, start=1)
    ]
    insert_rows(connection, events, rows)
    newest = head.newest + len(kept)
    write_events_head(connection, EventsHead(newest=newest, dropped=head.dropped))
    return len(kept)


def some_events(
    connection: Connection,
    *,
    after: int,
    up_to: int,
    limit: int,
    gallery_names: Collection[str] | None,
    now: datetime,
) -> Sequence[Row[Any]]:
    """Return events between two numbers, at most so many, of galleries with these names or all.

    Those about people who have expired by the time are left out.
    """
    query = (
        select(
            events,
            galleries.c.name.label("gallery_name"),
            subjects.c.public_id.label("subject_public_id"),
        )
        .join(galleries, galleries.c.public_id == events.c.gallery)
        .outerjoin(subjects, subjects.c.id == events.c.subject_id)
        .where(events.c.number > after, events.c.number <= up_to, not_expired(now))
        .order_by(events.c.number)
        .limit(limit)
    )
    if gallery_names is not None:
        query = query.where(galleries.c.name.in_(sorted(gallery_names)))
    return connection.execute(query).all()


def move_events(connection: Connection, *, old: int, new: int) -> None:
    """Give the events about one subject to another, by row ids; both are held."""
    connection.execute(update(events).where(events.c.subject_id == old).values(subject_id=new))


def drop_events(connection: Connection, *, before: datetime, max_events: int) -> int:
    """Delete events of before a time, and the oldest of too many; returns how many.

    One cut: what is behind a cursor is there as a whole, or the cursor is behind the cut.
    """
    head = read_events_head(connection)
    oldest = connection.scalar(select(func.min(events.c.number)))
    if oldest is None:
        return 0
    # Numbers go up with the times, but for a clock that was set: then some stay a little longer.
    first_young = connection.scalar(
        select(events.c.number).where(events.c.at >= before).order_by(events.c.number).limit(1)
    )
    last = head.newest if first_young is None else first_young - 1
    last = max(last, head.newest - max_events)
    if last < oldest:
        return 0
    head = hold_events_head(connection)
    # Those that a removal has in hand go with it; waiting for it could be waiting in a circle.
    free = (
        select(events.c.number)
        .where(events.c.number <= last)
        .order_by(events.c.number)
        .with_for_update(skip_locked=True)
    )
    gone = connection.execute(delete(events).where(events.c.number.in_(free))).rowcount
    write_events_head(connection, EventsHead(newest=head.newest, dropped=max(head.dropped, last)))
    return gone


def forget_gallery_events(connection: Connection, gallery_id: str) -> None:
    """Delete all events of a gallery, in the transaction that deletes the gallery."""
    connection.execute(delete(events).where(events.c.gallery == gallery_id))


def _encode(head: EventsHead) -> bytes:
    return json.dumps([head.newest, head.dropped]).encode()


def _decode(value: bytes) -> EventsHead:
    newest, dropped = json.loads(value)
    return EventsHead(newest=newest, dropped=dropped)
