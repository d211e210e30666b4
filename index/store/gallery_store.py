"""The changes of one gallery in SQL, each with its entries in the change log.

Every public method is one transaction and thread safe; what it returned from is on disk.
"""

import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, func, select, update

from embedding.errors import RequestInvalid, SubjectNotFound, TemplateNotFound
from index.ledger.entries import Removal, RemovalKind
from index.records import Enrolled, NewSubject, Subject
from index.sealing import Sealer, TemplateContext
from index.store import template_rows
from index.store.bulk import driver_time, insert_rows
from index.store.change_log import Change, GalleryState, begin_change, write_changes
from index.store.cursors import Cursors
from index.store.database import Database
from index.store.erasures import Erasures
from index.store.gallery_reads import GalleryReads
from index.store.ids import new_ids
from index.store.stored_gallery import StoredGallery
from index.store.subject_rows import (
    FoundSubject,
    find_or_create,
    row_of,
    select_subjects,
    subject_of,
)
from index.store.tables import galleries, subjects, templates, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """The gallery's state before and after a committed change.

    A copy in memory that was at `before` is at `after` once it has made the change too.
    """

    before: GalleryState
    after: GalleryState


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AddedTemplates(Committed):
    """A committed enroll.

    Attributes:
        enrolled: what was done, in the order of the subjects given.
        row_ids: (N,) int64, the ids for the matrix, ascending, in the order of the templates.
    """

    enrolled: tuple[Enrolled, ...]
    row_ids: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedTemplates(Committed):
    """A committed removal.

    Attributes:
        log: its entries in the change log.
    """

    log: tuple[Change, ...]

    @property
    def row_ids(self) -> tuple[int, ...]:
        """The matrix's ids of the templates."""
        return tuple(one.template_row for one in self.log if one.template_row is not None)


