"""Verify: are two faces, or a face and a subject, one person? No HTTP here.

Shapes: N templates, D embedding dimension.
"""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embedding.choosing import FaceChoice, choose_position
from embedding.detect import Box
from embedding.embedder import FaceEmbedder
from embedding.errors import (
    FaceError,
    PhotoError,
    RequestInvalid,
    SubjectNotFound,
)
from embedding.faces import Face
from embedding.model import ModelCard
from embedding.thresholds import Threshold
from index.audit.entries import AuditEvent
from index.calibration.asked import card_at_most, check_rate
from index.calibration.in_force import not_above
from index.galleries import Galleries
from index.gallery import Gallery
from index.records import Subject
from service.choosing import DEFAULT_GALLERY, SubjectChoice, at_photo, find_subject
from service.embedders import Embedders
from service.results import Verification, VerifyDecision
from service.settings import Settings

NOBODY = SubjectChoice()


class Verifying:
    """Compares one face with another, or with one subject; thread safe."""

    def __init__(self, galleries: Galleries, embedders: Embedders, *, settings: Settings) -> None:
        self._galleries = galleries
        self._embedders = embedders
        self._settings = settings

    def verify(
        self,
        photos: Sequence[bytes],
        *,
        gallery: str | None = None,
        subject: SubjectChoice = NOBODY,
        face: FaceChoice = "only",
        far: float | None = None,
    ) -> Verification:
        """Whether two photos, or a photo and a subject's closest template, are of one person.

        Args:
            photos: encoded; two, which the model for new galleries compares, or one and a
                subject.
            gallery: name of the subject's gallery; None for the default one.
            subject: whom to compare with; nobody where there are two photos.
            face: which face of each photo: the only one, the largest, or, of one photo, the one
                at a box.
            far: false accept rate that ``match`` is to stand for; None for the rate in the
                settings.

        Raises:
            PhotoError: a photo is not accepted.
            FaceError: a photo has no face, several, or none at the box.
            GalleryNotFound: no such gallery.
            ModelError: the model is not installed or damaged.
            NameInvalid: the name or external id is not accepted.
            RequestInvalid: another number of photos, a rate out of range, arguments that exclude
                each other, or a subject without a template.
            SubjectNotFound: no such subject.
        """
        name = gallery_of(gallery, subject)
        rate = self._settings.fpir if far is None else far
        check_rate(rate, name="far")
        if len(photos) != (2 if name is None else 1):
            raise RequestInvalid(
                f"expected two photos, or one and a subject, but got {len(photos)} photos and "
                f"{'no' if name is None else 'a'} subject"
            )
        if name is not None:
            return self._subject(photos[0], gallery=name, subject=subject, face=face, far=rate)
        if isinstance(face, Box):
            raise RequestInvalid("a box goes with one photo and a subject")
        return self._two_photos(photos, face=face, far=rate)

    def _two_photos(
        self, photos: Sequence[bytes], *, face: FaceChoice, far: float
    ) -> Verification:
        embedder = self._embedders.named()
        faces, timings_ms = _faces(embedder, photos, face)
        start = time.perf_counter()
        one, other = (each.embedding for each in faces)
        similarity = float(np.clip(one @ other, -1.0, 1.0))
        match, review = self._thresholds(embedder.card, far, num_templates=1)
        decision = _decision(similarity, match, review)
        self._note(decision, gallery=None, subject=None)
        timings_ms["compare"] = (time.perf_counter() - start) * 1000
        return Verification(
            faces=faces,
            decision=decision,
            similarity=similarity,
            match=match,
            review=review,
            gallery=None,
            subject=None,
            template_id=None,
            card=embedder.card,
            timings_ms=timings_ms,
        )

    def _subject(
        self,
        photo: bytes,
        *,
        gallery: str,
        subject: SubjectChoice,
        face: FaceChoice,
        far: float,
    ) -> Verification:
        target = self._galleries.get(gallery)
        embedder = self._embedders.of_gallery(target.fingerprint)
        target.refresh()
        _known(target, subject)  # before a photo is worked on
        faces, timings_ms = _faces(embedder, [photo], face)
        start = time.perf_counter()
        target.refresh()
        known = _known(target, subject)
        references = target.references(known.id)
        if not references.templates:
            raise RequestInvalid("this subject has no template to compare with; enroll a photo")
        similarities_N = _similarities(references.vectors_ND, faces[0].embedding)
        closest = int(similarities_N.argmax())
        similarity = float(similarities_N[closest])
        match, review = self._thresholds(
            embedder.card, far, num_templates=len(references.templates)
        )
        decision = _decision(similarity, match, review)
        self._note(decision, gallery=target, subject=known)
        timings_ms["compare"] = (time.perf_counter() - start) * 1000
        return Verification(
            faces=faces,
            decision=decision,
            similarity=similarity,
            match=match,
            review=review,
            gallery=gallery,
            subject=known,
            template_id=references.templates[closest].template_id,
            card=embedder.card,
            timings_ms=timings_ms,
        )

    def _thresholds(
        self, card: ModelCard, far: float, *, num_templates: int
    ) -> tuple[Threshold, Threshold]:
        """Of match and review: the FPIR of a gallery of one person is the FAR.

        Each template counts as a person, for it gives a stranger as many chances: counted as
        one, three templates let 3.7 % of LFW's strangers pass where 1 % was wanted, and 1.2 % so.
        """
        match, review = (
            card_at_most(card, rate=rate, num_subjects=num_templates)
            for rate in (far, max(far, self._settings.review_fpir))
        )
        return match, not_above(match, review)

    def _note(
        self, decision: VerifyDecision, *, gallery: Gallery | None, subject: Subject | None
    ) -> None:
        if self._settings.audit_identifies:
            self._galleries.audit.note(
                AuditEvent(
                    action="verify",
                    gallery_id=None if gallery is None else gallery.id,
                    subject_ids=() if subject is None else (subject.id,),
                    facts={"decision": decision},
                )
            )


