"""One gallery: enroll, identify and remove, on the SQL truth and the vectors in memory.

A change is written to SQL first and acknowledged after its commit; the vectors in memory follow
at once. An identification searches the vectors and then looks its hits up in SQL, so that what
SQL no longer holds is never named.

Shapes: D is the embedding dimension.
"""

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from embedding.errors import (
    GalleryNotFound,
    ModelMismatch,
    RequestInvalid,
    StoreError,
)
from index.checks import (
    check_external_id,
    check_name,
    check_new_templates,
    check_unit_vectors,
)
from index.decision import (
    Candidate,
    Identification,
    check_thresholds,
    identification,
)
from index.memory import GalleryMemory, Picture
from index.records import (
    EMBEDDING_DIMENSION,
    Enrolled,
    NewSubject,
    NewTemplate,
    Page,
    Subject,
    Template,
)
from index.search import best_subjects
from index.store.change_log import Committed
from index.store.gallery_store import GalleryStore
from index.store.photo_changes import PhotoChange
from index.store.stored_gallery import StoredGallery

logger = logging.getLogger(__name__)

MAX_CANDIDATES = 4096
"""The most candidates that one identification gives; no list for a person is longer."""

MAX_PAGE = 1000
"""The most subjects on one page: about 200 kB of JSON."""


