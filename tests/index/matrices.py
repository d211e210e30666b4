"""Every engine in every storage, with segments so small that tests fill many."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from index.matrix.compressed import CompressedMatrix
from index.matrix.exact import ExactMatrix
from index.matrix.segmented import SegmentedMatrix
from index.matrix.vectors import Vectors

SEGMENT_ROWS = 16

NewMatrix = Callable[[int], SegmentedMatrix]

ENGINES: dict[str, NewMatrix] = {
    "exact float32": lambda d: ExactMatrix(d, segment_rows=SEGMENT_ROWS),
    "exact float16": lambda d: ExactMatrix(d, storage="float16", segment_rows=SEGMENT_ROWS),
    "compressed float32": lambda d: CompressedMatrix(
        d, storage="float32", segment_rows=SEGMENT_ROWS
    ),
    "compressed float16": lambda d: CompressedMatrix(d, segment_rows=SEGMENT_ROWS),
    "compressed when large": lambda d: CompressedMatrix(
        d, segment_rows=SEGMENT_ROWS, coded_from=20
    ),
}


def as_stored(matrix: SegmentedMatrix, vectors_ND: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the vectors as the matrix holds them, rounded to its storage."""
    rounded_ND: NDArray[np.float32] = vectors_ND.astype(storage_of(matrix)).astype(np.float32)
    return rounded_ND


def rounded(vectors_ND: NDArray[np.float32], storage: type[np.floating]) -> Vectors:
    """Return the vectors as float16 or float32."""
    if storage == np.float16:
        return vectors_ND.astype(np.float16)
    return vectors_ND.astype(np.float32)


def storage_of(matrix: SegmentedMatrix) -> type[np.float32] | type[np.float16]:
    """Return the type that the matrix stores."""
    return np.float16 if matrix._dtype == np.float16 else np.float32


def all_bytes(matrix: SegmentedMatrix) -> bytes:
    """Return the memory of all rows, used or free."""
    return b"".join(segment.vectors_ND.tobytes() for segment in matrix._all())


def brute_force(
    held: dict[int, NDArray[np.float32]], query_D: NDArray[np.float32]
) -> list[tuple[float, int]]:
    """Return similarity and id of everything, closest first, equals by ascending id."""
    similarities = [
        (min(max(float(vector_D @ query_D), -1.0), 1.0), each) for each, vector_D in held.items()
    ]
    return sorted(similarities, key=lambda pair: (-pair[0], pair[1]))


def assert_equals_brute_force(
    matrix: SegmentedMatrix,
    held: dict[int, NDArray[np.float32]],
    queries_QD: NDArray[np.float32],
    num: int,
) -> None:
    """Compare a search with the slow one: similarities, ids where they are not close, padding."""
    similarities_QK, ids_QK = matrix.search(queries_QD, num)
    assert len(matrix) == len(held)
    for query_D, similarities, ids in zip(queries_QD, similarities_QK, ids_QK, strict=True):
        by_id = {each: similarity for similarity, each in brute_force(held, query_D)}
        expected = brute_force(held, query_D)[:num]
        count = len(expected)
        np.testing.assert_allclose(
            similarities[:count], [pair[0] for pair in expected], rtol=0, atol=1e-6
        )
        found = ids[:count].tolist()
        assert len(set(found)) == count
        for similarity, each in zip(similarities[:count], found, strict=True):
            assert abs(by_id[each] - similarity) <= 1e-6
        assert (ids[count:] == -1).all()
        assert (similarities[count:] == -1.0).all()
