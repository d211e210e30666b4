"""The audit log in SQL: written in the transaction of what it tells of, read in pages.

**Order.** Every change of a gallery or key writes its entry in its own transaction, as the last
thing before the commit: the row of the head is held from there on, so that entries are numbered
and chained in the order of the commits, in one process or in many. What changes nothing, an
identification or a refusal, is noted and written within `NOTED_WITHIN_S`, many in one commit.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection, select, update

from embedding.errors import StoreError
from index.audit.actor import LOCAL, actor_id
from index.audit.anchor import Anchor, Anchored, AuditHead
from index.audit.cutting import AuditRetention, cut_line
from index.audit.entries import (
    ALL_ENTRIES,
    AuditEntry,
    AuditEvent,
    AuditWanted,
    Codes,
    canonical,
)
from index.audit.noting import Notes
from index.audit.verifying import ANCHOR_BEGUN, GAP, AuditReport
from index.checks import check_limit
from index.store.audit_cuts import AuditCuts
from index.store.audit_rows import (
    HEAD,
    decode_head,
    encode_head,
    entries_between,
    first_and_last,
    goes_on_from,
    known_cut,
    read_head,
    some_entries,
    verify_rows,
)
from index.store.audit_salts import pseudonyms
from index.store.bulk import driver_time, insert_rows
from index.store.cursors import Cursors
from index.store.database import Database
from index.store.facts import first_fact
from index.store.tables import audit, facts, utc_now

logger = logging.getLogger(__name__)

_CURSOR = "audit"
_NEWEST_FIRST = "audit, newest first"
_CHUNK = 1000

MOST_LOOKED_AT = 20_000
"""Entries that a page looks at for those that are wanted: all others wait meanwhile on SQLite."""


class AuditLog:
    """The log of a database; thread safe.

    Args:
        database: open.
        codes: made with a key that is not in the database.
        anchor: path of the file that remembers how far the log went.
        cursors: of the store.
        retention: how long entries stay; None for ever.

    Raises:
        SettingsInvalid: the anchor's folder is missing.
        StoreCorrupt: the anchor was changed, or is that of another database.
        StoreError: it cannot be read or written.
    """

    def __init__(
        self,
        database: Database,
        *,
        codes: Codes,
        anchor: Path,
        cursors: Cursors,
        retention: AuditRetention | None = None,
    ) -> None:
        self._database = database
        self._codes = codes
        self._cursors = cursors
        self._anchor = Anchor(anchor, codes=codes)
        try:
            self._check_anchor()
        except BaseException:
            self._anchor.close()
            raise
        self._notes = Notes(self._record_all)
        self.cuts = AuditCuts(
            database,
            codes=codes,
            anchor=self._anchor,
            record=self.record,
            hold_head=self._hold_head,
            retention=retention,
        )
        """Takes old entries away."""

    def write(self, connection: Connection, event: AuditEvent) -> None:
        """Enter an event in the transaction of what it tells of, just before its commit.

        Raises:
            StoreCorrupt: the anchor was changed.
            StoreError: the anchor cannot be written.
        """
        self._write(connection, [event])

    def record(self, event: AuditEvent) -> None:
        """Enter an event by itself; it is on disk then.

        Raises:
            StoreError: database or anchor cannot be written.
        """
        self._record_all([event])

    def note(self, event: AuditEvent) -> None:
        """Enter an event that changed nothing a moment later; never waits for the disk."""
        self._notes.add(event)

    def pseudonyms(self, connection: Connection, subject_ids: Sequence[str]) -> tuple[str, ...]:
        """Return what stands for subjects that are about to go, in a transaction."""
        return tuple(pseudonyms(connection, subject_ids, codes=self._codes).values())

    def page(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        newest_first: bool = False,
        wanted: AuditWanted = ALL_ENTRIES,
    ) -> tuple[list[AuditEntry], str | None]:
        """Return entries and the cursor of the next page; None at the end.

        A page looks at `MOST_LOOKED_AT` entries at most, since the log has no index but its
        numbers. So one may hold fewer than `limit`, even none, and still have a next one.

        Args:
            limit: at most so many, 1 to 1000.
            cursor: of the page before, in the same order.
            newest_first: else the oldest one leads.
            wanted: leaves out the others.

        Raises:
            RequestInvalid: the limit is out of range, or the cursor is not of this list.
        """
        check_limit(limit)
        name = _NEWEST_FIRST if newest_first else _CURSOR
        begin = None if cursor is None else self._cursors.read(cursor, gallery_id=name)
        self._notes.flush()
        with self._database.transaction() as connection:
            # What was before the first one was cut off.
            first, last = first_and_last(connection)
            if newest_first:
                below = last + 1 if begin is None else begin
                above = max(first - 1, below - 1 - MOST_LOOKED_AT)
            else:
                above = max(first - 1, begin or 0)
                below = min(last, above + MOST_LOOKED_AT) + 1
            found = entries_between(
                connection,
                above=above,
                below=below,
                limit=limit + 1,
                newest_first=newest_first,
                wanted=wanted,
            )
        entries = found[:limit]
        if len(found) > limit:
            ends_at = entries[-1].number
        elif newest_first:
            ends_at = 0 if above < first else above + 1
        else:
            ends_at = 0 if below > last else below - 1
        return entries, self._cursors.write(ends_at, gallery_id=name) if ends_at else None

    def entries(self, *, gallery_ids: Sequence[str] | None = None) -> Iterator[AuditEntry]:
        """Give all entries that are there now, the oldest first.

        Args:
            gallery_ids: only entries of these galleries; None for all.

        Raises:
            StoreError: old entries are cut off meanwhile, faster than these are read.
        """
        self._notes.flush()
        return self._after(0, gallery_ids=gallery_ids)

    def lines(self) -> Iterator[str]:
        """Give all entries as lines of an export, after one on what was cut off.

        Raises:
            As `entries`.
        """
        self._notes.flush()
        with self._database.reading() as connection:
            cut = known_cut(connection, self._codes)
        if cut.count > 0:
            yield cut_line(cut, self._codes)
        for entry in self._after(cut.count):
            yield entry.line()

    def _after(
        self, after: int, *, gallery_ids: Sequence[str] | None = None
    ) -> Iterator[AuditEntry]:
        begun = after > 0
        while True:
            with self._database.transaction() as connection:
                found = some_entries(
                    connection, after=after, limit=_CHUNK, gallery_ids=gallery_ids
                )
                if begun and known_cut(connection, self._codes).count > after:
                    raise StoreError("the audit log is cut meanwhile; ask again")
            yield from found
            if len(found) < _CHUNK:
                return
            after, begun = found[-1].number, True

    def verify(self) -> AuditReport:
        """Return what is wrong with the log.

        Raises:
            StoreCorrupt: an entry or the anchor cannot be read at all.
        """
        # Before the entries: they are at least as many as it remembers then.
        anchored = self._anchor.anchored()
        with self._database.picture() as connection:
            return verify_rows(connection, self._codes, anchored)

    def settle(self) -> None:
        """Write what was noted, and bring the anchor to the log's end and to the disk.

        Raises:
            StoreError: something cannot be written.
        """
        self._notes.flush()
        with self._database.transaction() as connection:
            head = read_head(connection)
            cut = known_cut(connection, self._codes)
        if head is not None:
            self._anchor.advance(head)
            # Of another process, or one that was killed before it could.
            self._anchor.advance_cut(cut)
            self._anchor.sync()

    def close(self) -> None:
        """Write what was noted, anchor the end and let go; a second call does nothing."""
        self._notes.close()
        self._anchor.close()

    def settle_and_close(self) -> None:
        """As `close`, with the anchor at the end; what fails is logged."""
        try:
            self.settle()
        except Exception as error:
            logger.warning("the audit log's anchor stays behind: %s", type(error).__name__)
        self.close()

    def _record_all(self, events: Sequence[AuditEvent]) -> None:
        with self._database.transaction() as connection:
            self._write(connection, events)

    def _write(self, connection: Connection, events: Sequence[AuditEvent]) -> None:
        now = utc_now()
        # Subjects' rows first, then the head: a removal holds them in this order, too.
        known = pseudonyms(
            connection,
            (each for event in events for each in event.named_ids),
            codes=self._codes,
        )
        head = self._hold_head(connection)
        self._anchor.advance(head)
        number, code = head.count, head.code
        rows = []
        for event in events:
            number += 1
            subjects = event.pseudonyms + tuple(
                known[each] for each in event.named_ids if each in known
            )
            entry = AuditEntry(
                number=number,
                at=event.at or now,
                actor=event.actor or actor_id(),
                action=event.action,
                outcome=event.outcome,
                gallery_id=event.gallery_id,
                subjects=subjects,
                facts=event.facts,
            )
            code = self._codes.code(code, entry)
            rows.append(
                {
                    "number": number,
                    "at": driver_time(connection, entry.at),
                    "actor": entry.actor,
                    "action": entry.action,
                    "outcome": entry.outcome,
                    "gallery": entry.gallery_id,
                    "subjects": canonical(list(subjects)),
                    "facts": canonical(dict(entry.facts)),
                    "code": code,
                }
            )
        insert_rows(connection, audit, rows)
        connection.execute(
            update(facts)
            .where(facts.c.name == HEAD)
            .values(value=encode_head(AuditHead(count=number, code=code)))
        )

    def _hold_head(self, connection: Connection) -> AuditHead:
        query = select(facts.c.value).where(facts.c.name == HEAD).with_for_update()
        value = connection.execute(query).scalar()
        if value is None:
            first_fact(connection, HEAD, encode_head(self._beginning))
            # Another process may have been quicker, and gone on since.
            value = connection.execute(query).scalar_one()
        return decode_head(value)

    def _check_anchor(self) -> None:
        """Have the log tell where it does not go on from what the anchor remembers."""
        anchored = self._anchor.anchored().head
        with self._database.transaction() as connection:
            head = read_head(connection) or self._beginning
            fits = goes_on_from(connection, anchored, self._codes)
        if self._anchor.is_new and head.count > 0:
            self._tell(ANCHOR_BEGUN, {"found": head.count})
        elif not fits:
            logger.warning(
                "the audit log has %s entries, but its anchor remembers %s: some were cut off or "
                "the database was restored from a backup",
                head.count,
                anchored.count,
            )
            self._tell(GAP, {"anchored": anchored.count, "found": head.count})

    def _tell(self, action: str, told: dict[str, int]) -> None:
        """Enter what became of the log, and begin the anchor at its end."""
        with self._database.transaction() as connection:
            cut = known_cut(connection, self._codes)
            self._anchor.replace(Anchored(head=self._hold_head(connection), cut=cut))
            self._write(connection, [AuditEvent(action=action, facts=told, actor=LOCAL)])
        with self._database.transaction() as connection:
            head = read_head(connection)
        if head is not None:
            self._anchor.replace(Anchored(head=head, cut=cut))

    @property
    def _beginning(self) -> AuditHead:
        return AuditHead(count=0, code=self._codes.beginning)
