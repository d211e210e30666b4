"""Faces as they are found in photos."""

from typing import Annotated

from pydantic import Field

from service.schemas.base import Answer


class BoxAnswer(Answer):
    """Pixels of the upright photo, origin at the top left."""

    left: Annotated[float, Field(examples=[212.4])]
    top: Annotated[float, Field(examples=[88.0])]
    right: Annotated[float, Field(examples=[331.9])]
    bottom: Annotated[float, Field(examples=[240.7])]


class QualityAnswer(Answer):
    """How good a face is for recognition."""

    figure: Annotated[float, Field(description="In [0, 1].", examples=[0.83])]
    size_px: Annotated[float, Field(description="Shorter side of the box.", examples=[119.5])]
    sharpness: Annotated[float, Field(examples=[0.4])]
    brightness: Annotated[float, Field(description="Mean luma, 0 to 255.", examples=[127.0])]
    yaw_deg: Annotated[float, Field(examples=[-4.0])]
    pitch_deg: Annotated[float, Field(examples=[2.0])]
    roll_deg: Annotated[float, Field(examples=[1.0])]
    reasons: Annotated[
        list[str], Field(description="Why it is poor; empty when it is good.", examples=[[]])
    ]


class FaceAnswer(Answer):
    """One face of a photo."""

    box: BoxAnswer
    landmarks: Annotated[
        list[tuple[float, float]],
        Field(
            description="Eyes, nose, corners of the mouth; left in the image first.",
            examples=[
                [(242.0, 148.0), (300.0, 147.0), (271.0, 181.0), (248.0, 209.0), (295.0, 208.0)]
            ],
        ),
    ]
    confidence: Annotated[float, Field(description="Of the detector.", examples=[0.999])]
    quality: QualityAnswer
    num_quarter_turns: Annotated[
        int, Field(description="Counter-clockwise, after which it was found.", examples=[0])
    ]


class DetectAnswer(Answer):
    """The faces of a photo."""

    width: Annotated[int, Field(description="Of the upright photo.", examples=[640])]
    height: Annotated[int, Field(description="Of the upright photo.", examples=[480])]
    faces: Annotated[list[FaceAnswer], Field(description="Largest first.")]
    timings_ms: Annotated[dict[str, float], Field(examples=[{"decode": 4.1, "detect": 20.3}])]
