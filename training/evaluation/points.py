"""Open-set figures of one gallery: operating points and the DET curve, with intervals.

Shape legend: R searches, M mated ones, N strangers' ones, F points, V resamples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedding.error_rates import (
    IdentificationRates,
    RateAtThreshold,
    identification_rates,
    rate_with_interval,
    smallest_threshold,
)
from training.evaluation.open_set import OpenSet
from training.evaluation.resampling import Resamples, hit_similarities, interval, weighted_fnir
from training.evaluation.searches import Searches
from training.evaluation.verification import has_thirty_errors, log_spread

FPIRS = (0.01, 0.001)
MAX_DET_POINTS = 200

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """FNIR at the smallest threshold that keeps a wanted FPIR.

    Attributes:
        fpir_wanted: upper limit of the FPIR.
        threshold: similarity from which a candidate is returned.
        threshold_interval: 95 %, over resampled people.
        fpir: what the threshold gives, with counts.
        fnir: misses, with counts and the interval of independent trials.
        fnir_interval: 95 %, over resampled people; never narrower than that of `fnir`.
        is_reliable: thirty strangers' searches may return a candidate at the wanted FPIR.
    """

    fpir_wanted: float
    threshold: float
    threshold_interval: Interval
    fpir: RateAtThreshold
    fnir: RateAtThreshold
    fnir_interval: Interval
    is_reliable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DetCurve:
    """FNIR against rising FPIR; each point is exact at its threshold, and no FPIR is 0.

    Attributes:
        fpir: share of strangers' searches that return a candidate.
        fnir: share of mated searches that miss.
        fnir_low: lower end of a 95 % interval over resampled people.
        fnir_high: upper end.
        threshold: similarity from which a candidate is returned.
    """

    fpir: NDArray[np.float64]
    fnir: NDArray[np.float64]
    fnir_low: NDArray[np.float64]
    fnir_high: NDArray[np.float64]
    threshold: NDArray[np.float64]


def rates_at(open_set: OpenSet, searches: Searches, threshold: float) -> IdentificationRates:
    """Counts of the whole gallery at a threshold."""
    mated, strangers = open_set.is_mated_R, open_set.is_stranger_R
    return identification_rates(
        mated_similarity_M=searches.own_R[mated],
        mated_is_first_M=searches.own_R[mated] > searches.best_other_R[mated],
        best_non_mated_N=searches.best_other_R[strangers],
        threshold=threshold,
        num_subjects=open_set.num_subjects,
    )


def operating_point(
    open_set: OpenSet,
    searches: Searches,
    fpir: float,
    *,
    thresholds_V: NDArray[np.float64],
    fnir_V: NDArray[np.float64],
) -> OperatingPoint:
    """The whole gallery at a wanted FPIR, with what resamples gave there."""
    strangers_N = searches.best_other_R[open_set.is_stranger_R]
    rates = rates_at(open_set, searches, smallest_threshold(strangers_N, fpir))
    return OperatingPoint(
        fpir_wanted=fpir,
        threshold=rates.threshold,
        threshold_interval=interval(rates.threshold, thresholds_V, low=-1.0, high=1.0),
        fpir=rates.fpir,
        fnir=rates.fnir,
        fnir_interval=rate_interval(rates.fnir, fnir_V),
        is_reliable=has_thirty_errors(fpir, len(strangers_N)),
    )


def rate_interval(rate: RateAtThreshold, resampled_V: NDArray[np.float64]) -> Interval:
    """The interval over resampled people, at least as wide as that of independent trials.

    Few errors, or none, look certain to a bootstrap: no resample has any other.
    """
    low, high = interval(rate.rate, resampled_V, low=0.0, high=1.0)
    return min(low, rate.low), max(high, rate.high)


def det_levels(
    best_N: NDArray[np.float64], *, max_points: int = MAX_DET_POINTS
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """FPIRs above 0, rising, that some threshold gives exactly, and the smallest such threshold.

    Where there are too many, they lie about evenly over log FPIR. An FPIR of 1 is not among
    them unless there is no other.

    Args:
        best_N: the best similarity of each stranger's search.
        max_points: kept, at least 2.
    """
    descending = np.sort(best_N)[::-1]
    num = len(descending)
    # Accepting the first k >= 1, not inside a run of equal similarities.
    accepted = 1 + np.flatnonzero(descending[1:] != descending[:-1])
    if not len(accepted):
        return np.array([1.0]), descending[-1:]
    accepted = accepted[log_spread(accepted, max_points)]
    return accepted / num, np.nextafter(descending[accepted], np.inf)


def det_curve(
    open_set: OpenSet,
    searches: Searches,
    levels: tuple[NDArray[np.float64], NDArray[np.float64]],
    *,
    fnir_VF: NDArray[np.float64],
) -> DetCurve:
    """The curve at given levels of FPIR, with what resamples gave there."""
    mated = open_set.is_mated_R
    hits_M = hit_similarities(searches.own_R[mated], searches.best_other_R[mated])
    fpir_F, threshold_F = levels
    fnir_F = weighted_fnir(hits_M, np.ones(len(hits_M), np.int64), threshold_F)
    num_mated = len(hits_M)
    ends = [
        rate_interval(rate_with_interval(round(float(fnir) * num_mated), num_mated), fnir_V)
        for fnir, fnir_V in zip(fnir_F, fnir_VF.T, strict=True)
    ]
    return DetCurve(
        fpir=fpir_F,
        fnir=fnir_F,
        fnir_low=np.array([low for low, _ in ends]),
        fnir_high=np.array([high for _, high in ends]),
        threshold=threshold_F,
    )


def operating_points(
    open_set: OpenSet, searches: Searches, resamples: Resamples
) -> tuple[OperatingPoint, ...]:
    """The points at `FPIRS`, whose resamples come first in `resamples`."""
    return tuple(
        operating_point(
            open_set,
            searches,
            fpir,
            thresholds_V=resamples.thresholds_VF[:, place],
            fnir_V=resamples.fnir_VF[:, place],
        )
        for place, fpir in enumerate(FPIRS)
    )
