"""How the service is."""

from typing import Annotated, Literal

from pydantic import Field

from service.schemas.base import Answer


class HealthAnswer(Answer):
    """How the service is."""

    status: Annotated[Literal["ok"], Field(examples=["ok"])] = "ok"


class ReadyAnswer(HealthAnswer):
    """That photos can be answered, and how current the answers are."""

    staleness_s: Annotated[
        float,
        Field(
            description="Seconds since this service knew all that others on the same database "
            "had enrolled; 0 where it is alone. Removals are looked up for every answer.",
            examples=[0.0],
        ),
    ]
    upkeep_failing_s: Annotated[
        float,
        Field(
            description="Seconds for which purging, snapshots or sealing anew have failed at "
            "every try; 0 while they work. Answers go on; the log says what is wrong.",
            examples=[0.0],
        ),
    ]
