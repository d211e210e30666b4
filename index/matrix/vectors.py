"""What every engine can do: unit vectors with ids, added, removed, and searched by cosine.

Shapes: N vectors, D embedding dimension, Q queries, K results a query.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

NO_ID = -1
"""Fills the places of a result that no vector is left for."""

Vectors = NDArray[np.float32] | NDArray[np.float16]
"""(N, D) in one of the two storages."""


class VectorMatrix(Protocol):
    """Unit vectors with integer ids, searched by cosine over all of them; thread safe.

    Searches run together and their queries share one pass over the vectors; a change excludes
    them. Ids usually come in ascending order, which is fast, but any order is right.
    """

    @property
    def dimension(self) -> int:
        """D."""

    @property
    def dead_share(self) -> float:
        """Rows that removals left behind, as a share of all rows, 0 to 1; `compact` ends them."""

    def __len__(self) -> int: ...

    def add(self, ids: NDArray[np.int64], vectors_ND: NDArray[np.float32]) -> None:
        """Add vectors, all or none.

        Args:
            ids: (N,) int64, not negative, each new.
            vectors_ND: (N, D) float32, unit length.

        Raises:
            EmbeddingInvalid: NaN, zero, not of unit length, another dimension, or an id that is
                negative or taken.
        """

    def adopt(self, ids_N: NDArray[np.int64], vectors_ND: Vectors) -> None:
        """Take over a block of vectors, all or none, without a copy where its type fits.

        The caller leaves the block alone from then on. A writable block is overwritten where its
        rows are removed; in a read-only one, a file that is mapped, they are only marked.

        Args:
            ids_N: (N,) int64, not negative, ascending, each new.
            vectors_ND: (N, D) float32 or float16, unit length, contiguous.

        Raises:
            EmbeddingInvalid: as `add`, or ids that do not ascend.
        """

    def remove(self, ids: Iterable[int]) -> int:
        """Remove vectors; returns how many of the ids were there. No later search finds them."""

    def clear(self) -> None:
        """Remove all vectors and give their memory back."""

    def search(
        self, queries_QD: NDArray[np.float32], num: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the closest vectors of each query, closest first, equals by ascending id.

        Among vectors that tie for the last place it is not said which is returned. Similarities
        may depend on the neighbours of a row in their last bit, so equal vectors that lie apart
        need not tie.

        Args:
            queries_QD: (Q, D) float32, unit length.
            num: K, at least 1.

        Returns:
            Similarities (Q, K) float32 in [-1, 1] and ids (Q, K) int64. Where fewer than K
            vectors are held, the rest of a row is filled with -1 and id -1.

        Raises:
            EmbeddingInvalid: a query is NaN, zero, not of unit length, or of another dimension.
        """

    def vectors_of(self, ids: Iterable[int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the vectors of those of the ids that are held; what was removed is left out.

        Args:
            ids: in any order; one given twice counts once.

        Returns:
            Ids (N,) int64, each once, in no order that means anything, and a copy of their
            vectors (N, D) float32 as they are stored, float16 widened.
        """

    def segments(self) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        """Return all vectors as they are now, piece by piece, while changes go on.

        Returns:
            Pairs of ids (N,) and vectors (N, D) in the storage's type, to be read only; no
            change reaches them. The vector of a row that is removed between the call and its
            piece may be zero.
        """

    def compact(self) -> None:
        """Give back the rows that removals left, piece by piece, while searches go on."""

    def settle(self) -> None:
        """Do what makes searches faster and can wait; searches and changes go on."""
