"""An open gallery whose templates can be looked at, given to another subject, and erased.

Shapes: M moved templates, N templates that a subject had before, D embedding dimension.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embedding.errors import RequestInvalid
from index.checks import check_external_id, check_limit, check_name
from index.moves import MergedSubjects, MovedTemplates, TemplatePage
from index.people import PeopleOfGallery
from index.receipts import Erasure
from index.records import NewSubject
from index.references import references_of
from index.store.removed_subjects import RemovedSubject

MAX_TEMPLATES = 1000
"""The most templates on one page, and in one move by their ids."""

_BLOCK_ROWS = 256
"""Moved templates that are compared at a time: 10 MB beside ten thousand others."""


class MovingGallery(PeopleOfGallery):
    """A gallery with its templates' moves between subjects."""

    def template_page(
        self, subject_id: str, *, limit: int = 100, cursor: str | None = None
    ) -> TemplatePage:
        """Return a page of a subject's templates, the oldest first.

        Args:
            subject_id: whose.
            limit: templates on the page, 1 to 1000.
            cursor: `TemplatePage.next_cursor` of the page before; None for the first.

        Raises:
            RequestInvalid: the limit is out of range, or the cursor is not of this subject.
            SubjectNotFound: no subject with this id.
        """
        self._check_exists()
        check_limit(limit)
        return self._store.template_page(subject_id, limit=limit, cursor=cursor)

    def embedding(self, template_id: str) -> NDArray[np.float32]:
        """Return a template's vector (D,) float32, unit length, as the model made it.

        It is a face: comparable with any embedding of the model, whatever space the gallery
        stores it in. Who asks for it stands nowhere yet; enter it into the audit log before.

        Raises:
            TemplateNotFound: no template with this id.
            StoreCorrupt: it does not fit its checksum.
        """
        self._check_exists()
        stored_1D = self._store.embedding(template_id)[np.newaxis]
        vectors_1D = stored_1D if self._space is None else self._space.unrotate(stored_1D)
        found: NDArray[np.float32] = vectors_1D[0]
        return found

    def erase_template(self, template_id: str) -> Erasure:
        """Remove one template; returns what a receipt tells of it.

        Its subject stays, even without any. Once it has returned, no identification finds it.

        Raises:
            TemplateNotFound: no template with this id.
        """
        with self._changing():
            removed = self._store.remove_template(template_id)
            self._made(removed, removed=removed.row_ids)
        found = self._store.removed_template(template_id, sequence=removed.after.sequence)
        entry = None if removed.ledger is None else removed.ledger.count
        return self._template_erasure(template_id, found, ledger_entry=entry)

    def template_erasure(self, template_id: str) -> Erasure:
        """Return what a receipt tells now of a template that was removed.

        Also of one that went with its subject, or because of a cap. Reads change log and ledger
        as far as it must.

        Raises:
            TemplateNotFound: none with this id was removed from the gallery.
        """
        self._check_exists()
        found = self._store.removed_template(template_id)
        entry = self._store.ledger_entry_of_template(template_id)
        return self._template_erasure(template_id, found, ledger_entry=entry)

    def num_templates_of(self, subject_id: str | None) -> int:
        """Return how many templates a subject has; 0 for one that is not there, or for nobody."""
        if subject_id is None:
            return 0
        found = self._store.subjects_by_id([subject_id]).get(subject_id)
        return 0 if found is None else found.num_templates

    def move_templates(
        self,
        subject_id: str,
        template_ids: Sequence[str],
        *,
        to_subject_id: str | None = None,
        to_name: str | None = None,
        to_external_id: str | None = None,
        dry_run: bool = False,
    ) -> MovedTemplates:
        """Give templates of one subject to another, all or none; on disk when it returns.

        From then on they count for the other subject in every answer, also of other processes.
        The one that they were taken from stays, even without any. Where the gallery keeps at most
        so many of a subject, the surplus is removed in the same commit.

        Args:
            subject_id: whose they are.
            template_ids: 1 to 1000; one that comes twice counts once.
            to_subject_id: an existing subject; excludes name and external id.
            to_name: found or created under this name.
            to_external_id: found or created under this id.
            dry_run: change nothing.

        Raises:
            NameInvalid: the name or external id is empty, too long or holds forbidden characters.
            RequestInvalid: nobody, or one and the same subject, or ids that contradict; too many
                templates or none.
            SubjectNotFound: no subject with one of the ids.
            TemplateNotFound: one of them is not a template of the subject.
        """
        unique = tuple(dict.fromkeys(template_ids))
        if not 1 <= len(unique) <= MAX_TEMPLATES:
            raise RequestInvalid(f"give 1 to {MAX_TEMPLATES} templates, not {len(unique)}")
        to = _target(to_subject_id, name=to_name, external_id=to_external_id)
        nearest = self._nearest(subject_id, self._id_of(to))
        with self._changing():
            moved = self._without_expired(
                lambda: self._store.move_templates(subject_id, unique, to=to, dry_run=dry_run)
            )
            if not dry_run:
                self._made(moved, removed=moved.dropped_row_ids)
        similarities = tuple(nearest.get(each) for each in moved.told.template_ids)
        return replace(moved.told, similarities=similarities)

    def merge_subjects(
        self, subject_id: str, *, into: str, dry_run: bool = False
    ) -> MergedSubjects:
        """Give all templates of one subject to another, and delete the one.

        The other one keeps its name and external id, takes over what it has none of, and the
        declared look-alikes of the one. Where the gallery keeps at most so many templates of a
        subject, the surplus is removed in the same commit.

        Args:
            subject_id: of the one that goes; whoever asks for it is told where it went.
            into: id of the one that stays.
            dry_run: change nothing.

        Raises:
            RequestInvalid: both are the same, or were declared look-alikes.
            SubjectNotFound: no subject with one of the ids.
        """
        nearest = self._nearest(subject_id, into)
        with self._changing():
            merged = self._store.merge_subjects(subject_id, into=into, dry_run=dry_run)
            if not dry_run:
                # The one that went leaves its name, and reviews of it their crops.
                self._made(merged, removed=merged.dropped_row_ids, erases=True)
        return replace(merged.told, similarity=max(nearest.values(), default=None))

    def _id_of(self, to: NewSubject) -> str | None:
        """The id of a subject that is there, or None."""
        if to.subject_id is not None:
            return to.subject_id
        by_name = None if to.name is None else self._store.find("name", to.name)
        if by_name is None and to.external_id is not None:
            by_name = self._store.find("external_id", to.external_id)
        return None if by_name is None else by_name.id

    def _nearest(self, subject_id: str, other_id: str | None) -> dict[str, float]:
        """Similarities of a subject's templates, by id, to the nearest one of another subject."""
        self.refresh()
        if other_id is None or other_id == subject_id:
            return {}
        own, others = (
            references_of(each, matrix=self._memory.matrix, store=self._store, space=None)
            for each in (subject_id, other_id)
        )
        if not others.templates:
            return {}
        found: dict[str, float] = {}
        for start in range(0, len(own.templates), _BLOCK_ROWS):
            block_MD = own.vectors_ND[start : start + _BLOCK_ROWS]
            nearest_M = (block_MD @ others.vectors_ND.T).max(axis=1)
            some = own.templates[start : start + _BLOCK_ROWS]
            found |= {
                one.template_id: float(similarity)
                for one, similarity in zip(some, nearest_M, strict=True)
            }
        return found

    def _template_erasure(
        self, template_id: str, found: RemovedSubject, *, ledger_entry: int | None
    ) -> Erasure:
        return Erasure(
            gallery_id=self.id,
            subject_id=found.subject_id,
            template_id=template_id,
            num_templates=found.num_templates,
            num_subjects=0,
            removed_at=found.at,
            ledger_entry=ledger_entry,
            final=self._store.purged_sequence >= found.sequence
            and not self.snapshot_is_before(found.sequence),
        )


def _target(subject_id: str | None, *, name: str | None, external_id: str | None) -> NewSubject:
    if subject_id is None and name is None and external_id is None:
        raise RequestInvalid("say whose the templates become: an id, a name or an external id")
    if subject_id is not None and (name is not None or external_id is not None):
        raise RequestInvalid("give the subject by its id, or by name and external id")
    return NewSubject(
        subject_id=subject_id,
        name=None if name is None else check_name(name),
        external_id=None if external_id is None else check_external_id(external_id),
        templates=(),
    )
