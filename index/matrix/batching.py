"""Queries of callers who search at the same time, answered by one pass over the vectors.

Shapes: Q queries, D embedding dimension, K results a query.
"""

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Results = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Similarities (Q, K) and ids (Q, K)."""

_MAX_RATIO = 4
"""Callers whose wanted numbers of results differ more do not share a pass."""


class CombinedSearch:
    """Lets one of the waiting callers search for all of them.

    Whoever comes while nobody searches starts at once, alone. Whoever comes during a search
    waits for its end; then the first of those who wait searches for all. So a caller waits for
    at most the pass that is going on before its own, and nobody waits for company.
    """

    def __init__(
        self, search: Callable[[NDArray[np.float32], int], Results], *, max_queries: int
    ) -> None:
        """Take what answers queries (Q, D) with K results each, and its largest good Q."""
        self._search = search
        self._max_queries = max_queries
        self._lock = threading.Lock()
        self._waiting: list[_Caller] = []
        self._searching = False

    def search(self, queries_QD: NDArray[np.float32], num: int) -> Results:
        """Return the results of these queries; raises what the search raises."""
        caller = _Caller(queries_QD, num)
        with self._lock:
            self._waiting.append(caller)
            caller.leads = not self._searching
            self._searching = True
        if not caller.leads:
            self._wait(caller)
        if caller.leads:
            self._lead()
        return caller.outcome()

    def _wait(self, caller: "_Caller") -> None:
        try:
            caller.turn.wait()
        except BaseException:
            # An interrupt; the others must not wait for somebody who has left.
            with self._lock:
                if caller in self._waiting:
                    self._waiting.remove(caller)
                if caller.leads:
                    self._hand_over()
            raise

    def _lead(self) -> None:
        batch: list[_Caller] = []
        try:
            with self._lock:
                batch = self._take()
            self._answer(batch)
        except BaseException as error:
            for caller in batch:
                caller.error = error
            raise
        finally:
            with self._lock:
                self._hand_over()
            for caller in batch:
                caller.turn.set()

    def _take(self) -> list["_Caller"]:
        """Take the first caller and those who fit to it off the list."""
        first, *others = self._waiting
        batch, left, num_queries = [first], [], len(first.queries_QD)
        for caller in others:
            alike = max(caller.num, first.num) <= _MAX_RATIO * min(caller.num, first.num)
            if alike and num_queries + len(caller.queries_QD) <= self._max_queries:
                batch.append(caller)
                num_queries += len(caller.queries_QD)
            else:
                left.append(caller)
        self._waiting = left
        return batch

    def _answer(self, batch: list["_Caller"]) -> None:
        if len(batch) == 1:
            batch[0].results = self._search(batch[0].queries_QD, batch[0].num)
            return
        similarities_QK, ids_QK = self._search(
            np.concatenate([caller.queries_QD for caller in batch]),
            max(caller.num for caller in batch),
        )
        start = 0
        for caller in batch:
            stop = start + len(caller.queries_QD)
            caller.results = (
                similarities_QK[start:stop, : caller.num],
                ids_QK[start:stop, : caller.num],
            )
            start = stop

    def _hand_over(self) -> None:
        """Let the first who waits lead, or nobody; the lock must be held."""
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].turn.set()
        else:
            self._searching = False


class _Caller:
    """One who searches: what is asked, and what comes of it."""

    __slots__ = ("error", "leads", "num", "queries_QD", "results", "turn")

    def __init__(self, queries_QD: NDArray[np.float32], num: int) -> None:
        self.queries_QD = queries_QD
        self.num = num
        self.turn = threading.Event()
        self.leads = False
        self.results: Results | None = None
        self.error: BaseException | None = None

    def outcome(self) -> Results:
        """Return the results, or raise the leader's error."""
        if self.results is None:
            raise RuntimeError("the search that this one had joined failed") from self.error
        return self.results
