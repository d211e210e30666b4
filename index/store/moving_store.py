"""One gallery in SQL whose templates can get another subject, one by one or all of them.

Every public method is one transaction and thread safe; what it returned from is on disk.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, delete, func, select, update

from embedding.errors import RequestInvalid, TemplateNotFound
from index.details import joined
from index.ledger.chain import LedgerHead
from index.ledger.entries import Removal
from index.moves import MergedSubjects, MovedTemplates
from index.records import NewSubject
from index.store import look_alike_rows
from index.store.capping import remove_surplus
from index.store.change_log import (
    Change,
    Committed,
    GalleryState,
    begin_change,
    write_changes,
)
from index.store.detail_rows import check_not_expired, write_details
from index.store.event_rows import hold_for_merge, move_events
from index.store.gallery_store import RemovedTemplates
from index.store.kept_answers import forget_answers_of
from index.store.merged_subjects import note_merged
from index.store.moved_rows import move_rows
from index.store.review_rows import move_reviews
from index.store.rule_rows import read_rules
from index.store.subject_rows import (
    FoundSubject,
    details_of,
    find_or_create,
    row_of,
    subject_of,
    write_version,
)
from index.store.tables import subjects, templates, utc_now
from index.store.template_store import TemplateStore

_Done = TypeVar("_Done", bound="Moved | Merged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved(Committed):
    """A committed move.

    Attributes:
        told: what was done.
        dropped_row_ids: of templates that a cap removed.
    """

    told: MovedTemplates
    dropped_row_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged(Committed):
    """A committed merge; attributes as of `Moved`."""

    told: MergedSubjects
    dropped_row_ids: tuple[int, ...]


class _UndoneError(Exception):
    """Ends a dry run, with nothing of it committed."""


class MovingStore(TemplateStore):
    """One gallery in SQL, with its templates' moves between subjects."""

    def move_templates(
        self, subject_id: str, template_ids: Sequence[str], *, to: NewSubject, dry_run: bool
    ) -> Moved:
        """Give templates of one subject to another, all or none.

        Args:
            subject_id: whose they are.
            template_ids: each once.
            to: whose they become: found or created as at an enroll; its templates are not
                looked at.
            dry_run: commit nothing.

        Raises:
            ExpiredFirstError: whom they are given to has expired.
            RequestInvalid: they are the subject's already, or a name and an external id belong to
                different subjects.
            SubjectNotFound: no subject with one of the ids.
            TemplateNotFound: one of them is not a template of the subject.
        """

        def change(connection: Connection) -> tuple[Moved, list[Removal]]:
            before = begin_change(connection, self._row, name=self.gallery.name)
            now = self.clock.now()
            old = row_of(connection, self._row, subject_id, now=now)
            new = find_or_create(connection, self._row, [to])[0]
            check_not_expired([new], now=now)
            if new.row_id == old:
                raise RequestInvalid("the templates are this subject's already; name another one")
            rows = move_rows(
                connection,
                self.gallery,
                templates.c.public_id.in_(template_ids),
                old=(old, subject_id),
                new=new,
                sealer=self._sealer,
            )
            if len(rows) < len(template_ids):
                raise TemplateNotFound(
                    f"{len(template_ids) - len(rows)} of the templates are not the subject's; "
                    f"nothing was moved"
                )
            # What an enroll of theirs answered is so no more.
            forget_answers_of(connection, old)
            write_version(connection, [old, new.row_id])
            num_left = connection.scalar(select(func.count()).where(templates.c.subject_id == old))
            log = [Change(kind="subject_added", subject_id=new.id)] if new.created else []
            after = write_changes(
                connection,
                self._row,
                log + _moved(rows, new),
                before=before,
                at=utc_now(),
                num_subjects=(new.num_templates == 0) - (num_left == 0),
            )
            dropped = self._dropped(connection, new.id, before=after)
            told = MovedTemplates(
                subject_id=None if dry_run and new.created else new.id,
                created=new.created,
                template_ids=tuple(row.public_id for row in rows),
                similarities=(),
                dropped_ids=_template_ids(dropped),
                num_left=num_left or 0,
            )
            return (
                Moved(
                    before=before,
                    after=dropped.after,
                    told=told,
                    dropped_row_ids=dropped.row_ids,
                ),
                self._entries(dropped),
            )

        def finish(connection: Connection, moved: Moved, _: LedgerHead | None) -> Moved:
            told = moved.told
            whom = () if told.subject_id is None else (told.subject_id,)
            facts = {
                "num_templates": len(told.template_ids),
                "num_dropped": len(told.dropped_ids),
            }
            self._enter(connection, "template.move", subject_id, *whom, facts=facts)
            return moved

        return self._done(change, finish, dry_run=dry_run)

    def merge_subjects(self, subject_id: str, *, into: str, dry_run: bool) -> Merged:
        """Give all that one subject has to another, and delete the one.

        The other one keeps name, external id and details, and takes over what it has none of; of
        two expiries the earlier one holds.

        Args:
            subject_id: of the one that goes.
            into: id of the one that stays.
            dry_run: commit nothing.

        Raises:
            RequestInvalid: both are the same, or were declared look-alikes, or their metadata
                together would have too many keys or bytes.
            SubjectNotFound: no subject with one of the ids.
        """
        pseudonyms: tuple[str, ...] = ()

        def change(connection: Connection) -> tuple[Merged, list[Removal]]:
            nonlocal pseudonyms
            before = begin_change(connection, self._row, name=self.gallery.name)
            old = self._subject_row(connection, subject_id)
            new = self._subject_row(connection, into)
            partners = look_alike_rows.partners_of(
                connection, self._row, subject_id, now=self.clock.now()
            )
            _check_one_person(old, new, partners)
            # Told before the row goes, and with it the salt.
            pseudonyms = self._audit.pseudonyms(connection, (subject_id,))
            hold_for_merge(connection, old.id, new.id)
            rows = move_rows(
                connection,
                self.gallery,
                old=(old.id, subject_id),
                new=_found(new),
                sealer=self._sealer,
            )
            move_events(connection, old=old.id, new=new.id)
            move_reviews(
                connection,
                gallery_id=self.gallery.id,
                old=(old.id, subject_id),
                new=(new.id, into),
                sealer=self._sealer,
            )
            connection.execute(delete(subjects).where(subjects.c.id == old.id))
            taken_over = _taken_over(old, new)
            if taken_over:
                connection.execute(
                    update(subjects).where(subjects.c.id == new.id).values(taken_over)
                )
            write_details(connection, [(new.id, joined(details_of(new), details_of(old)))])
            declared = [
                Change(kind="look_alike_declared", subject_id=into)
                for other in partners
                if look_alike_rows.declare(connection, self._row, into, other)
            ]
            note_merged(connection, self._row, gone=subject_id, into=into)
            relabeled = [Change(kind="subject_relabeled", subject_id=into)] if taken_over else []
            after = write_changes(
                connection,
                self._row,
                [
                    *_moved(rows, _found(new)),
                    *relabeled,
                    *declared,
                    Change(kind="subject_merged", subject_id=subject_id),
                    Change(kind="subject_merged_into", subject_id=into),
                ],
                before=before,
                at=utc_now(),
                num_subjects=-bool(old.num_templates and new.num_templates),
            )
            dropped = self._dropped(connection, into, before=after)
            told = MergedSubjects(
                subject=subject_of(self._subject_row(connection, into)),
                merged_id=subject_id,
                template_ids=tuple(row.public_id for row in rows),
                similarity=None,
                dropped_ids=_template_ids(dropped),
                lost_name=None if "name" in taken_over else old.name,
                lost_external_id=None if "external_id" in taken_over else old.external_id,
                num_look_alikes=len(declared),
            )
            return (
                Merged(
                    before=before,
                    after=dropped.after,
                    told=told,
                    dropped_row_ids=dropped.row_ids,
                ),
                self._entries(dropped),
            )

        def finish(connection: Connection, merged: Merged, _: LedgerHead | None) -> Merged:
            facts = {
                "num_templates": len(merged.told.template_ids),
                "num_dropped": len(merged.told.dropped_ids),
            }
            self._enter(connection, "subject.merge", into, pseudonyms=pseudonyms, facts=facts)
            return merged

        return self._done(change, finish, dry_run=dry_run)

    def _done(
        self,
        change: Callable[[Connection], tuple[_Done, list[Removal]]],
        finish: Callable[[Connection, _Done, LedgerHead | None], _Done],
        *,
        dry_run: bool,
    ) -> _Done:
        """Carry a change out, or do so and undo it, which shows all that it would do."""
        if not dry_run:
            return self._erasures.removing(self.gallery.id, change, finish=finish)
        would: list[_Done] = []
        try:
            with self._erasures.changing(self.gallery.id) as connection:
                would.append(change(connection)[0])
                raise _UndoneError
        except _UndoneError:
            return would[0]

    def _dropped(
        self, connection: Connection, subject_id: str, *, before: GalleryState
    ) -> RemovedTemplates:
        """Remove what a subject then has too many of; none where the gallery keeps all."""
        cap = read_rules(connection, self._row).max_templates
        surplus = (
            [] if cap is None else remove_surplus(connection, self._row, {subject_id}, cap=cap)
        )
        if not surplus:
            return RemovedTemplates(before=before, after=before, log=())
        return self._surplus_removed(connection, surplus, before=before)


def _check_one_person(old: Row[Any], new: Row[Any], partners: Sequence[str]) -> None:
    if old.id == new.id:
        raise RequestInvalid("a subject cannot be merged into itself; give two subjects")
    if new.public_id in partners:
        raise RequestInvalid(
            "the two were declared look-alikes, so they are two people; take that back first"
        )


def _taken_over(old: Row[Any], new: Row[Any]) -> dict[str, str]:
    """What the one that stays has none of."""
    return {
        field: value
        for field in ("name", "external_id")
        if (value := getattr(old, field)) is not None and getattr(new, field) is None
    }


def _found(row: Row[Any]) -> FoundSubject:
    return FoundSubject(
        row_id=row.id,
        id=row.public_id,
        name=row.name,
        external_id=row.external_id,
        num_templates=row.num_templates,
        created=False,
    )


def _moved(rows: Sequence[Row[Any]], new: FoundSubject) -> list[Change]:
    return [
        Change(
            kind="template_moved",
            subject_id=new.id,
            template_id=row.public_id,
            template_row=row.id,
        )
        for row in rows
    ]


def _template_ids(removed: RemovedTemplates) -> tuple[str, ...]:
    return tuple(one.template_id for one in removed.log if one.template_id is not None)
