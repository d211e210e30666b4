"""The changes of one gallery in SQL, each with its entries in the change log.

Every public method is one transaction and thread safe; what it returned from is on disk.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, func, insert, select, update

from embedding.errors import RequestInvalid
from index.records import Enrolled, NewTemplate, Subject
from index.sealing import TemplateContext
from index.store import template_rows
from index.store.change_log import Change, begin_change, write_changes
from index.store.gallery_reads import GalleryReads
from index.store.subject_rows import (
    FoundSubject,
    find_or_create,
    row_of,
    select_subjects,
    subject_of,
)
from index.store.tables import galleries, subjects, templates, utc_now


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AddedTemplates:
    """A committed enroll.

    Attributes:
        row_ids: (N,) int64, the ids for the matrix, in the order of the templates.
        num_templates_before: of the subject.
    """

    enrolled: Enrolled
    row_ids: NDArray[np.int64]
    num_templates_before: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedTemplate:
    """A committed removal; `num_templates_left` is the subject's, None without a subject."""

    row_id: int
    num_templates_left: int | None


class GalleryStore(GalleryReads):
    """One gallery in SQL, as it is read and changed."""

    def enroll(
        self,
        new: Sequence[NewTemplate],
        *,
        subject_id: str | None,
        name: str | None,
        external_id: str | None,
    ) -> AddedTemplates:
        """Write templates of one subject, all or none.

        Raises:
            GalleryNotFound: the gallery was deleted.
            RequestInvalid: name and external id belong to different subjects.
            SubjectNotFound: no subject with this id.
        """
        with self._database.transaction() as connection:
            last = begin_change(connection, self._row)
            subject = find_or_create(
                connection, self._row, subject_id=subject_id, name=name, external_id=external_id
            )
            num_before = _num_templates(connection, subject.row_id)
            rows = self._write(connection, new, subject, last_sequence=last)
            row_ids = connection.scalars(
                select(templates.c.id)
                .where(templates.c.subject_id == subject.row_id, templates.c.sequence > last)
                .order_by(templates.c.sequence)
            ).all()
        return AddedTemplates(
            enrolled=Enrolled(
                subject_id=subject.id,
                template_ids=tuple(row["public_id"] for row in rows),
                created=subject.created,
            ),
            row_ids=np.array(row_ids, dtype=np.int64),
            num_templates_before=num_before,
        )

    def relabel(
        self, public_id: str, field: Literal["name", "external_id"], value: str | None
    ) -> Subject:
        """Give the subject another name or external id, or erase it with None.

        Raises:
            RequestInvalid: another subject of the gallery has it.
            SubjectNotFound: no subject with this id.
        """
        column = subjects.c[field]
        with self._database.transaction() as connection:
            last = begin_change(connection, self._row)
            row_id = row_of(connection, self._row, public_id)
            taken = select(subjects.c.id).where(
                subjects.c.gallery_id == self._row, column == value, subjects.c.id != row_id
            )
            if value is not None and connection.execute(taken).first() is not None:
                what = field.replace("_", " ")
                raise RequestInvalid(f"another subject of the gallery has this {what}")
            connection.execute(
                update(subjects).where(subjects.c.id == row_id).values({field: value})
            )
            self._log(connection, last, Change(kind="subject_relabeled", subject_id=public_id))
            row = connection.execute(
                select_subjects(self._row).where(subjects.c.id == row_id)
            ).one()
        return subject_of(row)

    def remove_subject(self, public_id: str) -> list[int]:
        """Remove the subject and its templates; returns the matrix's ids of the templates.

        Raises:
            SubjectNotFound: no subject with this id.
        """
        with self._database.transaction() as connection:
            last = begin_change(connection, self._row)
            row_id = row_of(connection, self._row, public_id)
            own = templates.c.subject_id == row_id
            row_ids = list(connection.scalars(select(templates.c.id).where(own)))
            connection.execute(delete(templates).where(own))
            connection.execute(delete(subjects).where(subjects.c.id == row_id))
            self._log(connection, last, Change(kind="subject_removed", subject_id=public_id))
        return row_ids

    def remove_template(self, public_id: str) -> RemovedTemplate:
        """Remove one template; its subject stays.

        Raises:
            TemplateNotFound: no template with this id.
        """
        with self._database.transaction() as connection:
            last = begin_change(connection, self._row)
            row = self._template_row(connection, public_id)
            connection.execute(delete(templates).where(templates.c.id == row.id))
            change = Change(kind="template_removed", subject_id=row.owner, template_id=public_id)
            self._log(connection, last, change)
            left = None if row.owner is None else _num_templates(connection, row.subject_id)
        return RemovedTemplate(row_id=row.id, num_templates_left=left)

    def delete(self) -> int:
        """Delete the gallery with all that it holds; returns its number of templates.

        Raises:
            GalleryNotFound: it was deleted before.
        """
        with self._database.transaction() as connection:
            begin_change(connection, self._row)
            num_templates = connection.scalar(
                select(func.count()).where(templates.c.gallery_id == self._row)
            )
            connection.execute(delete(galleries).where(galleries.c.id == self._row))
        return num_templates or 0

    def _write(
        self,
        connection: Connection,
        new: Sequence[NewTemplate],
        subject: FoundSubject,
        *,
        last_sequence: int,
    ) -> list[dict[str, Any]]:
        """Write the templates' rows and their part of the change log; returns the rows."""
        now = utc_now()
        log = [Change(kind="subject_added", subject_id=subject.id)] if subject.created else []
        rows = []
        for template in new:
            context = TemplateContext(
                gallery_id=self.gallery.id,
                subject_id=subject.id,
                template_id=str(uuid.uuid4()),
                fingerprint=template.fingerprint,
            )
            log.append(
                Change(
                    kind="template_added",
                    subject_id=subject.id,
                    template_id=context.template_id,
                )
            )
            row = template_rows.pack(
                template,
                context=context,
                sealer=self._sealer,
                sequence=last_sequence + len(log),
                created_at=now,
            )
            rows.append(row | {"gallery_id": self._row, "subject_id": subject.row_id})
        connection.execute(insert(templates), rows)
        write_changes(connection, self._row, log, last_sequence=last_sequence, at=now)
        return rows

    def _log(self, connection: Connection, last_sequence: int, change: Change) -> None:
        write_changes(connection, self._row, [change], last_sequence=last_sequence, at=utc_now())


def _num_templates(connection: Connection, subject: int) -> int:
    number = connection.scalar(select(func.count()).where(templates.c.subject_id == subject))
    return number or 0
