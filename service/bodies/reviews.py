"""What the service is asked about reviews."""

from typing import Annotated

from pydantic import Field

from index.events import Verdict
from service.bodies.base import Body


class VerdictBody(Body):
    """What a person says of a review."""

    verdict: Annotated[
        Verdict, Field(description="Is the face the candidate's?", examples=["same"])
    ]
