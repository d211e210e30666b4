"""The contract of the search in memory, the same for every engine and storage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding.errors import EmbeddingInvalid, RequestInvalid
from index.matrix.opening import new_matrix
from index.matrix.vectors import NO_ID, VectorMatrix
from tests.index.matrices import (
    ENGINES,
    NewMatrix,
    all_bytes,
    as_stored,
    assert_equals_brute_force,
    storage_of,
)
from tests.index.samples import unit_vectors

_D = 8


def test_every_engine_is_a_vector_matrix(new: NewMatrix) -> None:
    """It can stand wherever one is wanted."""
    matrix: VectorMatrix = new(_D)
    assert matrix.dimension == _D


@settings(max_examples=20, deadline=None)
@given(
    num_vectors=st.integers(0, 60),
    num_queries=st.integers(1, 12),
    num=st.integers(1, 80),
    seed=st.integers(0, 1000),
)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_search_equals_brute_force(
    engine: str, num_vectors: int, num_queries: int, num: int, seed: int
) -> None:
    """Whatever the numbers of vectors, queries and results."""
    matrix = ENGINES[engine](_D)
    vectors_ND = unit_vectors(num_vectors, seed=seed, dimension=_D)
    matrix.add(np.arange(num_vectors), vectors_ND)
    held = dict(enumerate(as_stored(matrix, vectors_ND)))
    queries_QD = unit_vectors(num_queries, seed=seed + 1, dimension=_D)
    assert_equals_brute_force(matrix, held, queries_QD, num)


@settings(max_examples=10, deadline=None)
@given(num=st.integers(1, 200), seed=st.integers(0, 1000))
@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_added_finds_itself_first(engine: str, num: int, seed: int) -> None:
    """Every vector is its own closest, at a similarity of at most 1."""
    vectors_ND = unit_vectors(num, seed=seed, dimension=64)
    matrix = ENGINES[engine](64)
    matrix.add(np.arange(num) + 7, vectors_ND)
    similarities_QK, ids_QK = matrix.search(vectors_ND, 1)
    assert ids_QK[:, 0].tolist() == (np.arange(num) + 7).tolist()
    assert (similarities_QK <= 1.0).all()
    assert (similarities_QK > 1.0 - 1e-3).all()


@pytest.mark.parametrize("num_queries", [1, 150])
def test_many_queries_are_answered_like_one(new: NewMatrix, num_queries: int) -> None:
    """More queries than one pass takes give each its own results."""
    vectors_ND = unit_vectors(40, dimension=_D)
    matrix = new(_D)
    matrix.add(np.arange(40), vectors_ND)
    queries_QD = unit_vectors(num_queries, seed=5, dimension=_D)
    held = dict(enumerate(as_stored(matrix, vectors_ND)))
    assert_equals_brute_force(matrix, held, queries_QD, 3)


def test_equal_vectors_come_by_ascending_id(new: NewMatrix) -> None:
    """A tie is broken by the id, whatever the order of adding, alone and in a batch."""
    vector_1D = unit_vectors(1, dimension=_D)
    matrix = new(_D)
    for each in (5, 2, 9):
        matrix.add(np.array([each]), vector_1D)
    for num_queries in (1, 9):
        found = matrix.search(np.repeat(vector_1D, num_queries, axis=0), 3)[1]
        assert found.tolist() == [[2, 5, 9]] * num_queries


@pytest.mark.parametrize("num_vectors", [300, 3000])
def test_company_changes_nothing(new: NewMatrix, num_vectors: int) -> None:
    """A query gets the same results to the last digit, alone and beside others."""
    vectors_ND = unit_vectors(num_vectors, seed=3, dimension=512)
    matrix = new(512)
    matrix.add(np.arange(num_vectors), vectors_ND)
    queries_QD = unit_vectors(40, seed=4, dimension=512)
    together = matrix.search(queries_QD, 5)
    for number in range(len(queries_QD)):
        alone = matrix.search(queries_QD[number : number + 1], 5)
        assert (alone[0][0] == together[0][number]).all()
        assert (alone[1][0] == together[1][number]).all()


def test_similarities_are_exact_to_the_last_digit(new: NewMatrix) -> None:
    """They are the double sums of what is stored, rounded once."""
    vectors_ND = unit_vectors(50, seed=3, dimension=512)
    matrix = new(512)
    matrix.add(np.arange(50), vectors_ND)
    held_ND = as_stored(matrix, vectors_ND).astype(np.float64)
    queries_QD = unit_vectors(3, seed=4, dimension=512)
    similarities_QK, ids_QK = matrix.search(queries_QD, 50)
    for query_D, similarities_K, ids_K in zip(queries_QD, similarities_QK, ids_QK, strict=True):
        expected_K = (held_ND[ids_K] @ query_D.astype(np.float64)).astype(np.float32)
        np.testing.assert_array_max_ulp(similarities_K, expected_K, maxulp=1)


@pytest.mark.parametrize("num_queries", [1, 9])
def test_vectors_of_negative_similarity_are_found_after_removals(
    new: NewMatrix, num_queries: int
) -> None:
    """What was removed leaves no row that could win over a vector on the other side."""
    vectors_ND = unit_vectors(20, dimension=_D)
    opposite_D = -vectors_ND[0]
    matrix = new(_D)
    matrix.add(np.arange(20), vectors_ND)
    matrix.add(np.array([99]), opposite_D[np.newaxis])
    matrix.remove(range(20))
    similarities_QK, ids_QK = matrix.search(np.repeat(vectors_ND[:1], num_queries, axis=0), 5)
    assert ids_QK.tolist() == [[99, NO_ID, NO_ID, NO_ID, NO_ID]] * num_queries
    assert similarities_QK[0, 0] == pytest.approx(-1.0, abs=1e-3)


def test_a_removed_vector_leaves_no_copy_in_memory(new: NewMatrix) -> None:
    """Its bytes are in none of the rows, used or free, before and after compaction."""
    vectors_ND = unit_vectors(100, dimension=_D)
    matrix = new(_D)
    matrix.add(np.arange(100), vectors_ND)
    matrix.remove([3, 99, 50])
    stored_ND = vectors_ND.astype(storage_of(matrix))
    for _ in range(2):
        assert all(stored_ND[each].tobytes() not in all_bytes(matrix) for each in (3, 99, 50))
        assert all(stored_ND[each].tobytes() in all_bytes(matrix) for each in (0, 49, 98))
        matrix.compact()


@pytest.mark.parametrize("ids", [[1, 1], [-1, 2], [7, 8], [1], [1, 2, 3]])
def test_ids_that_are_taken_twice_or_negative_are_refused_whole(
    new: NewMatrix, ids: list[int]
) -> None:
    """Nothing of the batch is added, and the matrix answers as before."""
    vectors_ND = unit_vectors(3, dimension=_D)
    matrix = new(_D)
    matrix.add(np.array([7]), vectors_ND[:1])
    for refuses in (matrix.add, matrix.adopt):
        with pytest.raises(EmbeddingInvalid, match="id"):
            refuses(np.array(ids), vectors_ND[1:].copy())
    assert len(matrix) == 1
    assert matrix.search(vectors_ND[:1], 2)[1].tolist() == [[7, NO_ID]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, 2.0])
def test_bad_vectors_are_refused_on_every_way(new: NewMatrix, bad: float) -> None:
    """Neither add, adopt nor search takes a vector that is NaN, infinite, zero or not unit."""
    vectors_ND = unit_vectors(2, dimension=_D)
    vectors_ND[1] = vectors_ND[1] * bad if np.isfinite(bad) else bad
    matrix = new(_D)
    for refused in (vectors_ND, vectors_ND.astype(np.float16)):
        with pytest.raises(EmbeddingInvalid):
            matrix.adopt(np.arange(2), refused)
    with pytest.raises(EmbeddingInvalid):
        matrix.add(np.arange(2), vectors_ND)
    with pytest.raises(EmbeddingInvalid):
        matrix.search(vectors_ND, 1)
    assert len(matrix) == 0


def test_another_dimension_or_type_is_refused(new: NewMatrix) -> None:
    """Vectors of 16 components or of float64 do not get into a matrix of 8 components."""
    matrix = new(_D)
    for refused in (unit_vectors(2, dimension=16), unit_vectors(2, dimension=_D).astype(float)):
        for refuses in (matrix.add, matrix.adopt):
            with pytest.raises(EmbeddingInvalid):
                refuses(np.arange(2), refused)
        with pytest.raises(EmbeddingInvalid):
            matrix.search(refused, 1)


def test_an_empty_matrix_answers_with_padding(new: NewMatrix) -> None:
    """No vector is held, so every place is filled with -1."""
    similarities_QK, ids_QK = new(_D).search(unit_vectors(2, dimension=_D), 3)
    assert (ids_QK == NO_ID).all()
    assert (similarities_QK == -1.0).all()


def test_no_queries_give_no_results(new: NewMatrix) -> None:
    """An empty batch is an empty answer, not an error."""
    matrix = new(_D)
    matrix.add(np.arange(2), unit_vectors(2, dimension=_D))
    similarities_QK, ids_QK = matrix.search(np.zeros((0, _D), dtype=np.float32), 3)
    assert similarities_QK.shape == ids_QK.shape == (0, 3)


def test_clear_forgets_everything(new: NewMatrix) -> None:
    """After clear nothing is found and ids may be used again."""
    vectors_ND = unit_vectors(20, dimension=_D)
    matrix = new(_D)
    matrix.add(np.arange(20), vectors_ND)
    matrix.clear()
    assert matrix.search(vectors_ND[:1], 1)[1].tolist() == [[NO_ID]]
    matrix.add(np.arange(20), vectors_ND)
    assert len(matrix) == 20


def test_vectors_come_back_by_id(new: NewMatrix) -> None:
    """Those that are held, as they are stored; removed, unknown and negative ids are absent."""
    vectors_ND = unit_vectors(60, dimension=_D)
    matrix = new(_D)
    matrix.adopt(np.arange(30), vectors_ND[:30].copy())
    matrix.add(np.arange(59, 29, -1), vectors_ND[59:29:-1])
    matrix.remove([3, 40])
    for _ in range(2):
        ids, found_ND = matrix.vectors_of([50, 3, 7, 40, 1000, -1, 7, 31])
        assert sorted(ids.tolist()) == [7, 31, 50]
        assert (found_ND == as_stored(matrix, vectors_ND)[ids]).all()
        found_ND[:] = 0.0  # A copy: the matrix keeps its own.
        matrix.compact()


def test_no_vectors_come_back_from_an_empty_matrix(new: NewMatrix) -> None:
    """Nobody is asked for, or nobody is there: both give an empty answer of the right shape."""
    matrix = new(_D)
    for wanted in ([], [1, 2]):
        ids, found_ND = matrix.vectors_of(wanted)
        assert ids.shape == (0,)
        assert found_ND.shape == (0, _D)


@pytest.mark.parametrize("kind", ["exact", "compressed", "auto"])
@pytest.mark.parametrize("storage", ["float32", "float16"])
def test_an_engine_is_chosen_by_its_name(kind: str, storage: str) -> None:
    """Every kind in every storage finds what it holds."""
    matrix = new_matrix(_D, kind=kind, storage=storage)  # type: ignore[arg-type]
    vectors_ND = unit_vectors(5, dimension=_D)
    matrix.add(np.arange(5), vectors_ND)
    assert matrix.search(vectors_ND, 1)[1][:, 0].tolist() == [0, 1, 2, 3, 4]
    assert next(matrix.segments())[1].dtype == np.dtype(storage)


def test_an_unknown_engine_is_refused() -> None:
    """The message names what there is; codes need a dimension that fits."""
    with pytest.raises(RequestInvalid, match="exact, compressed or auto"):
        new_matrix(_D, kind="fast")  # type: ignore[arg-type]
    with pytest.raises(RequestInvalid, match="float32 or float16"):
        new_matrix(_D, storage="int8")  # type: ignore[arg-type]
    with pytest.raises(RequestInvalid, match="multiple of 8"):
        new_matrix(12, kind="compressed")
