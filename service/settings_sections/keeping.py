"""What is kept of decisions and faces beside templates: nothing until it is asked for."""

from typing import Annotated

from pydantic import Field

from service.settings_sections.section import Section


class KeepingSettings(Section):
    """Events, reviews and crops."""

    events: Annotated[
        bool,
        Field(
            description="Keep an event of each identified face, ids only, for doors and desks "
            "that follow them."
        ),
    ] = False
    events_hours: Annotated[
        float, Field(gt=0, le=8784, description="Hours that an event is kept.")
    ] = 24.0
    events_max: Annotated[
        int, Field(ge=1, le=10_000_000, description="Most events that are kept, of all galleries.")
    ] = 100_000
    reviews: Annotated[
        bool,
        Field(
            description="Have a queue of faces that a person should look at, for callers who ask "
            "for it."
        ),
    ] = False
    review_hours: Annotated[
        float,
        Field(gt=0, le=8784, description="Hours that a review is kept, decided or not."),
    ] = 24.0
    review_claim_s: Annotated[
        float,
        Field(
            gt=0,
            le=86_400,
            description="Seconds that a person who claims a review has it alone.",
        ),
    ] = 300.0
    keep_crops: Annotated[
        bool,
        Field(
            description="Keep the aligned crop, 112 x 112 pixels, of each face that is enrolled "
            "or queued for review; sealed, so only with sealing keys."
        ),
    ] = False