def gallery_of(gallery: str | None, subject: SubjectChoice) -> str | None:
    """The gallery that a comparison asks; None where two photos are compared with each other.

    Raises:
        RequestInvalid: a gallery was given, and no subject.
    """
    if subject != NOBODY:
        return DEFAULT_GALLERY if gallery is None else gallery
    if gallery is not None:
        raise RequestInvalid("a gallery goes with a subject; say whom to compare with")
    return None


def _known(gallery: Gallery, subject: SubjectChoice) -> Subject:
    found = find_subject(gallery, subject)
    if found is None:
        raise SubjectNotFound("no such subject in the gallery; list its subjects")
    return found


def _faces(
    embedder: FaceEmbedder, photos: Sequence[bytes], choice: FaceChoice
) -> tuple[tuple[Face, ...], dict[str, float]]:
    """The face of each photo, looked for as an enroll does, and the time spent by stage."""
    cut = []
    for position, photo in enumerate(photos):
        try:
            found = embedder.find(photo, turns=True)
            place = choose_position([each.box for each in found.detected], choice)
        except (PhotoError, FaceError) as error:
            raise at_photo(error, position, len(photos)) from error
        cut.append(found.without_others(place))
    timings_ms: dict[str, float] = {}
    for found in cut:
        for stage, spent_ms in found.timings_ms.items():
            timings_ms[stage] = timings_ms.get(stage, 0.0) + spent_ms
    embedded = embedder.embed(cut)
    timings_ms["embed"] = embedded[0].timings_ms["embed"]
    return tuple(each.faces[0] for each in embedded), timings_ms


def _similarities(
    vectors_ND: NDArray[np.float32], probe_D: NDArray[np.float32]
) -> NDArray[np.float32]:
    similarities_N: NDArray[np.float32] = np.clip(vectors_ND @ probe_D, -1.0, 1.0)
    return similarities_N


def _decision(similarity: float, match: Threshold, review: Threshold) -> VerifyDecision:
    if similarity >= match.value:
        return "match"
    return "review" if similarity >= review.value else "no_match"
