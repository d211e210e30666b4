"""Which identities and which images are nearest, exactly and in bounded memory.

Shape legend: N images, M images of DATA, D embedding dimension, I identities, K neighbours,
R rows of a block, C columns of a block.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

# An image of a person who stands under more than 16 other names is beyond a list for people.
NUM_NEAREST: Final = 16

BLOCK_BYTES: Final = 256_000_000
_MAX_BLOCK_ROWS: Final = 2048
_BLOCK_COLUMNS: Final = 4096
_NUM_CHECKED: Final = 65_536  # pairs of pictures that are compared at a time

IsCopy = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.bool_]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Neighbours:
    """What a search over all pairs found.

    Attributes:
        identities_MK: for each image of DATA the K nearest identities but its own, of all sets,
            nearest first; an identity is as near as its nearest image.
        similarities_MK: float32, how near.
        copies_P2: pairs of rows, the smaller first, at least one of DATA, that are close and
            that the caller took for copies.
    """

    identities_MK: NDArray[np.int64]
    similarities_MK: NDArray[np.float32]
    copies_P2: NDArray[np.int64]


def search_neighbours(
    unit_ND: NDArray[np.float32],
    first_rows: NDArray[np.int64],
    *,
    num_data: int,
    copy_similarity: float,
    is_copy: IsCopy,
    num_nearest: int = NUM_NEAREST,
    block_bytes: int = BLOCK_BYTES,
) -> Neighbours:
    """Compares every image of DATA with every image, block by block.

    Time is M x N x D multiplications. Memory beyond the embeddings is the block, at most about
    ``block_bytes`` (more only where 16 rows of N identities do not fit), the K neighbours of
    each image, and the copies: a million images cost 2 GB of embeddings, 0.2 GB of
    neighbours and the block, and hours.

    Args:
        unit_ND: unit embeddings, those of an identity in neighbouring rows.
        first_rows: (I + 1,) where each identity's rows begin; the last entry is N.
        num_data: M; these first rows are compared with all rows.
        copy_similarity: pairs at or above it are shown to ``is_copy``.
        is_copy: which of some pairs (rows, columns) are copies; called with at most 65,536.
        num_nearest: K, or I - 1 if that is smaller.
        block_bytes: for a block of similarities and the best ones of its rows.
    """
    num_identities = len(first_rows) - 1
    num_kept = min(num_nearest, num_identities - 1)
    labels_N = np.repeat(np.arange(num_identities), np.diff(first_rows))
    identities_MK = np.empty((num_data, num_kept), np.int64)
    similarities_MK = np.empty((num_data, num_kept), np.float32)
    copies = [np.empty((0, 2), np.int64)]
    with tqdm(total=num_data, desc="comparing", unit="image", disable=None) as bar:
        for rows in _row_blocks(num_data, num_identities, block_bytes):
            part_RD = unit_ND[rows]
            best_IR = np.full((num_identities, len(part_RD)), -np.inf, np.float32)
            for start in range(0, len(unit_ND), _BLOCK_COLUMNS):
                columns = slice(start, min(start + _BLOCK_COLUMNS, len(unit_ND)))
                similarities_CR = unit_ND[columns] @ part_RD.T
                _raise_best(best_IR, similarities_CR, labels_N[columns])
                copies += _copies(similarities_CR, rows, columns, copy_similarity, is_copy)
            best_IR[labels_N[rows], np.arange(len(part_RD))] = -np.inf
            identities_MK[rows], similarities_MK[rows] = _largest(best_IR, num_kept)
            bar.update(len(part_RD))
    return Neighbours(
        identities_MK=identities_MK,
        similarities_MK=similarities_MK,
        copies_P2=np.concatenate(copies),
    )


def _row_blocks(num_data: int, num_identities: int, block_bytes: int) -> Iterator[slice]:
    # Beside the block stand the best of each identity twice: as found and turned for sorting.
    bytes_a_row = 4 * (_BLOCK_COLUMNS + 2 * num_identities)
    num_rows = min(_MAX_BLOCK_ROWS, max(16, block_bytes // bytes_a_row))
    for start in range(0, num_data, num_rows):
        yield slice(start, min(start + num_rows, num_data))


def _raise_best(
    best_IR: NDArray[np.float32],
    similarities_CR: NDArray[np.float32],
    labels_C: NDArray[np.int64],
) -> None:
    """Takes the columns' similarities into the best of their identities, in place."""
    starts = np.flatnonzero(np.diff(labels_C, prepend=-1))
    first, last = int(labels_C[0]), int(labels_C[-1])
    found_IR = best_IR[first : last + 1]
    np.maximum(found_IR, np.maximum.reduceat(similarities_CR, starts, axis=0), out=found_IR)


def _copies(
    similarities_CR: NDArray[np.float32],
    rows: slice,
    columns: slice,
    copy_similarity: float,
    is_copy: IsCopy,
) -> Iterator[NDArray[np.int64]]:
    """The pairs of a block that are copies, each pair in one block only."""
    if columns.stop <= rows.start:
        return
    at_C, at_R = np.nonzero(similarities_CR >= copy_similarity)
    pairs_P2 = np.stack([at_R + rows.start, at_C + columns.start], axis=1)
    pairs_P2 = pairs_P2[pairs_P2[:, 0] < pairs_P2[:, 1]]
    for start in range(0, len(pairs_P2), _NUM_CHECKED):
        some_P2 = pairs_P2[start : start + _NUM_CHECKED]
        yield some_P2[is_copy(some_P2[:, 0], some_P2[:, 1])]


def _largest(
    best_IR: NDArray[np.float32], num_kept: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The positions and values of the largest of each column, largest first."""
    negated_RI = np.ascontiguousarray(best_IR.T)
    np.negative(negated_RI, out=negated_RI)
    found_RK = np.argpartition(negated_RI, num_kept, axis=1)[:, :num_kept]
    values_RK = np.take_along_axis(negated_RI, found_RK, axis=1)
    order_RK = np.lexsort((found_RK, values_RK), axis=1)
    return (
        np.take_along_axis(found_RK, order_RK, axis=1),
        -np.take_along_axis(values_RK, order_RK, axis=1),
    )
