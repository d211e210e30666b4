"""The parts of the search in memory, each against a slow second way."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from index.matrix.batching import CombinedSearch, Results
from index.matrix.best import Best
from index.matrix.codes import CodedRows, rotation
from index.matrix.compaction import copy_live, groups
from index.matrix.compressed import CompressedMatrix
from index.matrix.kernels import MatrixProduct, closest, share_out, to_float32
from index.matrix.segment import Segment
from tests.index.matrices import rounded
from tests.index.samples import at_similarity, unit_vectors

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
    """Both ways to compare rows with queries agree with a matrix product in float64."""
    vectors_ND = rounded(unit_vectors(num_vectors, dimension=_D), dtype)
    queries_QD = unit_vectors(3, seed=1, dimension=_D)
    expected_NQ = vectors_ND.astype(np.float64) @ queries_QD.astype(np.float64).T
    np.testing.assert_allclose(
        MatrixProduct(queries_QD).of(vectors_ND), expected_NQ, rtol=0, atol=1e-6
    )
    num = min(5, num_vectors)
    for query_D, expected_N in zip(queries_QD, expected_NQ.T, strict=True):
        similarities_1K, rows_1K = closest(query_D, vectors_ND, num)
        np.testing.assert_allclose(similarities_1K[0], expected_N[rows_1K[0]], rtol=0, atol=1e-6)
        assert set(rows_1K[0]) == set(np.argsort(-expected_N)[:num])


def test_an_error_in_a_worker_reaches_the_caller() -> None:
    """Work that fails is not taken for work that found nothing."""

    def work(pieces: object) -> None:
        raise MemoryError(str(pieces))

    with pytest.raises(MemoryError):
        share_out(work, range(10))


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


def test_the_rotation_keeps_inner_products() -> None:
    """It is orthogonal, and it is the same every time."""
    vectors_ND = unit_vectors(20, dimension=_D)
    turned_ND = rotation(_D).of(vectors_ND)
    np.testing.assert_allclose(turned_ND @ turned_ND.T, vectors_ND @ vectors_ND.T, atol=1e-5)
    rotation.cache_clear()
    assert rotation(_D).of(vectors_ND).tobytes() == turned_ND.tobytes()


def test_estimates_are_products_with_the_signs() -> None:
    """A slow product of the rotated query with the vectors' signs gives the same order."""
    vectors_ND, queries_QD = unit_vectors(500, dimension=_D), unit_vectors(3, seed=1, dimension=_D)
    turn = rotation(_D)
    signs_ND = np.where(turn.of(vectors_ND) > 0, 1.0, -1.0) / np.sqrt(_D)
    expected_QN = turn.of(queries_QD) @ signs_ND.T
    estimates_QK, rows_QK = CodedRows(vectors_ND).closest(turn.of(queries_QD), 100)
    # Fast scan rounds each of its table's entries to eight bits.
    np.testing.assert_allclose(
        estimates_QK, np.take_along_axis(expected_QN, rows_QK, axis=1), rtol=0, atol=0.02
    )
    kth_Q = np.sort(expected_QN, axis=1)[:, -100]
    assert (np.take_along_axis(expected_QN, rows_QK, axis=1) >= kth_Q[:, None] - 0.02).all()


def test_an_erased_code_is_gone() -> None:
    """The row no longer answers to its own vector; its neighbours in the block do."""
    vectors_ND = unit_vectors(100, dimension=_D)
    codes = CodedRows(vectors_ND)
    codes.erase(np.array([40, 99]))
    _, rows_QK = codes.closest(rotation(_D).of(vectors_ND), 21)
    own_N = (rows_QK == np.arange(100)[:, None]).any(axis=1)
    assert np.flatnonzero(~own_N).tolist() == [40, 99]


def _crowd(num_subjects: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return one template of each subject, and a probe of each at a similarity of 0.8."""
    vectors_ND = unit_vectors(num_subjects, dimension=_D)
    probes = [
        at_similarity(each, 0.8, seed=9000 + number) for number, each in enumerate(vectors_ND)
    ]
    return vectors_ND, np.stack(probes)


@pytest.mark.parametrize("num_queries", [1, 20])
def test_codes_find_the_mates(num_queries: int) -> None:
    """Among thousands, by codes alone, each probe finds its mate; removed ones are not found."""
    vectors_ND, probes_ND = _crowd(4000)
    matrix = CompressedMatrix(_D, segment_rows=1024)
    matrix.adopt(np.arange(4000), vectors_ND)
    assert [segment.codes is not None for segment in matrix._sealed] == [True] * 4
    chosen = np.arange(5, 4000, 4000 // num_queries)
    similarities_QK, ids_QK = matrix.search(probes_ND[chosen], 3)
    assert ids_QK[:, 0].tolist() == chosen.tolist()
    np.testing.assert_allclose(similarities_QK[:, 0], 0.8, atol=1e-3)
    matrix.remove(chosen.tolist())
    assert not np.isin(matrix.search(probes_ND[chosen], 3)[1], chosen).any()


def test_dead_rows_of_a_mapped_block_do_not_crowd_out_the_living() -> None:
    """Hundreds of equal rows that are only marked as removed hide nobody who is close."""
    vectors_ND, probes_ND = _crowd(2000)
    vectors_ND[:900] = vectors_ND[1000]
    vectors_ND.flags.writeable = False
    matrix = CompressedMatrix(_D, storage="float32", segment_rows=1000)
    matrix.adopt(np.arange(2000), vectors_ND)
    matrix.remove(range(900))
    assert vectors_ND[:900].any()
    matrix.remove([1000])
    mate = at_similarity(vectors_ND[1000], 0.7, seed=7)
    matrix.add(np.array([5000]), mate[np.newaxis])
    assert matrix.search(probes_ND[1000:1001], 1)[1][0, 0] == 5000
    assert matrix.search(vectors_ND[950:951], 1)[1][0, 0] == 950


def test_codes_come_step_by_step_once_a_matrix_is_large() -> None:
    """Below the limit nothing is coded; beyond it every add codes a bounded number of segments."""
    vectors_ND = unit_vectors(100, dimension=_D)
    matrix = CompressedMatrix(_D, segment_rows=32, coded_from=80)
    matrix.add(np.arange(79), vectors_ND[:79])
    assert all(segment.codes is None for segment in matrix._sealed)
    matrix.add(np.array([79]), vectors_ND[79:80])
    num_coded = sum(segment.codes is not None for segment in matrix._sealed)
    assert 0 < num_coded < len(matrix._sealed)
    for each in range(80, 100):
        matrix.add(np.array([each]), vectors_ND[each : each + 1])
    assert all(segment.codes is not None for segment in matrix._sealed)


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


def test_neighbours_are_joined_and_whole_segments_left_alone() -> None:
    """Compaction rewrites what has dead rows or is small, and keeps segments within their size."""
    sizes = [8, 3, 4, 8, 8]
    segments = [
        Segment(np.arange(size), unit_vectors(size, dimension=_D), count=size) for size in sizes
    ]
    segments[4].erase(np.array([0]))
    todo = groups(segments, max_rows=8)
    assert [[segments.index(each) for each in group] for group in todo] == [[1, 2], [4]]


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
        while len(combined._waiting) < number:
            pass
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
