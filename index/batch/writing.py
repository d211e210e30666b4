"""The one writer of a batch: lots into the gallery, and what became of them into the state."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from embedding.errors import RequestInvalid, TemplateNotFound
from embedding.faces import PhotoFaces
from index.batch.hashing import Hashing
from index.batch.sources.lines import kept_of
from index.batch.sources.source import SubjectKey
from index.batch.tally import Tally
from index.batch.work import Failure, Outcome
from index.details import DetailChange
from index.gallery import Gallery
from index.records import Enrolled, NewSubject, NewTemplate
from index.store.batch_rows import PhotoRecord, PhotoState
from index.store.batch_state import BatchState

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _New:
    """A photo that goes into the gallery."""

    outcome: Outcome
    template: NewTemplate

    @property
    def subject(self) -> SubjectKey:
        return self.outcome.job.photo.subject


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Told:
    """Metadata of a photo that is in the gallery already.

    Attributes:
        whom: of the gallery.
        change: of the details.
        record: of the photo, once it is done.
    """

    whom: NewSubject
    change: DetailChange
    record: PhotoRecord


class Writer:
    """Writes lots of one source into one gallery; for one thread."""

    def __init__(
        self,
        gallery: Gallery,
        *,
        state: BatchState,
        hashing: Hashing,
        tally: Tally,
        address: str,
        source_id: int,
        run: int,
    ) -> None:
        """Take a gallery.

        Args:
            gallery: of the model that makes the embeddings.
            state: of the batches into it.
            hashing: of its data folder.
            tally: counts what is written.
            address: of the source.
            source_id: the source's id in the state.
            run: number of the run.
        """
        self._gallery = gallery
        self._state = state
        self._hashing = hashing
        self._tally = tally
        self._address = address
        self._source_id = source_id
        self._run = run

    def write(self, lot: Sequence[Outcome]) -> None:
        """Write a lot; once it returns, everything of it is on disk.

        Raises:
            ModelMismatch: the embeddings are of another model than the gallery's.
            StoreError: the gallery or the state cannot be written; the next run goes on here.
        """
        new: dict[object, _New] = {}
        others: list[PhotoRecord] = []
        told: list[_Told] = []
        # A lot before this one may have brought a photo of the same bytes and subject.
        known = self._state.contained(
            (outcome.content_hash, outcome.job.digest)
            for outcome in lot
            if isinstance(outcome.result, PhotoFaces) and outcome.content_hash is not None
        )
        for outcome in lot:
            result = outcome.result
            same = (outcome.content_hash, outcome.job.digest)
            if isinstance(result, PhotoFaces) and same not in new and same not in known:
                new[same] = _New(outcome=outcome, template=self._template(outcome, result))
            else:
                others.append(self._other(outcome))
                told += self._told(outcome, others[-1])
        self._write_together(list(new.values()), others)
        # Afterwards: of a copy, the person may have come with this very lot.
        self._write_metadata(told)
        self.remove_replaced()

    def remove_replaced(self) -> None:
        """Take templates out of the gallery whose photo changed and was indexed anew."""
        for template_id in self._state.replaced():
            try:
                self._gallery.remove_template(template_id)
                self._tally.add(num_replaced=1)
            except TemplateNotFound:
                logger.debug("template %s was gone already", template_id)
            self._state.replaced_is_gone(template_id)

    def _told(self, outcome: Outcome, record: PhotoRecord) -> list[_Told]:
        """What is said anew of the person on a photo that is in the gallery already, if it is."""
        digest = self._hashing.metadata(outcome.job.photo.metadata)
        if record.state not in ("done", "duplicate") or record.metadata_digest == digest:
            return []
        photo = outcome.job.photo
        whom = NewSubject(
            name=photo.subject.name, external_id=photo.subject.external_id, templates=()
        )
        return [
            _Told(
                whom=whom,
                change=DetailChange(metadata=kept_of(photo.metadata)),
                record=replace(record, metadata_digest=digest),
            )
        ]

    def _write_metadata(self, told: Sequence[_Told]) -> None:
        """Write what is said anew, then keep that it is: a kill between writes it once more."""
        if not told:
            return
        try:
            self._gallery.change_details([(each.whom, each.change) for each in told])
            self._keep([each.record for each in told])
        except RequestInvalid as error:
            if len(told) > 1:
                # Of one person they would be too large; the others are innocent.
                for each in told:
                    self._write_metadata([each])
                return
            # Under a name of its own: the photo stays in the gallery.
            self._keep(
                [
                    PhotoRecord(
                        key=f"{told[0].record.key} (metadata)",
                        state="failed",
                        size_bytes=-1,
                        mtime_ns=-1,
                        subject=told[0].record.subject,
                        error=error.code,
                        message=str(error),
                    )
                ]
            )

    def _write_together(self, new: Sequence[_New], others: Sequence[PhotoRecord]) -> None:
        """Write all in one commit; where one subject cannot be written, each by itself."""
        try:
            self._commit(new, others)
        except RequestInvalid:
            # A name and an external id that belong to two subjects; the others are innocent.
            for some in _by_subject(new):
                try:
                    self._commit(some, ())
                except RequestInvalid as error:
                    failure = Failure(error=error.code, message=str(error))
                    self._keep([self._failed(each.outcome, failure) for each in some])

    def _commit(self, new: Sequence[_New], others: Sequence[PhotoRecord]) -> None:
        records = [
            *(self._record(each.outcome, "writing", each.template) for each in new),
            *others,
        ]
        lot = self._keep(records)
        if not new:
            return
        groups = _by_subject(new)
        try:
            enrolled = self._gallery.enroll_many([_new_subject(each) for each in groups])
        except RequestInvalid:
            self._state.settle(lot, "pending")
            raise
        template_ids = {
            one.template.image_id: template_id
            for group, done in zip(groups, enrolled, strict=True)
            for one, template_id in zip(group, done.template_ids, strict=True)
        }
        self._state.committed(lot, template_ids)
        self._count(enrolled)

    def _count(self, enrolled: Sequence[Enrolled]) -> None:
        self._tally.add(num_indexed=sum(len(each.template_ids) for each in enrolled))
        self._tally.add(
            num_new_subjects=len({each.subject_id for each in enrolled if each.created})
        )

    def _keep(self, records: Sequence[PhotoRecord]) -> int:
        for each in records:
            if each.state == "failed" and each.error is not None:
                self._tally.add_failures([each.error])
        return self._state.record(
            self._source_id, records, run=self._run, lot_sequence=self._gallery.sequence
        )

    def _other(self, outcome: Outcome) -> PhotoRecord:
        """What is kept of a photo that does not go into the gallery."""
        match outcome.result:
            case Failure() as failure:
                return self._failed(outcome, failure)
            case "unchanged":
                self._tally.add(num_known=1)
                state = outcome.job.known.state if outcome.job.known else "done"
                return self._record(outcome, state)
            case _:
                self._tally.add(num_duplicates=1)
                return self._record(outcome, "duplicate")

    def _failed(self, outcome: Outcome, failure: Failure) -> PhotoRecord:
        return self._record(outcome, "failed", failure=failure)

    def _record(
        self,
        outcome: Outcome,
        state: PhotoState,
        template: NewTemplate | None = None,
        *,
        failure: Failure | None = None,
    ) -> PhotoRecord:
        photo, known = outcome.job.photo, outcome.job.known
        digest = None if known is None else known.metadata_digest
        return PhotoRecord(
            key=photo.key,
            state=state,
            size_bytes=photo.size_bytes,
            mtime_ns=photo.mtime_ns,
            subject=outcome.job.digest,
            content_hash=outcome.content_hash,
            image_id=None if template is None else template.image_id,
            error=None if failure is None else failure.error,
            message=None if failure is None else failure.message,
            # Of one that is new they are written in the same commit.
            metadata_digest=self._hashing.metadata(photo.metadata)
            if state == "writing"
            else digest,
        )

    def _template(self, outcome: Outcome, photo: PhotoFaces) -> NewTemplate:
        face = photo.faces[0]
        content_hash = outcome.content_hash or b""
        image_id = self._hashing.image_id(
            address=self._address, key=outcome.job.photo.key, content_hash=content_hash
        )
        return NewTemplate(
            embedding=face.embedding,
            norm=face.norm,
            fingerprint=self._gallery.fingerprint,
            box=(face.box.left, face.box.top, face.box.right, face.box.bottom),
            photo_size=(photo.width, photo.height),
            landmarks=face.landmarks,
            confidence=face.confidence,
            quality=face.quality.figure,
            face_id=self._hashing.face_id(image_id),
            image_id=image_id,
            image_hash=content_hash,
            created_at=outcome.job.photo.enrolled_at,
        )


def _by_subject(new: Sequence[_New]) -> list[list[_New]]:
    """The photos of each subject, in the order in which subjects first come."""
    groups: dict[SubjectKey, list[_New]] = {}
    for each in new:
        groups.setdefault(each.subject, []).append(each)
    return list(groups.values())


def _new_subject(group: Sequence[_New]) -> NewSubject:
    return NewSubject(
        name=group[0].subject.name,
        external_id=group[0].subject.external_id,
        templates=tuple(each.template for each in group),
        details=_details(group),
    )


def _details(group: Sequence[_New]) -> DetailChange | None:
    """What is said of a person on their photos; of a key, the last one that says something."""
    said: dict[str, Any] = {}
    for each in group:
        said |= kept_of(each.outcome.job.photo.metadata)
    return DetailChange(metadata=said) if said else None
