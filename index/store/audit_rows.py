"""The rows of the audit log, and the fact that holds its head."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select

from embedding.errors import StoreCorrupt
from index.audit.anchor import AuditHead
from index.audit.entries import AuditEntry, AuditWanted, Codes
from index.store.facts import read_fact
from index.store.tables import audit

HEAD = "audit_head"
"""Name of the fact."""

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


def last_number(connection: Connection) -> int:
    """Return the largest number that is there; 0 where there is none."""
    return connection.scalar(select(func.max(audit.c.number))) or 0


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


def code_of(connection: Connection, count: int, codes: Codes) -> bytes | None:
    """Return the code of the last of so many entries; None where it is missing."""
    if count == 0:
        return codes.beginning
    code: bytes | None = connection.scalar(select(audit.c.code).where(audit.c.number == count))
    return code


def encode_head(head: AuditHead) -> bytes:
    """Return the fact's value."""
    return json.dumps([head.count, head.code.hex()]).encode()


def decode_head(value: bytes) -> AuditHead:
    """Return the head of the fact's value."""
    count, code = json.loads(value)
    return AuditHead(count=count, code=bytes.fromhex(code))