class Gallery:
    """The subjects of one model's gallery; every method is thread safe.

    Got from `Galleries`, never made by hand.
    """

    def __init__(
        self, store: GalleryStore, *, memory: GalleryMemory, changed: Callable[[], None]
    ) -> None:
        """Take a gallery of the store; nothing is loaded yet.

        Args:
            store: the gallery in SQL.
            memory: of this gallery alone.
            changed: called after each committed change, for whoever tells other processes.
        """
        self._store = store
        self._changed = changed
        self._space = store.space()
        self._memory = memory
        self.purged_sequence = 0
        """Removals up to here are out of live storage; set by `Galleries.maintain`."""
        self._deleted = False
        # Held over SQL and memory together: both see the changes in the same order.
        self._changes = threading.Lock()

    @property
    def id(self) -> str:
        """Opaque id."""
        return self._store.gallery.id

    @property
    def name(self) -> str:
        """Unique name."""
        return self._store.gallery.name

    @property
    def stored(self) -> StoredGallery:
        """Its row in SQL."""
        return self._store.gallery

    def renamed(self, name: str) -> None:
        """Know the name that it has got in SQL; `Galleries` calls it."""
        self._store.gallery = replace(self._store.gallery, name=name)

    @property
    def fingerprint(self) -> str:
        """Of the model whose embeddings it holds."""
        return self._store.gallery.fingerprint

    @property
    def space_id(self) -> str | None:
        """Of the secret space that its vectors are stored in; None without one."""
        return self._store.gallery.space_id

    @property
    def created_at(self) -> datetime:
        """UTC."""
        return self._store.gallery.created_at

    @property
    def num_subjects(self) -> int:
        """Gallery size N: subjects with at least one template."""
        return self._memory.state.num_subjects

    @property
    def num_templates(self) -> int:
        """Templates of all subjects."""
        return len(self._memory.matrix)

    def load(self) -> None:
        """Fill the empty memory from SQL, with every checksum verified.

        Raises:
            StoreCorrupt: a template does not fit its checksum; the message names its id.
        """
        with self._changes:
            self._memory.load()

    def catch_up(self) -> int:
        """Follow the changes that other processes committed; returns how many there were.

        Raises:
            GalleryNotFound: the gallery was deleted.
            StoreCorrupt: a new template does not fit its checksum.
        """
        with self._changes:
            self._check_exists()
            before = self._memory.state.sequence
            self._memory.follow(self._store.state())
            return self._memory.state.sequence - before

    @property
    def removed_sequence(self) -> int:
        """Number of the newest removal in the change log that this process knows of."""
        return self._memory.removed_sequence

    @property
    def sequence(self) -> int:
        """Number of the last change that this process follows."""
        return self._memory.state.sequence

    def enroll(
        self,
        templates: Sequence[NewTemplate],
        *,
        subject_id: str | None = None,
        name: str | None = None,
        external_id: str | None = None,
    ) -> Enrolled:
        """Store templates of one subject, all or none; returns after the commit is on disk.

        Args:
            templates: at least one, of this gallery's model.
            subject_id: an existing subject; excludes name and external_id.
            name: found or created under this name.
            external_id: found or created under this id. With both, they must belong to one
                subject, or both be new. With none of the three, a new subject without a name.

        Raises:
            EmbeddingInvalid: NaN, zero, not of unit length, or of another dimension.
            ModelMismatch: a template of another model.
            NameInvalid: the name or external id is empty, too long or holds forbidden characters.
            RequestInvalid: no templates, a figure out of range, or ids that contradict.
            SubjectNotFound: no subject with this id.
        """
        return self.enroll_many(
            [
                NewSubject(
                    subject_id=subject_id,
                    name=name,
                    external_id=external_id,
                    templates=tuple(templates),
                )
            ]
        )[0]

    def enroll_many(self, new: Sequence[NewSubject]) -> tuple[Enrolled, ...]:
        """Store templates of many subjects in one commit, all or none, in their order.

        Raises:
            As `enroll`; nothing of any subject is stored then.
        """
        if not new:
            return ()
        checked = [self._checked(each) for each in new]
        embeddings_ND = check_new_templates(
            [template for each in checked for template in each.templates],
            dimension=EMBEDDING_DIMENSION,
        )
        embeddings_ND = self._stored_form(embeddings_ND)
        with self._changes:
            self._check_exists()
            added = self._store.enroll(checked, embeddings_ND)
            self._made(added, added=(added.row_ids, embeddings_ND))
        return added.enrolled

    def identify(
        self,
        embedding: NDArray[np.float32],
        *,
        fingerprint: str,
        match_threshold: float,
        review_threshold: float,
        num_candidates: int = 5,
    ) -> Identification:
        """Return who it is, with the best candidates, each subject once.

        Args:
            embedding: (D,) float32, unit length.
            fingerprint: of the model that made the embedding.
            match_threshold: smallest similarity of a ``match``.
            review_threshold: smallest similarity of a ``review``.
            num_candidates: at most so many candidates, 1 to 4096.

        Raises:
            EmbeddingInvalid: NaN, zero, not of unit length, or of another dimension.
            ModelMismatch: the embedding is of another model than the gallery.
            RequestInvalid: a threshold or num_candidates is out of range.
        """
        self._check_model(fingerprint)
        check_thresholds(match_threshold=match_threshold, review_threshold=review_threshold)
        if not 1 <= num_candidates <= MAX_CANDIDATES:
            raise RequestInvalid(
                f"num_candidates must be 1 to {MAX_CANDIDATES}, but is {num_candidates}"
            )
        self._check_exists()
        check_unit_vectors(np.asarray(embedding)[np.newaxis], dimension=EMBEDDING_DIMENSION)
        probe_1D = self._stored_form(np.asarray(embedding)[np.newaxis])
        best = best_subjects(
            probe_1D[0], matrix=self._memory.matrix, store=self._store, num_subjects=num_candidates
        )
        subjects = self._store.subjects_by_id([hit.subject_id for hit in best if hit.subject_id])
        candidates = [
            Candidate(
                subject=subjects[hit.subject_id],
                similarity=hit.similarity,
                template_id=hit.template_id,
            )
            for hit in best
            if hit.subject_id in subjects
        ]
        return identification(
            candidates, match_threshold=match_threshold, review_threshold=review_threshold
        )

    def subject(self, subject_id: str) -> Subject:
        """Return the subject.

        Raises:
            SubjectNotFound: no subject with this id.
        """
        self._check_exists()
        return self._store.subject(subject_id)

    def find_subject(
        self, *, name: str | None = None, external_id: str | None = None
    ) -> Subject | None:
        """Return the subject with this name or external id; None when there is none.

        Raises:
            RequestInvalid: not exactly one of the two was given.
        """
        self._check_exists()
        if name is not None and external_id is None:
            return self._store.find("name", check_name(name))
        if external_id is not None and name is None:
            return self._store.find("external_id", check_external_id(external_id))
        raise RequestInvalid("give either a name or an external id")

    def subjects(self, *, limit: int = 100, cursor: str | None = None) -> Page:
        """Return a page of subjects in the order of their enrollment.

        Args:
            limit: subjects on the page, 1 to 1000.
            cursor: `Page.next_cursor` of the page before; None for the first.

        Raises:
            RequestInvalid: the limit is out of range, or the cursor is not of this gallery.
        """
        self._check_exists()
        if not 1 <= limit <= MAX_PAGE:
            raise RequestInvalid(f"limit must be 1 to {MAX_PAGE}, but is {limit}")
        return self._store.page(limit=limit, cursor=cursor)

    def rename(self, subject_id: str, *, name: str | None) -> Subject:
        """Give the subject another name, or erase it with None.

        Raises:
            NameInvalid: empty, too long or with forbidden characters.
            RequestInvalid: another subject of the gallery has this name.
            SubjectNotFound: no subject with this id.
        """
        name = None if name is None else check_name(name)
        return self._relabel(subject_id, "name", name)

    def set_external_id(self, subject_id: str, *, external_id: str | None) -> Subject:
        """Give the subject another external id, or erase it with None.

        Raises:
            NameInvalid: empty, too long or with forbidden characters.
            RequestInvalid: another subject of the gallery has this external id.
            SubjectNotFound: no subject with this id.
        """
        external_id = None if external_id is None else check_external_id(external_id)
        return self._relabel(subject_id, "external_id", external_id)

    def remove_subject(self, subject_id: str) -> int:
        """Remove the subject and its templates; returns the number of templates removed.

        Once it has returned, no identification names the subject.

        Raises:
            SubjectNotFound: no subject with this id.
        """
        with self._changes:
            self._check_exists()
            removed = self._store.remove_subject(subject_id)
            self._made(removed, removed=removed.row_ids)
        return len(removed.row_ids)

    def templates(self, subject_id: str) -> tuple[Template, ...]:
        """Return the subject's templates, oldest first.

        Raises:
            SubjectNotFound: no subject with this id.
        """
        self._check_exists()
        return self._store.templates(subject_id)

    def template(self, template_id: str) -> Template:
        """Return the template.

        Raises:
            TemplateNotFound: no template with this id.
        """
        self._check_exists()
        return self._store.template(template_id)

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
        with self._changes:
            self._check_exists()
            removed = self._store.remove_template(template_id)
            self._made(removed, removed=removed.row_ids)

    def delete(self) -> int:
        """Delete the gallery with all that it holds; returns the number of templates removed.

        Call `Galleries.delete`, which also forgets its name.

        Raises:
            GalleryNotFound: it was deleted before.
        """
        with self._changes:
            self._check_exists()
            num_templates = self._store.delete()
            self._memory.delete_snapshot()
            self._forget()
        return num_templates

    def maintain(self) -> None:
        """Give back what removals left, and bring the snapshot up to date where it is due.

        Searches and changes go on meanwhile.

        Raises:
            StoreError: the disk is full or cannot be written; the last snapshot stays.
        """
        self._memory.compact()
        if self._memory.snapshot_is_due:
            self._memory.write_snapshot(self._picture())

    def reseal_snapshot(self) -> None:
        """Write the snapshot anew if it is sealed with a key that is no longer current.

        Raises:
            StoreError: the disk is full or cannot be written; the last snapshot stays.
        """
        if not self._memory.snapshot_is_current:
            self._memory.write_snapshot(self._picture())

    def close(self) -> None:
        """Forget the vectors; every later call raises `GalleryNotFound`.

        A snapshot is brought up to date first, so that the next start is fast.
        """
        if not self._deleted and self._memory.snapshot_is_behind:
            try:
                self._memory.write_snapshot(self._picture())
            except StoreError as error:
                # Nothing is lost: the next start reads more from SQL.
                logger.warning("no snapshot of gallery %s: %s", self.id, error)
        with self._changes:
            self._forget()

    def forget(self) -> None:
        """Forget a gallery that another process deleted, with its snapshot."""
        with self._changes:
            self._memory.delete_snapshot()
            self._forget()

    def _picture(self) -> Picture:
        with self._changes:
            return self._memory.picture()

    def _forget(self) -> None:
        self._deleted = True
        self._memory.matrix.clear()

    def _checked(self, new: NewSubject) -> NewSubject:
        if not new.templates:
            raise RequestInvalid("a subject was given without templates; give at least one")
        for template in new.templates:
            self._check_model(template.fingerprint)
        if new.subject_id is not None and (new.name, new.external_id) != (None, None):
            raise RequestInvalid("give the subject by its id, or by name and external id")
        return NewSubject(
            subject_id=new.subject_id,
            name=None if new.name is None else check_name(new.name),
            external_id=None if new.external_id is None else check_external_id(new.external_id),
            templates=new.templates,
        )

    def _relabel(
        self, subject_id: str, field: Literal["name", "external_id"], value: str | None
    ) -> Subject:
        with self._changes:
            self._check_exists()
            subject, done = self._store.relabel(subject_id, field, value)
            self._made(done)
        return subject

    def _made(
        self,
        done: Committed,
        *,
        added: tuple[NDArray[np.int64], NDArray[np.float32]] | None = None,
        removed: Sequence[int] = (),
    ) -> None:
        self._memory.made(done, added=added, removed=removed)
        self._changed()

    def _stored_form(self, embeddings_ND: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn what the model made into the gallery's space, where it has one."""
        return embeddings_ND if self._space is None else self._space.rotate(embeddings_ND)

    def _check_model(self, fingerprint: str) -> None:
        if fingerprint != self.fingerprint:
            raise ModelMismatch(
                f"the gallery holds embeddings of model {self.fingerprint[:12]}, but this one is "
                f"of model {fingerprint[:12]}; use the gallery's model, or another gallery"
            )

    def _check_exists(self) -> None:
        if self._deleted:
            raise GalleryNotFound("the gallery was deleted or closed")
