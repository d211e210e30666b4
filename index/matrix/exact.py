"""The engine that compares a query with every vector.

Shapes: Q queries, D embedding dimension.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from index.matrix.batching import Results
from index.matrix.scan import closest_of_all
from index.matrix.segment import Segment
from index.matrix.segmented import SegmentedMatrix


class ExactMatrix(SegmentedMatrix):
    """Finds the closest vectors for certain, in a time that grows with their number.

    One query reads all vectors once, at the speed of memory; a batch reads them once too.
    """

    def _search_rows(
        self, segments: Sequence[Segment], queries_QD: NDArray[np.float32], num: int
    ) -> Results:
        return closest_of_all(segments, queries_QD, num).results()

    def settle(self) -> None:
        """Nothing waits here."""

    def _prepare(self, *, num_rows: int, adopted: bool = False) -> None:
        """Nothing: rows can be compared as soon as they are there."""

    def _finish(self, segment: Segment) -> None:
        """Nothing, for the same reason."""
