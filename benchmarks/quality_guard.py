"""What the quality figure and the embedding norm say about who is missed, on an open set.

Everything under the maximum. The threshold is always the smallest that keeps the wanted FPIR
among the searches that are answered.

Shape legend: B images, R searches, S subjects, T templates, M mated searches.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.face_features import Features
from embedding.error_rates import RateAtThreshold, rate_with_interval, smallest_threshold
from training.evaluation.open_set import OpenSet
from training.evaluation.searches import Searches, search_by

FPIR = 0.01
NUM_PARTS = 5
REFUSED = 0.1
# To a subject without a template left: below every cosine, above what stands for no subject.
_NO_TEMPLATE = np.float32(-1.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Mated searches of a fifth of the figure, at one threshold for all.

    Attributes:
        low: smallest figure among them.
        high: largest.
        fnir: share missed; the interval is that of independent searches.
        fpir: share of the strangers' searches between the same limits that are named.
    """

    low: float
    high: float
    fnir: RateAtThreshold
    fpir: RateAtThreshold


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """What refusing the worst gives.

    Attributes:
        threshold: that keeps the FPIR among the answered searches.
        answered: FNIR among the mated searches that are answered.
        all_mated: FNIR where a refused search counts as a miss, too.
        num_lost: subjects without any template left.
    """

    threshold: float
    answered: RateAtThreshold
    all_mated: RateAtThreshold
    num_lost: int


def search(
    features: Features, open_set: OpenSet, *, is_enrolled_ST: NDArray[np.bool_] | None = None
) -> Searches:
    """What every search finds by maximum, among some of the templates or all."""
    num_subjects, num_templates = open_set.templates_ST.shape
    templates_ND = features.unit_BD[open_set.templates_ST.ravel()]

    def similarities_of(probes_R: NDArray[np.int64]) -> NDArray[np.float32]:
        similarities_RN = features.unit_BD[probes_R] @ templates_ND.T
        similarities_RST = similarities_RN.reshape(len(probes_R), num_subjects, num_templates)
        if is_enrolled_ST is not None:
            similarities_RST[:, ~is_enrolled_ST] = _NO_TEMPLATE
        maxima_RS: NDArray[np.float32] = similarities_RST.max(axis=2)
        return maxima_RS

    return search_by(similarities_of, open_set)


def by_parts(figure_B: NDArray[np.float32], open_set: OpenSet, searches: Searches) -> list[Part]:
    """FNIR and FPIR by fifths of a figure of the searching image, worst fifth first."""
    figure_R = figure_B[open_set.probes_R]
    mated, strangers = open_set.is_mated_R, open_set.is_stranger_R
    threshold = smallest_threshold(searches.best_other_R[strangers], FPIR)
    missed_R = _missed(searches, threshold)
    named_R = searches.best_other_R >= threshold
    edges = np.quantile(figure_R[mated], np.linspace(0.0, 1.0, NUM_PARTS + 1))
    part_R = np.searchsorted(edges[1:-1], figure_R, side="right")
    parts = []
    for number in range(NUM_PARTS):
        ours, theirs = mated & (part_R == number), strangers & (part_R == number)
        parts.append(
            Part(
                low=float(edges[number]),
                high=float(edges[number + 1]),
                fnir=rate_with_interval(int(missed_R[ours].sum()), int(ours.sum())),
                fpir=rate_with_interval(int(named_R[theirs].sum()), int(theirs.sum())),
            )
        )
    return parts


def refuse_at_identify(
    figure_B: NDArray[np.float32], open_set: OpenSet, searches: Searches
) -> Guarded:
    """Refuse the worst tenth of all searches, mated and strangers' by the same limit."""
    figure_R = figure_B[open_set.probes_R]
    answered_R = figure_R >= np.quantile(figure_R, REFUSED)
    return _guarded(open_set, searches, answered_R, num_lost=0)


def refuse_at_enroll(
    figure_B: NDArray[np.float32], features: Features, open_set: OpenSet
) -> Guarded:
    """Refuse the worst tenth of all templates; who has none left is missed."""
    figure_ST = figure_B[open_set.templates_ST]
    is_enrolled_ST = figure_ST >= np.quantile(figure_ST, REFUSED)
    searches = search(features, open_set, is_enrolled_ST=is_enrolled_ST)
    answered_R = np.ones(len(open_set.probes_R), np.bool_)
    num_lost = int((~is_enrolled_ST.any(axis=1)).sum())
    return _guarded(open_set, searches, answered_R, num_lost=num_lost)


def unguarded(open_set: OpenSet, searches: Searches) -> Guarded:
    """Refuse nothing."""
    return _guarded(open_set, searches, np.ones(len(open_set.probes_R), np.bool_), num_lost=0)


def _guarded(
    open_set: OpenSet, searches: Searches, answered_R: NDArray[np.bool_], *, num_lost: int
) -> Guarded:
    threshold = smallest_threshold(
        searches.best_other_R[open_set.is_stranger_R & answered_R], FPIR
    )
    missed_R = _missed(searches, threshold)
    mated = open_set.is_mated_R
    return Guarded(
        threshold=threshold,
        answered=rate_with_interval(
            int(missed_R[mated & answered_R].sum()), int((mated & answered_R).sum())
        ),
        all_mated=rate_with_interval(int((missed_R | ~answered_R)[mated].sum()), int(mated.sum())),
        num_lost=num_lost,
    )


def _missed(searches: Searches, threshold: float) -> NDArray[np.bool_]:
    """(R,) whether the own subject is not first, or below the threshold."""
    missed_R: NDArray[np.bool_] = (searches.own_R <= searches.best_other_R) | (
        searches.own_R < threshold
    )
    return missed_R
