"""Who is in a photo."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from index.decision import Reason
from service.schemas.base import CREATED, Answer, GalleryName, ModelRef, ThresholdAnswer
from service.schemas.enrolling import CandidateAnswer
from service.schemas.faces import FaceAnswer
from service.schemas.subjects import IdentifiedSubject


class CalibrationAnswer(Answer):
    """Thresholds that were measured on this gallery."""

    in_force: Annotated[
        bool, Field(description="They decide; otherwise the model card's do, and `reasons` why.")
    ]
    made_at: Annotated[datetime, Field(examples=[CREATED])]
    num_subjects: Annotated[int, Field(description="Gallery size N then.", examples=[6])]
    num_probes: Annotated[int, Field(description="Searches of strangers.", examples=[3000])]
    normalised: Annotated[
        bool,
        Field(
            description="Each face has a threshold of its own; those of `match` and `review` "
            "hold for a face that is as close to a cohort as most are."
        ),
    ]
    stale: Annotated[bool, Field(description="The gallery should be calibrated again.")]
    reasons: Annotated[
        list[str], Field(description="Why it is stale or not in force.", examples=[[]])
    ]


class IdentifiedFace(FaceAnswer):
    """A face, and who it is."""

    decision: Annotated[Literal["match", "review", "unknown"], Field(examples=["match"])]
    subject: Annotated[
        IdentifiedSubject | None,
        Field(
            description="Of `match` the person, of `review` the one to compare with, which "
            "identifier keys do not see."
        ),
    ]
    similarity: Annotated[
        float | None,
        Field(description="Of the best candidate; not for identifier keys.", examples=[0.72]),
    ]
    reasons: Annotated[
        list[Reason],
        Field(description="Why it is a `review`; not for identifier keys.", examples=[[]]),
    ]
    match_threshold: Annotated[
        float | None,
        Field(
            description="Similarity from which on this face is a match; not for identifier keys. "
            "That of `match`, unless the calibration is normalised.",
            examples=[0.41],
        ),
    ]
    candidates: Annotated[
        list[CandidateAnswer], Field(description="Best first; not for identifier keys.")
    ]
    review_id: Annotated[
        str | None,
        Field(description="Of the review that was queued for a person; null where none was."),
    ] = None


class IdentifyAnswer(Answer):
    """Who is in a photo."""

    gallery: GalleryName
    num_subjects: Annotated[int, Field(description="Gallery size N.", examples=[6])]
    model: ModelRef
    match: Annotated[ThresholdAnswer, Field(description="From here on a face is a match.")]
    review: Annotated[ThresholdAnswer, Field(description="From here on a person should look.")]
    calibration: Annotated[
        CalibrationAnswer | None,
        Field(
            description="Of the gallery; null where it was never calibrated, so that the model "
            "card's thresholds decide."
        ),
    ]
    width: Annotated[int, Field(description="Of the upright photo.", examples=[640])]
    height: Annotated[int, Field(description="Of the upright photo.", examples=[480])]
    faces: Annotated[list[IdentifiedFace], Field(description="Largest first.")]
    timings_ms: Annotated[dict[str, float], Field(examples=[{"decode": 4.1, "search": 0.3}])]
