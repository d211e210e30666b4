"""What the service is asked about faces: enroll, identify and detect."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from service.bodies.base import (
    Body,
    BoxEdges,
    GalleryName,
    PersonName,
    PhotoBytes,
    Rate,
    SeveralGalleries,
    Similarity,
    YesOrNo,
    whole_number,
)
from service.person_fields import ConsentReference, Days, ExpiryTime, MetadataPatch, Purpose


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
        BeforeValidator(whole_number),
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
