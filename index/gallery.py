"""One gallery: enroll, identify and remove, on the SQL truth and the vectors in memory.

An identification searches the vectors and then looks its hits up in SQL, so that what
SQL no longer holds is never named.

Shapes: D is the embedding dimension.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from embedding.errors import RequestInvalid
from index.checks import (
    check_model,
    check_new_subject,
    check_new_templates,
    check_unit_vectors,
)
from index.decision import Identification, check_doubts, check_thresholds, identification
from index.details import DetailChange, check_future
from index.fusion import FusionRule
from index.moving_gallery import MovingGallery
from index.receipts import Erasure
from index.records import (
    EMBEDDING_DIMENSION,
    Enrolled,
    NewSubject,
    NewTemplate,
    Subject,
    Template,
)
from index.references import References, references_of
from index.repeats import Repeatable
from index.search import best_candidates, candidates_of
from index.store.photo_changes import PhotoChange
from index.store.removed_subjects import RemovedSubject

MAX_CANDIDATES = 4096
"""The most candidates that one identification gives; no list for a person is longer."""


class Gallery(MovingGallery):
    """The subjects of one model's gallery; every method is thread safe.

    Got from `Galleries`, never made by hand.
    """

    def enroll(
        self,
        templates: Sequence[NewTemplate],
        *,
        subject_id: str | None = None,
        name: str | None = None,
        external_id: str | None = None,
        details: DetailChange | None = None,
        repeatable: Repeatable[Enrolled] | None = None,
    ) -> Enrolled:
        """Store templates of one subject, all or none; returns after the commit is on disk.

        Where the gallery keeps at most so many templates of a subject (`rules`), the surplus is
        removed in the same commit, and `Enrolled.dropped_ids` tells which.

        Args:
            templates: at least one, of this gallery's model.
            subject_id: an existing subject; excludes name and external_id.
            name: found or created under this name.
            external_id: found or created under this id. With both, they must belong to one
                subject, or both be new. With none of the three, a new subject without a name.
            details: a change of those that the subject has.
            repeatable: how it is remembered, in the same commit, what was done; None for not.

        Raises:
            IdempotencyKeyInUse: a request with the same key was quicker; nothing was done.
            EmbeddingInvalid: NaN, zero, not of unit length, or of another dimension.
            ModelMismatch: a template of another model.
            NameInvalid: the name or external id is empty, too long or holds forbidden characters.
            RequestInvalid: no templates, a figure out of range, ids that contradict, or a detail
                that cannot be kept.
            SubjectNotFound: no subject with this id.
        """
        return self.enroll_many(
            [
                NewSubject(
                    subject_id=subject_id,
                    name=name,
                    external_id=external_id,
                    templates=tuple(templates),
                    details=details,
                )
            ],
            repeatable=repeatable,
        )[0]

    def enroll_many(
        self, new: Sequence[NewSubject], *, repeatable: Repeatable[Enrolled] | None = None
    ) -> tuple[Enrolled, ...]:
        """Store templates of many subjects in one commit, all or none, in their order.

        Args:
            new: the subjects; one where it is to be remembered what was done.
            repeatable: as in `enroll`.

        Raises:
            As `enroll`; nothing of any subject is stored then.
        """
        if not new:
            return ()
        checked = [check_new_subject(each, fingerprint=self.fingerprint) for each in new]
        embeddings_ND = check_new_templates(
            [template for each in checked for template in each.templates],
            dimension=EMBEDDING_DIMENSION,
        )
        embeddings_ND = self._stored_form(embeddings_ND)
        for each in checked:
            if each.details is not None:
                check_future(each.details, now=self._store.clock.now())
        with self._changing():
            added = self._without_expired(
                lambda: self._store.enroll(checked, embeddings_ND, repeatable=repeatable)
            )
            self._made(added, added=(added.row_ids, embeddings_ND), removed=added.dropped_row_ids)
        return added.enrolled

    def identify(
        self,
        embedding: NDArray[np.float32],
        *,
        fingerprint: str,
        match_threshold: float,
        review_threshold: float,
        num_candidates: int = 5,
        fusion: FusionRule | None = None,
        smallest_lead: float | None = None,
    ) -> Identification:
        """Return who it is, with the best candidates, each subject once.

        Args:
            embedding: (D,) float32, unit length.
            fingerprint: of the model that made the embedding.
            match_threshold: smallest similarity of a ``match``.
            review_threshold: smallest similarity of a ``review``.
            num_candidates: at most so many candidates, 1 to 4096.
            fusion: how the templates of a subject become its similarity; None for the gallery's
                own rule (`rules`). The thresholds must be calibrated for it: those of a model
                card hold for the maximum. Any other rule costs one query more.
            smallest_lead: a ``match`` that leads by less over the second candidate becomes
                ``review``; None for the gallery's own figure.

        A declared look-alike (`declare_look_alikes`) of the best candidate that reaches the
        review threshold turns ``match`` into ``review`` too, wherever it ranks.

        Raises:
            EmbeddingInvalid: NaN, zero, not of unit length, or of another dimension.
            ModelMismatch: the embedding is of another model than the gallery.
            RequestInvalid: a threshold, num_candidates or the lead is out of range.
        """
        check_model(fingerprint, expected=self.fingerprint)
        check_thresholds(match_threshold=match_threshold, review_threshold=review_threshold)
        if not 1 <= num_candidates <= MAX_CANDIDATES:
            raise RequestInvalid(
                f"num_candidates must be 1 to {MAX_CANDIDATES}, but is {num_candidates}"
            )
        self._check_exists()
        probe_1D = np.asarray(embedding)[np.newaxis]
        check_unit_vectors(probe_1D, dimension=EMBEDDING_DIMENSION)
        probe_D = self._stored_form(probe_1D)[0]
        rule, lead = fusion, smallest_lead
        if rule is None or lead is None:
            rules = self._store.rules()
            rule = rules.rule if rule is None else rule
            lead = rules.smallest_lead if lead is None else lead
        check_doubts(smallest_lead=lead, look_alikes=())
        pairs: list[tuple[str, str]] = []
        with best_candidates(
            probe_D,
            matrix=self._memory.matrix,
            store=self._store,
            # The runner-up is looked at, also where one candidate is asked for.
            num_candidates=max(num_candidates, 2) if lead > 0.0 else num_candidates,
            rule=rule,
        ) as (candidates, reading):
            if candidates and candidates[0].similarity >= review_threshold:
                best = candidates[0].subject_id
                pairs = [(best, other) for other in reading.look_alikes_of(best)]
                known = {each.subject_id for each in candidates}
                missing = [other for _, other in pairs if other not in known]
                if missing:
                    candidates += candidates_of(
                        missing, probe_D, matrix=self._memory.matrix, store=reading, rule=rule
                    )
        answer = identification(
            candidates,
            match_threshold=match_threshold,
            review_threshold=review_threshold,
            smallest_lead=lead,
            look_alikes=pairs,
        )
        return replace(answer, candidates=answer.candidates[:num_candidates])

    def remove_subject(self, subject_id: str) -> int:
        """Remove the subject and its templates; returns the number of templates removed.

        Once it has returned, no identification names the subject.

        Raises:
            SubjectNotFound: no subject with this id.
        """
        return self.erase_subject(subject_id).num_templates

    def erase_subject(
        self, subject_id: str, *, versions: Collection[str] | None = None
    ) -> Erasure:
        """Remove the subject and its templates; returns what a receipt tells of it.

        Args:
            subject_id: whom.
            versions: the subject must have one of these (`Subject.version`); None for any.

        Raises:
            SubjectChanged: it has none of the versions.
            SubjectNotFound: no subject with this id.
        """
        with self._changing():
            removed = self._store.remove_subject(subject_id, versions=versions)
            self._made(removed, removed=removed.row_ids, erases=True)
        found = self._store.removed_subject(subject_id, sequence=removed.after.sequence)
        entry = None if removed.ledger is None else removed.ledger.count
        return self._erasure(subject_id, found, ledger_entry=entry)

    def erasure(self, subject_id: str) -> Erasure:
        """Return what a receipt tells now of a subject that was removed.

        Reads change log and ledger as far as it must, which takes a moment where they are long.

        Raises:
            SubjectNotFound: nobody with this id was removed from the gallery.
        """
        self._check_exists()
        found = self._store.removed_subject(subject_id)
        entry = self._store.ledger_entry(subject_id)
        return self._erasure(subject_id, found, ledger_entry=entry)

    def _erasure(
        self, subject_id: str, found: RemovedSubject, *, ledger_entry: int | None
    ) -> Erasure:
        return Erasure(
            gallery_id=self.id,
            subject_id=subject_id,
            num_templates=found.num_templates,
            num_subjects=1,
            removed_at=found.at,
            ledger_entry=ledger_entry,
            final=self._store.purged_sequence >= found.sequence
            and not self.snapshot_is_before(found.sequence),
        )

    def templates(self, subject_id: str) -> tuple[Template, ...]:
        """Return the subject's templates, oldest first.

        Raises:
            SubjectNotFound: no subject with this id.
        """
        self._check_exists()
        return self._store.templates(subject_id)

    def references(self, subject_id: str) -> References:
        """Return the subject's templates with their vectors, oldest first, for comparing photos.

        Raises:
            SubjectNotFound: no subject with this id.
        """
        self._check_exists()
        self._store.subject(subject_id)
        return references_of(
            subject_id, matrix=self._memory.matrix, store=self._store, space=self._space
        )

    def template(self, template_id: str) -> Template:
        """Return the template.

        Raises:
            TemplateNotFound: no template with this id.
        """
        self._check_exists()
        return self._store.template(template_id)

    def show_crop(self, template_id: str) -> bytes:
        """Return a template's face as a PNG file; the audit log says who saw it.

        Raises:
            CropNotFound: none was kept.
            TemplateNotFound: no template with this id.
        """
        self._check_exists()
        return self._store.show_crop(template_id)

    def anchor(self, sequence: int) -> str | None:
        """Return what tells the change at a number from that of any other history.

        None where the history ends before it; empty for 0.
        """
        self._check_exists()
        return self._store.anchor(sequence)

    def photo_changes(self, *, after: int) -> Sequence[PhotoChange]:
        """Return the next templates that came or went after a change's number.

        At most some thousand at a time, in their order; empty at the end.
        """
        self._check_exists()
        return self._store.photo_changes(after=after)

    def vectors_by_subject(
        self,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
        """Yield all templates that have a subject, piece by piece, while changes go on.

        They are as stored: only to be compared with each other.

        Returns:
            Pairs of subjects' numbers (N,), see `subjects_by_number`, and vectors (N, D) float32.
        """
        self._check_exists()
        ids_N, owners_N = self._store.owners()
        for some_N, vectors_ND in self._memory.matrix.segments():
            places_N = np.searchsorted(ids_N, some_N)
            places_N[places_N == len(ids_N)] = 0
            # Those removed meanwhile may be zero; they are in memory or in SQL, not in both.
            live_N = vectors_ND.any(axis=1)
            live_N &= ids_N[places_N] == some_N if len(ids_N) else False
            vectors_ND = np.asarray(vectors_ND[live_N], dtype=np.float32)
            yield owners_N[places_N[live_N]], vectors_ND

    def subjects_by_number(self, numbers: Sequence[int]) -> dict[int, Subject]:
        """Return those subjects that are still there, by the numbers of `vectors_by_subject`."""
        self._check_exists()
        return self._store.subjects_by_number(numbers)

    def remove_template(self, template_id: str) -> None:
        """Remove one template; its subject stays, even without any.

        Raises:
            TemplateNotFound: no template with this id.
        """
        with self._changing():
            removed = self._store.remove_template(template_id)
            self._made(removed, removed=removed.row_ids)

    def _stored_form(self, embeddings_ND: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn what the model made into the gallery's space, where it has one."""
        return embeddings_ND if self._space is None else self._space.rotate(embeddings_ND)
