"""What the recognizer found out."""

from collections.abc import Mapping
from dataclasses import dataclass

from embedding.embedder import Face, PhotoFaces
from embedding.model import ModelCard, Threshold
from index.calibration.in_force import ThresholdsInForce
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
        thresholds: that decided, for the gallery's size.
        match_similarities: of each face, the smallest similarity of a ``match``.
        card: of the gallery's model.
        timings_ms: milliseconds spent, by stage: decode, detect, align, embed, search.
    """

    photo: PhotoFaces
    answers: tuple[Identification, ...]
    thresholds: ThresholdsInForce
    match_similarities: tuple[float, ...]
    card: ModelCard
    timings_ms: Mapping[str, float]
