"""Blocks that are taken over, segments, and compaction, the same for every engine and storage."""

import threading
from pathlib import Path

import numpy as np
import pytest

from embedding.errors import EmbeddingInvalid
from index.matrix.vectors import NO_ID
from tests.index.matrices import (
    NewMatrix,
    as_stored,
    assert_equals_brute_force,
    rounded,
    storage_of,
)
from tests.index.samples import unit_vectors

_D = 8


def test_an_adopted_block_is_not_copied(new: NewMatrix) -> None:
    """Its rows are searched where they lie, and overwritten there when they are removed."""
    matrix = new(_D)
    vectors_ND = unit_vectors(30, dimension=_D)
    held = dict(enumerate(as_stored(matrix, vectors_ND)))
    block_ND = rounded(vectors_ND, storage_of(matrix))
    matrix.adopt(np.arange(30), block_ND)
    assert_equals_brute_force(matrix, held, unit_vectors(2, seed=3, dimension=_D), 5)
    matrix.remove([4])
    assert not block_ND[4].any()
    assert block_ND[5].any()


def test_a_block_of_another_type_is_converted(new: NewMatrix) -> None:
    """Float16 into float32 and back again: what is found are the vectors that were given."""
    for dtype in (np.float32, np.float16):
        matrix = new(_D)
        vectors_ND = rounded(unit_vectors(30, dimension=_D), dtype)
        held = dict(enumerate(as_stored(matrix, vectors_ND.astype(np.float32))))
        matrix.adopt(np.arange(30), vectors_ND)
        assert_equals_brute_force(matrix, held, unit_vectors(2, seed=3, dimension=_D), 5)


def test_rows_of_a_mapped_file_are_removed_without_writing_to_it(
    new: NewMatrix, tmp_path: Path
) -> None:
    """What was removed is never found, for its own query either, and the file stays as it was."""
    matrix = new(_D)
    vectors_ND = unit_vectors(30, dimension=_D)
    path = tmp_path / "vectors"
    path.write_bytes(vectors_ND.astype(storage_of(matrix)).tobytes())
    before = path.read_bytes()
    mapped_ND = np.memmap(path, dtype=storage_of(matrix), mode="r", shape=(30, _D))
    matrix.adopt(np.arange(30), mapped_ND)
    held = dict(enumerate(as_stored(matrix, vectors_ND)))
    assert matrix.remove([*range(0, 20), 25, 1000]) == 21
    for each in (*range(0, 20), 25):
        del held[each]
    for queries_QD in (vectors_ND[:1], vectors_ND):
        assert_equals_brute_force(matrix, held, queries_QD, 4)
    matrix.compact()
    assert_equals_brute_force(matrix, held, vectors_ND, 4)
    assert matrix.dead_share == 0.0
    assert path.read_bytes() == before


def test_ids_of_a_block_must_ascend(new: NewMatrix) -> None:
    """A block in another order is refused; nothing of it is held."""
    matrix = new(_D)
    with pytest.raises(EmbeddingInvalid, match="ascend"):
        matrix.adopt(np.array([2, 1]), unit_vectors(2, dimension=_D))
    assert len(matrix) == 0


def test_segments_give_everything_as_it_was_when_they_were_asked_for(new: NewMatrix) -> None:
    """What is added later is not among them; what is removed later may be zero, nothing else."""
    matrix = new(_D)
    vectors_ND = unit_vectors(40, dimension=_D)
    matrix.add(np.arange(29), vectors_ND[:29])
    matrix.remove([2, 3, 28])
    pieces = matrix.segments()
    matrix.add(np.arange(29, 40), vectors_ND[29:])
    matrix.remove([5])
    matrix.compact()
    ids, vectors = zip(*pieces, strict=True)
    found = dict(zip(np.concatenate(ids).tolist(), np.concatenate(vectors), strict=True))
    assert sorted(found) == [each for each in range(28) if each not in (2, 3)]
    stored_ND = vectors_ND.astype(storage_of(matrix))
    assert not found.pop(5).any()
    for each, vector_D in found.items():
        assert vector_D.tobytes() == stored_ND[each].tobytes()


def test_a_removal_does_not_reach_a_piece_that_was_given(new: NewMatrix) -> None:
    """Who writes a piece to disk sees the same bytes at every look."""
    matrix = new(_D)
    vectors_ND = unit_vectors(40, dimension=_D)
    matrix.add(np.arange(40), vectors_ND)
    pieces = list(matrix.segments())
    matrix.remove(range(40))
    found_ND = np.concatenate([vectors for _, vectors in pieces])
    assert found_ND.tobytes() == vectors_ND.astype(storage_of(matrix)).tobytes()


def test_dead_share_counts_what_removals_left(new: NewMatrix) -> None:
    """A quarter of the rows removed is a quarter, and none after compaction."""
    matrix = new(_D)
    assert matrix.dead_share == 0.0
    matrix.add(np.arange(40), unit_vectors(40, dimension=_D))
    matrix.remove(range(0, 40, 4))
    assert matrix.dead_share == 0.25
    matrix.compact()
    assert matrix.dead_share == 0.0
    assert sum(segment.capacity for segment in matrix._sealed) == 30 - matrix._growing.num_live
    assert len(matrix._sealed) < 40 / matrix._growing.capacity - 1


def test_searches_see_whole_changes_only(new: NewMatrix) -> None:
    """While pairs are added and removed, a search finds both of a pair or neither."""
    vector_1D = unit_vectors(1, dimension=_D)
    pair_2D = np.concatenate([vector_1D, vector_1D])
    matrix = new(_D)
    stop = threading.Event()
    torn: list[list[int]] = []

    def search() -> None:
        while not stop.is_set():
            ids = matrix.search(vector_1D, 4)[1][0].tolist()
            if ids not in ([1, 2, NO_ID, NO_ID], [NO_ID] * 4):
                torn.append(ids)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(50):
        matrix.add(np.array([1, 2]), pair_2D)
        matrix.remove([1, 2])
        if turn % 10 == 0:
            matrix.compact()
    stop.set()
    for thread in threads:
        thread.join()
    assert torn == []


def test_compaction_loses_nothing_while_others_search_and_remove(new: NewMatrix) -> None:
    """A removed vector is never found again, one that stays always, whenever compaction runs."""
    vectors_ND = unit_vectors(100, dimension=64)
    matrix = new(64)
    matrix.add(np.arange(100), vectors_ND)
    stop = threading.Event()
    wrong: list[int] = []

    def search() -> None:
        while not stop.is_set():
            if matrix.search(vectors_ND[99:], 1)[1][0, 0] != 99:
                wrong.append(99)

    def compact() -> None:
        while not stop.is_set():
            matrix.compact()

    threads = [threading.Thread(target=each) for each in (search, compact)]
    for thread in threads:
        thread.start()
    for each in range(40):
        matrix.remove([each])
        if matrix.search(vectors_ND[each : each + 1], 1)[1][0, 0] == each:
            wrong.append(each)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(matrix) == 60
    assert matrix.search(vectors_ND[40:], 1)[1][:, 0].tolist() == list(range(40, 100))
