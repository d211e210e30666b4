"""What the recognizer found out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from embedding.faces import Face, PhotoFaces
from embedding.model import ModelCard, Threshold
from index.across import AcrossIdentification
from index.calibration.in_force import ThresholdsInForce
from index.conflicts import Conflicts
from index.decision import Identification
from index.records import Enrolled, Subject


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Enrollment:
    """What an enroll did, or would do.

    Attributes:
        faces: the face that was taken from each photo, in the order of the photos.
        enrolled: None on a dry run.
        would_create: no such subject existed when it was looked for.
        conflicts: what speaks against it; reported, never refused.
        threshold: the match threshold that other subjects were judged by.
        card: of the gallery's model.
        timings_ms: milliseconds spent, by stage, all photos together.
    """

    faces: tuple[Face, ...]
    enrolled: Enrolled | None
    would_create: bool
    conflicts: Conflicts
    threshold: Threshold
    card: ModelCard
    timings_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recognition:
    """Who is in a photo.

    Attributes:
        photo: its faces, largest first.
        answers: one for each face; a subject is named at most once.
        review_ids: of the review of each face that was queued, None where none was.
        thresholds: that decided, for the gallery's size.
        match_similarities: of each face, the smallest similarity of a ``match``.
        card: of the gallery's model.
        timings_ms: milliseconds spent, by stage: decode, detect, align, embed, search.
    """

    photo: PhotoFaces
    answers: tuple[Identification, ...]
    review_ids: tuple[str | None, ...]
    thresholds: ThresholdsInForce
    match_similarities: tuple[float, ...]
    card: ModelCard
    timings_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SearchedGallery:
    """One of several galleries that a photo's faces were searched in.

    Attributes:
        gallery: its name.
        thresholds: that decided in it, for its size.
        card: of its model.
    """

    gallery: str
    thresholds: ThresholdsInForce
    card: ModelCard


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AcrossRecognition:
    """Who is in a photo, asked of several galleries.

    Attributes:
        photo: its faces, largest first; their embeddings are of the first gallery's model.
        answers: one for each face; a person is named at most once.
        searched: the galleries, as they were asked.
        timings_ms: milliseconds spent, by stage, all models and galleries together.
    """

    photo: PhotoFaces
    answers: tuple[AcrossIdentification, ...]
    searched: tuple[SearchedGallery, ...]
    timings_ms: Mapping[str, float]


VerifyDecision = Literal["match", "review", "no_match"]
"""Of one comparison: ``no_match`` says that the two are not taken for one person, and no more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Verification:
    """Whether two faces, or a face and a subject, are one person.

    Attributes:
        faces: the face that was taken from each photo.
        decision: of the comparison.
        similarity: of the two faces, or of the face and the subject's closest template.
        match: from here on it is a ``match``; its ``fpir`` is the false accept rate, FAR.
        review: from here on a person should look; likewise.
        gallery: of the subject; None for two photos.
        subject: that the face was compared with; None likewise.
        template_id: of the subject's closest template; None for two photos.
        card: of the model.
        timings_ms: milliseconds spent, by stage, all photos together.
    """

    faces: tuple[Face, ...]
    decision: VerifyDecision
    similarity: float
    match: Threshold
    review: Threshold
    gallery: str | None
    subject: Subject | None
    template_id: str | None
    card: ModelCard
    timings_ms: Mapping[str, float]


class Observer(Protocol):
    """Is told what the recognizer found out, in the thread that found it out; must be quick."""

    def identified(self, result: Recognition | AcrossRecognition) -> None:
        """Somebody was, or was not, recognised."""
        ...

    def verified(self, result: Verification) -> None:
        """Two faces, or a face and a subject, were compared."""
        ...

    def enrolled(self, result: Enrollment) -> None:
        """Somebody was enrolled, or would have been in a dry run."""
        ...

    def detected(self, result: PhotoFaces) -> None:
        """Faces were looked for, and nothing else."""
        ...
