"""What the service is asked about templates that are there."""

from typing import Annotated

from pydantic import Field

from index.moving_gallery import MAX_TEMPLATES
from service.bodies.base import Body, YesOrNo
from service.schemas import SUBJECT_ID

_Id = Annotated[str, Field(min_length=1, max_length=64, pattern="^[!-~]+$")]


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
