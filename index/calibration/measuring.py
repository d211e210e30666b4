"""From non-mated searches to thresholds: the quantile, the card's floor, the intervals.

Shapes: P probes, Q quarters of the gallery.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from embedding.error_rates import RULE_OF_THIRTY, smallest_threshold
from embedding.model import ModelCard
from index.calibration.floor import card_floor, card_fpirs, card_threshold
from index.calibration.mated import Mated
from index.calibration.prediction import (
    Interval,
    design_effect,
    prediction_interval,
    threshold_interval,
)
from index.calibration.records import CalibratedPoint
from index.calibration.searches import (
    NUM_QUARTERS,
    NonMated,
)


def calibrated_points(
    searches: NonMated,
    *,
    card: ModelCard,
    fpirs: Sequence[float],
    num_subjects: int,
    num_future: int | None = None,
    mated: Mated | None = None,
) -> tuple[CalibratedPoint, ...]:
    """Return a threshold for each FPIR, by descending FPIR; they never fall.

    Args:
        searches: of people who are not in the gallery.
        card: of the gallery's model; its threshold is the floor where searches are few.
        fpirs: wanted, each between 0 and 1.
        num_subjects: N that the thresholds are for.
        num_future: searches of the prediction; None for as many as there are.
        mated: searches of enrolled people, whose misses are counted; None where there are none.

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
                mated=mated,
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
    mated: Mated | None,
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
        num_missed=0 if mated is None else int(mated.missed(value).sum()),
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
