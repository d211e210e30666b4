"""The search in memory, against brute force."""

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from embedding.errors import EmbeddingInvalid
from index.matrix import NO_ID, VectorMatrix
from tests.index.samples import unit_vectors

_D = 8


def _brute_force(
    held: dict[int, NDArray[np.float32]], query: NDArray[np.float32]
) -> list[tuple[float, int]]:
    similarities = [(float(vector @ query), each) for each, vector in held.items()]
    return sorted(similarities, key=lambda pair: (-pair[0], pair[1]))


@settings(max_examples=50, deadline=None)
@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 40)), max_size=60),
    num=st.integers(1, 50),
    seed=st.integers(0, 1000),
)
def test_search_equals_brute_force_after_any_changes(
    steps: list[tuple[bool, int]], num: int, seed: int
) -> None:
    """Whatever was added and removed before, the closest vectors come out, and only live ones."""
    vectors = unit_vectors(41, seed=seed, dimension=_D)
    matrix = VectorMatrix(_D)
    held: dict[int, NDArray[np.float32]] = {}
    for add, each in steps:
        if not add:
            assert matrix.remove([each]) == (each in held)
            held.pop(each, None)
        elif each not in held:
            matrix.add(np.array([each]), vectors[each][np.newaxis])
            held[each] = vectors[each]
    queries = unit_vectors(3, seed=seed + 1, dimension=_D)
    similarities_QK, ids_QK = matrix.search(queries, num)
    assert len(matrix) == len(held)
    for query, similarities, ids in zip(queries, similarities_QK, ids_QK, strict=True):
        expected = _brute_force(held, query)[:num]
        count = len(expected)
        assert set(ids[:count].tolist()) <= held.keys()
        np.testing.assert_allclose(
            similarities[:count], [pair[0] for pair in expected], rtol=0, atol=1e-6
        )
        assert (ids[count:] == NO_ID).all()
        assert (similarities[count:] == -1.0).all()


@settings(max_examples=20, deadline=None)
@given(num=st.integers(1, 200), seed=st.integers(0, 1000))
def test_what_was_added_finds_itself_first(num: int, seed: int) -> None:
    """Every vector is its own closest, at a similarity of at most 1."""
    vectors = unit_vectors(num, seed=seed, dimension=64)
    matrix = VectorMatrix(64)
    matrix.add(np.arange(num) + 7, vectors)
    similarities_QK, ids_QK = matrix.search(vectors, 1)
    assert ids_QK[:, 0].tolist() == (np.arange(num) + 7).tolist()
    assert (similarities_QK <= 1.0).all()
    assert (similarities_QK > 1.0 - 1e-5).all()


def test_equal_vectors_come_by_ascending_id() -> None:
    """A tie is broken by the id, whatever the order of adding."""
    vector = unit_vectors(1, dimension=_D)
    matrix = VectorMatrix(_D)
    for each in (5, 2, 9):
        matrix.add(np.array([each]), vector)
    assert matrix.search(vector, 3)[1].tolist() == [[2, 5, 9]]


def test_vectors_of_negative_similarity_are_found_after_removals() -> None:
    """What was removed leaves no row that could win over a vector on the other side."""
    vectors = unit_vectors(20, dimension=_D)
    opposite = -vectors[0]
    matrix = VectorMatrix(_D)
    matrix.add(np.arange(20), vectors)
    matrix.add(np.array([99]), opposite[np.newaxis])
    matrix.remove(range(20))
    similarities_QK, ids_QK = matrix.search(vectors[:1], 5)
    assert ids_QK.tolist() == [[99, NO_ID, NO_ID, NO_ID, NO_ID]]
    assert similarities_QK[0, 0] == pytest.approx(-1.0)


def test_a_removed_vector_leaves_no_copy_in_memory() -> None:
    """Its bytes are in none of the rows, used or free."""
    vectors = unit_vectors(100, dimension=_D)
    matrix = VectorMatrix(_D)
    matrix.add(np.arange(100), vectors)
    matrix.remove([3, 99, 50])
    buffer = matrix._vectors_ND.tobytes()
    assert all(vectors[each].tobytes() not in buffer for each in (3, 99, 50))
    assert all(vectors[each].tobytes() in buffer for each in (0, 49, 98))


@pytest.mark.parametrize("ids", [[1, 1], [-1, 2], [7, 8], [1], [1, 2, 3]])
def test_ids_that_are_taken_twice_or_negative_are_refused_whole(ids: list[int]) -> None:
    """Nothing of the batch is added, and the matrix answers as before."""
    vectors = unit_vectors(3, dimension=_D)
    matrix = VectorMatrix(_D)
    matrix.add(np.array([7]), vectors[:1])
    with pytest.raises(EmbeddingInvalid, match="id"):
        matrix.add(np.array(ids), vectors[1:])
    assert len(matrix) == 1
    assert matrix.search(vectors[:1], 2)[1].tolist() == [[7, NO_ID]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, 2.0])
def test_bad_vectors_are_refused_on_both_ways(bad: float) -> None:
    """Neither add nor search takes a vector that is NaN, infinite, zero or not unit."""
    vectors = unit_vectors(2, dimension=_D)
    vectors[1] = vectors[1] * bad if np.isfinite(bad) else bad
    matrix = VectorMatrix(_D)
    with pytest.raises(EmbeddingInvalid):
        matrix.add(np.arange(2), vectors)
    with pytest.raises(EmbeddingInvalid):
        matrix.search(vectors, 1)
    assert len(matrix) == 0


def test_an_empty_matrix_answers_with_padding() -> None:
    """No vector is held, so every place is filled with -1."""
    similarities_QK, ids_QK = VectorMatrix(_D).search(unit_vectors(2, dimension=_D), 3)
    assert (ids_QK == NO_ID).all()
    assert (similarities_QK == -1.0).all()


def test_no_queries_give_no_results() -> None:
    """An empty batch is an empty answer, not an error."""
    matrix = VectorMatrix(_D)
    matrix.add(np.arange(2), unit_vectors(2, dimension=_D))
    similarities_QK, ids_QK = matrix.search(np.zeros((0, _D), dtype=np.float32), 3)
    assert similarities_QK.shape == ids_QK.shape == (0, 3)


def test_clear_forgets_everything() -> None:
    """After clear nothing is found and ids may be used again."""
    vectors = unit_vectors(2, dimension=_D)
    matrix = VectorMatrix(_D)
    matrix.add(np.arange(2), vectors)
    matrix.clear()
    assert matrix.search(vectors, 1)[1].tolist() == [[NO_ID], [NO_ID]]
    matrix.add(np.arange(2), vectors)
    assert len(matrix) == 2


def test_searches_see_whole_changes_only() -> None:
    """While pairs are added and removed, a search finds both of a pair or neither."""
    vector = unit_vectors(1, dimension=_D)
    pair = np.concatenate([vector, vector])
    matrix = VectorMatrix(_D)
    stop = threading.Event()
    torn: list[list[int]] = []

    def search() -> None:
        while not stop.is_set():
            ids = matrix.search(vector, 4)[1][0].tolist()
            if ids not in ([1, 2, NO_ID, NO_ID], [NO_ID] * 4):
                torn.append(ids)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        matrix.add(np.array([1, 2]), pair)
        matrix.remove([1, 2])
    stop.set()
    for thread in threads:
        thread.join()
    assert torn == []
