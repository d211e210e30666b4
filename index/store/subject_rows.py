"""Queries over the subjects of one gallery, inside a transaction of the caller's."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select, update

from embedding.errors import SubjectExists, SubjectNotFound
from index.audit.entries import SALT_BYTES
from index.details import NO_DETAILS, Details, read_metadata
from index.exchange.rows import ExchangeRow
from index.records import NewSubject, Subject
from index.store.bulk import driver_time, insert_numbered
from index.store.ids import new_ids
from index.store.lots import in_lots
from index.store.merged_subjects import merged_into
from index.store.tables import subjects, templates, utc_now


@dataclass(slots=True, kw_only=True)
class FoundSubject:
    """A subject inside a transaction; `row_id` never leaves the store.

    Attributes:
        num_templates: before the transaction.
        details: before the transaction.
    """

    row_id: int
    id: str
    name: str | None
    external_id: str | None
    num_templates: int
    created: bool
    details: Details = NO_DETAILS


def subject_of(row: Row[Any]) -> Subject:
    """Return the subject of a row of `select_subjects`."""
    return Subject(
        id=row.public_id,
        name=row.name,
        external_id=row.external_id,
        num_templates=row.num_templates,
        created_at=row.created_at,
        details=details_of(row),
        # With the count, so that templates that move without it being told are noticed too.
        version=f"{row.version or '0'}-{row.num_templates}",
    )


def details_of(row: Row[Any]) -> Details:
    """Return the details of a row of `subjects`."""
    return Details(
        metadata=read_metadata(row.metadata),
        purpose=row.purpose,
        consent=row.consent,
        expires_at=row.expires_at,
    )


def not_expired(now: datetime | ColumnElement[datetime]) -> ColumnElement[bool]:
    """Return the condition that a subject has not expired; nobody's templates never do."""
    return or_(subjects.c.expires_at.is_(None), subjects.c.expires_at > now)


def new_version() -> str:
    """Return a version that no row had before: one is enough for all changes of a transaction."""
    return os.urandom(8).hex()


def write_version(connection: Connection, row_ids: Iterable[int]) -> None:
    """Give subjects a new version, as every change of them or of their templates has to."""
    version = new_version()
    for some in in_lots(list(row_ids)):
        connection.execute(update(subjects).where(subjects.c.id.in_(some)).values(version=version))


def select_subjects(gallery: int | None = None) -> Select[Any]:
    """Return the query for the gallery's subjects, with the number of their templates.

    None for those of all galleries, for a caller who tells them apart by `gallery_id`.
    """
    num_templates = (
        select(func.count())
        .where(templates.c.subject_id == subjects.c.id)
        .correlate(subjects)
        .scalar_subquery()
    )
    query = select(subjects, num_templates.label("num_templates"))
    return query if gallery is None else query.where(subjects.c.gallery_id == gallery)


def row_of(
    connection: Connection, gallery: int, public_id: str, *, now: datetime | None = None
) -> int:
    """Return the row id of a subject.

    Args:
        connection: in a transaction.
        gallery: row id.
        public_id: of the subject.
        now: who has expired by then is not there; None for everybody.

    Raises:
        SubjectNotFound: no subject with this id in the gallery.
    """
    query = select(subjects.c.id).where(
        subjects.c.gallery_id == gallery, subjects.c.public_id == public_id
    )
    row_id: int | None = connection.scalar(query if now is None else query.where(not_expired(now)))
    if row_id is None:
        raise subject_not_found(merged_into(connection, gallery, public_id))
    return row_id


def find_or_create(
    connection: Connection, gallery: int, wanted: Sequence[NewSubject]
) -> list[FoundSubject]:
    """Return the subjects that are meant, made where they are new, as if one after the other.

    Raises:
        SubjectExists: a name and an external id belong to different subjects.
        SubjectNotFound: no subject with an id that was given.
    """
    known = _Known(existing_subjects(connection, gallery, wanted), ids=new_ids(len(wanted)))
    found = [known.find(each) or known.add(each) for each in wanted]
    _create(connection, gallery, known.new)
    return found


