"""Rates when people count several times or not at all: the bootstrap over identities.

Images of one person are not independent, and neither are searches in one gallery. So people are
drawn as wholes, with everything of theirs: the enrolled with their searches and their place in
the gallery, the strangers with theirs (two-sample bootstrap, Efron and Tibshirani 1993).

Shape legend: R searches, M mated ones, N strangers' ones, F wanted FPIRs, V resamples.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.open_set import OpenSet
from training.evaluation.searches import NO_SIMILARITY, Searches, best_other_of

NUM_RESAMPLES = 200
_QUANTILES = (0.025, 0.5, 0.975)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resamples:
    """Figures of each resample.

    Attributes:
        thresholds_VF: smallest threshold that keeps each wanted FPIR.
        fnir_VF: FNIR there.
        rank1_V: share of mated searches whose own subject is first.
    """

    thresholds_VF: NDArray[np.float64]
    fnir_VF: NDArray[np.float64]
    rank1_V: NDArray[np.float64]


def hit_similarities(
    own_M: NDArray[np.float64], best_other_M: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A mated search's similarity to its own subject, `NO_SIMILARITY` where another is first.

    Such a search is a miss at a threshold T exactly when this lies below T.
    """
    hits_M: NDArray[np.float64] = np.where(own_M > best_other_M, own_M, NO_SIMILARITY)
    return hits_M


def weighted_thresholds(
    best_N: NDArray[np.float64], weight_N: NDArray[np.int64], fpirs_F: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(F,) what `smallest_threshold` gives when search n stands there `weight_N[n]` times.

    Args:
        best_N: the best similarity of each stranger's search.
        weight_N: whole numbers, not all of them zero.
        fpirs_F: wanted rates, 0 <= rate < 1.
    """
    order = np.argsort(-best_N, kind="stable")
    accepted_N = np.cumsum(weight_N[order])
    # As in `smallest_threshold`; an FPIR just below 1 may not be rounded up to all of them.
    allowed_F = np.minimum(np.floor(fpirs_F * accepted_N[-1] + 1e-9), accepted_N[-1] - 1)
    first_refused_F = np.searchsorted(accepted_N, allowed_F, side="right")
    thresholds_F: NDArray[np.float64] = np.nextafter(best_N[order][first_refused_F], np.inf)
    return thresholds_F


def weighted_fnir(
    hits_M: NDArray[np.float64], weight_M: NDArray[np.int64], thresholds_F: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(F,) the share of mated searches below each threshold; see `hit_similarities`."""
    order = np.argsort(hits_M, kind="stable")
    missed = np.append(0, np.cumsum(weight_M[order]))
    below_F = np.searchsorted(hits_M[order], thresholds_F, side="left")
    fnir_F: NDArray[np.float64] = missed[below_F] / missed[-1]
    return fnir_F


def resample(
    open_set: OpenSet,
    searches: Searches,
    fpirs_F: NDArray[np.float64],
    *,
    num_resamples: int = NUM_RESAMPLES,
    seed: int = 0,
) -> Resamples:
    """Draws people with replacement, again and again.

    Args:
        open_set: who searches for whom.
        searches: what they found.
        fpirs_F: wanted rates.
        num_resamples: V.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    num_subjects = open_set.num_subjects
    num_people = int(open_set.person_R.max()) + 1
    subjects, outsiders = np.arange(num_subjects), np.arange(num_subjects, num_people)
    mated, strangers = open_set.is_mated_R, open_set.is_stranger_R
    thresholds_VF = np.empty((num_resamples, len(fpirs_F)))
    fnir_VF, rank1_V = np.empty_like(thresholds_VF), np.empty(num_resamples)
    for one in range(num_resamples):
        weight_person = draw_weights(subjects, num_people, rng)
        weight_person += draw_weights(outsiders, num_people, rng)
        weight_R = weight_person[open_set.person_R]
        best_R = best_other_of(searches, weight_person[:num_subjects] > 0)
        hits_M = hit_similarities(searches.own_R[mated], best_R[mated])
        thresholds_VF[one] = weighted_thresholds(best_R[strangers], weight_R[strangers], fpirs_F)
        fnir_VF[one] = weighted_fnir(hits_M, weight_R[mated], thresholds_VF[one])
        rank1_V[one] = np.average(hits_M != NO_SIMILARITY, weights=weight_R[mated])
    return Resamples(thresholds_VF=thresholds_VF, fnir_VF=fnir_VF, rank1_V=rank1_V)


def draw_weights(
    people: NDArray[np.int64], num_people: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """How often each of all people is drawn when as many as `people` are drawn from `people`.

    Args:
        people: distinct ones; there may be none.
        num_people: of all; the length of what comes back.
        rng: draws with replacement.
    """
    if not len(people):
        return np.zeros(num_people, np.int64)
    return np.bincount(rng.choice(people, len(people)), minlength=num_people)


def interval(
    value: float, resampled_V: NDArray[np.float64], *, low: float, high: float
) -> tuple[float, float]:
    """A 95 % percentile interval moved by the bias of the resamples, within bounds.

    A resampled gallery holds about 63 % of the people, so its threshold lies lower than that of
    the whole one. The spread is what the resamples are asked for, not their place.

    Args:
        value: the figure itself, which the interval always holds.
        resampled_V: the figure of each resample.
        low: bound of the figure, such as 0 for a rate.
        high: the other bound.
    """
    lower, middle, upper = np.quantile(resampled_V, _QUANTILES)
    # A threshold just above a similarity of 1 lies outside the bounds itself.
    return (
        min(value, max(low, value - float(middle - lower))),
        max(value, min(high, value + float(upper - middle))),
    )
