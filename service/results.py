"""What the recognizer found out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from embedding.faces import Face, PhotoFaces
from embedding.model import ModelCard, Threshold
from index.calibration.in_force import ThresholdsInForce
from index.conflicts import Conflicts
from index.decision import Identification
from index.records import Enrolled


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


class Observer(Protocol):
    """Is told what the recognizer found out, in the thread that found it out; must be quick."""

    def identified(self, result: Recognition) -> None:
        """Somebody was, or was not, recognised."""
        ...

    def enrolled(self, result: Enrollment) -> None:
        """Somebody was enrolled, or would have been in a dry run."""
        ...

    def detected(self, result: PhotoFaces) -> None:
        """Faces were looked for, and nothing else."""
        ...
