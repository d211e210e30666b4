"""The rows of the audit log, and the fact that holds its head."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select

from embedding.errors import StoreCorrupt
from index.audit.anchor import AuditHead
from index.audit.entries import AuditEntry, Codes
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
