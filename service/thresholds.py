"""Which thresholds decide about a request: the usual ones, or what it asks for."""

from dataclasses import dataclass

from embedding.embedder import FaceEmbedder
from embedding.errors import RequestInvalid
from index.calibration.asked import (
    check_rate,
    check_similarity,
    thresholds_at,
    thresholds_for_fpir,
)
from index.calibration.in_force import ThresholdsInForce, read_known, thresholds_in_force
from index.gallery import Gallery
from service.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request asks of the decision; nothing of both for the usual thresholds.

    Attributes:
        fpir: false positive identification rate that a ``match`` is to stand for, in each
            gallery.
        threshold: smallest similarity of a ``match``.

    Raises:
        RequestInvalid: both, or one that is out of range.
    """

    fpir: float | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        if self.fpir is not None and self.threshold is not None:
            raise RequestInvalid("give fpir or threshold, not both: each one sets the other")
        if self.fpir is not None:
            check_rate(self.fpir)
        if self.threshold is not None:
            check_similarity(self.threshold)

    @property
    def anything(self) -> bool:
        """Whether the usual thresholds are not to decide."""
        return self != NOTHING


NOTHING = Asked()
"""The usual thresholds."""


def usual_thresholds(
    gallery: Gallery, embedder: FaceEmbedder, *, settings: Settings
) -> ThresholdsInForce:
    """Those for the rates in the settings."""
    return thresholds_in_force(
        gallery, card=embedder.card, fpir=settings.fpir, review_fpir=settings.review_fpir
    )


def asked_thresholds(
    gallery: Gallery, embedder: FaceEmbedder, *, settings: Settings, asked: Asked
) -> ThresholdsInForce:
    """Those that a request asks for."""
    if asked.fpir is not None:
        return thresholds_for_fpir(
            read_known(gallery),
            card=embedder.card,
            fpir=asked.fpir,
            review_fpir=settings.review_fpir,
        )
    if asked.threshold is not None:
        return thresholds_at(
            read_known(gallery),
            card=embedder.card,
            threshold=asked.threshold,
            review_fpir=settings.review_fpir,
        )
    return usual_thresholds(gallery, embedder, settings=settings)
