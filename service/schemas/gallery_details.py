"""All that there is to say of one gallery."""

from typing import Annotated

from pydantic import Field

from service.schemas.base import Answer, ThresholdAnswer
from service.schemas.galleries import GalleryAnswer
from service.schemas.identifying import CalibrationAnswer


class RulesAnswer(Answer):
    """How a gallery decides."""

    fusion: Annotated[
        str,
        Field(
            description="How the templates of a subject become one similarity.",
            examples=["maximum"],
        ),
    ]
    max_templates: Annotated[
        int | None,
        Field(description="So many of a subject stay, those of best quality; None for all."),
    ]
    smallest_lead: Annotated[
        float,
        Field(
            description="By how much a match must lead over the second, or be reviewed.",
            examples=[0.05],
        ),
    ]


class GalleryDetailsAnswer(GalleryAnswer):
    """A gallery with how it decides."""

    rules: RulesAnswer
    match: Annotated[
        ThresholdAnswer | None,
        Field(
            description="From here on a face is a match. None where neither the model's card nor "
            "a calibration has one for the rates in the settings."
        ),
    ]
    review: Annotated[
        ThresholdAnswer | None, Field(description="From here on a person should look.")
    ]
    calibration: Annotated[
        CalibrationAnswer | None,
        Field(description="None where it was never calibrated, or the model is not installed."),
    ]
