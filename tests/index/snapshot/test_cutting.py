"""Where segments are cut into files."""

from itertools import pairwise

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from index.snapshot.cutting import cut

_IDS = st.sets(st.integers(0, 400), max_size=120).map(sorted)


def _pieces(ids: list[int], first_ids: list[int], max_rows: int) -> list[list[int]]:
    slices = cut(
        np.array(ids, dtype=np.int64),
        first_ids_F=np.array(first_ids, dtype=np.int64),
        max_rows=max_rows,
    )
    return [ids[rows] for rows in slices]


@given(_IDS, _IDS, st.integers(1, 20))
def test_every_row_goes_into_one_file(ids: list[int], first_ids: list[int], rows: int) -> None:
    """All rows in order, none twice, no file empty or too long, whatever was there before."""
    pieces = _pieces(ids, first_ids, rows)
    assert [each for piece in pieces for each in piece] == ids
    assert all(1 <= len(piece) <= rows for piece in pieces)


@given(_IDS, _IDS, st.integers(2, 20))
@example([0, 1, 2, 3, 4, 5], [5], 4)
def test_files_are_not_crumbs(ids: list[int], first_ids: list[int], rows: int) -> None:
    """Any two neighbours hold more than half of a full file: their number stays bounded."""
    pieces = _pieces(ids, first_ids, rows)
    for left, right in pairwise(pieces):
        assert len(left) + len(right) > rows // 2


@given(_IDS, st.integers(2, 20), st.data())
def test_a_removal_changes_at_most_two_files(
    ids: list[int], rows: int, data: st.DataObject
) -> None:
    """The file of the removed id changes, and with it a neighbour if the two become one."""
    if not ids:
        return
    before = _pieces(ids, [], rows)
    removed = data.draw(st.sampled_from(ids))
    left = [each for each in ids if each != removed]
    after = _pieces(left, [piece[0] for piece in before], rows)
    assert len([piece for piece in before if piece not in after]) <= 2


def test_a_growing_segment_leaves_its_full_files() -> None:
    """New ids go behind the last file, until it is full."""
    before = _pieces(list(range(25)), [], 10)
    after = _pieces(list(range(33)), [piece[0] for piece in before], 10)
    assert [len(piece) for piece in before] == [10, 10, 5]
    assert [len(piece) for piece in after] == [10, 10, 10, 3]
    assert after[:2] == before[:2]


def test_small_neighbours_become_one() -> None:
    """Two files that were emptied to a quarter each are written as one."""
    ids = [0, 1, 10, 11, *range(20, 30)]
    assert _pieces(ids, [0, 10, 20], 10) == [[0, 1, 10, 11], list(range(20, 30))]
