"""The rows of the audit log, and the facts that hold its head and its cut."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from embedding.errors import StoreCorrupt
from index.audit.anchor import Anchored, AuditHead
from index.audit.cutting import cut_line, read_cut_line
from index.audit.entries import AuditEntry, AuditWanted, Codes
from index.audit.verifying import AuditReport, verify_chain
from index.store.facts import delete_fact, read_fact, write_fact
from index.store.tables import audit

HEAD = "audit_head"
"""Name of the fact."""

_CUT = "audit_cut"
_CUTTING = "audit_cutting"
_CHUNK = 1000


def some_entries(
    connection: Connection, *, after: int, limit: int, gallery_ids: Sequence[str] | None = None
) -> list[AuditEntry]:
    """Return entries after a number, at most so many, of some galleries or of all."""
    query = select(audit).where(audit.c.number > after).order_by(audit.c.number).limit(limit)
    if gallery_ids is not None:
        query = query.where(audit.c.gallery.in_(gallery_ids))
    return [_entry(row) for row in connection.execute(query)]


def entries_between(
    connection: Connection,
    *,
    above: int,
    below: int,
    limit: int,
    newest_first: bool,
    wanted: AuditWanted,
) -> list[AuditEntry]:
    """Return the entries that are wanted, with numbers between two others, at most so many."""
    number = audit.c.number
    query = select(audit).where(number > above, number < below).limit(limit)
    query = query.order_by(number.desc() if newest_first else number)
    if wanted.gallery_ids is not None:
        query = query.where(audit.c.gallery.in_(wanted.gallery_ids))
    if wanted.actor is not None:
        query = query.where(audit.c.actor == wanted.actor)
    if wanted.action is not None:
        family = audit.c.action.startswith(f"{wanted.action}.", autoescape=True)
        query = query.where((audit.c.action == wanted.action) | family)
    if wanted.refused:
        # Of a refusal the action is a method and a route; no other action holds a blank.
        query = query.where(audit.c.action.contains(" /"))
    return [_entry(row) for row in connection.execute(query)]


def first_and_last(connection: Connection) -> tuple[int, int]:
    """Return the smallest and the largest number that is there; 1 and 0 where there is none."""
    number = audit.c.number
    first = connection.scalar(select(func.min(number)))
    last = connection.scalar(select(func.max(number)))
    return (1, 0) if first is None or last is None else (first, last)


def all_entries(connection: Connection) -> Iterator[AuditEntry]:
    """Give every row that is there, by its number, whatever that is."""
    after = -(1 << 62)
    while found := some_entries(connection, after=after, limit=_CHUNK):
        yield from found
        after = found[-1].number


def _entry(row: Row[Any]) -> AuditEntry:
    try:
        return AuditEntry(
            number=row.number,
            at=row.at,
            actor=row.actor,
            action=row.action,
            outcome=row.outcome,
            gallery_id=row.gallery,
            subjects=tuple(json.loads(row.subjects)),
            facts=dict(json.loads(row.facts)),
            code=row.code,
        )
    except (ValueError, TypeError) as error:
        raise StoreCorrupt(f"entry {row.number} of the audit log was damaged") from error


def read_head(connection: Connection) -> AuditHead | None:
    """Return where the database says that the log ends; None before the first entry."""
    value = read_fact(connection, HEAD)
    return None if value is None else decode_head(value)


def read_cut(connection: Connection, codes: Codes) -> AuditHead:
    """Return the last entry that was cut off; the log's beginning where none was.

    Raises:
        StoreCorrupt: what says so was changed.
    """
    value = read_fact(connection, _CUT)
    if value is None:
        return AuditHead(count=0, code=codes.beginning)
    return read_cut_line(value.decode(errors="replace"), codes)


def known_cut(connection: Connection, codes: Codes) -> AuditHead:
    """Return the cut; the log's beginning where what says so was changed.

    For whoever goes on nevertheless: the verification finds it, and nothing else can mend it.
    """
    try:
        return read_cut(connection, codes)
    except StoreCorrupt:
        return AuditHead(count=0, code=codes.beginning)


def read_target(connection: Connection, codes: Codes) -> AuditHead | None:
    """Return the last entry of a cut that has begun and not ended; None where none has.

    Raises:
        StoreCorrupt: what says so was changed.
    """
    value = read_fact(connection, _CUTTING)
    return None if value is None else read_cut_line(value.decode(errors="replace"), codes)


def write_target(connection: Connection, target: AuditHead | None, codes: Codes) -> None:
    """Write with which entry the cut that goes on will end; None where it has ended."""
    if target is None:
        delete_fact(connection, _CUTTING)
    else:
        write_fact(connection, _CUTTING, cut_line(target, codes).encode())


def write_cut(connection: Connection, cut: AuditHead, codes: Codes) -> None:
    """Write how far the log is cut, in the transaction that does it."""
    write_fact(connection, _CUT, cut_line(cut, codes).encode())


def code_of(connection: Connection, count: int) -> bytes | None:
    """Return the code of an entry; None where it is missing."""
    code: bytes | None = connection.scalar(select(audit.c.code).where(audit.c.number == count))
    return code


def goes_on_from(connection: Connection, anchored: AuditHead, codes: Codes) -> bool:
    """Return whether the log holds, or has cut off, what an anchor remembers as its end."""
    if anchored.count == 0:
        return anchored.code == codes.beginning
    code = code_of(connection, anchored.count)
    if code is not None:
        return code == anchored.code
    try:
        cut = read_cut(connection, codes)
    except StoreCorrupt:
        return False
    # An anchor of a service that rested while others cut may be of long before.
    return anchored.count < cut.count or anchored == cut


def verify_rows(connection: Connection, codes: Codes, anchor: Anchored | None) -> AuditReport:
    """Return what is wrong with the log of a database.

    Args:
        connection: sees one state.
        codes: of the log.
        anchor: read before; None without one.

    Raises:
        StoreCorrupt: an entry cannot be read at all.
    """
    cut, problem = None, None
    try:
        cut = read_cut(connection, codes)
    except StoreCorrupt as error:
        problem = str(error)
    report = verify_chain(
        all_entries(connection), codes, cut=cut, head=read_head(connection), anchor=anchor
    )
    if problem is not None:
        report.findings.insert(0, problem)
    return report


def encode_head(head: AuditHead) -> bytes:
    """Return the fact's value."""
    return json.dumps([head.count, head.code.hex()]).encode()


def decode_head(value: bytes) -> AuditHead:
    """Return the head of the fact's value."""
    count, code = json.loads(value)
    return AuditHead(count=count, code=bytes.fromhex(code))
