"""By which model and rates it is decided, how it is searched, and what a good template is."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from embedding.errors import SettingsInvalid
from embedding.quality import QualityLimits
from service.settings_sections.section import Section

_QUALITY = QualityLimits()  # the package's own defaults


class DecidingSettings(Section):
    """Models, rates of false positives, the search, and the quality that an enroll asks for."""

    model: Annotated[
        str | None,
        Field(
            description="Model of new galleries: the name of a shipped model, the path of a model "
            "directory, or a fingerprint. Unset: the shipped default."
        ),
    ] = None
    models_folder: Annotated[
        Path | None,
        Field(description="Folder with more model directories, beside the shipped ones."),
    ] = None
    fpir: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="False positive identification rate that `match` stands for: the share "
            "of strangers who would be named.",
        ),
    ] = 0.01
    review_fpir: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="Rate that `review` stands for; larger than `fpir`.",
        ),
    ] = 0.05
    search_engine: Annotated[
        Literal["auto", "exact", "compressed"],
        Field(
            description="`exact` compares every template; `compressed` looks at short codes "
            "first; `auto` is exact up to half a million templates of a gallery."
        ),
    ] = "auto"
    vector_storage: Annotated[
        Literal["float32", "float16"],
        Field(
            description="How vectors lie in memory; `float16` takes half, at similarities that "
            "differ by about 4e-5."
        ),
    ] = "float32"
    min_face_px: Annotated[
        float, Field(ge=0, description="Shorter side of a face's box below which enroll refuses.")
    ] = _QUALITY.min_size_px
    min_sharpness: Annotated[
        float, Field(ge=0, description="Sharpness below which enroll refuses; 0 never does.")
    ] = _QUALITY.min_sharpness
    max_yaw_deg: Annotated[
        float,
        Field(gt=0, le=180, description="Turn of the head to a side beyond which enroll refuses."),
    ] = _QUALITY.max_yaw_deg
    max_pitch_deg: Annotated[
        float, Field(gt=0, le=180, description="Nod of the head beyond which enroll refuses.")
    ] = _QUALITY.max_pitch_deg
    min_confidence: Annotated[
        float,
        Field(ge=0, le=1, description="The detector's confidence below which enroll refuses."),
    ] = _QUALITY.min_confidence


def check_deciding(settings: DecidingSettings) -> None:
    """Returns when a review stands for more strangers than a match.

    Raises:
        SettingsInvalid: it does not.
    """
    if settings.review_fpir <= settings.fpir:
        raise SettingsInvalid(
            f"review_fpir must be larger than fpir, got {settings.review_fpir} and {settings.fpir}"
        )
