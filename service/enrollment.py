"""Enroll: photos of one person in, templates in a gallery out. No HTTP here."""

import hashlib
import hmac
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from embedding.choosing import FaceChoice, choose_face
from embedding.detect import Box
from embedding.embedder import FaceEmbedder
from embedding.errors import (
    FaceError,
    PhotoError,
    RequestInvalid,
    SubjectNotFound,
)
from embedding.faces import Face
from index.audit.entries import AuditEvent
from index.conflicts import find_conflicts
from index.details import DetailChange
from index.fusion import fusion_rule
from index.galleries import Galleries
from index.gallery import Gallery
from index.records import Enrolled, NewTemplate
from index.repeats import Repeatable
from service.choosing import SubjectChoice, at_photo, find_subject
from service.embedders import Embedders
from service.recording import crop_of
from service.results import Enrollment
from service.settings import Settings
from service.thresholds import usual_thresholds

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _ChosenFace:
    """The face of a photo that is to become a template; the size is of the upright photo."""

    face: Face
    photo: bytes
    photo_size: tuple[int, int]


class Enrolling:
    """Makes templates of photos; thread safe."""

    def __init__(
        self, galleries: Galleries, embedders: Embedders, *, settings: Settings, secret: bytes
    ) -> None:
        self._galleries = galleries
        self._embedders = embedders
        self._settings = settings
        self._secret = secret

    def enroll(
        self,
        photos: Sequence[bytes],
        *,
        gallery: str,
        subject: SubjectChoice,
        face: FaceChoice = "only",
        force: bool = False,
        dry_run: bool = False,
        details: DetailChange | None = None,
        repeatable: Repeatable[Enrollment] | None = None,
        check: Callable[[], None] | None = None,
    ) -> Enrollment:
        """One template from each photo for one subject: all of them, or none and an error.

        A photo without a face, or without one that is surely upright, is also tried in its
        quarter turns.

        Args:
            photos: encoded photos of one person.
            gallery: name of the gallery.
            subject: whom the photos show.
            face: which face of each photo: the only one, the largest, or the one at a box in
                pixels of the upright photo (one photo then).
            force: take faces of poor quality too.
            dry_run: save nothing.
            details: what is to be kept of the person besides, checked; merged into what is there.
            repeatable: how it is remembered what was done; None for not, and on a dry run.
            check: is called before each photo and before the templates are saved; what it raises
                stops the enroll, and nothing is saved.

        Raises:
            IdempotencyKeyInUse: a request with the same key was quicker; nothing was done.
            PhotoError: a photo is not accepted.
            FaceError: a photo has no face, several, none at the box, or a poor one.
            GalleryError: no such gallery or subject, or a name that is not accepted.
            RequestInvalid: no photo, too many, or arguments that exclude each other.
            ModelError: the gallery's model is not installed or damaged.
        """
        self._check_enroll(photos, subject, face)
        target = self._galleries.get(gallery)
        known = find_subject(target, subject)
        embedder = self._embedders.of_gallery(target.fingerprint)
        chosen, timings = self._choose_faces(embedder, photos, face, force=force, check=check)
        target.refresh()
        templates = [self._template(each, embedder) for each in chosen]
        thresholds = usual_thresholds(target, embedder, settings=self._settings)
        find = partial(
            find_conflicts,
            target,
            templates,
            other_threshold=[thresholds.for_probe(each.face.embedding)[0] for each in chosen],
            # Of two photos: a gallery of one subject.
            same_threshold=embedder.card.threshold(fpir=self._settings.fpir, num_subjects=1).value,
            fusion=fusion_rule(thresholds.rule),
        )
        try:
            conflicts = find(subject_id=None if known is None else known.id)
        except SubjectNotFound:
            if subject.subject_id is not None:
                raise
            # Removed meanwhile; with the name comes somebody new.
            known, conflicts = None, find(subject_id=None)

        def result_of(enrolled: Enrolled | None) -> Enrollment:
            return Enrollment(
                faces=tuple(each.face for each in chosen),
                enrolled=enrolled,
                would_create=known is None,
                conflicts=conflicts,
                threshold=thresholds.match,
                card=embedder.card,
                timings_ms=timings,
            )

        if check is not None:
            check()
        if dry_run:
            enrolled = None
        else:
            remembered = _remembered(repeatable, result_of)
            enrolled = _save(target, templates, subject, details, remembered)
        if enrolled is None:
            # It changed nothing, but said who looks alike.
            facts = {"num_photos": len(photos)}
            self._galleries.audit.note(
                AuditEvent(action="enroll.dry_run", gallery_id=target.id, facts=facts)
            )
        return result_of(enrolled)

    def _check_enroll(
        self, photos: Sequence[bytes], subject: SubjectChoice, face: FaceChoice
    ) -> None:
        if not 1 <= len(photos) <= self._settings.max_photos:
            raise RequestInvalid(
                f"an enroll takes 1 to {self._settings.max_photos} photos, but got {len(photos)}"
            )
        if subject == SubjectChoice():
            raise RequestInvalid("say whom the photos show: subject, subject_id or external_id")
        if isinstance(face, Box) and len(photos) != 1:
            raise RequestInvalid(f"a box goes with exactly one photo, but got {len(photos)}")

    def _choose_faces(
        self,
        embedder: FaceEmbedder,
        photos: Sequence[bytes],
        choice: FaceChoice,
        *,
        force: bool,
        check: Callable[[], None] | None,
    ) -> tuple[list[_ChosenFace], dict[str, float]]:
        """The face of each photo, and the time spent by stage; an error says which photo."""
        chosen: list[_ChosenFace] = []
        timings_ms: dict[str, float] = {}
        for position, photo in enumerate(photos):
            if check is not None:
                check()
            try:
                found = embedder.analyze(photo, turns=True)
                face = choose_face(found, choice, force=force)
            except (PhotoError, FaceError) as error:
                raise at_photo(error, position, len(photos)) from error
            size = (found.width, found.height)
            chosen.append(_ChosenFace(face=face, photo=photo, photo_size=size))
            for stage, spent_ms in found.timings_ms.items():
                timings_ms[stage] = timings_ms.get(stage, 0.0) + spent_ms
        return chosen, timings_ms

    def _template(self, chosen: _ChosenFace, embedder: FaceEmbedder) -> NewTemplate:
        face = chosen.face
        return NewTemplate(
            embedding=face.embedding,
            norm=face.norm,
            fingerprint=embedder.fingerprint,
            box=(face.box.left, face.box.top, face.box.right, face.box.bottom),
            photo_size=chosen.photo_size,
            landmarks=face.landmarks,
            confidence=face.confidence,
            quality=face.quality.figure,
            face_id=uuid.uuid4().hex,
            image_id=uuid.uuid4().hex,
            image_hash=hmac.digest(self._secret, b"image\0" + chosen.photo, hashlib.sha256),
            crop=crop_of(face, settings=self._settings),
        )


def _remembered(
    repeatable: Repeatable[Enrollment] | None, result_of: Callable[[Enrolled], Enrollment]
) -> Repeatable[Enrolled] | None:
    """The same of what the gallery does."""
    if repeatable is None:
        return None
    answer = repeatable.answer
    return Repeatable(key=repeatable.key, answer=lambda enrolled: answer(result_of(enrolled)))


def _save(
    gallery: Gallery,
    templates: Sequence[NewTemplate],
    subject: SubjectChoice,
    details: DetailChange | None,
    repeatable: Repeatable[Enrolled] | None,
) -> Enrolled:
    """Stores the templates, all or none; returns once they are safe."""
    enrolled = gallery.enroll(
        templates,
        subject_id=subject.subject_id,
        name=subject.name,
        external_id=subject.external_id,
        details=details,
        repeatable=repeatable,
    )
    logger.info(
        "enrolled gallery=%s subject=%s templates=%d dropped=%d",
        gallery.id,
        enrolled.subject_id,
        len(templates),
        len(enrolled.dropped_ids),
    )
    return enrolled
