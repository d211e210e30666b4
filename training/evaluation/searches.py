"""Every search against the whole gallery, reduced to what rates need, in bounded memory.

Shape legend: B images, R searches, S subjects, T templates, K candidates, D embedding dimension,
G galleries.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.evaluation.open_set import NOBODY, OpenSet

Fusion = Literal["maximum", "centroid"]
FUSIONS: tuple[Fusion, ...] = ("maximum", "centroid")

# Below every cosine, and finite: the similarity to a subject that is not in the gallery.
NO_SIMILARITY = -2.0
# A resampled gallery lacks a subject with probability 1/e: that it lacks the best 24 has 4e-11.
NUM_KEPT = 24
CHUNK = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Searches:
    """What each search found.

    Attributes:
        own_R: fused similarity to the searcher's own subject; `NO_SIMILARITY` without one.
        best_other_R: the best similarity to any other subject.
        top_similarity_RK: the K best similarities to other subjects, falling.
        top_subject_RK: whose they are.
        best_other_GR: the best similarity to any other subject of some smaller galleries.
    """

    own_R: NDArray[np.float64]
    best_other_R: NDArray[np.float64]
    top_similarity_RK: NDArray[np.float32]
    top_subject_RK: NDArray[np.int64]
    best_other_GR: NDArray[np.float32]


def search_all(
    unit_BD: NDArray[np.float32],
    open_set: OpenSet,
    *,
    fusion: Fusion,
    galleries: Sequence[NDArray[np.int64]] = (),
) -> Searches:
    """Searches with every probe.

    Args:
        unit_BD: unit embeddings of all images.
        open_set: who searches for whom.
        fusion: a subject's similarity is the largest over its templates, or that to their
            normalised mean.
        galleries: subjects of some smaller galleries.
    """
    templates_LSD = _templates(unit_BD, open_set, fusion)
    return search_by(
        lambda probes_R: _fused(unit_BD[probes_R], templates_LSD), open_set, galleries=galleries
    )


def search_by(
    similarities_of: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    open_set: OpenSet,
    *,
    galleries: Sequence[NDArray[np.int64]] = (),
) -> Searches:
    """Searches with every probe, by any similarity.

    Args:
        similarities_of: new fused similarities (R, S), all above `NO_SIMILARITY`, of the images
            of some searches to all subjects.
        open_set: who searches for whom.
        galleries: subjects of some smaller galleries.
    """
    num_searches, num_subjects = len(open_set.probes_R), open_set.num_subjects
    num_kept = min(NUM_KEPT, num_subjects)
    own_R = np.full(num_searches, NO_SIMILARITY)
    top_RK = np.empty((num_searches, num_kept), np.float32)
    subject_RK = np.empty((num_searches, num_kept), np.int64)
    best_GR = np.empty((len(galleries), num_searches), np.float32)
    for start in range(0, num_searches, CHUNK):
        part = slice(start, start + CHUNK)
        similarities_RS = similarities_of(open_set.probes_R[part])
        has_own = np.flatnonzero(open_set.own_R[part] != NOBODY)
        own_subject = open_set.own_R[part][has_own]
        own_R[part][has_own] = similarities_RS[has_own, own_subject]
        similarities_RS[has_own, own_subject] = NO_SIMILARITY
        kept_RK = np.argpartition(-similarities_RS, num_kept - 1, axis=1)[:, :num_kept]
        kept_similarity_RK = np.take_along_axis(similarities_RS, kept_RK, axis=1)
        order_RK = np.argsort(-kept_similarity_RK, axis=1, kind="stable")
        subject_RK[part] = np.take_along_axis(kept_RK, order_RK, axis=1)
        top_RK[part] = np.take_along_axis(kept_similarity_RK, order_RK, axis=1)
        for gallery, subjects in enumerate(galleries):
            best_GR[gallery, part] = similarities_RS[:, subjects].max(axis=1)
    return Searches(
        own_R=own_R,
        best_other_R=top_RK[:, 0].astype(np.float64),
        top_similarity_RK=top_RK,
        top_subject_RK=subject_RK,
        best_other_GR=best_GR,
    )


def best_other_of(searches: Searches, is_enrolled_S: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(R,) the best similarity to another subject when only some subjects are enrolled.

    Where none of the kept candidates is enrolled, the last one of them stands as an upper bound,
    or `NO_SIMILARITY` where all subjects were kept.
    """
    is_hit_RK = is_enrolled_S[searches.top_subject_RK]
    place_R = is_hit_RK.argmax(axis=1)
    rows = np.arange(len(place_R))
    found_R = searches.top_similarity_RK[rows, place_R]
    nobody_R = (
        np.float32(NO_SIMILARITY)
        if len(is_enrolled_S) <= searches.top_subject_RK.shape[1]
        else searches.top_similarity_RK[:, -1]
    )
    best_R: NDArray[np.float64] = np.where(is_hit_RK[rows, place_R], found_R, nobody_R)
    return best_R.astype(np.float64)


def _templates(
    unit_BD: NDArray[np.float32], open_set: OpenSet, fusion: Fusion
) -> NDArray[np.float32]:
    """(T, S, D) templates, or (1, S, D) centroids."""
    templates_TSD = unit_BD[open_set.templates_ST.T]
    if fusion == "maximum":
        return templates_TSD
    mean_SD = templates_TSD.mean(axis=0)
    # Opposite templates have no mean direction; such a centroid is similar to nothing.
    length_S1 = np.maximum(np.linalg.norm(mean_SD, axis=1, keepdims=True), np.float32(1e-12))
    centroids_SD: NDArray[np.float32] = mean_SD / length_S1
    return centroids_SD[None]


def _fused(
    probes_RD: NDArray[np.float32], templates_TSD: NDArray[np.float32]
) -> NDArray[np.float32]:
    """(R, S) largest similarity over a subject's templates."""
    best_RS: NDArray[np.float32] = probes_RD @ templates_TSD[0].T
    for template_SD in templates_TSD[1:]:
        np.maximum(best_RS, probes_RD @ template_SD.T, out=best_RS)
    return best_RS