class GalleryStore(GalleryReads):
    """One gallery in SQL, as it is read and changed."""

    def __init__(
        self,
        gallery: StoredGallery,
        *,
        database: Database,
        sealer: Sealer,
        cursors: Cursors,
        erasures: Erasures,
    ) -> None:
        super().__init__(gallery, database=database, sealer=sealer, cursors=cursors)
        self._erasures = erasures

    def enroll(
        self, new: Sequence[NewSubject], embeddings_ND: NDArray[np.float32]
    ) -> AddedTemplates:
        """Write templates of subjects, all or none.

        Args:
            new: checked.
            embeddings_ND: (N, D) float32, what is stored for all their templates in order: the
                embeddings, turned into the gallery's space where it has one.

        Raises:
            GalleryNotFound: the gallery was deleted.
            RequestInvalid: a name and an external id belong to different subjects.
            SubjectNotFound: no subject with an id that was given.
        """
        with self._erasures.changing() as connection:
            before = begin_change(connection, self._row)
            found = find_or_create(connection, self._row, new)
            now = utc_now()
            log = _planned(new, found)
            rows = self._rows(new, found, embeddings_ND, log, before=before, now=now)
            row_ids = self._insert(connection, rows, now=now)
            were_empty = {each.id for each in found if each.num_templates == 0}
            after = write_changes(
                connection,
                self._row,
                _with_rows(log, row_ids),
                before=before,
                at=now,
                num_templates=len(rows),
                num_subjects=len(were_empty),
            )
        return AddedTemplates(
            before=before, after=after, enrolled=_enrolled(new, found, rows), row_ids=row_ids
        )

    def relabel(
        self, public_id: str, field: Literal["name", "external_id"], value: str | None
    ) -> tuple[Subject, Committed]:
        """Give the subject another name or external id, or erase it with None.

        Raises:
            RequestInvalid: another subject of the gallery has it.
            SubjectNotFound: no subject with this id.
        """
        column = subjects.c[field]
        with self._erasures.changing() as connection:
            before = begin_change(connection, self._row)
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
            after = write_changes(
                connection,
                self._row,
                [Change(kind="subject_relabeled", subject_id=public_id)],
                before=before,
                at=utc_now(),
            )
            row = connection.execute(
                select_subjects(self._row).where(subjects.c.id == row_id)
            ).one()
        return subject_of(row), Committed(before=before, after=after)

    def remove_subject(self, public_id: str) -> RemovedTemplates:
        """Remove the subject and its templates.

        Raises:
            SubjectNotFound: no subject with this id.
            StoreError: the ledger or the database cannot be written. The subject stays, or goes
                with the next change if it is in the ledger already.
        """
        with self._erasures.changing() as connection:
            removed = self._remove_subject(connection, public_id)
            self._remember(connection, removed)
        return removed

    def remove_template(self, public_id: str) -> RemovedTemplates:
        """Remove one template; its subject stays.

        Raises:
            TemplateNotFound: no template with this id.
            StoreError: as `remove_subject`.
        """
        with self._erasures.changing() as connection:
            removed = self._remove_template(connection, public_id)
            self._remember(connection, removed)
        return removed

    def delete(self) -> int:
        """Delete the gallery with all that it holds; returns its number of templates.

        Raises:
            GalleryNotFound: it was deleted before.
            StoreError: as `remove_subject`.
        """
        with self._erasures.changing() as connection:
            state = begin_change(connection, self._row)
            connection.execute(delete(galleries).where(galleries.c.id == self._row))
            self._erasures.remember(connection, [self._removal("gallery")])
        return state.num_templates

    def remove_again(self, connection: Connection, removal: Removal) -> None:
        """Carry out an entry of the ledger in a transaction; what is gone already stays so."""
        if removal.kind == "gallery":
            connection.execute(delete(galleries).where(galleries.c.id == self._row))
        elif removal.kind == "subject" and removal.subject_id is not None:
            with suppress(SubjectNotFound):
                self._remove_subject(connection, removal.subject_id)
        elif removal.template_id is not None:
            with suppress(TemplateNotFound):
                self._remove_template(connection, removal.template_id)

    def _remove_subject(self, connection: Connection, public_id: str) -> RemovedTemplates:
        before = begin_change(connection, self._row)
        row_id = row_of(connection, self._row, public_id)
        own = templates.c.subject_id == row_id
        rows = connection.execute(select(templates.c.id, templates.c.public_id).where(own))
        log = [
            _removed(subject_id=public_id, template_id=row.public_id, row_id=row.id)
            for row in rows
        ]
        connection.execute(delete(templates).where(own))
        connection.execute(delete(subjects).where(subjects.c.id == row_id))
        log.append(Change(kind="subject_removed", subject_id=public_id))
        num_templates = len(log) - 1
        after = write_changes(
            connection,
            self._row,
            log,
            before=before,
            at=utc_now(),
            num_templates=-num_templates,
            num_subjects=-(num_templates > 0),
        )
        return RemovedTemplates(before=before, after=after, log=tuple(log))

    def _remove_template(self, connection: Connection, public_id: str) -> RemovedTemplates:
        before = begin_change(connection, self._row)
        row = self._template_row(connection, public_id)
        connection.execute(delete(templates).where(templates.c.id == row.id))
        was_last = row.owner is not None and not _has_templates(connection, row.subject_id)
        log = [_removed(subject_id=row.owner, template_id=public_id, row_id=row.id)]
        after = write_changes(
            connection,
            self._row,
            log,
            before=before,
            at=utc_now(),
            num_templates=-1,
            num_subjects=-was_last,
        )
        return RemovedTemplates(before=before, after=after, log=tuple(log))

    def _remember(self, connection: Connection, removed: RemovedTemplates) -> None:
        """Write all that was removed into the ledger, each template by itself."""
        self._erasures.remember(
            connection,
            [
                self._removal(
                    "subject" if one.kind == "subject_removed" else "template",
                    subject_id=one.subject_id,
                    template_id=one.template_id,
                )
                for one in removed.log
            ],
        )

    def _removal(
        self,
        kind: RemovalKind,
        *,
        subject_id: str | None = None,
        template_id: str | None = None,
    ) -> Removal:
        return Removal(
            gallery_id=self.gallery.id,
            subject_id=subject_id,
            template_id=template_id,
            kind=kind,
            at=utc_now(),
        )

    def _rows(
        self,
        new: Sequence[NewSubject],
        found: Sequence[FoundSubject],
        embeddings_ND: NDArray[np.float32],
        log: Sequence[Change],
        *,
        before: GalleryState,
        now: datetime,
    ) -> list[dict[str, Any]]:
        """The templates' rows, numbered as the log says."""
        added = (
            (sequence, one)
            for sequence, one in enumerate(log, start=before.sequence + 1)
            if one.template_id is not None
        )
        given = (
            (template, subject)
            for each, subject in zip(new, found, strict=True)
            for template in each.templates
        )
        rows = []
        time = now.isoformat()
        for (sequence, one), (template, subject), embedding in zip(
            added, given, embeddings_ND.astype("<f4", copy=False), strict=True
        ):
            row = template_rows.pack(
                template,
                embedding=embedding.tobytes(),
                context=self._context(subject.id, str(one.template_id)),
                sealer=self._sealer,
                sequence=sequence,
                created_at=time,
            )
            row["gallery_id"], row["subject_id"] = self._row, subject.row_id
            rows.append(row)
        return rows

    def _context(self, subject_id: str, template_id: str) -> TemplateContext:
        return TemplateContext(
            gallery_id=self.gallery.id,
            subject_id=subject_id,
            template_id=template_id,
            fingerprint=self.gallery.fingerprint,
            space_id=self.gallery.space_id,
        )

    def _insert(
        self, connection: Connection, rows: list[dict[str, Any]], *, now: datetime
    ) -> NDArray[np.int64]:
        """Write the rows; returns their ids, which ascend with their sequence."""
        own = templates.c.gallery_id == self._row
        newest = connection.scalar(select(func.max(templates.c.id)).where(own)) or 0
        written_at = driver_time(connection, now)
        for row in rows:
            row["created_at"] = written_at
        insert_rows(connection, templates, rows)
        ids = connection.scalars(
            select(templates.c.id).where(own, templates.c.id > newest).order_by(templates.c.id)
        ).all()
        return np.array(ids, dtype=np.int64)


