"""Which segments are rewritten to give back removed rows, and their copies without them.

Shapes: N rows of the copy, D embedding dimension.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from index.matrix.segment import Segment

_COPY_ROWS = 4096
"""Rows that are copied at a time, so that searches get their turns on the processor."""


def groups(segments: Sequence[Segment], *, max_rows: int) -> list[tuple[Segment, ...]]:
    """Return runs of neighbours, each to become one segment; what is fine already is left out."""
    runs: list[list[Segment]] = []
    num_rows = 0
    for segment in segments:
        if not runs or num_rows + segment.num_live > max_rows:
            runs.append([])
            num_rows = 0
        runs[-1].append(segment)
        num_rows += segment.num_live
    return [tuple(run) for run in runs if len(run) > 1 or run[0].num_dead]


@dataclass(frozen=True, slots=True)
class Copied:
    """A copy of what was live in some segments.

    Attributes:
        segment: the copy.
        sources: for each segment, its rows that were copied, in the order of the copy.
    """

    segment: Segment
    sources: tuple[tuple[Segment, NDArray[np.int64]], ...]

    def settled(self) -> list[Segment]:
        """Return the copy without what was removed since; changes must be kept away."""
        died_N = np.concatenate([source.dead_N[rows] for source, rows in self.sources])
        self.segment.erase(np.flatnonzero(died_N))
        return [self.segment] if self.segment.num_live else []


def copy_live(segments: Sequence[Segment]) -> Copied | None:
    """Return a copy of the live rows; None when there are none.

    Rows may be removed meanwhile: they come as they are, whole, torn or zero, and `settled`
    removes them.
    """
    sources = tuple((segment, segment.live_rows()) for segment in segments)
    num_rows = sum(len(rows) for _, rows in sources)
    if num_rows == 0:
        return None
    ids_N = np.concatenate([segment.ids_N[rows] for segment, rows in sources])
    first = segments[0].vectors_ND
    vectors_ND = np.empty((num_rows, first.shape[1]), dtype=first.dtype)
    filled = 0
    for segment, rows in sources:
        for start in range(0, len(rows), _COPY_ROWS):
            some = rows[start : start + _COPY_ROWS]
            vectors_ND[filled : filled + len(some)] = segment.vectors_ND[some]
            filled += len(some)
    return Copied(Segment(ids_N, vectors_ND, count=num_rows), sources)
