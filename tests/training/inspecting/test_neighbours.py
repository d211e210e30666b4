"""The nearest other identities and the own one equal a loop over all pairs."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.training.planted import random_units
from training.inspecting.findings import own_similarities
from training.inspecting.search import search_neighbours


def brute_force(
    unit_ND: NDArray[np.float32], labels: Sequence[int], num_data: int, copy_similarity: float
) -> tuple[list[list[tuple[float, int]]], set[tuple[int, int]]]:
    """Each image's other identities, nearest first, and the close pairs, by a loop over pairs."""
    nearest, close = [], set()
    for row in range(num_data):
        best: dict[int, float] = {}
        for column in range(len(unit_ND)):
            similarity = float(unit_ND[row].astype(np.float64) @ unit_ND[column])
            if column > row and similarity >= copy_similarity:
                close.add((row, column))
            if labels[column] != labels[row]:
                best[labels[column]] = max(similarity, best.get(labels[column], -2.0))
        nearest.append(sorted(((s, i) for i, s in best.items()), reverse=True))
    return nearest, close


@pytest.mark.parametrize("block_bytes", [1, 256_000_000])
def test_the_search_in_blocks_equals_a_loop_over_all_pairs(
    block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of 16 x 7, cut inside identities, and one large block find the same."""
    if block_bytes == 1:
        monkeypatch.setattr("training.inspecting.search._BLOCK_COLUMNS", 7)
    counts = [1, 9, 2, 20, 1, 5, 3, 11]
    labels = np.repeat(np.arange(8), counts).tolist()
    unit_ND = random_units(len(labels))
    asked: set[tuple[int, int]] = set()

    def is_copy(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        pairs = set(zip(rows.tolist(), columns.tolist(), strict=True))
        assert not asked & pairs
        asked.update(pairs)
        even: NDArray[np.bool_] = (rows + columns) % 2 == 0
        return even

    found = search_neighbours(
        unit_ND,
        np.cumsum([0, *counts]),
        num_data=41,
        copy_similarity=0.7,
        is_copy=is_copy,
        num_nearest=3,
        block_bytes=block_bytes,
    )
    nearest, close = brute_force(unit_ND, labels, 41, 0.7)
    assert close
    assert asked == close
    assert {(a, b) for a, b in found.copies_P2.tolist()} == {
        (a, b) for a, b in close if (a + b) % 2 == 0
    }
    for row, expected in enumerate(nearest):
        assert found.identities_MK[row].tolist() == [identity for _, identity in expected[:3]]
        similarities = [similarity for similarity, _ in expected[:3]]
        assert found.similarities_MK[row] == pytest.approx(similarities, abs=1e-5)


def test_fewer_identities_than_neighbours_are_all_given() -> None:
    """Of three identities an image has two others; of one none."""
    for first_rows, num_others in ([0, 2, 4, 6], 2), ([0, 3], 0):
        num_images = first_rows[-1]
        found = search_neighbours(
            random_units(num_images),
            np.array(first_rows),
            num_data=num_images,
            copy_similarity=2.0,
            is_copy=lambda rows, _: rows >= 0,
        )
        assert found.identities_MK.shape == (num_images, num_others)
        assert found.copies_P2.shape == (0, 2)


def test_own_similarities_equal_a_loop_over_pairs() -> None:
    """The mean to the others, and of the others among themselves; NaN where there are none."""
    unit_ND, counted = random_units(10), np.ones(10, bool)
    counted[[1, 8]] = False
    own, rest = own_similarities(unit_ND, np.array([0, 5, 6, 8, 10]), counted)
    for rows in ([0, 2, 3, 4], [5], [6, 7], [9]):
        for row in rows:
            others = [one for one in rows if one != row]
            pairs = [(a, b) for a in others for b in others if a < b]
            to_own = [float(unit_ND[row] @ unit_ND[one]) for one in others]
            among = [float(unit_ND[a] @ unit_ND[b]) for a, b in pairs]
            for found, expected in ((own[row], to_own), (rest[row], among)):
                mean = math.fsum(expected) / len(expected) if expected else math.nan
                assert found == pytest.approx(mean, abs=1e-6, nan_ok=True)
    assert np.isnan(own[[1, 8]]).all()
