"""The salts without which nobody can tell whom a pseudonym of the audit log stands for.

A salt lies in its subject's row, so that whatever deletes the row, deletes it.
"""

import os
from collections.abc import Iterable

from sqlalchemy import Connection, select, update

from index.audit.entries import SALT_BYTES, Codes
from index.store.lots import in_lots
from index.store.tables import subjects


def pseudonyms(
    connection: Connection, subject_ids: Iterable[str], *, codes: Codes
) -> dict[str, str]:
    """Return what stands for each subject by its id; who is gone is left out."""
    found: dict[str, str] = {}
    # In the order of their rows these are held, too, where a salt is missing: nobody waits in a
    # circle.
    for some in in_lots(sorted(set(subject_ids))):
        rows = connection.execute(
            select(subjects.c.id, subjects.c.public_id, subjects.c.audit_salt)
            .where(subjects.c.public_id.in_(some))
            .order_by(subjects.c.id)
        ).all()
        for row in rows:
            salt = row.audit_salt or _new_salt(connection, row.id)
            found[row.public_id] = codes.pseudonym(row.public_id, salt=salt)
    return found


def _new_salt(connection: Connection, row_id: int) -> bytes:
    """Give a subject of before this log its salt, unless another process was quicker."""
    connection.execute(
        update(subjects)
        .where(subjects.c.id == row_id, subjects.c.audit_salt.is_(None))
        .values(audit_salt=os.urandom(SALT_BYTES))
    )
    salt: bytes | None = connection.scalar(
        select(subjects.c.audit_salt).where(subjects.c.id == row_id)
    )
    # Removed by another process meanwhile: nobody will ever tell whom this stands for.
    return salt or os.urandom(SALT_BYTES)
