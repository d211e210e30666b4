"""Pairs of identities that look like one person: across sets (shared) and inside DATA (merge).

The rule, for two identities: the nearest pair of their images reaches the threshold, as a search
would find it, and all pairs of their images together reach the pair threshold on average. The
second part keeps one lucky pair among many from joining two people. Strays do not count, copies
do. Two identities of other sets are not compared, nor are two of one other set.

An identity is missed only if each of its images, and for merge each of the other's, has K other
identities that are nearer still.

Shape legend: N images, M images of DATA, K neighbours, A, B images of two identities.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.inspecting.findings import Finding, Kind, Limits
from training.inspecting.gathered import Gathered
from training.inspecting.search import Neighbours

_BLOCK_ROWS: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How alike two identities are.

    Attributes:
        row_a: of the nearest pair the image of the first.
        row_b: of the second.
        best: similarity of the nearest pair.
        mean: mean similarity over all pairs.
    """

    row_a: int
    row_b: int
    best: float
    mean: float


def people_findings(
    gathered: Gathered, neighbours: Neighbours, stray_rows: Iterable[int], limits: Limits
) -> list[Finding]:
    """A finding for each pair of identities that look like one person, nearest first.

    Of two identities of DATA ``row_a`` is of the one that comes first. A person shared with
    another set is proposed with all of DATA's images, also with strays among them.

    Args:
        gathered: the sets.
        neighbours: of DATA's images.
        stray_rows: images that do not count.
        limits: the thresholds.
    """
    counts_N = np.ones(len(gathered), bool)
    counts_N[list(stray_rows)] = False
    findings = []
    for one, other in _candidates(gathered, neighbours, counts_N, limits.threshold):
        rows_A, rows_B = gathered.rows(one), gathered.rows(other)
        rows_A, rows_B = rows_A[counts_N[rows_A]], rows_B[counts_N[rows_B]]
        if not len(rows_A) or not len(rows_B):
            continue
        alike = likeness(gathered.features.unit_ND, rows_A, rows_B)
        if alike.best >= limits.threshold and alike.mean >= limits.pair_threshold:
            findings.append(_finding(gathered, one, other, alike))
    return sorted(findings, key=lambda finding: (-(finding.similarity or 0.0), finding.row_a))


def _candidates(
    gathered: Gathered, neighbours: Neighbours, counts_N: NDArray[np.bool_], threshold: float
) -> list[tuple[int, int]]:
    """Pairs of identities, an image of one of which reaches the other; the smaller first."""
    rows, places = np.nonzero(neighbours.similarities_MK >= threshold)
    places, rows = places[counts_N[rows]], rows[counts_N[rows]]
    own = gathered.labels_N[rows]
    other = neighbours.identities_MK[rows, places]
    pairs_P2 = np.stack([np.minimum(own, other), np.maximum(own, other)], axis=1)
    return [(int(first), int(second)) for first, second in np.unique(pairs_P2, axis=0)]


def likeness(
    unit_ND: NDArray[np.float32], rows_A: NDArray[np.int64], rows_B: NDArray[np.int64]
) -> Likeness:
    """Compares two identities, each with at least one image; of equal pairs the first is named."""
    best, row_a, row_b, total = -np.inf, -1, -1, 0.0
    for start in range(0, len(rows_A), _BLOCK_ROWS):
        some_A = rows_A[start : start + _BLOCK_ROWS]
        for other_start in range(0, len(rows_B), _BLOCK_ROWS):
            some_B = rows_B[other_start : other_start + _BLOCK_ROWS]
            similarities_AB = unit_ND[some_A] @ unit_ND[some_B].T
            total += float(similarities_AB.sum(dtype=np.float64))
            at_A, at_B = divmod(int(similarities_AB.argmax()), len(some_B))
            if similarities_AB[at_A, at_B] > best:
                best = float(similarities_AB[at_A, at_B])
                row_a, row_b = int(some_A[at_A]), int(some_B[at_B])
    mean = total / (len(rows_A) * len(rows_B))
    return Likeness(row_a=row_a, row_b=row_b, best=best, mean=mean)


def _finding(gathered: Gathered, one: int, other: int, alike: Likeness) -> Finding:
    is_shared = other >= gathered.num_data_identities
    num_images = len(gathered.rows(one))
    what = (
        f"looks like a person of another set; all {num_images} images of the identity"
        if is_shared
        else "perhaps one person under two names; look, then join the two or leave them"
    )
    return Finding(
        kind=Kind.SHARED if is_shared else Kind.MERGE,
        row_a=alike.row_a,
        row_b=alike.row_b,
        similarity=alike.best,
        mean_similarity=alike.mean,
        proposed=tuple(gathered.rows(one).tolist()) if is_shared else (),
        reason=what,
    )
