"""Vectors in segments: adding, removing, compacting, and the order of these and of searches.

Shapes: N vectors, D embedding dimension, Q queries, K results a query.
"""

import abc
import threading
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from embedding.errors import EmbeddingInvalid
from index.checks import check_unit_vectors
from index.locks import ReadersWriterLock
from index.matrix.batching import CombinedSearch, Results
from index.matrix.compaction import Copied, copy_live, groups
from index.matrix.kernels import to_float32
from index.matrix.scan import MAX_QUERIES
from index.matrix.segment import Segment
from index.matrix.vectors import Vectors

SEGMENT_ROWS = 65_536
"""134 MB of float32 at 512 dimensions: copied in a tenth of a second when it is compacted."""

_GROWING_SHARE = 4
"""A growing segment is sealed at this part of the rows: what has no codes yet stays small, and
compaction joins neighbours."""

_CHECK_ROWS = 8192

_COPY_ROWS = 8192
"""17 MB of float32 at 512 dimensions: some milliseconds."""


class SegmentedMatrix(abc.ABC):
    """What the engines share; see `VectorMatrix` for the contract of the methods.

    Rows lie in sealed segments, which never get more, and one that grows. Searches hold the lock
    as readers; every change holds it alone and is short: it copies the new rows in, or overwrites
    the removed ones. What takes long, coding and compaction, works on rows that do not move and
    needs the lock only to put the outcome in place.
    """

    def __init__(
        self, dimension: int, *, storage: str = "float32", segment_rows: int = SEGMENT_ROWS
    ) -> None:
        """Take D, the storage ``float32`` or ``float16``, and the rows of a segment."""
        self._dimension = dimension
        self._dtype: np.dtype[np.generic] = np.dtype(storage)
        self._segment_rows = segment_rows
        self._growing_rows = max(segment_rows // _GROWING_SHARE, 1)
        self._sealed: list[Segment] = []
        self._growing = self._new_segment()
        self._spare: list[Segment] = []
        self._highest_id = -1
        self._lock = ReadersWriterLock()
        self._combined = CombinedSearch(self._search_locked, max_queries=MAX_QUERIES)
        # One at a time rebuilds segments; taken before the lock, never while it is held.
        self._rebuilding = threading.Lock()

    @property
    def dimension(self) -> int:
        """D."""
        return self._dimension

    @property
    def dead_share(self) -> float:
        """Rows that removals left behind, as a share of all rows."""
        with self._lock.reading():
            num_rows = sum(segment.count for segment in self._all())
            num_dead = sum(segment.num_dead for segment in self._all())
        return num_dead / max(num_rows, 1)

    def __len__(self) -> int:
        with self._lock.reading():
            return self._num_live()

    def add(self, ids: NDArray[np.int64], vectors_ND: NDArray[np.float32]) -> None:
        """Add vectors, all or none."""
        ids_N = np.asarray(ids, dtype=np.int64)
        vectors_ND = np.asarray(vectors_ND)
        check_unit_vectors(vectors_ND, dimension=self._dimension)
        self._check_ids(ids_N, len(vectors_ND))
        stored_ND: Vectors = vectors_ND.astype(self._dtype, copy=False)
        with self._lock.writing():
            self._check_new(ids_N)
            room = self._growing.capacity - self._growing.count
            while room + len(self._spare) * self._growing_rows < len(ids_N):
                self._spare.append(self._new_segment())
            start = 0
            while start < len(ids_N):
                if self._growing.count == self._growing.capacity:
                    self._seal()
                stop = start + self._growing.capacity - self._growing.count
                self._growing.append(ids_N[start:stop], stored_ND[start:stop])
                start = stop
            self._highest_id = max(self._highest_id, int(ids_N.max(initial=-1)))
        self._prepare(num_rows=len(ids_N))

    def adopt(self, ids_N: NDArray[np.int64], vectors_ND: Vectors) -> None:
        """Take over a block of vectors, all or none, without a copy where its type fits."""
        if vectors_ND.dtype not in (np.float32, np.float16):
            raise EmbeddingInvalid(f"expected float32 or float16 vectors, got {vectors_ND.dtype}")
        for start in range(0, max(len(vectors_ND), 1), _CHECK_ROWS):
            check_unit_vectors(
                to_float32(vectors_ND[start : start + _CHECK_ROWS]), dimension=self._dimension
            )
        ids_N = np.asarray(ids_N, dtype=np.int64)
        self._check_ids(ids_N, len(vectors_ND))
        if not (np.diff(ids_N) > 0).all():
            raise EmbeddingInvalid("the ids of a block must ascend")
        stored_ND: Vectors = np.ascontiguousarray(vectors_ND).astype(self._dtype, copy=False)
        segments = []
        for start in range(0, len(ids_N), self._segment_rows):
            rows = slice(start, start + self._segment_rows)
            segments.append(Segment(ids_N[rows], stored_ND[rows], count=len(ids_N[rows])))
        with self._lock.writing():
            self._check_new(ids_N)
            self._sealed += segments
            self._highest_id = max(self._highest_id, int(ids_N.max(initial=-1)))
        self._prepare(num_rows=len(ids_N), adopted=True)

    def remove(self, ids: Iterable[int]) -> int:
        """Remove vectors; returns how many of the ids were there."""
        ids_N = np.unique(np.fromiter(ids, dtype=np.int64))
        num_removed = 0
        with self._lock.writing():
            for segment in self._all():
                rows = segment.find(ids_N)
                segment.erase(rows)
                num_removed += len(rows)
        return num_removed

    def clear(self) -> None:
        """Remove all vectors and give their memory back."""
        with self._lock.writing():
            for segment in self._all():
                segment.forget()
            self._sealed, self._spare = [], []
            self._growing = self._new_segment()
            self._highest_id = -1

    def search(self, queries_QD: NDArray[np.float32], num: int) -> Results:
        """Return the closest vectors of each query, closest first, equals by ascending id."""
        queries_QD = np.ascontiguousarray(queries_QD)
        check_unit_vectors(queries_QD, dimension=self._dimension)
        parts = [
            self._combined.search(queries_QD[start : start + MAX_QUERIES], num)
            for start in range(0, max(len(queries_QD), 1), MAX_QUERIES)
        ]
        if len(parts) == 1:
            return parts[0]
        similarities, ids = zip(*parts, strict=True)
        return np.concatenate(similarities), np.concatenate(ids)

    def vectors_of(self, ids: Iterable[int]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Return the vectors of those of the ids that are held; what was removed is left out."""
        wanted_N = np.unique(np.fromiter(ids, dtype=np.int64))
        found = [np.zeros(0, dtype=np.int64)]
        vectors = [np.zeros((0, self._dimension), dtype=np.float32)]
        with self._lock.reading():
            for segment in self._all():
                rows = segment.find(wanted_N)
                if len(rows):
                    found.append(segment.ids_N[rows])
                    vectors.append(to_float32(segment.vectors_ND[rows]))
        return np.concatenate(found), np.concatenate(vectors)

    def segments(self) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        """Return all vectors as they are now, piece by piece, while changes go on."""
        with self._lock.reading():
            # Filled rows never move and ids never change, so live row numbers are a view.
            views = [
                (segment, segment.count, segment.live_rows() if segment.num_dead else None)
                for segment in self._all()
                if segment.num_live
            ]
        return (self._copied(segment, count, live) for segment, count, live in views)

    def _copied(
        self, segment: Segment, count: int, live: NDArray[np.int64] | None
    ) -> tuple[NDArray[np.int64], Vectors]:
        """Rows that no removal overwrites while they are looked at."""
        if live is None and not segment.vectors_ND.flags.writeable:
            return segment.ids_N[:count], segment.vectors_ND[:count]
        num_rows = count if live is None else len(live)
        vectors_ND: Vectors = np.empty((num_rows, self._dimension), dtype=self._dtype)
        for start in range(0, num_rows, _COPY_ROWS):
            rows = slice(start, min(start + _COPY_ROWS, num_rows))
            # Each row whole or zero; nobody waits longer than for a piece.
            with self._lock.reading():
                vectors_ND[rows] = segment.vectors_ND[rows if live is None else live[rows]]
        return (segment.ids_N[:count] if live is None else segment.ids_N[live]), vectors_ND

    def compact(self) -> None:
        """Give back the rows that removals left, piece by piece, while searches go on."""
        with self._rebuilding:
            with self._lock.writing():
                if self._growing.num_dead:
                    self._seal()
            with self._lock.reading():
                todo = groups(self._sealed, max_rows=self._segment_rows)
            for group in todo:
                # The rows are read without the lock: those that are removed meanwhile are
                # overwritten in the copy too, when it takes the place of the group.
                copied = copy_live(group)
                if copied is not None:
                    self._finish(copied.segment)
                self._replace(group, copied)

    @abc.abstractmethod
    def settle(self) -> None:
        """Do what makes searches faster and can wait; searches and changes go on."""

    @abc.abstractmethod
    def _search_rows(
        self, segments: Sequence[Segment], queries_QD: NDArray[np.float32], num: int
    ) -> Results:
        """Return the results of 1 to `MAX_QUERIES` queries among segments, the lock held."""

    @abc.abstractmethod
    def _prepare(self, *, num_rows: int, adopted: bool = False) -> None:
        """Do what the engine needs after so many rows were added or adopted; the lock is free."""

    @abc.abstractmethod
    def _finish(self, segment: Segment) -> None:
        """Do what the engine needs for a sealed segment that nobody else sees yet."""

    def _search_locked(self, queries_QD: NDArray[np.float32], num: int) -> Results:
        with self._lock.reading():
            if len(queries_QD):
                return self._search_rows(self._all(), queries_QD, num)
        return np.zeros((0, num), dtype=np.float32), np.zeros((0, num), dtype=np.int64)

    def _replace(self, group: Sequence[Segment], copied: Copied | None) -> None:
        with self._lock.writing():
            if group[0] not in self._sealed:
                return  # Everything was cleared meanwhile.
            place = self._sealed.index(group[0])
            self._sealed[place : place + len(group)] = copied.settled() if copied else []

    def _all(self) -> list[Segment]:
        return [*self._sealed, self._growing]

    def _num_live(self) -> int:
        return sum(segment.num_live for segment in self._all())

    def _new_segment(self) -> Segment:
        return Segment.empty(self._growing_rows, dimension=self._dimension, dtype=self._dtype)

    def _seal(self) -> None:
        self._sealed.append(self._growing)
        self._growing = self._spare.pop() if self._spare else self._new_segment()

    def _check_new(self, ids_N: NDArray[np.int64]) -> None:
        """Refuse ids that are taken; ids above all earlier ones need no look."""
        if len(ids_N) == 0 or ids_N.min() > self._highest_id:
            return
        wanted_N = np.sort(ids_N)
        if any(len(segment.find(wanted_N)) for segment in self._all()):
            raise EmbeddingInvalid("an id is taken already")

    @staticmethod
    def _check_ids(ids_N: NDArray[np.int64], num_vectors: int) -> None:
        if ids_N.shape != (num_vectors,):
            raise EmbeddingInvalid(
                f"expected {num_vectors} ids for as many vectors, got shape {ids_N.shape}"
            )
        if len(np.unique(ids_N)) < len(ids_N) or ids_N.min(initial=0) < 0:
            raise EmbeddingInvalid("ids must be different from each other and not negative")
