"""Keys."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from service.auth import Role
from service.schemas.base import CREATED, Answer, NextCursor


class KeyAnswer(Answer):
    """A key, without its secret."""

    key_id: Annotated[str, Field(examples=["0a1b2c3d4e5f"])]
    role: Role
    label: Annotated[str, Field(examples=["door camera"])]
    galleries: Annotated[list[str] | None, Field(examples=[["front-door"]])]
    created_at: Annotated[datetime, Field(examples=[CREATED])]
    revoked_at: Annotated[datetime | None, Field(examples=[None])]
    expires_at: Annotated[datetime | None, Field(examples=[None])]
    last_used_at: Annotated[
        datetime | None, Field(description="Written once an hour at most.", examples=[CREATED])
    ]
    max_per_minute: Annotated[int | None, Field(description="Requests.", examples=[None])]
    max_per_day: Annotated[int | None, Field(description="Requests.", examples=[None])]


class NewKeyAnswer(KeyAnswer):
    """A new key; this is the only time that it is shown."""

    key: Annotated[str, Field(examples=["fg_0a1b2c3d4e5f_" + "x" * 43])]


class KeysAnswer(Answer):
    """A page of the keys, revoked ones too, the oldest first."""

    keys: list[KeyAnswer]
    next_cursor: NextCursor
