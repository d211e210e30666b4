"""What a cap of templates a subject costs, by which templates stay.

Everybody is enrolled with the same number of images, of which each rule keeps as many as the cap
says. The searches stay the same, so the rules are compared on the same people.

Shape legend: S subjects, T templates, N templates of one subject, D embedding dimension.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.face_features import Features
from benchmarks.fusion_rules import RuleAt, compare, search_by_rules
from index.fusion import FusionRule
from training.evaluation.open_set import OpenSet

ALL = "all"
# Below every cosine.
_GONE = -2.0

Keep = Callable[[NDArray[np.float32], NDArray[np.float32], int], NDArray[np.int64]]
"""From vectors (N, D), qualities (N,) and a cap to the rows that stay."""


def _first(vectors_ND: NDArray[np.float32], _: NDArray[np.float32], cap: int) -> NDArray[np.int64]:
    return np.arange(len(vectors_ND))[:cap]


def _best(_: NDArray[np.float32], quality_N: NDArray[np.float32], cap: int) -> NDArray[np.int64]:
    return np.sort(np.argsort(-quality_N, kind="stable")[:cap])


def _central(
    vectors_ND: NDArray[np.float32], _: NDArray[np.float32], cap: int
) -> NDArray[np.int64]:
    middle_D = vectors_ND.mean(axis=0)
    return np.sort(np.argsort(-(vectors_ND @ middle_D), kind="stable")[:cap])


def _different(
    vectors_ND: NDArray[np.float32], quality_N: NDArray[np.float32], cap: int
) -> NDArray[np.int64]:
    """Again and again the poorer one of the two that are most alike goes."""
    similarities_NN = vectors_ND @ vectors_ND.T
    np.fill_diagonal(similarities_NN, _GONE)
    left = set(range(len(vectors_ND)))
    while len(left) > cap:
        pair = np.unravel_index(int(similarities_NN.argmax()), similarities_NN.shape)
        poorer = min(map(int, pair), key=lambda row: quality_N[row])
        similarities_NN[poorer] = similarities_NN[:, poorer] = _GONE
        left.remove(poorer)
    return np.array(sorted(left), np.int64)


KEEP: dict[str, Keep] = {
    "the first": _first,
    "the best by quality": _best,
    "the closest to the middle": _central,
    "the least alike": _different,
}


def capped(features: Features, open_set: OpenSet, *, cap: int, keep: Keep) -> OpenSet:
    """The same searches in a gallery that keeps at most so many templates a subject."""
    kept_ST = [
        images_T[keep(features.unit_BD[images_T], features.quality_B[images_T], cap)]
        for images_T in open_set.templates_ST
    ]
    return replace(open_set, templates_ST=np.stack(kept_ST))


def compare_caps(
    features: Features, open_set: OpenSet, *, cap: int, rule: FusionRule
) -> dict[str, tuple[RuleAt, ...]]:
    """Every way to keep at every wanted FPIR, and against keeping all."""
    kept = {ALL: open_set} | {
        name: capped(features, open_set, cap=cap, keep=keep) for name, keep in KEEP.items()
    }
    found = {
        name: search_by_rules(features, each, rules={rule.name: rule})[rule.name]
        for name, each in kept.items()
    }
    return compare(open_set, found, base=ALL)
