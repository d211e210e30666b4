"""What bodies of requests have in common, the same for forms and JSON, and kinds of values."""

import base64
import binascii
from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, WithJsonSchema

from index.calibration.asked import SMALLEST_RATE
from index.checks import GALLERY_NAME
from service.examples import PHOTO
from service.identifying import MAX_GALLERIES


def _decode_photo_text(value: object) -> object:
    """Base64 text -> bytes; bytes of a form stay as they are."""
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("a photo in JSON is standard base64, without line breaks") from error


def _read_word(value: object, info: ValidationInfo) -> object:
    """``true`` and ``false`` of a form -> bool, no other words; JSON has its own."""
    if isinstance(value, str) and info.mode != "json":
        return {"true": True, "false": False}.get(value, value)
    return value


def _split_box(value: object) -> object:
    """``"1,2,3,4"`` of a form, or an array of JSON -> tuple, which strict reading asks for."""
    if isinstance(value, str):
        return tuple(value.split(","))
    return tuple(value) if isinstance(value, list) else value


def whole_number(value: object) -> object:
    """5.0 -> 5: in JSON they are the same number, and of the same JSON Schema type."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _split_names(value: object) -> object:
    """``"a,b"`` of a form -> list."""
    return value.split(",") if isinstance(value, str) else value


PhotoBytes = Annotated[
    bytes,
    BeforeValidator(_decode_photo_text),
    WithJsonSchema(
        {"type": "string", "format": "byte", "contentEncoding": "base64", "examples": [PHOTO]}
    ),
]

GALLERY_SCHEMA: Final = {"format": "gallery-name", "pattern": GALLERY_NAME}
"""Told, and checked where the name is used, with a message that says more."""

GalleryName = Annotated[
    str,
    Field(
        description="Name of the gallery.", examples=["default"], json_schema_extra=GALLERY_SCHEMA
    ),
]

PersonName = Annotated[str, Field(json_schema_extra={"format": "name"})]
"""A rule of its own is checked where it is stored; the format tells programs that there is one."""


SeveralGalleries = Annotated[
    list[str],
    BeforeValidator(_split_names),
    Field(min_length=1, max_length=MAX_GALLERIES),
]

Similarity = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]

Rate = Annotated[float, Field(ge=SMALLEST_RATE, lt=1, allow_inf_nan=False, examples=[0.001])]

YesOrNo = Annotated[bool, Field(strict=True), BeforeValidator(_read_word)]

Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]

BoxEdges = Annotated[
    tuple[Coordinate, Coordinate, Coordinate, Coordinate], BeforeValidator(_split_box)
]


class Body(BaseModel):
    """A request's body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    merge_patch: ClassVar[bool] = False
    """Whether it may be sent as `application/merge-patch+json` too."""
