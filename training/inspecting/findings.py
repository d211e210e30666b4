"""What an inspection finds, and the rules' numbers.

Shape legend: N images, D embedding dimension.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedding.errors import DataInvalid

# Over 1,187 crops of 150 people of CelebA and the shipped model: a crop saved again with JPEG
# quality 30, halved and enlarged, in grey, or a quarter brighter keeps a similarity of at least
# 0.93 and a correlation of at least 0.97 to itself. Of 694,000 pairs of two people none reaches
# 0.76 and 0.95. The same photo cut 2 px aside is found in about 60 of 100 cases.
COPY_SIMILARITY: Final = 0.9
COPY_CORRELATION: Final = 0.95


class Kind(StrEnum):
    """What is wrong, in the order of the lists."""

    DUPLICATE = "duplicate"
    SHARED = "shared"
    MERGE = "merge"
    STRAY = "stray"
    LOW_QUALITY = "low_quality"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From which figures on something is found.

    Attributes:
        threshold: similarity from which two faces among all identities match (1:N).
        pair_threshold: similarity from which two given faces match (1:1); at most
            ``threshold``.
        norm_floor: raw embeddings shorter than this are of low quality; 0 finds none.
        copy_similarity: of embeddings, from which two images may be copies.
        copy_correlation: of small grey pictures, from which they are.
    """

    threshold: float
    pair_threshold: float
    norm_floor: float = 0.0
    copy_similarity: float = COPY_SIMILARITY
    copy_correlation: float = COPY_CORRELATION

    def __post_init__(self) -> None:
        if not -1.0 <= self.pair_threshold <= self.threshold <= 1.0:
            raise DataInvalid(
                f"the threshold is {self.threshold:g} and the pair threshold "
                f"{self.pair_threshold:g}; both are from -1 to 1, the pair threshold not above"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the list.

    Attributes:
        kind: what is wrong.
        row_a: the image that it is wrong with, always of DATA.
        row_b: the image that shows it; None for low quality.
        similarity: of the two; None for low quality.
        mean_similarity: for shared and merge over all pairs of images of the two identities,
            for a stray to the rest of its identity; else None.
        row_own: for a stray the nearest image of its own identity; else None.
        proposed: rows of DATA that are proposed to be left out; none where only a person who
            looks can tell.
        reason: in words; without names.
    """

    kind: Kind
    row_a: int
    row_b: int | None = None
    similarity: float | None = None
    mean_similarity: float | None = None
    row_own: int | None = None
    proposed: tuple[int, ...] = ()
    reason: str


def own_similarities(
    unit_ND: NDArray[np.float32],
    first_rows: NDArray[np.int64],
    counted_N: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How near each image is to the others of its identity, and how near those are.

    Args:
        unit_ND: unit embeddings, those of an identity in neighbouring rows.
        first_rows: where each identity's rows begin; the last entry is their end.
        counted_N: images that count; None for all.

    Returns:
        (N,) the mean similarity of an image to the others of its identity, NaN without others;
        (N,) the mean similarity of those others among themselves, NaN for fewer than two.
        Both are NaN for images that do not count.
    """
    own_N = np.full(int(first_rows[-1]), np.nan)
    rest_N = own_N.copy()
    for start, stop in zip(first_rows[:-1].tolist(), first_rows[1:].tolist(), strict=True):
        rows = np.arange(start, stop)
        if counted_N is not None:
            rows = rows[counted_N[rows]]
        num_others = len(rows) - 1
        if num_others < 1:
            continue
        # Sums over pairs are squares of sums of vectors, so that no pair is formed.
        unit_BD = unit_ND[rows].astype(np.float64)
        others_BD = unit_BD.sum(axis=0) - unit_BD
        own_N[rows] = (unit_BD * others_BD).sum(axis=1) / num_others
        if num_others > 1:
            squares_B = (others_BD**2).sum(axis=1) - num_others
            rest_N[rows] = squares_B / (num_others * (num_others - 1))
    return own_N, rest_N


def nearest_row(
    unit_ND: NDArray[np.float32], row: int, among: Iterable[int] | NDArray[np.int64]
) -> tuple[int, float]:
    """Which of some rows is nearest to a row, the first of equals, and its similarity.

    Args:
        unit_ND: unit embeddings.
        row: of the image.
        among: at least one row.
    """
    rows = np.asarray(list(among) if not isinstance(among, np.ndarray) else among)
    similarities = unit_ND[rows] @ unit_ND[row]
    best = int(similarities.argmax())
    return int(rows[best]), float(similarities[best])
