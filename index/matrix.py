"""Vectors in memory, searched exactly by FAISS; the only importer of faiss.

Shapes: N vectors, D embedding dimension, Q queries, K results a query.
"""

from collections.abc import Iterable

import faiss
import numpy as np
from numpy.typing import NDArray

from embedding.errors import EmbeddingInvalid
from index.checks import check_unit_vectors
from index.locks import ReadersWriterLock

NO_ID = -1
"""Fills the places of a result that no vector is left for."""

_FIRST_CAPACITY = 64


class VectorMatrix:
    """Unit vectors with integer ids, searched by cosine over all of them; thread safe.

    Searches run together; a change excludes them. The vectors lie in one contiguous buffer
    without holes: a removal moves the last vector into the free place and overwrites the place
    that it came from with zeros, so nothing of a removed vector stays in memory and no
    compaction is needed.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._vectors_ND = np.zeros((0, dimension), dtype=np.float32)
        self._ids_N = np.zeros(0, dtype=np.int64)
        self._rows: dict[int, int] = {}
        self._lock = ReadersWriterLock()

    @property
    def dimension(self) -> int:
        """D."""
        return self._dimension

    def __len__(self) -> int:
        return len(self._rows)

    def reserve(self, num_vectors: int) -> None:
        """Make room for so many vectors in all, which saves copies while they are added."""
        with self._lock.writing():
            self._grow(num_vectors)

    def add(self, ids: NDArray[np.int64], vectors_ND: NDArray[np.float32]) -> None:
        """Add vectors, all or none.

        Args:
            ids: (N,) int64, not negative, each new.
            vectors_ND: (N, D) float32, unit length.

        Raises:
            EmbeddingInvalid: NaN, zero, not of unit length, another dimension, or an id that is
                negative or taken.
        """
        ids = np.asarray(ids, dtype=np.int64)
        vectors_ND = np.asarray(vectors_ND)
        check_unit_vectors(vectors_ND, dimension=self._dimension)
        if ids.shape != (len(vectors_ND),):
            raise EmbeddingInvalid(
                f"expected {len(vectors_ND)} ids for as many vectors, got shape {ids.shape}"
            )
        new = ids.tolist()
        if len(set(new)) < len(new) or min(new, default=0) < 0:
            raise EmbeddingInvalid("ids must be different from each other and not negative")
        with self._lock.writing():
            if not self._rows.keys().isdisjoint(new):
                raise EmbeddingInvalid("an id is taken already")
            first = len(self._rows)
            self._grow(first + len(new))
            self._vectors_ND[first : first + len(new)] = vectors_ND
            self._ids_N[first : first + len(new)] = ids
            self._rows.update(zip(new, range(first, first + len(new)), strict=True))

    def remove(self, ids: Iterable[int]) -> int:
        """Remove vectors; returns how many of the ids were there. No later search finds them."""
        num_removed = 0
        with self._lock.writing():
            for each in ids:
                row = self._rows.pop(int(each), None)
                if row is None:
                    continue
                last = len(self._rows)
                if row != last:
                    moved = int(self._ids_N[last])
                    self._vectors_ND[row] = self._vectors_ND[last]
                    self._ids_N[row] = moved
                    self._rows[moved] = row
                self._vectors_ND[last] = 0.0
                self._ids_N[last] = NO_ID
                num_removed += 1
        return num_removed

    def clear(self) -> None:
        """Remove all vectors and give their memory back."""
        with self._lock.writing():
            self._vectors_ND.fill(0.0)
            self._vectors_ND = np.zeros((0, self._dimension), dtype=np.float32)
            self._ids_N = np.zeros(0, dtype=np.int64)
            self._rows.clear()

    def search(
        self, queries_QD: NDArray[np.float32], num: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return the closest vectors of each query, closest first, equals by ascending id.

        Among vectors that tie for the last place it is not said which is returned.

        Args:
            queries_QD: (Q, D) float32, unit length.
            num: K, at least 1.

        Returns:
            Similarities (Q, K) float32 in [-1, 1] and ids (Q, K) int64. Where fewer than K
            vectors are held, the rest of a row is filled with -1 and id -1.

        Raises:
            EmbeddingInvalid: a query is NaN, zero, not of unit length, or of another dimension.
        """
        queries_QD = np.ascontiguousarray(queries_QD)
        check_unit_vectors(queries_QD, dimension=self._dimension)
        similarities_QK = np.full((len(queries_QD), num), -1.0, dtype=np.float32)
        ids_QK = np.full((len(queries_QD), num), NO_ID, dtype=np.int64)
        with self._lock.reading():
            count = min(num, len(self._rows))
            if count == 0 or len(queries_QD) == 0:
                return similarities_QK, ids_QK
            found_QK, rows_QK = faiss.knn(
                queries_QD,
                self._vectors_ND[: len(self._rows)],
                count,
                metric=faiss.METRIC_INNER_PRODUCT,
            )
            found_ids_QK = self._ids_N[rows_QK]
        # Self-similarity reaches 1.0000004 in float32.
        found_QK = np.clip(found_QK, -1.0, 1.0)
        order_QK = np.lexsort((found_ids_QK, -found_QK), axis=-1)
        similarities_QK[:, :count] = np.take_along_axis(found_QK, order_QK, axis=-1)
        ids_QK[:, :count] = np.take_along_axis(found_ids_QK, order_QK, axis=-1)
        return similarities_QK, ids_QK

    def _grow(self, num_vectors: int) -> None:
        """Make room for so many vectors in all; at least half more than before, if any."""
        capacity = len(self._ids_N)
        if num_vectors <= capacity:
            return
        capacity = max(num_vectors, capacity + capacity // 2, _FIRST_CAPACITY)
        vectors_ND = np.zeros((capacity, self._dimension), dtype=np.float32)
        ids_N = np.full(capacity, NO_ID, dtype=np.int64)
        count = len(self._rows)
        vectors_ND[:count] = self._vectors_ND[:count]
        ids_N[:count] = self._ids_N[:count]
        self._vectors_ND.fill(0.0)
        self._vectors_ND, self._ids_N = vectors_ND, ids_N
