"""Rows of the review queue."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    delete,
    func,
    or_,
    select,
    update,
)

from index.events import NewReview, Review, ReviewState
from index.sealing import Sealer
from index.store.bulk import driver_time, insert_rows
from index.store.crop_rows import insert_crops, move_crops, seal_crop
from index.store.lots import in_lots
from index.store.subject_rows import not_expired
from index.store.tables import crops, galleries, reviews, subjects


def insert_reviews(
    connection: Connection,
    new: Sequence[NewReview],
    *,
    at: datetime,
    subject_rows: dict[str, int],
    sealer: Sealer,
) -> None:
    """Write reviews, but none of a subject that is gone; arguments as of `insert_events`."""
    time = driver_time(connection, at)
    rows = [
        {
            "public_id": each.id,
            "subject_id": subject_rows[each.subject_id],
            "similarity": each.similarity,
            "reasons": json.dumps(list(each.reasons)),
            "face": each.face,
            "source": each.source,
            "request": each.request_id,
            "created_at": time,
            "expires_at": driver_time(connection, each.expires_at),
        }
        for each in new
        if each.subject_id in subject_rows
    ]
    if not rows:
        return
    insert_rows(connection, reviews, rows)
    with_crop = {each.id: each for each in new if each.crop is not None}
    if with_crop:
        _insert_crops(connection, with_crop, sealer=sealer)


def _insert_crops(connection: Connection, new: Mapping[str, NewReview], *, sealer: Sealer) -> None:
    """Keep the crops of reviews that were written, by public id."""
    written = connection.execute(
        select(reviews.c.id, reviews.c.public_id).where(reviews.c.public_id.in_(list(new)))
    )
    sealed = {
        row.id: seal_crop(
            new[row.public_id].crop or b"",
            "review",
            row.public_id,
            gallery_id=new[row.public_id].gallery_id,
            subject_id=new[row.public_id].subject_id,
            sealer=sealer,
        )
        for row in written
    }
    insert_crops(connection, "review", sealed)


def select_reviews(
    *, now: datetime, gallery_names: Collection[str] | None
) -> Select[tuple[Any, ...]]:
    """Return the query of reviews of galleries with these names, or of all.

    Without those that have expired, or whose candidate has.
    """
    query = (
        select(
            reviews,
            galleries.c.name.label("gallery"),
            galleries.c.public_id.label("gallery_public_id"),
            subjects.c.public_id.label("subject_public_id"),
        )
        .join(subjects, subjects.c.id == reviews.c.subject_id)
        .join(galleries, galleries.c.id == subjects.c.gallery_id)
        .where(reviews.c.expires_at > now, not_expired(now))
    )
    if gallery_names is not None:
        query = query.where(galleries.c.name.in_(sorted(gallery_names)))
    return query


def in_state(state: ReviewState, *, now: datetime) -> ColumnElement[bool]:
    """Return the condition that a review is in a state."""
    undecided = reviews.c.decided_at.is_(None)
    if state == "decided":
        return reviews.c.decided_at.is_not(None)
    if state == "claimed":
        return and_(undecided, reviews.c.claimed_until > now)
    free = or_(reviews.c.claimed_until.is_(None), reviews.c.claimed_until <= now)
    return and_(undecided, free)


def review_of(row: Row[Any], *, now: datetime) -> Review:
    """Return a review; a claim that is over is none."""
    claimed = row.claimed_until is not None and row.claimed_until > now
    decided = row.decided_at is not None
    state: ReviewState = "decided" if decided else "claimed" if claimed else "open"
    return Review(
        id=row.public_id,
        gallery=row.gallery,
        gallery_id=row.gallery_public_id,
        subject_id=row.subject_public_id,
        similarity=row.similarity,
        reasons=tuple(json.loads(row.reasons)),
        face=row.face,
        source=row.source,
        request_id=row.request,
        state=state,
        created_at=row.created_at,
        expires_at=row.expires_at,
        claimed_by=row.claimed_by if state == "claimed" else None,
        claimed_until=row.claimed_until if state == "claimed" else None,
        verdict=row.verdict,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
    )


def move_reviews(
    connection: Connection,
    *,
    gallery_id: str,
    old: tuple[int, str],
    new: tuple[int, str],
    sealer: Sealer,
) -> None:
    """Give the reviews of one subject to another, with their crops.

    Args:
        connection: in a transaction that holds both.
        gallery_id: of both.
        old: row and public id of the one.
        new: of the other.
        sealer: of the gallery.

    Raises:
        StoreCorrupt: a crop was changed.
        SealKeyMissing: one is sealed with a key that is not at hand.
    """
    own = select(reviews.c.id, reviews.c.public_id).where(reviews.c.subject_id == old[0])
    moved = [(row.id, row.public_id) for row in connection.execute(own.order_by(reviews.c.id))]
    if not moved:
        return
    move_crops(
        connection,
        "review",
        moved,
        gallery_id=gallery_id,
        old=old[1],
        new=new[1],
        sealer=sealer,
    )
    connection.execute(
        update(reviews).where(reviews.c.subject_id == old[0]).values(subject_id=new[0])
    )


def drop_reviews(connection: Connection, *, now: datetime, max_reviews: int) -> bool:
    """Delete reviews that have expired, and the oldest of too many.

    Returns:
        Whether crops of faces went with them.
    """
    expired = select(reviews.c.id).where(reviews.c.expires_at <= now).order_by(reviews.c.id)
    with_crops = _drop(connection, expired)
    surplus = (connection.scalar(select(func.count()).select_from(reviews)) or 0) - max_reviews
    if surplus > 0:
        oldest = select(reviews.c.id).order_by(reviews.c.id).limit(surplus)
        with_crops = _drop(connection, oldest) or with_crops
    return with_crops


def _drop(connection: Connection, which: Select[tuple[int]]) -> bool:
    # What somebody decides on at the moment, or removes, is left to the next time.
    ids = connection.scalars(which.with_for_update(skip_locked=True)).all()
    with_crops = False
    for some in in_lots(ids):
        found = select(crops.c.id).where(crops.c.review_id.in_(some)).limit(1)
        with_crops = with_crops or connection.scalar(found) is not None
        connection.execute(delete(reviews).where(reviews.c.id.in_(some)))
    return with_crops
