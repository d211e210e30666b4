"""1:1 figures of a set of pairs: accuracy by folds, TAR at FAR, and the ROC.

Shape legend: P pairs, M pairs of one person, N pairs of two people, I images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedding.error_rates import (
    RULE_OF_THIRTY,
    FoldAccuracy,
    TarAtFar,
    fold_accuracy,
    tar_at_far,
)
from training.evaluation.images import Embed, EmbeddedImages, embed_images
from training.evaluation.pairs import PairSet

FARS = (1e-2, 1e-3)
MAX_ROC_POINTS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Roc:
    """TAR against FAR at rising FAR; each point is exact at its threshold.

    Attributes:
        far: share of pairs of two people that are accepted.
        tar: the largest share of pairs of one person that are accepted at that FAR.
        threshold: the smallest one with that FAR.
    """

    far: NDArray[np.float64]
    tar: NDArray[np.float64]
    threshold: NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SetVerification:
    """What a model reaches on one set of pairs.

    Attributes:
        name: of the set.
        num_same: pairs of one person.
        num_different: pairs of two people.
        num_left_out: pairs without one of their images.
        accuracy: by folds.
        tar: at FAR 1 % and 0.1 %.
        roc: at most 400 points.
    """

    name: str
    num_same: int
    num_different: int
    num_left_out: int
    accuracy: FoldAccuracy
    tar: tuple[TarAtFar, ...]
    roc: Roc

    def is_reliable(self, point: TarAtFar) -> bool:
        """Whether thirty pairs of two people may be accepted at the wanted FAR."""
        return has_thirty_errors(point.far_wanted, self.num_different)


def has_thirty_errors(rate: float, num_trials: int) -> bool:
    """The rule of thirty: whether a wanted rate means at least thirty errors."""
    # As in `smallest_threshold`: 0.001 * 30000 is 29.999999999999996 on some machines.
    return rate * num_trials + 1e-9 >= RULE_OF_THIRTY


def verify_pairs(embed: Embed, pairs: PairSet, *, skip_missing: bool) -> SetVerification:
    """Embeds each image once and measures.

    Raises:
        DataInvalid: images that cannot be read, while `skip_missing` is false, or a model that
            gives no unit embeddings.
    """
    is_used_I = np.zeros(len(pairs.images), bool)
    is_used_I[pairs.left_P] = is_used_I[pairs.right_P] = True
    used = np.flatnonzero(is_used_I)
    embedded = embed_images(embed, lambda one: pairs.crop(int(used[one])), len(used))
    row_I = np.full(len(pairs.images), -1)
    row_I[used[embedded.images_B]] = np.arange(len(embedded.images_B))
    return verify_embedded(pairs, embedded, row_I, skip_missing=skip_missing)


def verify_embedded(
    pairs: PairSet,
    embedded: EmbeddedImages,
    row_I: NDArray[np.int64],
    *,
    skip_missing: bool,
) -> SetVerification:
    """Measures pairs whose images are embedded already.

    Args:
        pairs: of the set.
        embedded: its images, perhaps among others.
        row_I: the row of each image of the pairs there; -1 for one that is missing.
        skip_missing: leave out pairs with such an image, and count them.

    Raises:
        DataInvalid: missing images, while `skip_missing` is false.
    """
    is_needed_I = np.zeros(len(row_I), bool)
    is_needed_I[pairs.left_P] = is_needed_I[pairs.right_P] = True
    kept = pairs.without((row_I < 0) & is_needed_I, skip_missing=skip_missing)
    left_PD, right_PD = (embedded.unit_BD[row_I[side]] for side in (kept.left_P, kept.right_P))
    similarities_P = np.einsum("pd,pd->p", left_PD, right_PD).astype(np.float64)
    mated_M, non_mated_N = similarities_P[kept.same_P], similarities_P[~kept.same_P]
    return SetVerification(
        name=kept.name,
        num_same=len(mated_M),
        num_different=len(non_mated_N),
        num_left_out=kept.num_left_out,
        accuracy=fold_accuracy(similarities_P, kept.same_P, kept.fold_P),
        tar=tuple(tar_at_far(mated_M, non_mated_N, far) for far in FARS),
        roc=roc_curve(mated_M, non_mated_N),
    )


def roc_curve(
    mated_M: NDArray[np.float64],
    non_mated_N: NDArray[np.float64],
    *,
    max_points: int = MAX_ROC_POINTS,
) -> Roc:
    """The upper corners of the ROC, spread evenly over log FAR where there are too many.

    The first point has FAR 0, the last one FAR 1. Nothing is interpolated.

    Args:
        mated_M: similarities of pairs of one person, finite.
        non_mated_N: of pairs of two people, finite, at least one.
        max_points: kept, at least 2.
    """
    descending = np.sort(non_mated_N)[::-1]
    num = len(descending)
    # Accepting the first k: not inside a run of equal similarities.
    is_corner = np.append(True, descending[1:] != descending[:-1])
    corners = np.append(np.flatnonzero(is_corner), num)
    kept = corners[log_spread(corners, max_points)]
    lowest = min(float(descending[-1]), float(mated_M.min()))
    thresholds = np.append(np.nextafter(descending, np.inf), lowest)[kept]
    ascending = np.sort(mated_M)
    accepted = len(ascending) - np.searchsorted(ascending, thresholds, side="left")
    return Roc(far=kept / num, tar=accepted / len(ascending), threshold=thresholds)


def log_spread(counts: NDArray[np.int64], max_points: int) -> NDArray[np.int64]:
    """Places of at most `max_points` of rising counts, the first and last among them.

    The others lie about evenly over the logarithm of the counts.
    """
    if len(counts) <= max_points:
        return np.arange(len(counts))
    # From the end, so that two points are both ends.
    wanted = np.geomspace(counts[-1], 1, max_points - 1)
    # The end may be rounded upwards, beyond the last count.
    places = np.minimum(np.searchsorted(counts, wanted, side="left"), len(counts) - 1)
    return np.unique(np.append(0, places))
