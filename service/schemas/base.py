"""What every answer is made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

SUBJECT_ID = "3f0c8a52-d1b9-4e5c-8a7b-6d5e4f3a2b1c"
FINGERPRINT = "9b1d5f0c" * 8
CREATED = "2026-01-31T12:00:00Z"

NextCursor = Annotated[
    str | None, Field(description="For the next page; None on the last.", examples=[None])
]

GalleryName = Annotated[str, Field(description="Name of the gallery.", examples=["default"])]


class Answer(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True)


class Problem(BaseModel):
    """RFC 9457 problem document."""

    type: Annotated[str, Field(examples=["about:blank"])]
    title: Annotated[str, Field(examples=["Unprocessable Content"])]
    status: Annotated[int, Field(examples=[422])]
    detail: Annotated[str, Field(examples=["2 faces were found where one was expected"])]
    code: Annotated[str, Field(description="Stable.", examples=["several_faces"])]
    reasons: Annotated[list[str] | None, Field(description="With `face_quality_too_low`.")] = None
    merged_into: Annotated[
        str | None,
        Field(description="With `subject_not_found`: the subject that it was merged into."),
    ] = None
    errors: Annotated[
        list[dict[str, str]] | None, Field(description="With `request_invalid`: where and what.")
    ] = None
    retry_after_s: Annotated[
        int | None,
        Field(description="With what may be sent again: after so many seconds, as `Retry-After`."),
    ] = None


class ModelRef(Answer):
    """The model that made the embeddings."""

    name: Annotated[str, Field(examples=["ir18-slim"])]
    fingerprint: Annotated[str, Field(examples=[FINGERPRINT])]


class ThresholdAnswer(Answer):
    """A similarity, and what it stands for."""

    value: Annotated[float, Field(examples=[0.41])]
    low: Annotated[float, Field(description="Of the 95 % interval.", examples=[0.39])]
    high: Annotated[float, Field(description="Of the 95 % interval.", examples=[0.43])]
    fpir: Annotated[
        float, Field(description="Share of strangers who would pass it.", examples=[0.01])
    ]
    num_subjects: Annotated[int, Field(description="Gallery size N.", examples=[6])]
    extrapolated: Annotated[
        bool,
        Field(
            description="Not measured at this size or for this fusion rule, or with fewer than "
            "30 errors behind it."
        ),
    ]
