"""Images that are nearly the same picture: copies.

Two images are copies when they are equal to the pixel, or when their embeddings' similarity is
at least ``Limits.copy_similarity`` and the correlation of their small grey pictures, as they are
or with one of them mirrored, is at least ``Limits.copy_correlation``. Brightness and contrast do
not change a correlation. A picture of one grey only is a copy of its equals alone.

Shape legend: N images, B pairs, G grey values.
"""

from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.inspecting.findings import Finding, Kind, Limits, own_similarities
from training.inspecting.gathered import GREY_SIDE, Gathered
from training.inspecting.search import IsCopy, Neighbours

_MIN_DEVIATION: Final = 1.0  # grey levels; below, a picture shows nothing that could agree


def picture_correlation(
    left_BG: NDArray[np.uint8], right_BG: NDArray[np.uint8]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """How alike two small grey pictures are.

    Args:
        left_BG: (B, 256) grey pictures.
        right_BG: their partners.

    Returns:
        (B,) Pearson's correlation in [-1, 1], the larger one of the pictures as they are and of
        one mirrored, -1 where a picture has a standard deviation below 1 grey level;
        (B,) whether the mirrored one was larger.
    """
    left = left_BG.astype(np.float64).reshape(-1, GREY_SIDE, GREY_SIDE)
    right = right_BG.astype(np.float64).reshape(-1, GREY_SIDE, GREY_SIDE)
    left -= left.mean(axis=(1, 2), keepdims=True)
    right -= right.mean(axis=(1, 2), keepdims=True)
    spreads_B = np.sqrt((left**2).mean(axis=(1, 2)) * (right**2).mean(axis=(1, 2)))
    tells_B = np.minimum(left.std(axis=(1, 2)), right.std(axis=(1, 2))) >= _MIN_DEVIATION
    as_is_B = (left * right).mean(axis=(1, 2))
    mirrored_B = (left * right[:, :, ::-1]).mean(axis=(1, 2))
    larger_B = np.maximum(as_is_B, mirrored_B)
    correlations_B = np.divide(
        larger_B, spreads_B, out=np.full_like(larger_B, -1.0), where=tells_B
    )
    return correlations_B, mirrored_B > as_is_B


class CopyFinder:
    """Decides which image of several copies stays.

    Images of other sets stay before DATA's, and of DATA's those that are nearest to the rest
    of their identity on average, so that of one picture under two names the likelier name
    stays; of equals the first. Going through them in this order, an image stays unless it is a
    copy of one that stays. So each image that is left out is itself a copy of one that stays.
    """

    def __init__(self, gathered: Gathered, limits: Limits) -> None:
        self._gathered = gathered
        self._limits = limits
        own_N, _ = own_similarities(gathered.features.unit_ND, gathered.first_rows)
        rows = np.arange(len(gathered))
        order = np.lexsort((rows, -np.nan_to_num(own_N, nan=-1.0), rows < gathered.num_data))
        self._rank_N = np.empty(len(gathered), np.int64)
        self._rank_N[order] = rows
        self._first_equal_N = self._first_of_equals(order)

    def _first_of_equals(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        """(N,) of the crops that are equal to the pixel the one that comes first."""
        digests = self._gathered.features.digests_N[order]
        _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
        first_equal_N = np.empty(len(order), np.int64)
        first_equal_N[order] = order[first][inverse]
        return first_equal_N

    def is_copy(self) -> IsCopy:
        """For the search: which close pairs are copies, of equal images only the first."""
        rows = np.arange(len(self._gathered))
        stands_for_N = self._first_equal_N == rows
        greys_NG = self._gathered.features.greys_NG

        def decide(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
            found: NDArray[np.bool_] = stands_for_N[left] & stands_for_N[right]
            correlations, _ = picture_correlation(greys_NG[left[found]], greys_NG[right[found]])
            found[found] = correlations >= self._limits.copy_correlation
            return found

        return decide

    def stays_for(self, neighbours: Neighbours) -> NDArray[np.int64]:
        """(N,) for each image the one that stays in its place; itself where it stays.

        Other sets' images always stay.
        """
        stays_for_N = np.arange(len(self._gathered))
        for later, earlier in self._by_later(neighbours.copies_P2):
            staying = earlier[stays_for_N[earlier] == earlier]
            if len(staying):
                stays_for_N[later] = staying[self._nearest(later, staying)]
        equal = np.flatnonzero(self._first_equal_N != np.arange(len(self._gathered)))
        equal = equal[equal < self._gathered.num_data]
        stays_for_N[equal] = stays_for_N[self._first_equal_N[equal]]
        return stays_for_N

    def _by_later(self, copies_P2: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
        """Each image with its copies that come before it, in the order of the images."""
        ranks_P2 = np.sort(self._rank_N[copies_P2], axis=1)
        row_at = np.argsort(self._rank_N)
        pairs = sorted((later, earlier) for earlier, later in ranks_P2.tolist())
        return [
            (int(row_at[later]), row_at[[earlier for _, earlier in group]])
            for later, group in groupby(pairs, key=itemgetter(0))
        ]

    def _nearest(self, row: int, among: NDArray[np.int64]) -> int:
        unit_ND = self._gathered.features.unit_ND
        return int((unit_ND[among] @ unit_ND[row]).argmax())


def copy_findings(gathered: Gathered, stays_for_N: NDArray[np.int64]) -> list[Finding]:
    """A finding for each image of DATA that another one stays for, nearest first."""
    features = gathered.features
    rows = np.flatnonzero(stays_for_N[: gathered.num_data] != np.arange(gathered.num_data))
    kept = stays_for_N[rows]
    correlations, mirrored = picture_correlation(features.greys_NG[rows], features.greys_NG[kept])
    findings = []
    for place, (row, other) in enumerate(zip(rows.tolist(), kept.tolist(), strict=True)):
        if features.digests_N[row] == features.digests_N[other]:
            how = "equal to the pixel"
        else:
            turned = ", one of them mirrored" if mirrored[place] else ""
            how = f"the pictures correlate by {correlations[place]:.3f}{turned}"
        findings.append(
            Finding(
                kind=Kind.DUPLICATE,
                row_a=row,
                row_b=other,
                similarity=float(features.unit_ND[row] @ features.unit_ND[other]),
                proposed=(row,),
                reason=f"{_where(gathered, row, other)}; {how}",
            )
        )
    return sorted(findings, key=lambda finding: (-(finding.similarity or 0.0), finding.row_a))


def _where(gathered: Gathered, row: int, other: int) -> str:
    if other >= gathered.num_data:
        return "a copy of an image in another set"
    if gathered.labels_N[row] == gathered.labels_N[other]:
        return "a copy inside its identity"
    return "a copy of an image of another identity, so one of the two names is wrong"
