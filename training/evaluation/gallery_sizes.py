"""How figures change with the size of the gallery: random smaller galleries of the same people.

Shape legend: R searches, M mated ones, N strangers' ones, S subjects, G galleries, F wanted FPIRs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embedding.error_rates import RateAtThreshold, rate_with_interval, smallest_threshold
from training.evaluation.open_set import NOBODY, OpenSet
from training.evaluation.points import (
    FPIRS,
    OperatingPoint,
    operating_points,
    rate_interval,
    rates_at,
)
from training.evaluation.resampling import (
    Resamples,
    draw_weights,
    hit_similarities,
    interval,
    weighted_fnir,
    weighted_thresholds,
)
from training.evaluation.searches import NO_SIMILARITY, Searches
from training.evaluation.verification import has_thirty_errors

FIRST_SIZES = (10, 30)
# Small galleries differ most from each other and cost least.
MAX_GALLERIES, MIN_GALLERIES = 100, 10
NUM_SUBJECTS_DRAWN = 30_000
NUM_RESAMPLES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeFigures:
    """Figures of galleries of one size, averaged over random ones.

    Counts are those of all galleries together. They share people, so the intervals are those
    of one gallery: over which people are enrolled, and over resampled searchers.

    Attributes:
        num_subjects: in a gallery.
        rank1: share of mated searches whose own subject is first.
        points: at FPIR 1 % and 0.1 %; the threshold is the mean over galleries.
    """

    num_subjects: int
    rank1: float
    points: tuple[OperatingPoint, ...]


def smaller_sizes(num_subjects: int) -> list[int]:
    """10, 30, 100, 300, 1000, ... below a gallery's size."""
    sizes, factor = [], 1
    while FIRST_SIZES[0] * factor < num_subjects:
        sizes += [first * factor for first in FIRST_SIZES if first * factor < num_subjects]
        factor *= 10
    return sizes


