"""What the service is asked about galleries."""

from typing import Annotated

from pydantic import Field

from index.rules import MAX_CAP
from service.bodies.base import GALLERY_SCHEMA, Body, YesOrNo


class GalleryBody(Body):
    """A new gallery."""

    name: Annotated[
        str,
        Field(
            description="1 to 255 of A-Z a-z 0-9 . _ -",
            examples=["front-door"],
            json_schema_extra=GALLERY_SCHEMA,
        ),
    ]
    model: Annotated[
        str | None,
        Field(description="Name or fingerprint of an installed model; the default one if absent."),
    ] = None
    space: Annotated[
        YesOrNo,
        Field(
            description="Keep its vectors in a secret space of their own; needs sealing, and "
            "holds for good."
        ),
    ] = False


class GalleryChangeBody(Body):
    """What is to be another way; what is absent stays."""

    name: Annotated[
        str | None,
        Field(
            description="New name, 1 to 255 of A-Z a-z 0-9 . _ -; by itself, without the others.",
            examples=["side-door"],
        ),
    ] = None
    fusion: Annotated[
        str | None,
        Field(
            max_length=64,
            description="How the templates of a subject become one similarity; calibrate the "
            "gallery afterwards.",
            examples=["maximum"],
        ),
    ] = None
    max_templates: Annotated[
        int | None,
        Field(ge=1, le=MAX_CAP, description="So many of a subject stay; null for all."),
    ] = None
    smallest_lead: Annotated[
        float | None,
        Field(
            ge=0,
            le=2,
            allow_inf_nan=False,
            description="By how much a match must lead over the second, or be reviewed.",
        ),
    ] = None
