"""A contiguous run of rows: vectors, their ids, and which of them were removed.

Shapes: N rows, D embedding dimension.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from index.matrix.vectors import Vectors

if TYPE_CHECKING:
    from index.matrix.codes import CodedRows


class Segment:
    """Rows that are filled one after the other and never move.

    Not thread safe: its owner holds the lock. An id is kept when its row is removed, so that
    ascending ids can be searched by bisection; it names a row, not a person.

    Attributes:
        vectors_ND: (capacity, D) float32 or float16; rows from ``count`` on are free.
        ids_N: (capacity,) int64.
        dead_N: (capacity,) bool, True where the row was removed.
        count: rows that are filled, removed ones too.
        num_dead: rows that were removed.
        codes: codes of all rows, for an engine that looks at codes first; None without.
    """

    __slots__ = (
        "_ascending",
        "_order",
        "_sorted_ids",
        "codes",
        "count",
        "dead_N",
        "ids_N",
        "num_dead",
        "vectors_ND",
    )

    def __init__(self, ids_N: NDArray[np.int64], vectors_ND: Vectors, *, count: int) -> None:
        self.ids_N = ids_N
        self.vectors_ND = vectors_ND
        self.dead_N = np.zeros(len(ids_N), dtype=np.bool_)
        self.count = count
        self.num_dead = 0
        self.codes: CodedRows | None = None
        self._ascending = bool((np.diff(ids_N[:count]) > 0).all())
        self._sorted_ids: NDArray[np.int64] | None = None
        self._order: NDArray[np.int64] | None = None

    @classmethod
    def empty(cls, capacity: int, *, dimension: int, dtype: np.dtype[np.generic]) -> "Segment":
        """Return a segment without rows.

        The system commits memory to rows when they are filled, so a large capacity costs little.
        """
        vectors_ND: Vectors = np.zeros((capacity, dimension), dtype=dtype)
        return cls(np.zeros(capacity, dtype=np.int64), vectors_ND, count=0)

    @property
    def capacity(self) -> int:
        """Rows that there is room for."""
        return len(self.ids_N)

    @property
    def num_live(self) -> int:
        """Rows that can be found."""
        return self.count - self.num_dead

    def append(self, ids_N: NDArray[np.int64], vectors_ND: Vectors) -> None:
        """Fill the next rows; there must be room, and the ids must be new."""
        stop = self.count + len(ids_N)
        self.vectors_ND[self.count : stop] = vectors_ND
        self.ids_N[self.count : stop] = ids_N
        first = max(self.count - 1, 0)
        self._ascending = self._ascending and bool((np.diff(self.ids_N[first:stop]) > 0).all())
        self._sorted_ids = None
        self.count = stop

    def find(self, ids_N: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of those of the ids that are live here."""
        if self.num_live == 0 or len(ids_N) == 0:
            return np.zeros(0, dtype=np.int64)
        if self._ascending:
            keys, order = self.ids_N[: self.count], None
        else:
            keys, order = self._sorted()
        places = np.searchsorted(keys, ids_N)
        there = places < len(keys)
        there[there] = keys[places[there]] == ids_N[there]
        rows = places[there] if order is None else order[places[there]]
        live: NDArray[np.int64] = rows[~self.dead_N[rows]]
        return live

    def erase(self, rows: NDArray[np.int64]) -> None:
        """Remove live rows, and overwrite them with zeros unless the block is read-only."""
        if len(rows) == 0:
            return
        self.dead_N[rows] = True
        self.num_dead += len(rows)
        if self.vectors_ND.flags.writeable:
            self.vectors_ND[rows] = 0
        if self.codes is not None:
            self.codes.erase(rows)

    def live_rows(self) -> NDArray[np.int64]:
        """Return the rows that can be found, ascending."""
        return np.flatnonzero(~self.dead_N[: self.count])

    def forget(self) -> None:
        """Overwrite everything that can be, for memory that is given back."""
        self.erase(self.live_rows())

    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the ids ascending and their rows; made again after an append only.

        An id may come again after its removal, so rows that are dead by now are left out.
        """
        if self._sorted_ids is None or self._order is None:
            rows = self.live_rows()
            self._order = rows[np.argsort(self.ids_N[rows], kind="stable")]
            self._sorted_ids = self.ids_N[self._order]
        return self._sorted_ids, self._order
