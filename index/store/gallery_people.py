"""Changes of the people of a gallery in SQL: what they are called, and what is kept of them.

Every public method is one transaction and thread safe.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Row, select, update

from embedding.errors import SubjectChanged, SubjectExists
from index.audit.entries import Fact
from index.details import Details, SubjectChange, Unchanged
from index.records import NewSubject, Subject
from index.store.change_log import Change, Committed, GalleryState, begin_change, write_changes
from index.store.detail_rows import (
    ExpiredFirstError,
    change_found,
    detail_values,
    due,
    write_details,
)
from index.store.gallery_choices import GalleryChoices
from index.store.lots import in_lots
from index.store.merged_subjects import merged_into
from index.store.subject_rows import (
    details_of,
    existing_subjects,
    find_among,
    not_expired,
    select_subjects,
    subject_not_found,
    subject_of,
    write_version,
)
from index.store.tables import subjects, utc_now

Versions = Collection[str] | None
"""Of a subject (`Subject.version`), one of which it must have; None for any."""


class GalleryPeople(GalleryChoices):
    """One gallery in SQL, with what is changed of its people besides their templates."""

    def change_subject(
        self, public_id: str, change: SubjectChange, *, versions: Versions = None
    ) -> tuple[Subject, Committed | None]:
        """Change what a subject is called and what is kept of it, all or nothing.

        Args:
            public_id: whose.
            change: checked.
            versions: see `Versions`.

        Returns:
            The subject afterwards; None where it was so already, and nothing is written.

        Raises:
            ExpiredFirstError: somebody who has expired has the name or external id.
            RequestInvalid: metadata would have too many keys or bytes.
            SubjectExists: another subject of the gallery has the name or external id.
            SubjectChanged: it has none of the versions.
            SubjectNotFound: no subject with this id.
        """
        with self._erasures.changing(self.gallery.id) as connection:
            before = begin_change(connection, self._row, name=self.gallery.name)
            row = self._subject_row(connection, public_id, versions=versions)
            labels = {
                field: value
                for field, value in (("name", change.name), ("external_id", change.external_id))
                if not isinstance(value, Unchanged) and value != row._mapping[field]
            }
            known = details_of(row)
            details = change.details.applied_to(known)
            facts: dict[str, Fact] = {field: value is not None for field, value in labels.items()}
            facts |= _changed(known, details)
            if not facts:
                return subject_of(row), None
            self._check_free(connection, row.id, labels)
            if labels:
                connection.execute(
                    update(subjects).where(subjects.c.id == row.id).values(**labels)
                )
                write_version(connection, [row.id])
            if facts.keys() - labels.keys():
                write_details(connection, [(row.id, details)])
            after = self._log_changed(connection, before, [public_id])
            query = select_subjects(self._row).where(subjects.c.id == row.id)
            changed = subject_of(connection.execute(query).one())
            self._enter(connection, "subject.change", public_id, facts=facts)
        return changed, Committed(before=before, after=after)

    def change_details(self, wanted: Sequence[NewSubject]) -> Committed | None:
        """Write the details of those who are there, one after the other, in one commit.

        Args:
            wanted: whom, by name and external id, and the change of the details; checked. Who is
                not there, or has expired, is passed over.

        Returns:
            None where nothing was to be changed.

        Raises:
            RequestInvalid: a name and an external id belong to different subjects, or metadata
                would have too many keys or bytes.
        """
        with self._erasures.changing(self.gallery.id) as connection:
            before = begin_change(connection, self._row, name=self.gallery.name)
            existing = existing_subjects(connection, self._row, wanted)
            found = find_among(existing, wanted)
            now = self.clock.now()
            pairs = [
                (given, subject)
                for given, subject in zip(wanted, found, strict=True)
                if subject is not None and not subject.details.expired(now)
            ]
            changed = change_found(
                connection, [given for given, _ in pairs], [subject for _, subject in pairs]
            )
            return self._details_changed(connection, before, changed)

    def set_details(self, details: Mapping[str, Details]) -> Committed | None:
        """Write details over what they were, by public id, in one commit; see the other.

        Who is not there is passed over.
        """
        with self._erasures.changing(self.gallery.id) as connection:
            before = begin_change(connection, self._row, name=self.gallery.name)
            changed = []
            for some in in_lots(list(details)):
                query = select(subjects).where(
                    subjects.c.gallery_id == self._row, subjects.c.public_id.in_(some)
                )
                changed += [
                    (row.id, row.public_id)
                    for row in connection.execute(query)
                    if _changed(details_of(row), details[row.public_id])
                ]
            write_details(connection, [(row, details[public_id]) for row, public_id in changed])
            return self._details_changed(
                connection, before, [public_id for _, public_id in changed]
            )

    def expired(self) -> list[str]:
        """Return the ids of those who have expired and are not erased yet."""
        with self._reading() as connection:
            return due(connection, self._row, now=self.clock.now())

    def _subject_row(
        self, connection: Connection, public_id: str, *, versions: Versions = None
    ) -> Row[Any]:
        """The row of `select_subjects` of somebody who has not expired.

        Raises:
            SubjectChanged: it has none of the versions.
            SubjectNotFound: no subject with this id.
        """
        row = connection.execute(
            select_subjects(self._row).where(
                subjects.c.public_id == public_id, not_expired(self.clock.now())
            )
        ).first()
        if row is None:
            raise subject_not_found(merged_into(connection, self._row, public_id))
        if versions is not None and subject_of(row).version not in versions:
            raise SubjectChanged(
                "the subject was changed since; get it again, and change what is there now"
            )
        return row

    def _check_free(
        self, connection: Connection, row_id: int, labels: Mapping[str, str | None]
    ) -> None:
        """Pass labels that nobody else of the gallery has; see `change_subject`."""
        for field, value in labels.items():
            if value is None:
                continue
            taken = connection.execute(
                select(subjects).where(
                    subjects.c.gallery_id == self._row,
                    subjects.c[field] == value,
                    subjects.c.id != row_id,
                )
            ).first()
            if taken is None:
                continue
            if details_of(taken).expired(self.clock.now()):
                raise ExpiredFirstError(taken.public_id)
            what = field.replace("_", " ")
            raise SubjectExists(
                f"another subject of the gallery has this {what}; look it up by it, and give "
                f"another {what} or merge the two"
            )

    def _details_changed(
        self, connection: Connection, before: GalleryState, changed: Sequence[str]
    ) -> Committed | None:
        if not changed:
            return None
        after = self._log_changed(connection, before, changed)
        facts = {"num_subjects": len(changed)}
        self._enter(connection, "subject.change", *changed, facts=facts)
        return Committed(before=before, after=after)

    def _log_changed(
        self, connection: Connection, before: GalleryState, changed: Sequence[str]
    ) -> GalleryState:
        log = [Change(kind="subject_relabeled", subject_id=each) for each in changed]
        return write_changes(connection, self._row, log, before=before, at=utc_now())


def _changed(known: Details, details: Details) -> dict[str, Fact]:
    """Which fields differ, and whether there is something in them now; never what."""
    one, other = detail_values(known), detail_values(details)
    return {
        name.removeprefix("new_"): other[name] is not None
        for name in one
        if one[name] != other[name]
    }
