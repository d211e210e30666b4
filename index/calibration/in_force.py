"""Which thresholds decide in a gallery now: its calibration's, or the model card's.

Shapes: D embedding dimension.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from embedding.errors import StoreCorrupt
from embedding.model import ModelCard
from embedding.thresholds import Threshold
from index.calibration.kept import fact_of, read_normalisation, stale_reasons
from index.calibration.normalisation import CohortNormalisation
from index.calibration.records import Calibration, calibration_of_json
from index.calibration.strangers import Unit
from index.loaded_gallery import LoadedGallery
from index.store.gallery_store import GalleryStore

MAXIMUM: Final = "maximum"
"""Name of the fusion rule that model cards are measured with."""

_MAX_NORMALISATIONS: Final = 8  # two megabytes each
_normalisations: Final[dict[str, CohortNormalisation]] = {}

# Asked at every identification; the content itself is the key, so another one is never missed.
_parsed = lru_cache(maxsize=64)(calibration_of_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdsInForce:
    """The two thresholds that decide, and why these.

    Attributes:
        match: of ``match``.
        review: of ``review``, never above that of ``match``.
        source: whose they are.
        calibration: the gallery's; None where it was never calibrated.
        reasons: why the calibration is stale or not in force, in words; empty when it holds.
        num_subjects: gallery size N that they are for.
        rule: name of the fusion rule that they are for; give it to `Gallery.identify`, since the
            gallery's own may be chosen anew in between.
        smallest_lead: of a ``match`` in this gallery; read with the rule, and to be given too.
        normalisation: None where the thresholds are for similarities; otherwise they are for
            figures, and each probe has similarities of its own as thresholds.
    """

    match: Threshold
    review: Threshold
    source: Literal["calibration", "card"]
    calibration: Calibration | None
    reasons: tuple[str, ...]
    num_subjects: int
    rule: str
    smallest_lead: float
    normalisation: CohortNormalisation | None = None

    @property
    def stale(self) -> bool:
        """Whether the gallery should be calibrated again."""
        return bool(self.reasons)

    def for_probe(self, probe_D: NDArray[np.float32]) -> tuple[float, float]:
        """Return the smallest similarities of a ``match`` and of a ``review`` for a probe.

        Args:
            probe_D: (D,), unit length, in the model's own space.
        """
        if self.normalisation is None:
            return self.match.value, self.review.value
        shift = self.normalisation.shift(probe_D)
        return self.match.value + shift, self.review.value + shift


def thresholds_in_force(
    gallery: LoadedGallery,
    *,
    card: ModelCard,
    fpir: float,
    review_fpir: float,
    rule: str | None = None,
    unit: Unit = "photo",
) -> ThresholdsInForce:
    """Return the thresholds for a gallery as it is now.

    A calibration decides when it is of this model and rule and holds both rates. That of a
    gallery that has outgrown it is continued, and stays in force: the card's thresholds are no
    nearer to the truth for having been measured elsewhere. A card is measured with the maximum:
    where it decides under another rule, its thresholds are marked as extrapolated.

    Args:
        gallery: open.
        card: of the gallery's model.
        fpir: that ``match`` stands for.
        review_fpir: that ``review`` stands for.
        rule: name of the fusion rule in use; None for the gallery's own.
        unit: what a decision is made of; see `index.tracks`.

    Raises:
        RequestInvalid: the card decides, and has no thresholds for these rates.
        StoreCorrupt: the calibration that is kept cannot be read.
    """
    with gallery.store.reading() as store:
        rules = store.rules()
        content = store.fact(fact_of(unit))
    rule = rules.fusion if rule is None else rule
    num_subjects = gallery.num_subjects
    calibration, normalisation = _kept(gallery.store, unit, content)
    reasons: tuple[str, ...] = ()
    if calibration is None and unit == "track":
        reasons = (
            "it was never calibrated for tracks, so the model card decides, which was measured on "
            "single photos",
        )
    if calibration is not None:
        missing = _missing(calibration, (fpir, review_fpir))
        reasons = missing + stale_reasons(
            calibration,
            num_subjects=num_subjects,
            num_templates=gallery.num_templates,
            fingerprint=gallery.fingerprint,
            rule=rule,
        )
        fits = (calibration.fingerprint, calibration.rule) == (gallery.fingerprint, rule)
        if fits and not missing:
            size = max(1, num_subjects)
            match, review = (
                calibration.threshold(fpir=each, num_subjects=size, card=card)
                for each in (fpir, review_fpir)
            )
            return ThresholdsInForce(
                match=match,
                review=_below(match, review),
                source="calibration",
                calibration=calibration,
                reasons=reasons,
                num_subjects=num_subjects,
                rule=rule,
                smallest_lead=rules.smallest_lead,
                normalisation=normalisation,
            )
    match, review = (
        card.threshold(fpir=each, num_subjects=num_subjects) for each in (fpir, review_fpir)
    )
    if rule != MAXIMUM:
        match, review = (replace(each, extrapolated=True) for each in (match, review))
        if calibration is None:
            reasons += (
                f"it decides by {rule}, which the model card was not measured with: calibrate it",
            )
    return ThresholdsInForce(
        match=match,
        review=_below(match, review),
        source="card",
        calibration=calibration,
        reasons=reasons,
        num_subjects=num_subjects,
        rule=rule,
        smallest_lead=rules.smallest_lead,
    )


def _kept(
    store: GalleryStore, unit: Unit, content: bytes | None
) -> tuple[Calibration | None, CohortNormalisation | None]:
    """The calibration that was read a moment ago, and what its thresholds need."""
    for last in (False, True):
        if content is None:
            return None, None
        calibration = _parsed(content)
        if not calibration.cohort_digest:
            return calibration, None
        known = _normalisations.get(calibration.cohort_digest)
        if known is not None:
            return calibration, known
        try:
            found = read_normalisation(store, calibration)
        except StoreCorrupt:
            if last:
                raise
            # Another process may have calibrated between the two reads.
            content = store.fact(fact_of(unit))
            continue
        if len(_normalisations) >= _MAX_NORMALISATIONS:
            _normalisations.clear()
        _normalisations[calibration.cohort_digest] = found
        return calibration, found
    raise AssertionError("the second try returns or raises")


def _missing(calibration: Calibration, fpirs: tuple[float, ...]) -> tuple[str, ...]:
    held = ", ".join(f"{each.fpir:g}" for each in calibration.points)
    return tuple(
        f"it is calibrated for FPIR {held}, but {fpir:g} is in use, so the model card decides"
        for fpir in fpirs
        if not calibration.holds(fpir)
    )


def _below(match: Threshold, review: Threshold) -> Threshold:
    """A review band must not begin above the match."""
    return match if review.value > match.value else review
