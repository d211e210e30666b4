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
    known = read_known(gallery, rule=rule, unit=unit)
    return known.thresholds(card=card, fpir=fpir, review_fpir=review_fpir)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is kept of how a gallery decides, read at one moment.

    Attributes:
        fingerprint: of its model.
        num_subjects: gallery size N.
        num_templates: of all subjects.
        rule: name of the fusion rule in use.
        smallest_lead: of a ``match``.
        unit: what a decision is made of.
        calibration: None where it was never calibrated.
        normalisation: that the calibration's thresholds need; None where they need none.
        left_out: why the calibration is not to decide, in words; empty where it may.
    """

    fingerprint: str
    num_subjects: int
    num_templates: int
    rule: str
    smallest_lead: float
    unit: Unit
    calibration: Calibration | None
    normalisation: CohortNormalisation | None
    left_out: str = ""

    @property
    def deciding(self) -> Calibration | None:
        """The calibration, if it is for the gallery's model and the rule in use."""
        made = self.calibration
        fits = made is not None and (made.fingerprint, made.rule) == (self.fingerprint, self.rule)
        return made if fits and not self.left_out else None

    def thresholds(self, *, card: ModelCard, fpir: float, review_fpir: float) -> ThresholdsInForce:
        """Return what decides at two rates; see `thresholds_in_force`.

        Raises:
            RequestInvalid: the card decides, and has no thresholds for these rates.
        """
        made, reasons = self.deciding, self._reasons((fpir, review_fpir))
        if made is not None and made.holds(fpir, review_fpir):
            size = max(1, self.num_subjects)
            match, review = (
                made.threshold(fpir=each, num_subjects=size, card=card)
                for each in (fpir, review_fpir)
            )
            return self._in_force(match, review, source="calibration", reasons=reasons)
        match, review = (
            card.threshold(fpir=each, num_subjects=self.num_subjects)
            for each in (fpir, review_fpir)
        )
        if self.rule != MAXIMUM:
            match, review = (replace(each, extrapolated=True) for each in (match, review))
            if self.calibration is None:
                reasons += (
                    f"it decides by {self.rule}, which the model card was not measured with: "
                    "calibrate it",
                )
        return self._in_force(match, review, source="card", reasons=reasons)

    def _reasons(self, fpirs: tuple[float, ...]) -> tuple[str, ...]:
        made = self.calibration
        if made is not None:
            left_out = (self.left_out,) if self.left_out else _missing(made, fpirs)
            return left_out + stale_reasons(
                made,
                num_subjects=self.num_subjects,
                num_templates=self.num_templates,
                fingerprint=self.fingerprint,
                rule=self.rule,
            )
        if self.unit == "track":
            return (
                "it was never calibrated for tracks, so the model card decides, which was "
                "measured on single photos",
            )
        return ()

    def _in_force(
        self,
        match: Threshold,
        review: Threshold,
        *,
        source: Literal["calibration", "card"],
        reasons: tuple[str, ...],
    ) -> ThresholdsInForce:
        return ThresholdsInForce(
            match=match,
            review=not_above(match, review),
            source=source,
            calibration=self.calibration,
            reasons=reasons,
            num_subjects=self.num_subjects,
            rule=self.rule,
            smallest_lead=self.smallest_lead,
            normalisation=self.normalisation if source == "calibration" else None,
        )


def read_known(gallery: LoadedGallery, *, rule: str | None = None, unit: Unit = "photo") -> Known:
    """Return how a gallery decides, as it is kept now.

    Args:
        gallery: open.
        rule: name of the fusion rule in use; None for the gallery's own.
        unit: what a decision is made of.

    Raises:
        GalleryNotFound: the gallery was deleted.
        StoreCorrupt: the calibration that is kept cannot be read.
    """
    with gallery.store.reading() as store:
        rules = store.rules()
        content = store.fact(fact_of(unit))
    calibration, normalisation = _kept(gallery.store, unit, content)
    return Known(
        fingerprint=gallery.fingerprint,
        num_subjects=gallery.num_subjects,
        num_templates=gallery.num_templates,
        rule=rules.fusion if rule is None else rule,
        smallest_lead=rules.smallest_lead,
        unit=unit,
        calibration=calibration,
        normalisation=normalisation,
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


def not_above(match: Threshold, review: Threshold) -> Threshold:
    """Return the threshold of ``review``, or that of ``match`` where it would lie above."""
    return match if review.value > match.value else review