def find_among(
    existing: Iterable[FoundSubject], wanted: Sequence[NewSubject]
) -> list[FoundSubject | None]:
    """Return which of existing subjects are meant; None for who is not among them.

    Raises:
        SubjectExists: a name and an external id belong to different subjects.
        SubjectNotFound: no subject with an id that was given.
    """
    known = _Known(existing, ids=())
    return [known.find(each) for each in wanted]


def subject_not_found(merged: str | None = None) -> SubjectNotFound:
    """Return the error; an id is not repeated, because it may be anything.

    Args:
        merged: id of the subject that it was merged into, if it was.
    """
    if merged is not None:
        return SubjectNotFound(
            f"this subject was merged into {merged}; use that id", merged_into=merged
        )
    return SubjectNotFound("no subject with this id in the gallery; list its subjects")


class _Known:
    """The subjects that a transaction knows, by all that they may be called."""

    def __init__(self, existing: Iterable[FoundSubject], *, ids: Sequence[str]) -> None:
        self._ids = iter(ids)
        self.new: list[FoundSubject] = []
        self._by: dict[tuple[str, str], FoundSubject] = {}
        for subject in existing:
            self._enter(subject)

    def find(self, wanted: NewSubject) -> FoundSubject | None:
        """Return the subject, or None where it has to be made.

        Raises:
            SubjectExists: name and external id belong to different subjects.
            SubjectNotFound: no subject with the id that was given.
        """
        if wanted.subject_id is not None:
            by_id = self._by.get(("public_id", wanted.subject_id))
            if by_id is None:
                raise subject_not_found()
            return by_id
        labels = list(_labels(wanted))
        found = [self._by[label] for label in labels if label in self._by]
        if not found:
            return None
        subject = found[0]
        if any(getattr(subject, field) != value for field, value in labels):
            raise SubjectExists(
                "the name and the external id do not belong to the same subject; give one of "
                "them, or the subject's id"
            )
        return subject

    def add(self, wanted: NewSubject) -> FoundSubject:
        """Return a new subject, whose row `_create` will write."""
        subject = FoundSubject(
            row_id=-1,
            id=next(self._ids),
            name=wanted.name,
            external_id=wanted.external_id,
            num_templates=0,
            created=True,
        )
        self.new.append(subject)
        self._enter(subject)
        return subject

    def _enter(self, subject: FoundSubject) -> None:
        self._by["public_id", subject.id] = subject
        for label in _labels(subject):
            self._by[label] = subject


def _labels(subject: NewSubject | FoundSubject) -> Iterator[tuple[str, str]]:
    if subject.name is not None:
        yield "name", subject.name
    if subject.external_id is not None:
        yield "external_id", subject.external_id


def existing_subjects(
    connection: Connection, gallery: int, wanted: Sequence[NewSubject | ExchangeRow]
) -> Iterator[FoundSubject]:
    """Yield all that are meant by id, name or external id; one may come several times."""
    for field, values in (
        ("public_id", {each.subject_id for each in wanted}),
        ("name", {each.name for each in wanted}),
        ("external_id", {each.external_id for each in wanted}),
    ):
        for some in in_lots(list(values - {None})):
            for row in connection.execute(
                select_subjects(gallery).where(subjects.c[field].in_(some))
            ):
                yield FoundSubject(
                    row_id=row.id,
                    id=row.public_id,
                    name=row.name,
                    external_id=row.external_id,
                    num_templates=row.num_templates,
                    created=False,
                    details=details_of(row),
                )


def _create(connection: Connection, gallery: int, new: Sequence[FoundSubject]) -> None:
    """Write the rows of new subjects and enter their row ids."""
    if not new:
        return
    now = driver_time(connection, utc_now())
    version = new_version()
    rows = [
        {
            "public_id": each.id,
            "gallery_id": gallery,
            "name": each.name,
            "external_id": each.external_id,
            "created_at": now,
            "audit_salt": os.urandom(SALT_BYTES),
            "version": version,
        }
        for each in new
    ]
    ids = insert_numbered(connection, subjects, rows, gallery=gallery)
    for each, row_id in zip(new, ids, strict=True):
        each.row_id = row_id
