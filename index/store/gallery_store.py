"""The changes of one gallery in SQL, each with its entries in the change log.

Every public method is one transaction and thread safe; what it returned from is on disk.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, delete, select

from embedding.errors import SubjectNotFound, TemplateNotFound
from index.ledger.chain import LedgerHead
from index.ledger.entries import Removal, RemovalKind
from index.records import Enrolled, NewSubject
from index.repeats import Repeatable
from index.store.capping import Surplus, remove_surplus
from index.store.change_log import Change, Committed, GalleryState, begin_change, write_changes
from index.store.deleted_galleries import remember_deleted
from index.store.detail_rows import due
from index.store.enrolling import AddedTemplates, write_enroll
from index.store.event_rows import forget_gallery_events
from index.store.facts import (
    GalleryFact,
    delete_fact,
    forget_gallery_facts,
    gallery_fact,
    read_fact,
    seal_fact,
    write_fact,
)
from index.store.gallery_people import GalleryPeople, Versions
from index.store.kept_answers import forget_answers_of, keep_answer
from index.store.merged_subjects import forget_all_merged, removed_with
from index.store.rule_rows import read_rules
from index.store.subject_rows import row_of, subject_not_found, write_version
from index.store.tables import galleries, subjects, templates, utc_now


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovedTemplates(Committed):
    """A committed removal.

    Attributes:
        log: its entries in the change log.
        ledger: the removal ledger's head after its entries there, of which the last is that of
            the subject; None without a ledger.
    """

    log: tuple[Change, ...]
    ledger: LedgerHead | None = None

    @property
    def row_ids(self) -> tuple[int, ...]:
        """The matrix's ids of the templates."""
        return tuple(one.template_row for one in self.log if one.template_row is not None)


