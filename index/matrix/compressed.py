"""The engine that looks at codes first and compares whole vectors with what these suggest.

Shapes: N vectors, D embedding dimension, Q queries, K results a query, R candidates.
"""

import functools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from index.matrix.batching import Results
from index.matrix.best import Best
from index.matrix.codes import CodedRows, rotation
from index.matrix.kernels import share_out, to_float32
from index.matrix.scan import closest_live, closest_of_all, inner_products
from index.matrix.segment import Segment
from index.matrix.segmented import SEGMENT_ROWS, SegmentedMatrix

_MORE_OF_A_SEGMENT = 96
_MORE_IN_ALL = 256
"""Candidates beyond the results that are asked for.

Among ten million strangers (deviation 0.08, estimates off by 0.033) the last of 256 candidates
has an estimate of about 0.35: a match at 0.5 would have to be 4.5 deviations low to be missed.
"""

_MAX_BY_CODES = 1024
"""Whoever asks for more results gets a scan: so long a list is not for a person who waits."""

_ROW_BITS = 32


class CompressedMatrix(SegmentedMatrix):
    """Finds nearly always what `ExactMatrix` finds, in a tenth of its time or less.

    Sealed segments have codes of D / 8 bytes a row, which are kept in memory while the vectors
    may be mapped from a file. A search takes the rows whose codes promise most and compares
    their vectors with the query, so similarities are exact; only a candidate can be missed. The
    growing segment, and everything while the matrix is small, is compared exactly.
    """

    def __init__(
        self,
        dimension: int,
        *,
        storage: str = "float16",
        segment_rows: int = SEGMENT_ROWS,
        coded_from: int = 0,
        codes_adopted: bool = True,
    ) -> None:
        """Take D, the storage, the rows of a segment, and how many vectors make codes worth it.

        Without `codes_adopted`, blocks are compared exactly until `settle` codes them, so that
        taking over a million vectors takes no longer than looking at them.

        Raises:
            RequestInvalid: the dimension is not a multiple of 8.
        """
        super().__init__(dimension, storage=storage, segment_rows=segment_rows)
        self._rotation = rotation(dimension)
        self._coded_from = coded_from
        self._codes_adopted = codes_adopted

    def settle(self) -> None:
        """Code what was adopted without codes, segment by segment."""
        left = 0
        # Where somebody else is at it, nothing is done here, and the next call goes on.
        while len(self) >= self._coded_from and (bare := self._num_bare()) not in (0, left):
            left = bare
            self._prepare(num_rows=len(self))

    def _num_bare(self) -> int:
        with self._lock.reading():
            return sum(segment.codes is None for segment in self._sealed)

    def _prepare(self, *, num_rows: int, adopted: bool = False) -> None:
        """Code sealed segments: as many as were filled by the rows, and one more.

        So a matrix that has just become large enough is coded in steps.
        """
        if adopted and not self._codes_adopted:
            return
        if len(self) < self._coded_from or not self._rebuilding.acquire(blocking=False):
            return  # Whoever rebuilds may take long; rows without codes are found all the same.
        try:
            with self._lock.reading():
                bare = [segment for segment in self._sealed if segment.codes is None]
            chosen = bare[: num_rows // self._growing_rows + 2]
            share_out(self._code, chosen, workers="coding")
        finally:
            self._rebuilding.release()

    def _code(self, segments: Iterator[Segment]) -> None:
        for segment in segments:
            codes = CodedRows(segment.vectors_ND[: segment.count])
            with self._lock.writing():
                # What was removed meanwhile, or is only marked as removed.
                codes.erase(np.flatnonzero(segment.dead_N[: segment.count]))
                segment.codes = codes

    def _finish(self, segment: Segment) -> None:
        if len(self) >= self._coded_from:
            segment.codes = CodedRows(segment.vectors_ND)

    def _search_rows(
        self, segments: Sequence[Segment], queries_QD: NDArray[np.float32], num: int
    ) -> Results:
        # Where all rows would become candidates anyhow, codes have nothing to save.
        few = math.inf if num > _MAX_BY_CODES else num + _MORE_OF_A_SEGMENT
        coded: list[Segment] = []
        bare: list[Segment] = []
        for segment in segments:
            useful = segment.codes is not None and segment.count > few
            (coded if useful else bare).append(segment)
        best = closest_of_all(bare, queries_QD, num)
        if not coded:
            return best.results()
        places_QR = self._candidates(coded, queries_QD, num)
        refine = functools.partial(_refine, coded, queries_QD, num, places_QR)
        numbers = range(len(queries_QD))
        # Handing one query over would take as long as refining it.
        for found in share_out(refine, numbers) if len(numbers) > 1 else [refine(iter(numbers))]:
            best.take_in(found)
        return best.results()

    def _candidates(
        self, coded: Sequence[Segment], queries_QD: NDArray[np.float32], num: int
    ) -> NDArray[np.int64]:
        """Return the places (Q, R) of the best candidates, filled up with `NO_ID`."""
        rotated_QD = self._rotation.of(queries_QD)
        num_candidates = 2 * num + _MORE_IN_ALL
        best = Best(len(queries_QD), num_candidates)
        look = functools.partial(_look_at_codes, rotated_QD, num, num_candidates)
        for found in share_out(look, enumerate(coded)):
            best.take_in(found)
        return best.results()[1]


def _look_at_codes(
    rotated_QD: NDArray[np.float32],
    num: int,
    num_candidates: int,
    segments: Iterator[tuple[int, Segment]],
) -> Best:
    best = Best(len(rotated_QD), num_candidates)
    for number, segment in segments:
        if segment.codes is None or segment.num_live == 0:
            continue
        queries_F, estimates_F, rows_F = closest_live(
            functools.partial(segment.codes.closest, rotated_QD),
            num + _MORE_OF_A_SEGMENT,
            segment.dead_N[: segment.count],
        )
        best.add(queries_F, estimates_F, rows_F + (number << _ROW_BITS))
    return best


def _refine(
    coded: Sequence[Segment],
    queries_QD: NDArray[np.float32],
    num: int,
    places_QR: NDArray[np.int64],
    numbers: Iterator[int],
) -> Best:
    best = Best(len(queries_QD), num)
    for number in numbers:
        places_R = places_QR[number]
        places_R = np.sort(places_R[places_R >= 0])
        segments_R, rows_R = places_R >> _ROW_BITS, places_R & (2**_ROW_BITS - 1)
        firsts = np.searchsorted(segments_R, np.arange(len(coded) + 1))
        ids = [np.zeros(0, dtype=np.int64)]
        vectors = []
        for segment, start, stop in zip(coded, firsts, firsts[1:], strict=False):
            if start < stop:
                ids.append(segment.ids_N[rows_R[start:stop]])
                vectors.append(segment.vectors_ND[rows_R[start:stop]])
        if vectors:
            candidates_RD = to_float32(np.concatenate(vectors))
            similarities_R = inner_products(candidates_RD, queries_QD[number : number + 1])
            best.add(np.full(len(candidates_RD), number), similarities_R, np.concatenate(ids))
    return best
