"""The parts of the search in memory, each against a slow second way."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.matrix.best import Best
from index.matrix.compaction import copy_live, groups
from index.matrix.exact import ExactMatrix
from index.matrix.kernels import MatrixProduct, closest_half, share_out, to_float32
from index.matrix.segment import Segment
from tests.index.matrices import rounded
from tests.index.samples import unit_vectors

_D = 64


def test_every_float16_becomes_its_float32() -> None:
    """All finite values, subnormal ones and both zeros included, bit for bit."""
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = every[np.isfinite(every)].reshape(1, -1)
    assert to_float32(finite).tobytes() == finite.astype(np.float32).tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("num_vectors", [1, 7, 5000])
def test_products_and_closest_are_those_of_numpy(
    dtype: type[np.floating], num_vectors: int
) -> None:
    """All ways to compare rows with queries agree with a matrix product in float64."""
    vectors_ND = rounded(unit_vectors(num_vectors, dimension=_D), dtype)
    queries_QD = unit_vectors(3, seed=1, dimension=_D)
    expected_NQ = vectors_ND.astype(np.float64) @ queries_QD.astype(np.float64).T
    np.testing.assert_allclose(
        MatrixProduct(queries_QD).of(vectors_ND), expected_NQ, rtol=0, atol=1e-6
    )
    if dtype == np.float32:
        return
    num = min(5, num_vectors)
    for query_D, expected_N in zip(queries_QD, expected_NQ.T, strict=True):
        similarities_1K, rows_1K = closest_half(query_D, vectors_ND.astype(np.float16), num)
        np.testing.assert_allclose(similarities_1K[0], expected_N[rows_1K[0]], rtol=0, atol=1e-6)
        assert set(rows_1K[0]) == set(np.argsort(-expected_N)[:num])


def test_an_error_in_a_worker_reaches_the_caller() -> None:
    """Work that fails is not taken for work that found nothing."""

    def work(pieces: object) -> None:
        raise MemoryError(str(pieces))

    with pytest.raises(MemoryError):
        share_out(work, range(10))


def test_nobody_works_on_when_the_caller_has_an_error() -> None:
    """The caller gives its lock back then, so no worker may still be reading."""
    both, inside = threading.Event(), []

    def work(pieces: Iterator[int]) -> None:
        for piece in pieces:
            if piece == 0:
                both.wait(1)  # With a single worker there is nobody to wait for.
                raise MemoryError
            inside.append(piece)
            both.set()
            time.sleep(0.2)
            inside.remove(piece)

    with pytest.raises(MemoryError):
        share_out(work, [0, 1])
    assert inside == []


@settings(max_examples=50, deadline=None)
@given(
    num_rows=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    num_queries=st.integers(1, 4),
    num=st.integers(1, 30),
    seed=st.integers(0, 1000),
)
def test_best_are_those_of_a_whole_sort(
    num_rows: list[int], num_queries: int, num: int, seed: int
) -> None:
    """Taken in block by block, with rows that are dead, the same comes out as from one sort."""
    random = np.random.default_rng(seed)
    total = sum(num_rows)
    # Few different values, so that there are ties.
    all_NQ = (random.integers(-5, 6, (total, num_queries)) / 5).astype(np.float32)
    dead_N = random.random(total) < 0.3
    ids_N = random.permutation(total)
    best, start = Best(num_queries, num), 0
    for rows in num_rows:
        part = slice(start, start + rows)
        best.add_block(all_NQ[part].copy(), ids_N[part], dead_N[part])
        start += rows
    similarities_QK, ids_QK = best.results()
    for query, (similarities, ids) in enumerate(zip(similarities_QK, ids_QK, strict=True)):
        live = np.flatnonzero(~dead_N)
        expected = np.sort(all_NQ[live, query])[::-1][:num]
        count = len(expected)
        assert similarities[:count].tolist() == expected.tolist()
        by_id = dict(zip(ids_N[live].tolist(), all_NQ[live, query].tolist(), strict=True))
        assert [by_id[each] for each in ids[:count].tolist()] == expected.tolist()
        pairs = list(zip(-similarities[:count], ids[:count], strict=True))
        assert pairs == sorted(pairs)
        assert (ids[count:] == -1).all()


def test_what_is_removed_while_a_copy_is_made_is_removed_from_the_copy() -> None:
    """Compaction cannot bring a vector back, nor keep its bytes."""
    vectors_ND = unit_vectors(10, dimension=_D)
    segment = Segment(np.arange(10), vectors_ND.copy(), count=10)
    segment.erase(np.array([2]))
    copied = copy_live([segment])
    assert copied is not None
    segment.erase(segment.find(np.array([1, 7])))
    (compacted,) = copied.settled()
    live = compacted.live_rows()
    assert compacted.ids_N[live].tolist() == [0, 3, 4, 5, 6, 8, 9]
    for each in (1, 2, 7):
        assert vectors_ND[each].tobytes() not in compacted.vectors_ND.tobytes()


def test_what_is_cleared_while_a_copy_is_made_stays_away() -> None:
    """The copy of a segment that is gone takes nobody's place."""
    matrix = ExactMatrix(_D, segment_rows=4)
    matrix.adopt(np.arange(4), unit_vectors(4, dimension=_D))
    group = tuple(matrix._sealed)
    copied = copy_live(group)
    matrix.clear()
    matrix.adopt(np.array([9]), unit_vectors(1, seed=9, dimension=_D))
    matrix._replace(group, copied)
    assert [segment.ids_N.tolist() for segment in matrix._sealed] == [[9]]


def test_neighbours_are_joined_and_whole_segments_left_alone() -> None:
    """Compaction rewrites what has dead rows or is small, and keeps segments within their size."""
    sizes = [8, 3, 4, 8, 8]
    segments = [
        Segment(np.arange(size), unit_vectors(size, dimension=_D), count=size) for size in sizes
    ]
    segments[4].erase(np.array([0]))
    todo = groups(segments, max_rows=8)
    assert [[segments.index(each) for each in group] for group in todo] == [[1, 2], [4]]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_has_workers_of_its_own() -> None:
    """A search in a child of a process that has searched already comes to its end."""
    matrix = ExactMatrix(512)
    vectors_ND = unit_vectors(50)
    matrix.add(np.arange(50), vectors_ND)
    matrix.search(vectors_ND[:1], 1)
    process = os.fork()
    if process == 0:
        found = matrix.search(vectors_ND[7:8], 1)[1][0, 0]
        os._exit(0 if found == 7 else 1)
    for _ in range(200):
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            break
        time.sleep(0.05)
    else:
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
        pytest.fail("the child's search never ended")
    assert os.waitstatus_to_exitcode(status) == 0