def _planned(new: Sequence[NewSubject], found: Sequence[FoundSubject]) -> list[Change]:
    """The entries of an enroll, the templates' without row ids."""
    ids = iter(new_ids(sum(len(each.templates) for each in new)))
    announced: set[str] = set()
    log = []
    for each, subject in zip(new, found, strict=True):
        if subject.created and subject.id not in announced:
            announced.add(subject.id)
            log.append(Change(kind="subject_added", subject_id=subject.id))
        log += [
            Change(kind="template_added", subject_id=subject.id, template_id=next(ids))
            for _ in each.templates
        ]
    return log


def _with_rows(log: Sequence[Change], row_ids: NDArray[np.int64]) -> list[Change]:
    ids = iter(row_ids.tolist())
    return [
        one if one.template_id is None else dataclasses.replace(one, template_row=next(ids))
        for one in log
    ]


def _enrolled(
    new: Sequence[NewSubject], found: Sequence[FoundSubject], rows: Sequence[dict[str, Any]]
) -> tuple[Enrolled, ...]:
    ids = iter(row["public_id"] for row in rows)
    created = {each.id for each in found if each.created}
    results = []
    for each, subject in zip(new, found, strict=True):
        results.append(
            Enrolled(
                subject_id=subject.id,
                template_ids=tuple(next(ids) for _ in each.templates),
                created=subject.id in created,
            )
        )
        # Whoever comes again in the same call was there by then.
        created.discard(subject.id)
    return tuple(results)


def _removed(*, subject_id: str | None, template_id: str, row_id: int) -> Change:
    return Change(
        kind="template_removed",
        subject_id=subject_id,
        template_id=template_id,
        template_row=row_id,
    )


def _has_templates(connection: Connection, subject: int) -> bool:
    own = select(templates.c.id).where(templates.c.subject_id == subject).limit(1)
    return connection.execute(own).first() is not None
