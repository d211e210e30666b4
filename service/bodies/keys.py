"""What the service is asked about keys."""

from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator, Field

from service.auth import Role
from service.bodies.base import Body, whole_number
from service.keys import MAX_LIMIT

RequestLimit = Annotated[int, Field(ge=1, le=MAX_LIMIT), BeforeValidator(whole_number)]


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
