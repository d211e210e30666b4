"""From non-mated searches to thresholds: the quantile, the card's floor, the intervals.

Shapes: P probes, Q quarters of the gallery.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from embedding.error_rates import RULE_OF_THIRTY, smallest_threshold
from embedding.errors import ModelMismatch, RequestInvalid
from embedding.model import ModelCard
from index.calibration.floor import MIN_PROBES, card_floor, card_fpirs, card_threshold
from index.calibration.prediction import (
    Interval,
    design_effect,
    prediction_interval,
    threshold_interval,
)
from index.calibration.records import CalibratedPoint, Calibration
from index.calibration.rules import ManyProbesFusion, MaxFusion
from index.calibration.searches import (
    NUM_QUARTERS,
    NonMated,
    search_itself,
    search_strangers,
)
from index.calibration.strangers import Strangers
from index.calibration.templates import GalleryTemplates

_ERRORS_AIMED_AT = 100
"""Known to a tenth of itself by one deviation: a larger gallery is not searched through."""

_SAME_IMAGE = 0.9995
"""Two embeddings closer than this are of one image: no two photos of a person come near it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of a calibration.

    Attributes:
        fpirs: each between 0 and 1.
        rule: how a subject's templates become one similarity.
        max_probes: at most so many searches of a gallery that searches itself; None for as many
            as give a hundred errors at the smallest FPIR, and at least 3,000.
        num_future: how many new searches the prediction is for; None for as many as were made.
        seed: of what is drawn at random.
    """

    fpirs: Sequence[float] = (0.01, 0.05)
    rule: ManyProbesFusion = field(default_factory=MaxFusion)
    max_probes: int | None = None
    num_future: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        bad = [each for each in self.fpirs if not 0.0 < each < 1.0]
        if bad or not self.fpirs:
            raise RequestInvalid(
                f"an FPIR to calibrate for lies between 0 and 1, both left out, but "
                f"{', '.join(f'{each:g}' for each in bad) or 'none'} was given: 0 would refuse "
                f"everybody and 1 accept everybody"
            )
        if self.max_probes is not None and self.max_probes < 1:
            raise RequestInvalid(f"max_probes is at least 1, but was {self.max_probes}")
        if self.num_future is not None and self.num_future < 1:
            raise RequestInvalid(f"num_future is at least 1, but was {self.num_future}")

    @property
    def num_searches(self) -> int:
        """At most so many searches of a gallery that searches itself."""
        enough = max(MIN_PROBES, math.ceil(_ERRORS_AIMED_AT / min(self.fpirs)))
        return self.max_probes or enough


def calibrate(
    gallery: GalleryTemplates,
    *,
    card: ModelCard,
    fingerprint: str,
    strangers: Strangers | None = None,
    wanted: Wanted | None = None,
) -> Calibration:
    """Return thresholds for a gallery as it is, measured now.

    Args:
        gallery: all of its templates.
        card: of the gallery's model.
        fingerprint: the gallery's.
        strangers: people who are not in it; None where it searches itself, each template in the
            gallery without its own subject.
        wanted: what is asked for; None for the defaults.

    Raises:
        ModelMismatch: the card is of another model.
        RequestInvalid: fewer than two people in a gallery that searches itself, a stranger's very
            image is enrolled, or a card without thresholds.
    """
    if card.fingerprint != fingerprint:
        raise ModelMismatch(
            f"the gallery holds embeddings of model {fingerprint[:12]}, but the card is of model "
            f"{card.fingerprint[:12]}"
        )
    wanted = wanted or Wanted()
    if strangers is None:
        searches = search_itself(
            gallery, rule=wanted.rule, max_probes=wanted.num_searches, seed=wanted.seed
        )
    else:
        searches = search_strangers(strangers, gallery, rule=wanted.rule, seed=wanted.seed)
        _check_disjoint(searches)
    points = calibrated_points(
        searches,
        card=card,
        fpirs=wanted.fpirs,
        num_subjects=gallery.num_subjects,
        num_future=wanted.num_future,
    )
    close = card.threshold(fpir=card_fpirs(card)[0], num_subjects=gallery.num_subjects).value
    return Calibration(
        made_at=datetime.now(UTC),
        fingerprint=fingerprint,
        rule=wanted.rule.name,
        source="gallery" if strangers is None else "strangers",
        num_subjects=gallery.num_subjects,
        num_templates=len(gallery.vectors_TD),
        num_probes=searches.num_probes,
        num_people=searches.num_people,
        num_close=int((searches.best_P >= close).sum()),
        points=points,
        unit="photo" if strangers is None else strangers.unit,
        left_out={} if strangers is None else dict(strangers.left_out),
    )


def calibrated_points(
    searches: NonMated,
    *,
    card: ModelCard,
    fpirs: Sequence[float],
    num_subjects: int,
    num_future: int | None = None,
) -> tuple[CalibratedPoint, ...]:
    """Return a threshold for each FPIR, by descending FPIR; they never fall.

    Args:
        searches: of people who are not in the gallery.
        card: of the gallery's model; its threshold is the floor where searches are few.
        fpirs: wanted, each between 0 and 1.
        num_subjects: N that the thresholds are for.
        num_future: searches of the prediction; None for as many as there are.

    Raises:
        RequestInvalid: a card without thresholds.
    """
    points: list[CalibratedPoint] = []
    for fpir in sorted(set(fpirs), reverse=True):
        points.append(
            _point(
                searches,
                fpir=fpir,
                num_subjects=num_subjects,
                least=points[-1].value if points else -1.0,
                num_future=num_future or searches.num_probes,
                card=card,
            )
        )
    return tuple(points)


def rate_at_size(rate: float, *, measured: int, num_subjects: int) -> float:
    """Return the FPIR in a gallery of N, from that in a gallery of another size.

    As if each subject were hit by itself: FPIR = 1 - (1 - FMR)^N. Used for one subject more or
    less only, where that assumption costs nothing.

    Args:
        rate: in the gallery that was measured.
        measured: its size.
        num_subjects: N.
    """
    return float(1.0 - (1.0 - rate) ** (num_subjects / measured))


def _point(
    searches: NonMated,
    *,
    fpir: float,
    num_subjects: int,
    least: float,
    num_future: int,
    card: ModelCard,
) -> CalibratedPoint:
    # A gallery that searches itself lacks the searching person: a stranger meets one more.
    met = searches.num_subjects
    rate = rate_at_size(fpir, measured=num_subjects, num_subjects=met)
    measured = smallest_threshold(searches.best_P, rate)
    wrong_P = searches.person_P[searches.best_P >= measured]
    supported = len(np.unique(wrong_P)) >= RULE_OF_THIRTY
    floor = card_floor(
        card,
        fpir=fpir,
        num_subjects=num_subjects,
        num_probes=searches.num_probes,
        supported=supported,
    )
    value = max(measured, least, -1.0 if floor is None else floor.value)
    num_errors = int((searches.best_P >= value).sum())
    predicted_effect = design_effect(searches.person_P, searches.best_P >= value)
    predicted = prediction_interval(
        num_errors, searches.num_probes, num_future=num_future, effect=predicted_effect
    )
    interval = _interval(searches, rate, measured)
    return CalibratedPoint(
        fpir=fpir,
        value=value,
        low=min(interval.low, measured),
        high=max(interval.high, measured),
        measured=measured,
        floor=None if floor is None else floor.value,
        floor_fpir=None if floor is None else floor.fpir,
        num_errors=num_errors,
        predicted_low=rate_at_size(predicted.low, measured=met, num_subjects=num_subjects),
        predicted_high=rate_at_size(predicted.high, measured=met, num_subjects=num_subjects),
        num_future=num_future,
        design_effect=predicted_effect,
        slope=_slope(searches, card, fpir=fpir, rate=rate, measured=measured, size=num_subjects),
        supported=supported,
    )


def _interval(searches: NonMated, rate: float, measured: float) -> Interval:
    effect = design_effect(searches.person_P, searches.best_P >= measured)
    return threshold_interval(searches.best_P, rate, effect=effect)


def _slope(
    searches: NonMated, card: ModelCard, *, fpir: float, rate: float, measured: float, size: int
) -> float:
    """By how much the threshold rises over ln N: as measured, or the card's if that is steeper."""
    slopes = [0.0]
    # Of the card's rates the next smaller one, or its smallest.
    nearest = max((each for each in card_fpirs(card) if each <= fpir * (1 + 1e-9)), default=fpir)
    twice = card_threshold(card, fpir=nearest, num_subjects=2 * size).value
    once = card_threshold(card, fpir=nearest, num_subjects=size).value
    slopes.append((twice - once) / math.log(2))
    if searches.quarters_PQ is not None:
        quarter = smallest_threshold(_reached(searches.quarters_PQ), rate)
        slopes.append((measured - quarter) / math.log(NUM_QUARTERS))
    return max(slopes)


def _reached(quarters_PQ: NDArray[np.float64]) -> NDArray[np.float64]:
    similarities: NDArray[np.float64] = quarters_PQ.ravel()
    return similarities[np.isfinite(similarities)]


def _check_disjoint(searches: NonMated) -> None:
    num_same = int((searches.best_P > _SAME_IMAGE).sum())
    if num_same:
        raise RequestInvalid(
            f"{num_same} of the strangers' images are enrolled in the gallery; whoever "
            f"calibrates it must not be in it: leave these people out"
        )
