"""What the service is asked about decisions: comparisons, and calibrations."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from service.bodies.base import Body, BoxEdges, GalleryName, PhotoBytes, Rate
from service.calibrating import MAX_PROBES, MAX_RATES


class VerifyBody(Body):
    """Two photos, or a photo and a subject."""

    photos: Annotated[
        list[PhotoBytes],
        Field(
            min_length=1,
            max_length=2,
            description="JPEG, PNG or WebP: two, or one and a subject.",
        ),
    ]
    gallery: Annotated[
        GalleryName | None,
        Field(description="Of the subject; `default` if absent. Not for two photos."),
    ] = None
    subject: Annotated[
        str | None, Field(description="Name of the subject.", examples=["Ada Lovelace"])
    ] = None
    subject_id: Annotated[
        str | None, Field(description="Or the subject's id; excludes the other two.")
    ] = None
    external_id: Annotated[str | None, Field(description="Or your own id of the subject.")] = None
    face: Annotated[
        Literal["only", "largest"],
        Field(description="Which face of each photo: the only one, or the largest."),
    ] = "only"
    box: Annotated[
        BoxEdges | None,
        Field(
            description="Or the face at this box: left, top, right, bottom in pixels of the "
            "upright photo; in a form four numbers with commas. For one photo."
        ),
    ] = None
    far: Annotated[
        Rate | None,
        Field(
            description="False accept rate that `match` is to stand for; that of the service's "
            "settings if absent."
        ),
    ] = None


def _as_tuple(value: object) -> object:
    """An array of JSON -> tuple, which strict reading asks for."""
    return tuple(value) if isinstance(value, list) else value


class CalibrateBody(Body):
    """Which rates to measure a gallery's thresholds for."""

    fpirs: Annotated[
        tuple[Rate, ...],
        BeforeValidator(_as_tuple),
        Field(
            max_length=MAX_RATES,
            description="False positive identification rates, beside those of the service's "
            "settings, which are always measured.",
            examples=[[0.001]],
        ),
    ] = ()
    max_probes: Annotated[
        int,
        Field(
            ge=1,
            le=MAX_PROBES,
            description="At most so many searches of the gallery by itself.",
        ),
    ] = MAX_PROBES
