"""Crops of faces."""

import base64
from typing import Annotated, Self

from pydantic import Field

from service.schemas.base import Answer


class CropAnswer(Answer):
    """The crop of a face that was embedded."""

    png: Annotated[
        str,
        Field(
            description="A PNG file of 112 x 112 pixels, as base64.",
            examples=["iVBORw0K..."],
            json_schema_extra={"contentEncoding": "base64"},
        ),
    ]

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return base64.b64decode(self.png)

    @classmethod
    def of(cls, png: bytes) -> Self:
        """A crop as it is shown."""
        return cls(png=base64.b64encode(png).decode())
