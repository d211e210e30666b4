"""What was decided, in SQL: written with group commit, followed with cursors.

**Order.** The row of the events' head is held from the first insert to the commit, so that numbers
commit in their order, in one process or in many: who has read up to a number has seen all before.
"""

import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row

from embedding.errors import CursorExpired
from index.events import Event, EventPage, EventRules, NewEvent, NewReview
from index.sealing import Sealer
from index.store.clock import ForwardClock
from index.store.cursors import Cursors
from index.store.database import Database
from index.store.event_rows import (
    drop_events,
    hold_subjects,
    insert_events,
    read_events_head,
    some_events,
)
from index.store.group_commit import GroupCommit
from index.store.review_rows import drop_reviews, insert_reviews
from index.store.tables import utc_now

OLDEST = "oldest"
"""In place of a cursor: from the oldest event that is kept."""

_CURSOR = "events"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decided:
    events: Sequence[NewEvent]
    reviews: Sequence[NewReview]


class EventLog:
    """The events of a database; thread safe.

    Args:
        database: open.
        cursors: of the store.
        sealer: seals crops of reviews.
        rules: how long they are kept, and reviews with them.
        clock: of the store.
    """

    def __init__(
        self,
        database: Database,
        *,
        cursors: Cursors,
        sealer: Sealer,
        rules: EventRules,
        clock: ForwardClock,
    ) -> None:
        self._database = database
        self._clock = clock
        self._sealer = sealer
        self._cursors = cursors
        self._rules = rules
        self._commits: GroupCommit[_Decided] = GroupCommit(self._write)
        self._lock = threading.Lock()
        self._watchers: list[Callable[[], None]] = []

    @property
    def shared(self) -> bool:
        """Whether other processes may write events, too, of which no watcher is told."""
        return self._database.shared

    def record(self, events: Sequence[NewEvent], *, reviews: Sequence[NewReview] = ()) -> None:
        """Write events and reviews, all or none; they are on disk then.

        What is about a person who was removed meanwhile is left out.

        Raises:
            StoreError: the database cannot be written.
        """
        if events or reviews:
            self._commits.add(_Decided(events=events, reviews=reviews))
            self.tell()

    def write(self, connection: Connection, events: Sequence[NewEvent]) -> None:
        """Write events in a transaction that holds their subjects; call `tell` after its commit.

        Before the audit log's entry, which is the last thing in a transaction.
        """
        self._insert(connection, events)

    def tell(self) -> None:
        """Call the watchers."""
        with self._lock:
            watchers = list(self._watchers)
        for watcher in watchers:
            watcher()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Have something called after each commit of this process, in the thread that made it."""
        with self._lock:
            self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], None]) -> None:
        """Call it no more."""
        with self._lock:
            self._watchers.remove(watcher)

    def newest(self) -> int:
        """Return the number of the newest event, to see whether there are new ones."""
        with self._database.reading() as connection:
            return read_events_head(connection).newest

    def page(
        self, *, after: str | None, limit: int, gallery_names: Collection[str] | None = None
    ) -> EventPage:
        """Return the events behind a cursor, the oldest first, and where to go on.

        Args:
            after: a cursor; `OLDEST`; or None for no events, only the cursor of now.
            limit: at most so many.
            gallery_names: only events of these galleries; None for all.

        Raises:
            CursorExpired: events behind the cursor are not all kept any more, or the database was
                put back to a state of before.
            RequestInvalid: not a cursor of this list.
        """
        read = None if after in (None, OLDEST) else self._read(str(after))
        with self._database.reading() as connection:
            head = read_events_head(connection)
            if after is None:
                start = head.newest
            elif read is None:
                start = head.dropped
            else:
                start = read
            if not head.dropped <= start <= head.newest:
                raise _expired()
            rows = some_events(
                connection,
                after=start,
                up_to=head.newest,
                limit=limit + 1,
                gallery_names=gallery_names,
                now=self._clock.now(),
            )
            # An upkeep of another process may have dropped some between the two statements.
            if read is not None and read_events_head(connection).dropped > start:
                raise _expired()
        more = len(rows) > limit
        # Nothing is to come up to the head, of these galleries.
        end = rows[limit - 1].number if more else head.newest
        return EventPage(
            events=tuple(map(self._event, rows[:limit])), cursor=self._cursor(end), more=more
        )

    def expire(self) -> bool:
        """Delete events and reviews that are too old or too many.

        Returns:
            Whether crops of faces went with them, whose bytes are to be purged.
        """
        now = utc_now()
        with self._database.transaction() as connection:
            before = now - timedelta(seconds=self._rules.max_age_s)
            drop_events(connection, before=before, max_events=self._rules.max_events)
            with_crops = drop_reviews(connection, now=now, max_reviews=self._rules.max_reviews)
        return with_crops

    def _read(self, cursor: str) -> int:
        return self._cursors.read(cursor, gallery_id=_CURSOR)

    def _cursor(self, number: int) -> str:
        return self._cursors.write(number, gallery_id=_CURSOR)

    def _write(self, lots: Sequence[_Decided]) -> None:
        events = [each for lot in lots for each in lot.events]
        reviews = [each for lot in lots for each in lot.reviews]
        with self._database.transaction() as connection:
            self._insert(connection, events, reviews)

    def _insert(
        self,
        connection: Connection,
        events: Sequence[NewEvent],
        reviews: Sequence[NewReview] = (),
    ) -> None:
        about = {each.subject_id for each in events if each.subject_id is not None}
        about |= {each.subject_id for each in reviews}
        subject_rows = hold_subjects(connection, about) if about else {}
        at = utc_now()
        if reviews:
            insert_reviews(
                connection, reviews, at=at, subject_rows=subject_rows, sealer=self._sealer
            )
        insert_events(connection, events, at=at, subject_rows=subject_rows)

    def _event(self, row: Row[Any]) -> Event:
        return Event(
            cursor=self._cursor(row.number),
            at=row.at,
            kind=row.kind,
            gallery=row.gallery_name,
            gallery_id=row.gallery,
            subject_id=row.subject_public_id,
            decision=row.decision,
            face=row.face,
            source=row.source,
            request_id=row.request,
            review_id=row.review,
            verdict=row.verdict,
        )


def _expired() -> CursorExpired:
    return CursorExpired(
        "the events after this cursor are not all kept any more; begin again with "
        f"after={OLDEST}, or without a cursor for what comes from now on"
    )
