"""Takes old entries off the beginning of the audit log.

First the entries are followed, and written to a file where one is wanted; then the log gets an
entry that tells of the cut; then they go, some at a time, each time with the facts that say how
far, and how far it will go. Killed at any moment, the log is whole, and the next cut goes on.
"""

import hashlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, delete, func, select, text

from embedding.errors import FaceGalleryError, RequestInvalid, StoreCorrupt, StoreError
from index.audit.anchor import Anchor, AuditHead
from index.audit.cutting import AuditRetention, cut_facts, unbroken
from index.audit.entries import AuditEntry, AuditEvent, Codes
from index.audit.exports import read_export, write_export
from index.audit.verifying import CUT
from index.faults import log_fault
from index.store.audit_rows import (
    code_of,
    read_cut,
    read_head,
    read_target,
    some_entries,
    write_cut,
    write_target,
)
from index.store.database import Database
from index.store.tables import audit, utc_now

logger = logging.getLogger(__name__)

_LOOK_EVERY_S = 3600.0
_READ_TOGETHER = 1_000
_LOOK_THROUGH = 10_000
"""Entries whose times are compared at once, 2 MB."""

_REMOVE_TOGETHER = 5_000
"""Entries that go in one commit: others wait for 10 to 70 ms."""

_CLAIM = hashlib.sha256(b"audit cut").digest()
_SQLITE_TRIGGER = "audit_no_delete"
_POSTGRES_TRIGGER = "audit_only_grows"


