"""Queries over the subjects of one gallery, inside a transaction of the caller's."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select

from embedding.errors import RequestInvalid, SubjectNotFound
from index.records import Subject
from index.store.tables import subjects, templates, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSubject:
    """A subject inside a transaction; `row_id` never leaves the store."""

    row_id: int
    id: str
    created: bool


def subject_of(row: Row[Any]) -> Subject:
    """Return the subject of a row of `select_subjects`."""
    return Subject(
        id=row.public_id,
        name=row.name,
        external_id=row.external_id,
        num_templates=row.num_templates,
        created_at=row.created_at,
    )


def select_subjects(gallery: int) -> Select[Any]:
    """Return the query for the gallery's subjects, with the number of their templates."""
    num_templates = (
        select(func.count())
        .where(templates.c.subject_id == subjects.c.id)
        .correlate(subjects)
        .scalar_subquery()
    )
    return select(subjects, num_templates.label("num_templates")).where(
        subjects.c.gallery_id == gallery
    )


def row_of(connection: Connection, gallery: int, public_id: str) -> int:
    """Return the row id of a subject.

    Raises:
        SubjectNotFound: no subject with this id in the gallery.
    """
    row_id: int | None = connection.scalar(
        select(subjects.c.id).where(
            subjects.c.gallery_id == gallery, subjects.c.public_id == public_id
        )
    )
    if row_id is None:
        raise subject_not_found()
    return row_id


def find_or_create(
    connection: Connection,
    gallery: int,
    *,
    subject_id: str | None,
    name: str | None,
    external_id: str | None,
) -> FoundSubject:
    """Return the subject that is meant, made when it is new.

    Raises:
        RequestInvalid: name and external id belong to different subjects.
        SubjectNotFound: no subject with this id.
    """
    if subject_id is not None:
        row_id = row_of(connection, gallery, subject_id)
        return FoundSubject(row_id=row_id, id=subject_id, created=False)
    wanted = {
        key: value
        for key, value in (("name", name), ("external_id", external_id))
        if value is not None
    }
    found = _with_any(connection, gallery, wanted)
    if found:
        row = found[0]
        if len(found) > 1 or any(getattr(row, key) != value for key, value in wanted.items()):
            raise RequestInvalid(
                "the name and the external id do not belong to the same subject; give one of "
                "them, or the subject's id"
            )
        return FoundSubject(row_id=row.id, id=row.public_id, created=False)
    return _create(connection, gallery, wanted)


def subject_not_found() -> SubjectNotFound:
    """Return the error; an id is not repeated, because it may be anything."""
    return SubjectNotFound("no subject with this id in the gallery; list its subjects")


def _with_any(connection: Connection, gallery: int, wanted: dict[str, str]) -> Sequence[Row[Any]]:
    found: dict[int, Row[Any]] = {}
    for key, value in wanted.items():
        for row in connection.execute(
            select(subjects).where(subjects.c.gallery_id == gallery, subjects.c[key] == value)
        ):
            found[row.id] = row
    return list(found.values())


def _create(connection: Connection, gallery: int, wanted: dict[str, str]) -> FoundSubject:
    public_id = str(uuid.uuid4())
    connection.execute(
        insert(subjects).values(
            public_id=public_id, gallery_id=gallery, created_at=utc_now(), **wanted
        )
    )
    return FoundSubject(row_id=row_of(connection, gallery, public_id), id=public_id, created=True)
