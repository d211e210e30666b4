"""What the service is asked: bodies of requests, the same for forms and JSON."""

import base64
import binascii
from typing import Annotated, ClassVar, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    WithJsonSchema,
)

from index.calibration.asked import SMALLEST_RATE
from service.auth import Role
from service.examples import PHOTO
from service.identifying import MAX_GALLERIES
from service.keys import MAX_LIMIT
from service.person_fields import ConsentReference, Days, ExpiryTime, MetadataPatch, Purpose
from service.schemas import GalleryName


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


def _whole(value: object) -> object:
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
RequestLimit = Annotated[int, Field(ge=1, le=MAX_LIMIT), BeforeValidator(_whole)]
Coordinate = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]
BoxEdges = Annotated[
    tuple[Coordinate, Coordinate, Coordinate, Coordinate], BeforeValidator(_split_box)
]


class Body(BaseModel):
    """A request's body: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    merge_patch: ClassVar[bool] = False
    """Whether it may be sent as `application/merge-patch+json` too."""


class EnrollBody(Body):
    """Photos of one person, and who that is."""

    photos: Annotated[
        list[PhotoBytes], Field(min_length=1, description="JPEG, PNG or WebP; one template each.")
    ]
    gallery: GalleryName = "default"
    subject: Annotated[
        PersonName | None, Field(description="Name; found or created.", examples=["Ada Lovelace"])
    ] = None
    subject_id: Annotated[
        str | None,
        Field(description="Id of an existing subject; excludes the other two."),
    ] = None
    external_id: Annotated[
        PersonName | None, Field(description="Your own id; found or created.")
    ] = None
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
    force: Annotated[YesOrNo, Field(description="Take faces of poor quality too.")] = False
    dry_run: Annotated[YesOrNo, Field(description="Save nothing.")] = False
    metadata: Annotated[
        MetadataPatch | None,
        Field(
            description="Of the person; merged into what is there, null takes a key away. In a "
            "form as JSON text."
        ),
    ] = None
    purpose: Annotated[Purpose | None, Field(description="Why the person is there.")] = None
    consent_reference: Annotated[
        ConsentReference | None, Field(description="Where the person's consent is kept.")
    ] = None
    expires_at: Annotated[
        ExpiryTime | None,
        Field(description="When the person is erased: in the future, with a time zone."),
    ] = None
    expires_in_days: Annotated[
        Days | None, Field(description="Or so many days from now.", examples=[365])
    ] = None


class IdentifyBody(Body):
    """A photo, and where to look."""

    photo: Annotated[PhotoBytes, Field(description="JPEG, PNG or WebP.")]
    gallery: GalleryName = "default"
    galleries: Annotated[
        SeveralGalleries | None,
        Field(
            description="Several galleries in the place of `gallery`, each once; in a form with "
            "commas. The answer is then that of several galleries.",
            examples=[["front-door", "staff"]],
        ),
    ] = None
    face: Annotated[
        Literal["all", "only", "largest"],
        Field(description="Which faces: all, the only one, or the largest."),
    ] = "all"
    box: Annotated[
        BoxEdges | None,
        Field(
            description="Or the face at this box: left, top, right, bottom in pixels of the "
            "upright photo; in a form four numbers with commas."
        ),
    ] = None
    fpir: Annotated[
        Rate | None,
        Field(
            description="False positive identification rate that `match` is to stand for, in each "
            "gallery; excludes `threshold`. Not for identifier keys.",
        ),
    ] = None
    threshold: Annotated[
        Similarity | None,
        Field(
            description="Smallest similarity of a `match`; excludes `fpir`. Not for identifier "
            "keys.",
            examples=[0.6],
        ),
    ] = None
    turns: Annotated[
        YesOrNo,
        Field(
            description="When no face is found, or none that is surely upright, try the photo's "
            "quarter turns."
        ),
    ] = False
    num_candidates: Annotated[
        int,
        Field(ge=1, le=100, description="At most this many candidates for each face."),
        BeforeValidator(_whole),
    ] = 5
    source: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9._:-]{1,64}$",
            description="What you call yourself in events and reviews, such as a door; no name of "
            "a person.",
            examples=["door-2"],
        ),
    ] = None
    queue_reviews: Annotated[
        YesOrNo,
        Field(description="Have a person look at each face that is a `review`."),
    ] = False


class DetectBody(Body):
    """A photo."""

    photo: Annotated[PhotoBytes, Field(description="JPEG, PNG or WebP.")]
    turns: Annotated[
        YesOrNo,
        Field(
            description="When no face is found, or none that is surely upright, try the photo's "
            "quarter turns."
        ),
    ] = False


class GalleryBody(Body):
    """A new gallery."""

    name: Annotated[
        str,
        Field(
            description="1 to 255 of A-Z a-z 0-9 . _ -",
            examples=["front-door"],
            json_schema_extra={"format": "gallery-name"},
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


class KeyBody(Body):
    """A new key."""

    role: Annotated[Role, Field(description="What the key is for.", examples=["identifier"])]
    label: Annotated[str, Field(description="What it is for, in your words.")] = ""
    galleries: Annotated[
        list[str] | None,
        Field(description="Names of the galleries that it is tied to; all if absent."),
    ] = None
    expires_at: Annotated[
        AwareDatetime | None,
        Field(description="In the future, with a time zone; never if absent."),
    ] = None
    max_per_minute: Annotated[
        RequestLimit | None,
        Field(description="Requests; the service's limit if absent."),
    ] = None
    max_per_day: Annotated[
        RequestLimit | None,
        Field(description="Requests; the service's limit if absent."),
    ] = None
