"""Every fusion rule on the searches of an open set, the way a gallery searches.

Shape legend: B images, R searches, S subjects, T templates, K candidates, C rescored subjects,
D embedding dimension, V resamples, F wanted FPIRs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.face_features import Features
from embedding.error_rates import IdentificationRates, smallest_threshold
from index.fusion import FUSION_RULES, MAXIMUM, FusionRule
from index.rescoring import num_rescored
from training.evaluation.open_set import NOBODY, OpenSet
from training.evaluation.points import Interval, rate_interval, rates_at
from training.evaluation.resampling import interval, resample
from training.evaluation.searches import NO_SIMILARITY, NUM_KEPT, Searches

FPIRS = (0.01, 0.03)
NUM_CANDIDATES = 5
_CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleAt:
    """A rule at one wanted FPIR.

    Attributes:
        rates: at the smallest threshold that keeps it.
        fnir_interval: 95 %, over resampled people.
        gain: FNIR of the base (the maximum) minus the rule's, on the same people.
        gain_interval: 95 %, over the same resampled people for both.
    """

    rates: IdentificationRates
    fnir_interval: Interval
    gain: float
    gain_interval: Interval


def search_by_rules(
    features: Features,
    open_set: OpenSet,
    *,
    rules: dict[str, FusionRule] = FUSION_RULES,
    rescored: int = num_rescored(NUM_CANDIDATES),
) -> dict[str, Searches]:
    """What every search finds under every rule.

    The closest subjects by maximum are rescored with all their templates, as `Gallery.identify`
    does; an own subject that is not among them is not found.
    """
    num_searches, num_kept = len(open_set.probes_R), min(NUM_KEPT, rescored)
    found = {name: _nothing(num_searches, num_kept) for name in rules}
    for start in range(0, num_searches, _CHUNK):
        rows = range(start, min(start + _CHUNK, num_searches))
        maxima_RS = _maxima(features.unit_BD, open_set, open_set.probes_R[rows.start : rows.stop])
        for row, maxima_S in zip(rows, maxima_RS, strict=True):
            own = int(open_set.own_R[row])
            order = np.argsort(-maxima_S, kind="stable")
            others_C = order[order != own][:rescored]
            own_is_near = own != NOBODY and own in order[:rescored]
            for name, rule in rules.items():
                fused_C = _fused(rule, features, open_set, row, others_C)
                best_K = np.argsort(-fused_C, kind="stable")[:num_kept]
                searches = found[name]
                searches.top_similarity_RK[row] = fused_C[best_K]
                searches.top_subject_RK[row] = others_C[best_K]
                searches.best_other_R[row] = fused_C[best_K[0]]
                if own_is_near:
                    own_1 = np.array([own])
                    searches.own_R[row] = _fused(rule, features, open_set, row, own_1)[0]
    return found


def compare(
    open_set: OpenSet, found: dict[str, Searches], *, base: str = MAXIMUM.name
) -> dict[str, tuple[RuleAt, ...]]:
    """Everything found at every wanted FPIR, and against what was found as `base`."""
    fpirs_F = np.array(FPIRS)
    # The same seed draws the same people for every rule.
    resampled = {name: resample(open_set, each, fpirs_F) for name, each in found.items()}
    base_rates = [_rates(open_set, found[base], fpir) for fpir in FPIRS]
    table = {}
    for name, searches in found.items():
        rows = []
        for place, fpir in enumerate(FPIRS):
            rates = _rates(open_set, searches, fpir)
            fnir_V = resampled[name].fnir_VF[:, place]
            gain = base_rates[place].fnir.rate - rates.fnir.rate
            gain_V = resampled[base].fnir_VF[:, place] - fnir_V
            rows.append(
                RuleAt(
                    rates=rates,
                    fnir_interval=rate_interval(rates.fnir, fnir_V),
                    gain=gain,
                    gain_interval=interval(gain, gain_V, low=-1.0, high=1.0),
                )
            )
        table[name] = tuple(rows)
    return table


def missed_by_rescoring(
    features: Features, open_set: OpenSet, *, num_searches: int = 200
) -> dict[str, dict[str, int]]:
    """Of some searches evenly spread: how often a shorter list has not the first of all subjects.

    Returns:
        For each rule and number of rescored subjects, the number of searches.
    """
    searches = np.linspace(0, len(open_set.probes_R) - 1, num_searches).astype(np.int64)
    everybody_S = np.arange(open_set.num_subjects)
    lengths = (NUM_CANDIDATES, 16, 32, num_rescored(NUM_CANDIDATES), 96)
    missed = {name: dict.fromkeys(map(str, lengths), 0) for name in FUSION_RULES}
    maxima_RS = _maxima(features.unit_BD, open_set, open_set.probes_R[searches])
    for row, maxima_S in zip(searches.tolist(), maxima_RS, strict=True):
        place_S = np.argsort(np.argsort(-maxima_S, kind="stable"))
        for name, rule in FUSION_RULES.items():
            first = int(_fused(rule, features, open_set, row, everybody_S).argmax())
            for length in lengths:
                missed[name][str(length)] += int(place_S[first] >= length)
    return missed


def _rates(open_set: OpenSet, searches: Searches, fpir: float) -> IdentificationRates:
    strangers_N = searches.best_other_R[open_set.is_stranger_R]
    return rates_at(open_set, searches, smallest_threshold(strangers_N, fpir))


def _maxima(
    unit_BD: NDArray[np.float32], open_set: OpenSet, probes_R: NDArray[np.int64]
) -> NDArray[np.float32]:
    """(R, S) the similarity to each subject's closest template."""
    num_subjects, num_templates = open_set.templates_ST.shape
    templates_ND = unit_BD[open_set.templates_ST.ravel()]
    similarities_RN = unit_BD[probes_R] @ templates_ND.T
    maxima_RS: NDArray[np.float32] = similarities_RN.reshape(
        len(probes_R), num_subjects, num_templates
    ).max(axis=2)
    return maxima_RS


def _fused(
    rule: FusionRule,
    features: Features,
    open_set: OpenSet,
    row: int,
    subjects_C: NDArray[np.int64],
) -> NDArray[np.float64]:
    """(C,) the similarity of one search to some subjects under a rule."""
    probe_D = features.unit_BD[open_set.probes_R[row]]
    return np.array(
        [
            rule.fuse(probe_D, features.unit_BD[images_T], features.quality_B[images_T])
            for images_T in open_set.templates_ST[subjects_C]
        ]
    )


def _nothing(num_searches: int, num_kept: int) -> Searches:
    return Searches(
        own_R=np.full(num_searches, NO_SIMILARITY),
        best_other_R=np.empty(num_searches),
        top_similarity_RK=np.empty((num_searches, num_kept), np.float32),
        top_subject_RK=np.empty((num_searches, num_kept), np.int64),
        best_other_GR=np.empty((0, num_searches), np.float32),
    )
