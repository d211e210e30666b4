"""Who is asking."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from service.auth import Permission, Role
from service.schemas.base import CREATED, Answer

Feature = Literal["reviews", "crops"]
"""What a page shows only where there is some."""


class SessionAnswer(Answer):
    """Whose key it is, and what it may do."""

    key_id: Annotated[str, Field(examples=["0a1b2c3d4e5f"])]
    role: Role
    galleries: Annotated[
        list[str] | None,
        Field(description="That the key is tied to; null for all.", examples=[["front-door"]]),
    ]
    permissions: Annotated[list[Permission], Field(examples=[["identify"]])]
    features: Annotated[
        list[Feature],
        Field(description="What the operator switched on.", examples=[["reviews"]]),
    ]
    expires_at: Annotated[
        datetime | None,
        Field(
            description="End of the session; for a key in a header the key's own, null for never.",
            examples=[CREATED],
        ),
    ]
