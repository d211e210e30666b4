"""Codes, and the engine that looks at them first."""

import numpy as np
import pytest
from numpy.typing import NDArray

from index.matrix.codes import CodedRows, rotation
from index.matrix.compressed import CompressedMatrix
from index.matrix.segment import Segment
from tests.index.samples import at_similarity, unit_vectors

_D = 64


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


def _finds_its_own_code(segment: Segment, vector_D: NDArray[np.float32], row: int) -> bool:
    assert segment.codes is not None
    return row in segment.codes.closest(rotation(_D).of(vector_D[np.newaxis]), 3)[1]


def test_the_code_goes_with_its_vector() -> None:
    """A removal overwrites the code too, whether it comes before or after the coding."""
    vectors_ND = unit_vectors(200, dimension=_D)
    vectors_ND.flags.writeable = False
    matrix = CompressedMatrix(_D, storage="float32", segment_rows=400, coded_from=150)
    matrix.adopt(np.arange(100), vectors_ND[:100])
    (segment,) = matrix._sealed
    matrix.remove([7])
    assert segment.codes is None
    matrix.adopt(np.arange(100, 200), vectors_ND[100:])
    assert not _finds_its_own_code(segment, vectors_ND[7], 7)
    assert _finds_its_own_code(segment, vectors_ND[8], 8)
    matrix.remove([8])
    assert not _finds_its_own_code(segment, vectors_ND[8], 8)
    assert _finds_its_own_code(segment, vectors_ND[9], 9)


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


def test_what_is_adopted_can_be_coded_later() -> None:
    """Before `settle` a block is compared exactly, after it by codes; the answer is the same."""
    vectors_ND = unit_vectors(3000, seed=4)
    matrix = CompressedMatrix(
        512, storage="float32", segment_rows=1000, coded_from=2000, codes_adopted=False
    )
    matrix.adopt(np.arange(3000), vectors_ND)
    assert all(segment.codes is None for segment in matrix._sealed)
    before = matrix.search(vectors_ND[:20], 1)
    matrix.settle()
    assert all(segment.codes is not None for segment in matrix._sealed)
    after = matrix.search(vectors_ND[:20], 1)
    np.testing.assert_array_equal(before[1], after[1])
    np.testing.assert_allclose(before[0], after[0], atol=1e-6)
