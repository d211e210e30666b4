"""Queries of several callers in one pass."""

import threading
from functools import partial

import numpy as np
from numpy.typing import NDArray

from index.matrix.batching import CombinedSearch, Results
from tests.index.waiting import wait_until


class _HeldSearch:
    """A search that waits until it is let go, and notes what it was asked."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.started = threading.Event()
        self.asked: list[tuple[int, int]] = []
        self.error: Exception | None = None

    def __call__(self, queries_QD: NDArray[np.float32], num: int) -> Results:
        self.asked.append((len(queries_QD), num))
        self.started.set()
        self.go.wait(10)
        if self.error is not None:
            raise self.error
        return np.repeat(queries_QD[:, :1], num, axis=1), np.zeros(
            (len(queries_QD), num), np.int64
        )


def _waiting_at_least(combined: CombinedSearch, number: int) -> bool:
    return len(combined._waiting) >= number


def _call_together(
    combined: CombinedSearch, held: _HeldSearch, nums: list[int]
) -> list[NDArray[np.float32] | BaseException]:
    """Return what each caller gets: the first starts alone, the others come during its search."""
    results: dict[int, NDArray[np.float32] | BaseException] = {}

    def call(number: int, num: int) -> None:
        try:
            query = np.full((1, 2), number, dtype=np.float32)
            results[number] = combined.search(query, num)[0]
        except (ValueError, RuntimeError) as error:
            results[number] = error

    threads = []
    for number, num in enumerate(nums):
        threads.append(threading.Thread(target=call, args=(number, num)))
        threads[-1].start()
        held.started.wait(10)
        wait_until(partial(_waiting_at_least, combined, number))
    held.go.set()
    for thread in threads:
        thread.join()
    return [results[number] for number in range(len(nums))]


def test_callers_who_come_during_a_search_share_the_next() -> None:
    """Each gets its own results and its own number of them, from two passes in all."""
    held = _HeldSearch()
    found = _call_together(CombinedSearch(held, max_queries=10), held, [5, 2, 3, 4])
    assert held.asked == [(1, 5), (3, 4)]
    for number, (result, num) in enumerate(zip(found, [5, 2, 3, 4], strict=True)):
        assert isinstance(result, np.ndarray)
        assert result.tolist() == [[number] * num]


def test_a_pass_takes_no_more_queries_than_allowed_nor_very_different_wishes() -> None:
    """Who asks for far more results, or comes beyond the limit, waits for another pass."""
    held = _HeldSearch()
    _call_together(CombinedSearch(held, max_queries=2), held, [1, 2, 100, 3, 4])
    assert held.asked == [(1, 1), (2, 3), (1, 100), (1, 4)]


def test_an_error_reaches_all_who_shared_the_search_and_nobody_later() -> None:
    """Its leader gets the error itself, the others one that names it; then all goes on."""
    held = _HeldSearch()
    held.error = ValueError("broken")
    combined = CombinedSearch(held, max_queries=10)
    found = _call_together(combined, held, [1, 1, 1])
    assert [type(each) for each in found] == [ValueError, ValueError, RuntimeError]
    held.error = None
    assert combined.search(np.full((1, 2), 9, dtype=np.float32), 1)[0].tolist() == [[9.0]]
