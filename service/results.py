"""What the recognizer found out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from embedding.embedder import Face, PhotoFaces
from embedding.model import ModelCard, Threshold
from index.decision import Candidate, Identification
from index.records import Enrolled


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Another subject of the gallery that looks like the one who is enrolled.

    Attributes:
        photo: position of the photo in the request, from 0.
        candidate: the other subject, with a similarity of at least the match threshold.
    """

    photo: int
    candidate: Candidate


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Enrollment:
    """What an enroll did, or would do.

    Attributes:
        faces: the face that was taken from each photo, in the order of the photos.
        enrolled: None on a dry run.
        would_create: no such subject existed when it was looked for.
        conflicts: other subjects at or above ``threshold``; reported, never refused.
        threshold: the match threshold that conflicts were judged by.
        card: of the gallery's model.
        timings_ms: milliseconds spent, by stage, all photos together.
    """

    faces: tuple[Face, ...]
    enrolled: Enrolled | None
    would_create: bool
    conflicts: tuple[Conflict, ...]
    threshold: Threshold
    card: ModelCard
    timings_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recognition:
    """Who is in a photo.

    Attributes:
        photo: its faces, largest first.
        answers: one for each face; a subject is named at most once.
        match: the threshold of ``match``, for the gallery's size.
        review: the threshold of ``review``, for the gallery's size.
        num_subjects: gallery size N when the thresholds were taken.
        card: of the gallery's model.
        timings_ms: milliseconds spent, by stage: decode, detect, align, embed, search.
    """

    photo: PhotoFaces
    answers: tuple[Identification, ...]
    match: Threshold
    review: Threshold
    num_subjects: int
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