def draw_galleries(num_subjects: int, *, seed: int = 0) -> list[NDArray[np.int64]]:
    """Random galleries of each smaller size, one size after the other."""
    rng = np.random.default_rng(seed)
    galleries = []
    for size in smaller_sizes(num_subjects):
        num_draws = max(MIN_GALLERIES, min(MAX_GALLERIES, NUM_SUBJECTS_DRAWN // size))
        galleries += [rng.permutation(num_subjects)[:size] for _ in range(num_draws)]
    return galleries


def figures_by_size(
    open_set: OpenSet,
    searches: Searches,
    galleries: Sequence[NDArray[np.int64]],
    resamples: Resamples,
    *,
    seed: int = 0,
) -> tuple[SizeFigures, ...]:
    """Figures of each size of the galleries, and of the whole one.

    Args:
        open_set: who searches for whom.
        searches: what they found, in these galleries, too.
        galleries: subjects of each, in the order in which they were searched.
        resamples: of the whole gallery.
        seed: of the resampled searchers.
    """
    rng = np.random.default_rng(seed)
    figures = []
    for size in sorted({len(gallery) for gallery in galleries}):
        places = [place for place, one in enumerate(galleries) if len(one) == size]
        figures.append(
            _one_size(
                open_set,
                [
                    _searches_in(open_set, searches, searches.best_other_GR[g], galleries[g])
                    for g in places
                ],
                size,
                rng,
            )
        )
    points = operating_points(open_set, searches, resamples)
    rank1 = rates_at(open_set, searches, points[0].threshold).rank1.rate
    whole = SizeFigures(num_subjects=open_set.num_subjects, rank1=rank1, points=points)
    return (*figures, whole)


@dataclass(frozen=True, slots=True, kw_only=True)
class _GallerySearches:
    """What was found in one smaller gallery; people as in `OpenSet`."""

    hits_M: NDArray[np.float64]
    mated_person_M: NDArray[np.int64]
    best_N: NDArray[np.float64]
    stranger_person_N: NDArray[np.int64]


def _searches_in(
    open_set: OpenSet,
    searches: Searches,
    best_R: NDArray[np.float32],
    gallery: NDArray[np.int64],
) -> _GallerySearches:
    # One place more: `NOBODY` is -1 and so finds the last one, which is in no gallery.
    is_enrolled = np.zeros(open_set.num_subjects - NOBODY, bool)
    is_enrolled[gallery] = True
    mated = open_set.is_mated_R & is_enrolled[open_set.own_R]
    best = best_R.astype(np.float64)
    return _GallerySearches(
        hits_M=hit_similarities(searches.own_R[mated], best[mated]),
        mated_person_M=open_set.person_R[mated],
        best_N=best[open_set.is_stranger_R],
        stranger_person_N=open_set.person_R[open_set.is_stranger_R],
    )


def _one_size(
    open_set: OpenSet,
    found: Sequence[_GallerySearches],
    size: int,
    rng: np.random.Generator,
) -> SizeFigures:
    num_hits = sum(int((one.hits_M != NO_SIMILARITY).sum()) for one in found)
    num_mated = sum(len(one.hits_M) for one in found)
    resampled = _resampled(open_set, found, rng)
    points = [
        _point(found, fpir, resampled.thresholds_VF[:, place], resampled.fnir_VF[:, place])
        for place, fpir in enumerate(FPIRS)
    ]
    return SizeFigures(num_subjects=size, rank1=num_hits / num_mated, points=tuple(points))


def _point(
    found: Sequence[_GallerySearches],
    fpir: float,
    thresholds_V: NDArray[np.float64],
    fnir_V: NDArray[np.float64],
) -> OperatingPoint:
    thresholds = [smallest_threshold(one.best_N, fpir) for one in found]
    both = list(zip(found, thresholds, strict=True))
    fnir = _pooled([(int((one.hits_M < t).sum()), len(one.hits_M)) for one, t in both])
    threshold = float(np.mean(thresholds))
    return OperatingPoint(
        fpir_wanted=fpir,
        threshold=threshold,
        threshold_interval=interval(threshold, thresholds_V, low=-1.0, high=1.0),
        fpir=_pooled([(int((one.best_N >= t).sum()), len(one.best_N)) for one, t in both]),
        fnir=fnir,
        fnir_interval=rate_interval(fnir, fnir_V),
        is_reliable=has_thirty_errors(fpir, len(found[0].best_N)),
    )


def _pooled(counts: Sequence[tuple[int, int]]) -> RateAtThreshold:
    """Errors and trials of all galleries, with the interval of one with their mean counts."""
    num_errors, num_trials = (sum(column) for column in zip(*counts, strict=True))
    mean_trials = max(1, round(num_trials / len(counts)))
    mean_errors = min(mean_trials, round(num_errors / len(counts)))
    one = rate_with_interval(mean_errors, mean_trials)
    return replace(one, num_errors=num_errors, num_trials=num_trials)


def _resampled(
    open_set: OpenSet, found: Sequence[_GallerySearches], rng: np.random.Generator
) -> Resamples:
    """Resampled searchers in each gallery, about two hundred times in all."""
    num_people = int(open_set.person_R.max()) + 1
    times = -(-NUM_RESAMPLES // len(found))
    fpirs_F = np.array(FPIRS)
    thresholds, fnirs, rank1s = [], [], []
    for one in found:
        mated, strangers = np.unique(one.mated_person_M), np.unique(one.stranger_person_N)
        for _ in range(times):
            weight_M = draw_weights(mated, num_people, rng)[one.mated_person_M]
            weight_N = draw_weights(strangers, num_people, rng)[one.stranger_person_N]
            thresholds.append(weighted_thresholds(one.best_N, weight_N, fpirs_F))
            fnirs.append(weighted_fnir(one.hits_M, weight_M, thresholds[-1]))
            rank1s.append(np.average(one.hits_M != NO_SIMILARITY, weights=weight_M))
    return Resamples(
        thresholds_VF=np.array(thresholds), fnir_VF=np.array(fnirs), rank1_V=np.array(rank1s)
    )
