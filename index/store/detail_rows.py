"""Changes of what is kept of people beside their names, inside a transaction of the caller's."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from index.details import Details, metadata_text
from index.records import NewSubject
from index.store.subject_rows import FoundSubject, write_version
from index.store.tables import UtcTime, subjects


class ExpiredFirstError(Exception):
    """Somebody who has expired stands in the way, and is to be erased before.

    Attributes:
        subject_ids: public.
    """

    def __init__(self, *subject_ids: str) -> None:
        super().__init__("people who have expired are erased first")
        self.subject_ids = subject_ids


def check_not_expired(found: Sequence[FoundSubject], *, now: datetime) -> None:
    """Pass subjects of whom nobody has expired.

    Raises:
        ExpiredFirstError: some have; what was written for them would go with them.
    """
    gone = {each.id for each in found if each.details.expired(now)}
    if gone:
        raise ExpiredFirstError(*sorted(gone))


def change_found(
    connection: Connection, new: Sequence[NewSubject], found: Sequence[FoundSubject]
) -> list[str]:
    """Write the changes of details that come with an enroll, one after the other.

    Args:
        connection: in a transaction that holds the gallery.
        new: what is enrolled, checked.
        found: whom each of them means.

    Returns:
        The public ids of those whose details are others now.

    Raises:
        RequestInvalid: somebody's metadata would have too many keys or bytes.
    """
    changed: dict[int, Details] = {}
    by_row = {each.row_id: each for each in found}
    for given, subject in zip(new, found, strict=True):
        if given.details is not None:
            known = changed.get(subject.row_id, subject.details)
            changed[subject.row_id] = given.details.applied_to(known)
    differing = [
        (row, each) for row, each in changed.items() if _differs(each, by_row[row].details)
    ]
    write_details(connection, differing)
    return [by_row[row].id for row, _ in differing]


def write_details(connection: Connection, changed: Sequence[tuple[int, Details]]) -> None:
    """Write details of subjects, by row id, over what they were, with a new version."""
    if not changed:
        return
    connection.execute(
        _WRITE, [{"row": row, **detail_values(details)} for row, details in changed]
    )
    write_version(connection, [row for row, _ in changed])


def detail_values(details: Details) -> dict[str, Any]:
    """Return details as the statement of `write_details` takes them."""
    return {
        "new_metadata": metadata_text(details.metadata),
        "new_purpose": details.purpose,
        "new_consent": details.consent,
        "new_expires_at": details.expires_at,
    }


def due(connection: Connection, gallery: int, *, now: datetime) -> list[str]:
    """Return the public ids of those in a gallery who have expired, the first to expire first."""
    query = (
        select(subjects.c.public_id)
        .where(subjects.c.gallery_id == gallery, subjects.c.expires_at <= now)
        .order_by(subjects.c.expires_at)
    )
    return list(connection.scalars(query))


def _differs(one: Details, other: Details) -> bool:
    # Not by comparing objects: 1 and true are equal to Python.
    return detail_values(one) != detail_values(other)


_WRITE = (
    update(subjects)
    .where(subjects.c.id == bindparam("row"))
    .values(
        metadata=bindparam("new_metadata"),
        purpose=bindparam("new_purpose"),
        consent=bindparam("new_consent"),
        expires_at=bindparam("new_expires_at", type_=UtcTime()),
    )
)
