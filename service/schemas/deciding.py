"""Comparisons, several galleries at once, and what a gallery's thresholds are worth."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from index.across import AcrossReason
from service.results import VerifyDecision
from service.schemas.base import (
    CREATED,
    SUBJECT_ID,
    Answer,
    GalleryName,
    ModelRef,
    ThresholdAnswer,
)
from service.schemas.enrolling import CandidateAnswer
from service.schemas.faces import FaceAnswer
from service.schemas.identifying import CalibrationAnswer
from service.schemas.subjects import IdentifiedSubject


class SearchedGalleryAnswer(Answer):
    """One of several galleries that were asked, and what decided in it."""

    gallery: GalleryName
    num_subjects: Annotated[int, Field(description="Gallery size N.", examples=[6])]
    model: ModelRef
    match: Annotated[ThresholdAnswer, Field(description="From here on a face is a match.")]
    review: Annotated[ThresholdAnswer, Field(description="From here on a person should look.")]
    calibration: CalibrationAnswer | None


class AcrossCandidateAnswer(CandidateAnswer):
    """A subject of one of the galleries."""

    gallery: GalleryName
    margin: Annotated[
        float,
        Field(description="Similarity minus that of a match in its gallery.", examples=[0.12]),
    ]


class InGalleryAnswer(Answer):
    """What one gallery says of a face."""

    gallery: GalleryName
    decision: Annotated[Literal["match", "review", "unknown"], Field(examples=["match"])]
    subject: IdentifiedSubject | None
    similarity: Annotated[
        float | None, Field(description="Not for identifier keys.", examples=[0.72])
    ]
    match_threshold: Annotated[
        float | None, Field(description="Not for identifier keys.", examples=[0.6])
    ]
    reasons: Annotated[list[str], Field(description="Why it is a `review`; likewise.")]


class AcrossFace(FaceAnswer):
    """A face, and who it is, asked of several galleries."""

    decision: Annotated[Literal["match", "review", "unknown"], Field(examples=["match"])]
    gallery: Annotated[str | None, Field(description="Of the subject.", examples=["front-door"])]
    subject: Annotated[
        IdentifiedSubject | None,
        Field(
            description="Of `match` the person, of `review` the one to compare with, which "
            "identifier keys do not see."
        ),
    ]
    similarity: Annotated[
        float | None, Field(description="In that gallery; not for identifier keys.")
    ]
    reasons: Annotated[
        list[AcrossReason], Field(description="Why it is a `review`; not for identifier keys.")
    ]
    candidates: Annotated[
        list[AcrossCandidateAnswer],
        Field(description="Of all galleries, largest margin first; not for identifier keys."),
    ]
    answers: Annotated[
        list[InGalleryAnswer], Field(description="Of each gallery, as they were asked.")
    ]


class IdentifyAcrossAnswer(Answer):
    """Who is in a photo, asked of several galleries."""

    galleries: Annotated[list[SearchedGalleryAnswer], Field(description="As they were asked.")]
    fpir: Annotated[
        float,
        Field(
            description="At most this share of strangers would be named in any of the galleries: "
            "the sum of theirs.",
            examples=[0.02],
        ),
    ]
    review_fpir: Annotated[
        float, Field(description="Likewise named or shown to a person.", examples=[0.1])
    ]
    width: Annotated[int, Field(description="Of the upright photo.", examples=[640])]
    height: Annotated[int, Field(description="Of the upright photo.", examples=[480])]
    faces: Annotated[list[AcrossFace], Field(description="Largest first.")]
    timings_ms: Annotated[dict[str, float], Field(examples=[{"decode": 4.1, "search": 0.3}])]


class VerifyThresholdAnswer(Answer):
    """A similarity, and what it stands for in one comparison."""

    value: Annotated[float, Field(examples=[0.45])]
    low: Annotated[float, Field(description="Of the 95 % interval.", examples=[0.41])]
    high: Annotated[float, Field(description="Of the 95 % interval.", examples=[0.49])]
    far: Annotated[
        float,
        Field(description="False accept rate: share of two people who pass it.", examples=[0.01]),
    ]
    extrapolated: Annotated[
        bool,
        Field(description="Not measured at this rate, or with fewer than 30 errors behind it."),
    ]


class VerifiedFace(FaceAnswer):
    """The face that was taken from a photo."""

    photo: Annotated[int, Field(description="Position among the photos.", examples=[0])]


class VerifyAnswer(Answer):
    """Whether two faces, or a face and a subject, are one person."""

    decision: Annotated[VerifyDecision, Field(examples=["match"])]
    similarity: Annotated[
        float,
        Field(description="Cosine; of a subject that of its closest template.", examples=[0.72]),
    ]
    match: Annotated[VerifyThresholdAnswer, Field(description="From here on it is a match.")]
    review: Annotated[
        VerifyThresholdAnswer, Field(description="From here on a person should look.")
    ]
    gallery: Annotated[str | None, Field(description="Of the subject.", examples=["default"])]
    subject: Annotated[IdentifiedSubject | None, Field(description="Null for two photos.")]
    template_id: Annotated[
        str | None,
        Field(
            description="The subject's closest template; null for two photos.",
            examples=[SUBJECT_ID],
        ),
    ]
    faces: Annotated[list[VerifiedFace], Field(description="One of each photo.")]
    model: ModelRef
    timings_ms: Annotated[dict[str, float], Field(examples=[{"decode": 4.1, "compare": 0.3}])]


class CalibratedPointAnswer(Answer):
    """The threshold that was measured for one FPIR, and what it is worth."""

    fpir: Annotated[float, Field(examples=[0.01])]
    value: Annotated[float, Field(description="The threshold.", examples=[0.62])]
    low: Annotated[float, Field(description="Of the 95 % interval.", examples=[0.58])]
    high: Annotated[float, Field(description="Of the 95 % interval.", examples=[0.66])]
    measured: Annotated[
        float, Field(description="Before the model card's floor raised it.", examples=[0.6])
    ]
    floor: Annotated[
        float | None,
        Field(description="The card's threshold, where the searches are too few to go below."),
    ]
    num_errors: Annotated[int, Field(description="Searches at or above it.", examples=[98])]
    num_missed: Annotated[int, Field(description="Mated searches below it.", examples=[12])]
    predicted_low: Annotated[
        float, Field(description="Of the 95 % interval of the FPIR in as many new searches.")
    ]
    predicted_high: Annotated[float, Field(description="Upper end of it.")]
    supported: Annotated[
        bool,
        Field(description="Thirty people or more stand behind it (the rule of thirty)."),
    ]


class KeptCalibrationAnswer(Answer):
    """A gallery's calibration, as it was made."""

    made_at: Annotated[datetime, Field(examples=[CREATED])]
    source: Annotated[
        Literal["gallery", "strangers"],
        Field(description="Whether the gallery searched itself, or strangers were searched for."),
    ]
    rule: Annotated[str, Field(description="Fusion rule.", examples=["maximum"])]
    num_subjects: Annotated[int, Field(description="Gallery size N then.", examples=[6])]
    num_templates: Annotated[int, Field(description="Then.", examples=[12])]
    num_probes: Annotated[int, Field(description="Non-mated searches.", examples=[3000])]
    num_people: Annotated[int, Field(description="Whose searches they are.", examples=[1000])]
    num_mated: Annotated[int, Field(description="Searches of enrolled people.", examples=[900])]
    num_close: Annotated[
        int,
        Field(description="Searches so close that they may be of one person.", examples=[0]),
    ]
    points: Annotated[list[CalibratedPointAnswer], Field(description="By descending FPIR.")]


class GalleryThresholdAnswer(Answer):
    """What decides in a gallery, and what it rests on."""

    gallery: GalleryName
    num_subjects: Annotated[int, Field(description="Gallery size N now.", examples=[6])]
    num_templates: Annotated[int, Field(description="Now.", examples=[12])]
    model: ModelRef
    rule: Annotated[str, Field(description="Fusion rule in use.", examples=["maximum"])]
    source: Annotated[
        Literal["calibration", "card"], Field(description="Whose thresholds decide.")
    ]
    match: Annotated[ThresholdAnswer, Field(description="From here on a face is a match.")]
    review: Annotated[ThresholdAnswer, Field(description="From here on a person should look.")]
    normalised: Annotated[
        bool, Field(description="Each face has a threshold of its own, around these.")
    ]
    stale: Annotated[bool, Field(description="The gallery should be calibrated again.")]
    reasons: Annotated[
        list[str],
        Field(
            description="Why it is stale, or why the calibration does not decide.", examples=[[]]
        ),
    ]
    calibration: Annotated[
        KeptCalibrationAnswer | None, Field(description="Null where it was never calibrated.")
    ]