class GalleryStore(GalleryPeople):
    """One gallery in SQL, as it is read and changed."""

    def enroll(
        self,
        new: Sequence[NewSubject],
        embeddings_ND: NDArray[np.float32],
        *,
        repeatable: Repeatable[Enrolled] | None = None,
    ) -> AddedTemplates:
        """Write templates of subjects, all or none, and remove what they then have too many of.

        Args:
            new: checked.
            embeddings_ND: (N, D) float32, what is stored for all their templates in order: the
                embeddings, turned into the gallery's space where it has one.
            repeatable: how it is remembered what was done with the one subject; None for not.

        Raises:
            ExpiredFirstError: somebody who is meant has expired.
            GalleryNotFound: the gallery was deleted.
            IdempotencyKeyInUse: a request with the same key was quicker.
            RequestInvalid: a name and an external id belong to different subjects, or metadata
                would have too many keys or bytes.
            SubjectNotFound: no subject with an id that was given.
        """

        def change(connection: Connection) -> tuple[AddedTemplates, list[Removal]]:
            added = write_enroll(
                connection,
                self.gallery,
                new,
                embeddings_ND,
                sealer=self._sealer,
                expired_at=self.clock.now(),
            )
            cap = read_rules(connection, self._row).max_templates
            removals: list[Removal] = []
            if cap is not None:
                added, removals = self._capped(connection, added, cap=cap)
            if repeatable is not None:
                self._keep(connection, repeatable, added.enrolled[0])
            return added, removals

        def finish(
            connection: Connection, added: AddedTemplates, _: LedgerHead | None
        ) -> AddedTemplates:
            subject_ids = tuple(dict.fromkeys(each.subject_id for each in added.enrolled))
            facts = {"num_templates": len(added.row_ids), "num_subjects": len(subject_ids)}
            self._enter(connection, "subject.enroll", *subject_ids, facts=facts)
            return added

        return self._erasures.removing(self.gallery.id, change, finish=finish)

    def remove_subject(self, public_id: str, *, versions: Versions = None) -> RemovedTemplates:
        """Remove the subject and its templates.

        Args:
            public_id: whom.
            versions: see `Versions`.

        Raises:
            SubjectChanged: it has none of the versions.
            SubjectNotFound: no subject with this id.
            StoreError: the ledger or the database cannot be written. The subject stays, or goes
                with the next change if it is in the ledger already.
        """

        def remove(connection: Connection) -> RemovedTemplates:
            if versions is not None:
                begin_change(connection, self._row, name=self.gallery.name)
                self._subject_row(connection, public_id, versions=versions)
            return self._remove_subject(connection, public_id)

        return self._remove(remove, "subject.remove", subject=public_id)

    def remove_expired(self, public_id: str) -> RemovedTemplates:
        """Remove a subject who has expired, with its templates.

        Raises:
            SubjectNotFound: no subject with this id, or its expiry was put off.
            StoreError: as `remove_subject`.
        """

        def remove(connection: Connection) -> RemovedTemplates:
            begin_change(connection, self._row, name=self.gallery.name)
            if public_id not in due(connection, self._row, now=self.clock.now()):
                raise subject_not_found()
            return self._remove_subject(connection, public_id)

        return self._remove(remove, "subject.expire", subject=public_id)

    def remove_template(self, public_id: str) -> RemovedTemplates:
        """Remove one template; its subject stays.

        Raises:
            TemplateNotFound: no template with this id.
            StoreError: as `remove_subject`.
        """
        return self._remove(
            lambda connection: self._remove_template(connection, public_id), "template.remove"
        )

    def ledger_entry(self, public_id: str) -> int | None:
        """Return the number of a removed subject's newest entry in the ledger, from 1 on.

        None without a ledger, or where it was begun later.
        """
        found = None
        for number, removal in enumerate(self._erasures.all(), start=1):
            if removal.kind == "subject" and removal.subject_id == public_id:
                found = number
        return found

    def delete(self) -> int:
        """Delete the gallery with all that it holds; returns its number of templates.

        Raises:
            GalleryNotFound: it was deleted before.
            StoreError: as `remove_subject`.
        """

        def remove(connection: Connection) -> tuple[int, list[Removal]]:
            state = begin_change(connection, self._row, name=self.gallery.name)
            removal = self._removal("gallery")
            self._delete(connection, state, at=removal.at)
            return state.num_templates, [removal]

        def finish(connection: Connection, num_templates: int, _: LedgerHead | None) -> int:
            facts = {"num_templates": num_templates}
            self._enter(connection, "gallery.delete", facts=facts)
            return num_templates

        return self._erasures.removing(self.gallery.id, remove, finish=finish)

    def write_facts(self, facts: Mapping[GalleryFact, bytes | None]) -> None:
        """Write facts of the gallery over what they were, all or none; None deletes one.

        They are deleted with the gallery, and sealed if they hold embeddings.

        Raises:
            GalleryNotFound: the gallery was deleted.
        """
        with self._database.transaction() as connection:
            # Held, so that a deletion beside this one cannot leave a fact behind.
            begin_change(connection, self._row, name=self.gallery.name)
            for kind, value in facts.items():
                name = gallery_fact(kind, self.gallery.id)
                if value is None:
                    delete_fact(connection, name)
                    continue
                sealed = seal_fact(kind, value, gallery_id=self.gallery.id, sealer=self._sealer)
                write_fact(connection, name, sealed)
            self._enter(connection, "gallery.facts", facts=dict.fromkeys(facts, True))

    def mark_purged(self, sequence: int) -> None:
        """Remember that what was removed up to a number of the change log is purged."""
        name = gallery_fact("purged", self.gallery.id)
        with self._database.transaction() as connection:
            begin_change(connection, self._row)
            if int(read_fact(connection, name) or b"0") < sequence:
                write_fact(connection, name, str(sequence).encode())

    def remove_again(self, connection: Connection, removal: Removal) -> None:
        """Carry out an entry of the ledger in a transaction; what is gone already stays so."""
        if removal.kind == "gallery":
            self._delete(connection, begin_change(connection, self._row), at=removal.at)
        elif removal.kind == "subject" and removal.subject_id is not None:
            with suppress(SubjectNotFound):
                self._remove_subject(connection, removal.subject_id)
        elif removal.template_id is not None:
            with suppress(TemplateNotFound):
                self._remove_template(connection, removal.template_id)

    def _capped(
        self, connection: Connection, added: AddedTemplates, *, cap: int
    ) -> tuple[AddedTemplates, list[Removal]]:
        """Remove what the subjects of an enroll have too many of, as any removal is made."""
        owners = {each.subject_id for each in added.enrolled}
        surplus = remove_surplus(connection, self._row, owners, cap=cap)
        if not surplus:
            return added, []
        removed = self._surplus_removed(connection, surplus, before=added.after)
        added = replace(
            added,
            after=removed.after,
            enrolled=_without(added, surplus),
            dropped_row_ids=removed.row_ids,
        )
        return added, self._entries(removed)

    def _surplus_removed(
        self, connection: Connection, surplus: Sequence[Surplus], *, before: GalleryState
    ) -> RemovedTemplates:
        """Log what a cap has removed; the subjects still have templates."""
        for subject_id in {one.subject_id for one in surplus}:
            forget_answers_of(connection, row_of(connection, self._row, subject_id))
        log = tuple(
            _removed(subject_id=one.subject_id, template_id=one.template_id, row_id=one.row_id)
            for one in surplus
        )
        after = write_changes(
            connection, self._row, log, before=before, at=utc_now(), num_templates=-len(log)
        )
        return RemovedTemplates(before=before, after=after, log=log)

    def _keep(
        self, connection: Connection, repeatable: Repeatable[Enrolled], done: Enrolled
    ) -> None:
        keep_answer(
            connection,
            repeatable.key,
            gallery=self._row,
            subject=row_of(connection, self._row, done.subject_id),
            answer=repeatable.answer(done),
        )

    def _delete(self, connection: Connection, state: GalleryState, *, at: datetime) -> None:
        remember_deleted(connection, self.gallery, state, at=at)
        connection.execute(delete(galleries).where(galleries.c.id == self._row))
        forget_gallery_facts(connection, self.gallery.id)
        forget_all_merged(connection, self._row)
        forget_gallery_events(connection, self.gallery.id)

    def _remove_subject(self, connection: Connection, public_id: str) -> RemovedTemplates:
        before = begin_change(connection, self._row, name=self.gallery.name)
        row_id = row_of(connection, self._row, public_id)
        own = templates.c.subject_id == row_id
        rows = connection.execute(select(templates.c.id, templates.c.public_id).where(own)).all()
        # First, since a receipt counts the templates that stand before the subject's own entry.
        log = [
            Change(kind="subject_removed", subject_id=each)
            for each in removed_with(connection, self._row, public_id)
        ]
        log += [
            _removed(subject_id=public_id, template_id=row.public_id, row_id=row.id)
            for row in rows
        ]
        connection.execute(delete(templates).where(own))
        connection.execute(delete(subjects).where(subjects.c.id == row_id))
        log.append(Change(kind="subject_removed", subject_id=public_id))
        num_templates = len(rows)
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
        before = begin_change(connection, self._row, name=self.gallery.name)
        row = self._template_row(connection, public_id)
        connection.execute(delete(templates).where(templates.c.id == row.id))
        if row.subject_id is not None:
            forget_answers_of(connection, row.subject_id)
        was_last = row.owner is not None and not _has_templates(connection, row.subject_id)
        if row.subject_id is not None:
            write_version(connection, [row.subject_id])
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

    def _remove(
        self,
        remove: Callable[[Connection], RemovedTemplates],
        action: str,
        *,
        subject: str | None = None,
    ) -> RemovedTemplates:
        """Remove, with all that was removed in the ledger, each template by itself.

        Args:
            remove: in a transaction.
            action: for the audit log.
            subject: public id of who is removed as a whole.
        """
        # Told before the row goes, and with it the salt.
        pseudonyms: tuple[str, ...] = ()

        def change(connection: Connection) -> tuple[RemovedTemplates, list[Removal]]:
            nonlocal pseudonyms
            gone = () if subject is None else (subject,)
            pseudonyms = self._audit.pseudonyms(connection, gone)
            removed = remove(connection)
            return removed, self._entries(removed)

        def finish(
            connection: Connection, removed: RemovedTemplates, head: LedgerHead | None
        ) -> RemovedTemplates:
            left = {one.subject_id for one in removed.log if one.subject_id is not None}
            self._enter(
                connection,
                action,
                *left,
                pseudonyms=pseudonyms,
                facts={"num_templates": len(removed.row_ids)},
            )
            return replace(removed, ledger=head)

        return self._erasures.removing(self.gallery.id, change, finish=finish)

    def _entries(self, removed: RemovedTemplates) -> list[Removal]:
        return [
            self._removal(
                "subject" if one.kind == "subject_removed" else "template",
                subject_id=one.subject_id,
                template_id=one.template_id,
            )
            for one in removed.log
        ]

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


def _without(added: AddedTemplates, surplus: Sequence[Surplus]) -> tuple[Enrolled, ...]:
    """What was enrolled, with what went; the last of a subject's entries tells it."""
    dropped: dict[str, list[str]] = {}
    for one in surplus:
        dropped.setdefault(one.subject_id, []).append(one.template_id)
    told = []
    for each in reversed(added.enrolled):
        told.append(replace(each, dropped_ids=tuple(dropped.pop(each.subject_id, ()))))
    return tuple(reversed(told))
