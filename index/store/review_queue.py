"""The queue of faces that a person looks at, shared by several people; one gets each."""

import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, update

from embedding.errors import CropNotFound, ReviewClaimed, ReviewDecided, ReviewNotFound
from index.audit.entries import AuditEvent, Fact
from index.checks import check_limit
from index.events import NewEvent, Review, ReviewState, Verdict
from index.sealing import Sealer
from index.store.audit_log import AuditLog
from index.store.clock import ForwardClock
from index.store.crop_rows import crop_context, review_crop
from index.store.cursors import Cursors
from index.store.database import Database
from index.store.event_log import EventLog
from index.store.event_rows import hold_subjects
from index.store.review_rows import in_state, review_of, select_reviews
from index.store.tables import reviews

_CURSOR = "reviews"
_ID = re.compile("[0-9a-f-]{36}")


class ReviewQueue:
    """The reviews of a database; every method is one transaction and thread safe.

    A person is told apart by a key's id. Each method takes the names of the galleries whose
    reviews there are for the caller; None for all.

    Args:
        database: open.
        events: are told of decisions.
        audit: is told of claims and decisions.
        cursors: of the store.
        sealer: opens crops.
        clock: of the store.
    """

    def __init__(
        self,
        database: Database,
        *,
        events: EventLog,
        audit: AuditLog,
        cursors: Cursors,
        sealer: Sealer,
        clock: ForwardClock,
    ) -> None:
        self._database = database
        self._events = events
        self._audit = audit
        self._cursors = cursors
        self._sealer = sealer
        self._clock = clock

    def page(
        self,
        *,
        state: ReviewState | None,
        limit: int,
        cursor: str | None = None,
        gallery_names: Collection[str] | None = None,
    ) -> tuple[list[Review], str | None]:
        """Return reviews, the oldest first, and the cursor of the next page; None at the end.

        Args:
            state: only those in it; None for all.
            limit: at most so many, 1 to 1000.
            cursor: of the page before.
            gallery_names: see the class.

        Raises:
            RequestInvalid: the limit is out of range, or the cursor is not of this list.
        """
        check_limit(limit)
        after = 0 if cursor is None else self._cursors.read(cursor, gallery_id=_CURSOR)
        now = self._clock.now()
        query = select_reviews(now=now, gallery_names=gallery_names).where(reviews.c.id > after)
        if state is not None:
            query = query.where(in_state(state, now=now))
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(reviews.c.id).limit(limit + 1)).all()
        found = [review_of(row, now=now) for row in rows[:limit]]
        more = len(rows) > limit
        next_cursor = self._cursors.write(rows[limit - 1].id, gallery_id=_CURSOR) if more else None
        return found, next_cursor

    def get(self, public_id: str, *, gallery_names: Collection[str] | None = None) -> Review:
        """Return a review.

        Raises:
            ReviewNotFound: there is none with this id, or it has expired.
        """
        now = self._clock.now()
        with self._database.reading() as connection:
            return review_of(_row(connection, public_id, gallery_names, now=now), now=now)

    def crop(self, public_id: str, *, gallery_names: Collection[str] | None = None) -> bytes:
        """Return a review's face as a PNG file, entered into the audit log before.

        Raises:
            CropNotFound: none was kept.
            ReviewNotFound: there is none with this id, or it has expired.
            StoreCorrupt: it was changed.
            SealKeyMissing: it is sealed with a key that is not at hand.
        """
        with self._database.transaction() as connection:
            row = _row(connection, public_id, gallery_names, now=self._clock.now())
            sealed = review_crop(connection, row.id)
            if sealed is None:
                raise CropNotFound("no crop of this face was kept")
            context = crop_context(
                "review",
                public_id,
                gallery_id=row.gallery_public_id,
                subject_id=row.subject_public_id,
            )
            crop = self._sealer.unseal(sealed, context=context)
            self._enter(connection, "crop.show", row)
        return crop

    def claim(
        self,
        public_id: str,
        *,
        by: str,
        claim_s: float,
        gallery_names: Collection[str] | None = None,
    ) -> Review:
        """Give a review to a person for a while, or for longer; returns it.

        Args:
            public_id: of the review.
            by: id of the person's key.
            claim_s: for so many seconds from now on.
            gallery_names: see the class.

        Raises:
            ReviewClaimed: another person has it.
            ReviewDecided: it was decided.
            ReviewNotFound: there is none with this id, or it has expired.
        """
        until = self._clock.now() + timedelta(seconds=claim_s)
        with self._database.transaction() as connection:
            row, now = self._held(connection, public_id, gallery_names)
            _check_undecided(row)
            _check_free(row, by=by, now=now)
            self._change(connection, row, {"claimed_by": by, "claimed_until": until})
            self._enter(connection, "review.claim", row)
            return review_of(_row(connection, public_id, gallery_names, now=now), now=now)

    def release(
        self, public_id: str, *, by: str, gallery_names: Collection[str] | None = None
    ) -> Review:
        """Give a claimed review back to all; returns it. Without a claim nothing changes.

        Raises:
            As `claim`.
        """
        with self._database.transaction() as connection:
            row, now = self._held(connection, public_id, gallery_names)
            _check_undecided(row)
            _check_free(row, by=by, now=now)
            self._change(connection, row, {"claimed_by": None, "claimed_until": None})
            self._enter(connection, "review.release", row)
            return review_of(_row(connection, public_id, gallery_names, now=now), now=now)

    def decide(
        self,
        public_id: str,
        verdict: Verdict,
        *,
        by: str,
        tell: bool,
        gallery_names: Collection[str] | None = None,
    ) -> Review:
        """Decide a review that nobody else has claimed; returns it. Nobody is enrolled by it.

        The same verdict of the same person again changes nothing.

        Args:
            public_id: of the review.
            verdict: whether the face is the candidate's.
            by: id of the person's key.
            tell: write an event.
            gallery_names: see the class.

        Raises:
            As `claim`.
        """
        with self._database.transaction() as connection:
            row, now = self._held(connection, public_id, gallery_names)
            if row.decided_at is not None and (row.decided_by, row.verdict) == (by, verdict):
                return review_of(row, now=now)
            _check_undecided(row)
            _check_free(row, by=by, now=now)
            decided = {"verdict": verdict, "decided_by": by, "decided_at": now}
            self._change(connection, row, decided)
            if tell:
                self._events.write(connection, [_event(row, verdict)])
            self._enter(connection, "review.decide", row, facts={"verdict": verdict})
            review = review_of(_row(connection, public_id, gallery_names, now=now), now=now)
        if tell:
            self._events.tell()
        return review

    def _held(
        self, connection: Connection, public_id: str, gallery_names: Collection[str] | None
    ) -> tuple[Row[Any], datetime]:
        """The review's row, which nobody else changes until the commit, and the time."""
        now = self._clock.now()
        row = _row(connection, public_id, gallery_names, now=now)
        # In the order of a removal: the subject, then what is about it. A merge may have given
        # the review to another subject while this waited for the one.
        while row.subject_public_id not in hold_subjects(connection, [row.subject_public_id]):
            row = _row(connection, public_id, gallery_names, now=now)
        connection.execute(
            reviews.select().where(reviews.c.id == row.id).with_for_update()
        ).first()
        return _row(connection, public_id, gallery_names, now=now), now

    def _change(self, connection: Connection, row: Row[Any], values: dict[str, object]) -> None:
        connection.execute(update(reviews).where(reviews.c.id == row.id).values(values))

    def _enter(
        self,
        connection: Connection,
        action: str,
        row: Row[Any],
        *,
        facts: dict[str, Fact] | None = None,
    ) -> None:
        self._audit.write(
            connection,
            AuditEvent(
                action=action,
                gallery_id=row.gallery_public_id,
                subject_ids=(row.subject_public_id,),
                facts=facts or {},
            ),
        )


def _row(
    connection: Connection,
    public_id: str,
    gallery_names: Collection[str] | None,
    *,
    now: datetime,
) -> Row[Any]:
    row = None
    if _ID.fullmatch(public_id):
        query = select_reviews(now=now, gallery_names=gallery_names)
        row = connection.execute(query.where(reviews.c.public_id == public_id)).first()
    if row is None:
        raise ReviewNotFound("there is no review with this id, or it has expired; list them")
    return row


def _check_undecided(row: Row[Any]) -> None:
    if row.decided_at is not None:
        raise ReviewDecided("this review was decided already; look at its verdict")


def _check_free(row: Row[Any], *, by: str, now: datetime) -> None:
    claimed = row.claimed_until is not None and row.claimed_until > now
    if claimed and row.claimed_by != by:
        raise ReviewClaimed("another person has claimed this review; take another one")


def _event(row: Row[Any], verdict: Verdict) -> NewEvent:
    return NewEvent(
        kind="review_decided",
        gallery_id=row.gallery_public_id,
        subject_id=row.subject_public_id,
        decision="review",
        face=row.face,
        source=row.source,
        request_id=row.request,
        review_id=row.public_id,
        verdict=verdict,
    )
