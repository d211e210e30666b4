"""Enroll, identify, verify and detect: photos in, templates or decisions out. No HTTP here."""

from collections.abc import Callable, Sequence
from typing import Unpack

from embedding.choosing import FaceChoice
from embedding.faces import PhotoFaces
from index.details import DetailChange
from index.galleries import Galleries
from index.repeats import Repeatable
from service.choosing import SubjectChoice
from service.embedders import Embedders
from service.enrollment import Enrolling
from service.identifying import Identifying, IdentifyingOptions
from service.results import (
    AcrossRecognition,
    Enrollment,
    Observer,
    Recognition,
    Verification,
)
from service.settings import Settings
from service.verifying import NOBODY, Verifying


class Recognizer:
    """What is done with photos, told to whoever watches; thread safe, and slow.

    Never call it on an event loop.
    """

    def __init__(
        self,
        galleries: Galleries,
        embedders: Embedders,
        *,
        settings: Settings,
        secret: bytes,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._embedders = embedders
        self._enrolling = Enrolling(galleries, embedders, settings=settings, secret=secret)
        self._identifying = Identifying(galleries, embedders, settings=settings)
        self._verifying = Verifying(galleries, embedders, settings=settings)
        self._observers = observers

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
        """One template from each photo for one subject; see `Enrolling.enroll`."""
        result = self._enrolling.enroll(
            photos,
            gallery=gallery,
            subject=subject,
            face=face,
            force=force,
            dry_run=dry_run,
            details=details,
            repeatable=repeatable,
            check=check,
        )
        for observer in self._observers:
            observer.enrolled(result)
        return result

    def identify(
        self, photo: bytes, *, gallery: str, **options: Unpack[IdentifyingOptions]
    ) -> Recognition:
        """Who each face of a photo is; see `Identifying.identify`."""
        result = self._identifying.identify(photo, gallery=gallery, **options)
        for observer in self._observers:
            observer.identified(result)
        return result

    def identify_across(
        self, photo: bytes, *, galleries: Sequence[str], **options: Unpack[IdentifyingOptions]
    ) -> AcrossRecognition:
        """Who each face is, asked of several galleries; see `Identifying.identify_across`."""
        result = self._identifying.identify_across(photo, galleries=galleries, **options)
        for observer in self._observers:
            observer.identified(result)
        return result

    def verify(
        self,
        photos: Sequence[bytes],
        *,
        gallery: str | None = None,
        subject: SubjectChoice = NOBODY,
        face: FaceChoice = "only",
        far: float | None = None,
    ) -> Verification:
        """Whether two photos, or a photo and a subject, are one person; see `Verifying`."""
        result = self._verifying.verify(
            photos, gallery=gallery, subject=subject, face=face, far=far
        )
        for observer in self._observers:
            observer.verified(result)
        return result

    def detect(self, photo: bytes, *, turns: bool = False) -> PhotoFaces:
        """The faces of a photo with their quality, by the model for new galleries.

        Raises:
            PhotoError: the photo is not accepted.
            ModelError: the model is not installed or damaged.
        """
        result = self._embedders.named().analyze(photo, turns=turns)
        for observer in self._observers:
            observer.detected(result)
        return result