class AuditCuts:
    """The cuts of a log; thread safe.

    Args:
        database: open.
        codes: of the log.
        anchor: open.
        record: enters an event, on disk when it returns.
        hold_head: keeps everybody else from the log's end for the rest of a transaction.
        retention: what `cut_if_due` does; None for nothing.
    """

    def __init__(
        self,
        database: Database,
        *,
        codes: Codes,
        anchor: Anchor,
        record: Callable[[AuditEvent], None],
        hold_head: Callable[[Connection], AuditHead],
        retention: AuditRetention | None,
    ) -> None:
        self._database = database
        self._codes = codes
        self._anchor = anchor
        self._record = record
        self._hold_head = hold_head
        self._retention = retention
        self._look_at_s = 0.0

    def cut(
        self,
        *,
        file: Path | None,
        before: datetime | None = None,
        through: int | None = None,
    ) -> AuditHead:
        """Take entries off the beginning; returns the last that is gone, of now or earlier.

        Args:
            file: new file that gets them first; None where nothing is kept of them.
            before: all entries before the first one that is not older, with a time zone; or
            through: all up to this number.

        Raises:
            RequestInvalid: the file exists, or the log does not go so far.
            StoreCorrupt: one of the entries was changed; nothing is cut then.
            StoreError: another process is cutting, or file or database cannot be written.
        """
        with self._database.claims.claimed(_CLAIM) as free:
            if not free:
                raise StoreError("another process is cutting the audit log; run it again later")
            cut = self._cut_ended()
            if through is None:
                through = cut.count if before is None else self._end_of_older(cut, before)
            return self._cut_off(cut, through, file)

    def cut_if_due(self) -> None:
        """Cut what is too old, once an hour at most; what fails is logged and tried again."""
        now_s = time.monotonic()
        if self._retention is None or now_s < self._look_at_s:
            return
        self._look_at_s = now_s + _LOOK_EVERY_S
        try:
            with self._database.claims.claimed(_CLAIM) as free:
                if free:
                    self._cut_older(self._retention)
        except FaceGalleryError as error:
            logger.warning("the audit log is cut later: %s", error)
        except Exception as error:
            log_fault(logger, "the audit log is cut later", error)

    def _cut_older(self, retention: AuditRetention) -> None:
        cut = self._cut_ended()
        with self._database.reading() as connection:
            first = some_entries(connection, after=cut.count, limit=1)
        before = retention.cut_before(first[0].at, now=utc_now()) if first else None
        if before is None:
            return
        through, file = self._end_of_older(cut, before), None
        if retention.archive is not None:
            file = retention.archive / f"audit-{cut.count + 1:012}.jsonl"
            if file.exists():
                # Written by one that was killed before the entries were gone.
                last = self._followed(read_export(file, self._codes)[1], cut)
                self._remove(self._told(last, archived=True))
                return
        self._cut_off(cut, through, file)

    def _cut_off(self, cut: AuditHead, through: int, file: Path | None) -> AuditHead:
        with self._database.reading() as connection:
            head = read_head(connection)
        if through > (0 if head is None else head.count):
            raise RequestInvalid(f"the audit log has no entry {through} yet; give a smaller one")
        if through <= cut.count:
            return cut
        entries = self._entries(after=cut.count, through=through)
        last = self._followed(entries, cut, file=file)
        return self._remove(self._told(last, archived=file is not None))

    def _cut_ended(self) -> AuditHead:
        """The last entry that is gone, once a cut that was killed on its way has come to its end.

        Its entries are in a file already, where one was wanted: the next file must not begin
        before its end.
        """
        with self._database.reading() as connection:
            cut = read_cut(connection, self._codes)
            target = read_target(connection, self._codes)
            if target is None or target.count <= cut.count:
                return cut
            if code_of(connection, target.count) != target.code:
                raise StoreCorrupt("the end of a cut of the audit log that has begun was changed")
        return self._remove(target)

    def _end_of_older(self, cut: AuditHead, before: datetime) -> int:
        """The number of the last entry before the first that is not older."""
        after = cut.count
        while True:
            with self._database.reading() as connection:
                young = connection.scalar(
                    select(func.min(audit.c.number)).where(
                        audit.c.number > after,
                        audit.c.number <= after + _LOOK_THROUGH,
                        audit.c.at >= before,
                    )
                )
                head = read_head(connection)
            if young is not None:
                return int(young) - 1
            after += _LOOK_THROUGH
            if head is None or after >= head.count:
                return cut.count if head is None else head.count

    def _entries(self, *, after: int, through: int) -> Iterator[AuditEntry]:
        while after < through:
            with self._database.reading() as connection:
                found = some_entries(
                    connection, after=after, limit=min(_READ_TOGETHER, through - after)
                )
            if not found:
                return
            yield from found
            after = found[-1].number

    def _followed(
        self, entries: Iterable[AuditEntry], cut: AuditHead, *, file: Path | None = None
    ) -> AuditEntry:
        """The last of some entries that nobody has changed, all of them in the file then."""
        given: deque[AuditEntry] = deque(maxlen=1)

        def passed() -> Iterator[AuditEntry]:
            for entry in unbroken(entries, self._codes, after=cut):
                given.append(entry)
                yield entry

        if file is not None:
            write_export(passed(), file, cut=cut, codes=self._codes)
        else:
            deque(passed(), maxlen=0)
        if not given:
            raise StoreError("there is no entry to cut off")
        return given[0]

    def _told(self, last: AuditEntry, *, archived: bool) -> AuditHead:
        """The cut that ends with an entry, now that the log tells of it."""
        target = AuditHead(count=last.number, code=last.code)
        with self._database.reading() as connection:
            if code_of(connection, target.count) != target.code:
                raise StoreError(
                    "the file that was to get the next entries holds others; move it away"
                )
        self._record(AuditEvent(action=CUT, facts=cut_facts(last, archived=archived)))
        # Else a power cut could leave an anchor that remembers less than is cut off.
        self._anchor.sync()
        return target

    def _remove(self, target: AuditHead) -> AuditHead:
        while True:
            with self._database.transaction() as connection:
                self._hold_head(connection)
                cut = read_cut(connection, self._codes)
                count = min(cut.count + _REMOVE_TOGETHER, target.count)
                if count > cut.count:
                    code = code_of(connection, count)
                    if code is None:
                        raise StoreError(f"entry {count} of the audit log is gone meanwhile")
                    cut = AuditHead(count=count, code=code)
                    with _deletions(connection):
                        connection.execute(delete(audit).where(audit.c.number <= count))
                    write_cut(connection, cut, self._codes)
                ended = cut.count >= target.count
                write_target(connection, None if ended else target, self._codes)
            if ended:
                break
        self._anchor.advance_cut(cut)
        self._anchor.sync()
        logger.info("cut the audit log off up to entry %s", cut.count)
        return cut


@contextmanager
def _deletions(connection: Connection) -> Iterator[None]:
    """Take off, within a transaction and for nobody else, what refuses deletions."""
    if connection.dialect.name == "sqlite":
        query = text("SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND name = :name")
        refusal = connection.scalar(query, {"name": _SQLITE_TRIGGER})
        connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {_SQLITE_TRIGGER}")
        yield
        if refusal is not None:
            connection.exec_driver_sql(refusal)
        return
    connection.exec_driver_sql(f"ALTER TABLE audit DISABLE TRIGGER {_POSTGRES_TRIGGER}")
    yield
    connection.exec_driver_sql(f"ALTER TABLE audit ENABLE TRIGGER {_POSTGRES_TRIGGER}")
