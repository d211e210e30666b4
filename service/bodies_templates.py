"""What the service is asked about galleries and templates that are there; JSON only."""

from typing import Annotated

from pydantic import Field

from index.moving_gallery import MAX_TEMPLATES
from index.rules import MAX_CAP
from service.bodies import Body, YesOrNo
from service.schemas import SUBJECT_ID

_Id = Annotated[str, Field(min_length=1, max_length=64, pattern="^[!-~]+$")]


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


class MoveBody(Body):
    """Which templates, and whose they become: an id, or a name and an external id."""

    templates: Annotated[
        list[_Id],
        Field(
            min_length=1,
            max_length=MAX_TEMPLATES,
            description="Ids of templates of the subject in the path.",
            examples=[[SUBJECT_ID]],
        ),
    ]
    to_subject_id: Annotated[
        _Id | None,
        Field(description="Id of an existing subject; excludes the other two."),
    ] = None
    to_name: Annotated[
        str | None, Field(description="Name; found or created.", examples=["Ada Lovelace"])
    ] = None
    to_external_id: Annotated[str | None, Field(description="Your own id; found or created.")] = (
        None
    )
    dry_run: Annotated[YesOrNo, Field(description="Change nothing.")] = False


class MergeBody(Body):
    """Which subject takes all that the one in the path has."""

    into: Annotated[_Id, Field(description="Id of the one that stays.", examples=[SUBJECT_ID])]
    dry_run: Annotated[YesOrNo, Field(description="Change nothing.")] = False
