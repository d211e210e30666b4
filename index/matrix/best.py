"""The best results of each query, kept while the vectors are passed over.

Shapes: Q queries, K results a query, B rows of a block, F results that were found.
"""

import numpy as np
from numpy.typing import NDArray

from index.matrix.vectors import NO_ID

_NOTHING = np.float32(-2.0)
"""Stands for a removed row: below every cosine."""

_MAX_PENDING = 4096
"""Results that wait until they are sorted, at least."""


class Best:
    """The highest similarities of each query with their ids.

    Not thread safe: every worker fills one of its own, and one takes in the others.
    """

    def __init__(self, num_queries: int, num: int) -> None:
        self._num_queries = num_queries
        self._num = num
        # A result below its query's floor cannot be among the best any more.
        self._floor_Q = np.full(num_queries, -np.inf, dtype=np.float32)
        self._queries_F = np.zeros(0, dtype=np.int64)
        self._similarities_F = np.zeros(0, dtype=np.float32)
        self._ids_F = np.zeros(0, dtype=np.int64)
        self._pending: list[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]] = []
        self._num_pending = 0

    def add(
        self,
        queries_F: NDArray[np.int64],
        similarities_F: NDArray[np.float32],
        ids_F: NDArray[np.int64],
    ) -> None:
        """Take results in: the number of the query, the similarity and the id of each."""
        # Self-similarity reaches 1.0000004 in float32.
        self._pending.append((queries_F, np.clip(similarities_F, -1.0, 1.0), ids_F))
        self._num_pending += len(ids_F)
        if self._num_pending > max(_MAX_PENDING, 2 * self._num_queries * self._num):
            self._sort()

    def add_block(
        self,
        similarities_BQ: NDArray[np.float32],
        ids_B: NDArray[np.int64],
        dead_B: NDArray[np.bool_] | None,
    ) -> None:
        """Take in a block of rows compared with every query; the array is overwritten."""
        if dead_B is not None:
            similarities_BQ[dead_B] = _NOTHING
        if len(ids_B) > self._num and np.isneginf(self._floor_Q).any():
            place = len(ids_B) - self._num
            kth_Q = np.partition(similarities_BQ.T, place, axis=1)[:, place]
            np.maximum(self._floor_Q, np.minimum(kth_Q, 1.0), out=self._floor_Q)
        flat_F = np.flatnonzero(similarities_BQ >= self._floor_Q)
        similarities_F = similarities_BQ.ravel()[flat_F]
        if dead_B is not None:
            flat_F = flat_F[similarities_F > _NOTHING]
            similarities_F = similarities_F[similarities_F > _NOTHING]
        rows_F, queries_F = np.divmod(flat_F, self._num_queries)
        self.add(queries_F, similarities_F, ids_B[rows_F])

    def take_in(self, other: "Best") -> None:
        """Take in what another has found for the same queries."""
        other._sort()
        self.add(other._queries_F, other._similarities_F, other._ids_F)

    def results(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Return similarities (Q, K) and ids (Q, K), closest first, equals by ascending id.

        Places that nothing was found for hold -1 and `NO_ID`.
        """
        self._sort()
        similarities_QK = np.full((self._num_queries, self._num), -1.0, dtype=np.float32)
        ids_QK = np.full((self._num_queries, self._num), NO_ID, dtype=np.int64)
        places_F = self._places()
        similarities_QK[self._queries_F, places_F] = self._similarities_F
        ids_QK[self._queries_F, places_F] = self._ids_F
        return similarities_QK, ids_QK

    def _sort(self) -> None:
        """Sort what waits into the best, drop what is below, and raise the floors."""
        if not self._pending:
            return
        kept = (self._queries_F, self._similarities_F, self._ids_F)
        queries_F, similarities_F, ids_F = (
            np.concatenate(each) for each in zip(kept, *self._pending, strict=True)
        )
        self._pending, self._num_pending = [], 0
        order_F = np.lexsort((ids_F, -similarities_F, queries_F))
        self._queries_F = queries_F[order_F]
        self._similarities_F = similarities_F[order_F]
        self._ids_F = ids_F[order_F]
        places_F = self._places()
        last_F = places_F == self._num - 1
        self._floor_Q[self._queries_F[last_F]] = self._similarities_F[last_F]
        keep_F = places_F < self._num
        self._queries_F = self._queries_F[keep_F]
        self._similarities_F = self._similarities_F[keep_F]
        self._ids_F = self._ids_F[keep_F]

    def _places(self) -> NDArray[np.int64]:
        """Return the place of each sorted result in its query's list, from 0."""
        firsts_Q = np.searchsorted(self._queries_F, np.arange(self._num_queries))
        places_F: NDArray[np.int64] = np.arange(len(self._queries_F)) - firsts_Q[self._queries_F]
        return places_F
