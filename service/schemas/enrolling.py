"""What an enroll answers."""

from typing import Annotated

from pydantic import Field

from service.schemas.base import SUBJECT_ID, Answer, GalleryName, ModelRef, ThresholdAnswer
from service.schemas.faces import FaceAnswer


class CandidateAnswer(Answer):
    """A subject that a face looks like."""

    subject_id: Annotated[str, Field(examples=[SUBJECT_ID])]
    name: Annotated[str | None, Field(examples=["Ada Lovelace"])]
    similarity: Annotated[float, Field(examples=[0.72])]


class ConflictAnswer(CandidateAnswer):
    """Another subject who looks like the one who is enrolled."""

    photo: Annotated[int, Field(description="Position of the photo, from 0.", examples=[0])]


class StrangerAnswer(Answer):
    """A photo that does not seem to show the subject as enrolled so far."""

    photo: Annotated[int, Field(description="Position of the photo, from 0.", examples=[0])]
    similarity: Annotated[float, Field(description="To the subject.", examples=[0.21])]


class EnrolledFace(FaceAnswer):
    """The face that was taken from a photo."""

    photo: Annotated[int, Field(description="Position of the photo, from 0.", examples=[0])]
    template_id: Annotated[
        str | None, Field(description="None on a dry run.", examples=[SUBJECT_ID])
    ]


class EnrollAnswer(Answer):
    """What an enroll did; on a dry run, what it would do."""

    gallery: GalleryName
    subject_id: Annotated[
        str | None, Field(description="None on a dry run.", examples=[SUBJECT_ID])
    ]
    created: Annotated[bool, Field(description="The subject is new.")]
    dry_run: bool
    faces: list[EnrolledFace]
    conflicts: Annotated[
        list[ConflictAnswer], Field(description="Other subjects at or above the threshold.")
    ]
    not_the_subject: Annotated[
        list[StrangerAnswer],
        Field(description="Photos that do not look like the subject's templates so far."),
    ]
    groups: Annotated[
        list[list[int]],
        Field(
            description="Positions of the photos, those together that look like one person; "
            "several groups: the photos may show several people.",
            examples=[[[0]]],
        ),
    ]
    dropped_template_ids: Annotated[
        list[str],
        Field(
            description="Removed, because the gallery keeps no more of one subject.", examples=[[]]
        ),
    ]
    threshold: ThresholdAnswer
    model: ModelRef
    timings_ms: Annotated[dict[str, float], Field(examples=[{"decode": 4.1, "embed": 11.9}])]
