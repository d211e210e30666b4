"""Galleries and models."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from service.schemas.base import (
    CREATED,
    FINGERPRINT,
    SUBJECT_ID,
    Answer,
    GalleryName,
    ModelRef,
    NextCursor,
)


class GalleryAnswer(Answer):
    """A gallery."""

    id: Annotated[
        str,
        Field(
            description="As in the audit log and receipts; never changes.",
            examples=[SUBJECT_ID],
        ),
    ]
    name: GalleryName
    num_subjects: Annotated[int, Field(examples=[6])]
    num_templates: Annotated[int, Field(examples=[18])]
    model: Annotated[
        str | None, Field(description="None when it is not installed.", examples=["ir18-slim"])
    ]
    fingerprint: Annotated[str, Field(examples=[FINGERPRINT])]
    created_at: Annotated[datetime, Field(examples=[CREATED])]
    space: Annotated[
        bool, Field(description="Its vectors are stored in a secret space of their own.")
    ]


class GalleriesAnswer(Answer):
    """A page of the galleries that the key reaches, by name."""

    galleries: list[GalleryAnswer]
    next_cursor: NextCursor


class ModelAnswer(ModelRef):
    """An installed model."""

    default: Annotated[bool, Field(description="New galleries get this one.")]
    licence: Annotated[str, Field(examples=["research only"])]
    accuracy: Annotated[dict[str, Any], Field(description="Measured figures of its card.")]


class ModelsAnswer(Answer):
    """The installed models, the default one first."""

    models: list[ModelAnswer]
