"""The templates of people, and how they get another subject."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from service.schemas.base import CREATED, FINGERPRINT, SUBJECT_ID, Answer, NextCursor
from service.schemas.faces import BoxAnswer
from service.schemas.subjects import ErasedAnswer, SubjectAnswer


class TemplateAnswer(Answer):
    """A stored reference of a person, without photo and vector."""

    id: Annotated[str, Field(examples=[SUBJECT_ID])]
    subject_id: Annotated[
        str | None, Field(description="None for a template of nobody.", examples=[SUBJECT_ID])
    ]
    box: Annotated[BoxAnswer, Field(description="Of the face in its photo.")]
    width: Annotated[int, Field(description="Of the upright photo.", examples=[640])]
    height: Annotated[int, Field(description="Of the upright photo.", examples=[480])]
    quality: Annotated[float, Field(description="In [0, 1].", examples=[0.83])]
    confidence: Annotated[float, Field(description="Of the detector.", examples=[0.999])]
    fingerprint: Annotated[
        str, Field(description="Of the model that made it.", examples=[FINGERPRINT])
    ]
    created_at: Annotated[datetime, Field(examples=[CREATED])]
    embedding: Annotated[
        list[float] | None,
        Field(
            description="512 numbers of unit length: a face. Only for admin keys that ask for "
            "it, where the settings allow it.",
            examples=[None],
        ),
    ] = None


class TemplatesAnswer(Answer):
    """A page of a person's templates, the oldest first."""

    templates: list[TemplateAnswer]
    next_cursor: NextCursor


class ErasedTemplateAnswer(ErasedAnswer):
    """What the removal of a template left, with its receipt."""

    subject_id: Annotated[str | None, Field(examples=[SUBJECT_ID])]
    num_left: Annotated[
        int,
        Field(
            description="Templates that the person still has. At 0 the person is there, with its "
            "name, and is found by no photo, until it is removed or enrolled again.",
            examples=[2],
        ),
    ]


class MovedTemplateAnswer(Answer):
    """A template that was moved."""

    template_id: Annotated[str, Field(examples=[SUBJECT_ID])]
    similarity: Annotated[
        float | None,
        Field(
            description="To the nearest template that the person had before; None where there "
            "was none.",
            examples=[0.72],
        ),
    ]


class MoveAnswer(Answer):
    """What a move did; on a dry run, what it would do."""

    subject_id: Annotated[
        str | None,
        Field(
            description="Whose they are; None on a dry run of somebody new.", examples=[SUBJECT_ID]
        ),
    ]
    created: Annotated[bool, Field(description="The person is new.")]
    dry_run: bool
    moved: Annotated[list[MovedTemplateAnswer], Field(description="The oldest first.")]
    num_left: Annotated[
        int, Field(description="Templates of the person they were taken from.", examples=[2])
    ]
    dropped_template_ids: Annotated[
        list[str],
        Field(
            description="Removed, because the gallery keeps no more of one subject.", examples=[[]]
        ),
    ]


class MergeAnswer(Answer):
    """What a merge did; on a dry run, what it would do."""

    subject: Annotated[SubjectAnswer, Field(description="Who stays, as it is afterwards.")]
    merged_id: Annotated[
        str,
        Field(
            description="Of who went; asked for, it answers 404 with `merged_into`.",
            examples=[SUBJECT_ID],
        ),
    ]
    dry_run: bool
    num_templates: Annotated[int, Field(description="That went over.", examples=[3])]
    similarity: Annotated[
        float | None,
        Field(description="Of the two nearest templates of both.", examples=[0.72]),
    ]
    dropped_template_ids: Annotated[
        list[str],
        Field(
            description="Removed, because the gallery keeps no more of one subject.", examples=[[]]
        ),
    ]
    lost_name: Annotated[
        str | None,
        Field(description="Of who went, where the other keeps its own.", examples=["A. Lovelace"]),
    ]
    lost_external_id: Annotated[str | None, Field(description="Likewise.", examples=[None])]
    num_look_alikes: Annotated[
        int, Field(description="Declared look-alikes that were taken over.", examples=[0])
    ]
