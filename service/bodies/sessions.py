"""What the service is asked about sessions."""

from typing import Annotated

from pydantic import Field

from service.bodies.base import Body


class SessionBody(Body):
    """Whoever signs in on the page."""

    key: Annotated[
        str,
        Field(max_length=200, description="An API key.", examples=["fg_0a1b2c3d4e5f_" + "x" * 43]),
    ]
