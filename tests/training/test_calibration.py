"""Thresholds come from the group whose strangers look more alike, and the grid fits its people."""

import numpy as np
import pytest
from numpy.typing import NDArray

from embedding.error_rates import threshold_by_size
from training.calibration import MIN_SHARP_PEOPLE, calibrate, grid_sizes
from training.protocols import OpenSetTable, open_set_table

NUM_SHARP, NUM_SOFT = 64, 40


def embeddings(*, crowding: float, num_people: int, seed: int) -> NDArray[np.float32]:
    """Three images each of people who share a direction, the more the higher the crowding."""
    rng = np.random.default_rng(seed)
    people = rng.normal(size=(num_people, 16)) + crowding * np.eye(16)[0]
    images = np.repeat(people, 3, axis=0) + 0.1 * rng.normal(size=(3 * num_people, 16))
    unit: NDArray[np.float32] = images / np.linalg.norm(images, axis=1, keepdims=True)
    return unit.astype(np.float32)


def table_of(*, sharp: float, soft: float, num_sharp: int = NUM_SHARP) -> OpenSetTable:
    """Sharp people first, then the soft ones, who look to the other side."""
    soft_BD = -embeddings(crowding=soft, num_people=NUM_SOFT, seed=1)
    sharp_BD = embeddings(crowding=sharp, num_people=num_sharp, seed=0)
    unit_BD = np.concatenate([sharp_BD, soft_BD])
    return open_set_table(unit_BD, np.repeat(np.arange(num_sharp + NUM_SOFT), 3))


def flags(num_sharp: int = NUM_SHARP) -> list[bool]:
    """Who is sharp in such a table."""
    return [True] * num_sharp + [False] * NUM_SOFT


def test_sharp_people_who_look_more_alike_set_the_thresholds() -> None:
    """The whole grid is theirs alone, equal to one measured without the others."""
    found = calibrate(table_of(sharp=4.0, soft=0.0), flags())
    alone = open_set_table(
        embeddings(crowding=4.0, num_people=NUM_SHARP, seed=0), np.repeat(np.arange(NUM_SHARP), 3)
    )
    assert (found.group, found.num_people, found.num_searches) == ("sharp", 64, 192)
    assert found.compared_size == 30
    assert found.compared["sharp"] > found.compared["everybody"]
    for one in [one for one in found.thresholds if one.fpir == 0.01]:
        point = threshold_by_size(
            alone.similarities_PS, alone.own_subject_P, fpir=0.01, num_subjects=one.num_subjects
        )
        assert (one.value, one.low, one.high) == pytest.approx(
            (point.value, point.low, point.high), abs=1e-4
        )
    assert "64 of them with sharp images" in found.in_words()
    values = found.as_json()
    assert values["people"] == "sharp"
    assert values["threshold_at_fpir_0.01_of_30"] == dict(found.compared)


def test_everybody_sets_them_where_the_soft_ones_look_more_alike() -> None:
    """Then the grid is that of all people, and goes as far as they allow."""
    found = calibrate(table_of(sharp=0.0, soft=4.0), flags())
    assert (found.group, found.num_people) == ("everybody", 104)
    assert found.compared["sharp"] < found.compared["everybody"]
    assert max(one.num_subjects for one in found.thresholds) == 60


@pytest.mark.parametrize("sharp", [flags(MIN_SHARP_PEOPLE - 1), [True] * 45, [False] * 45])
def test_without_two_groups_everybody_sets_them(sharp: list[bool]) -> None:
    """With too few sharp people, or nobody else, there is nothing to compare."""
    table = table_of(sharp=4.0, soft=0.0, num_sharp=len(sharp) - NUM_SOFT)
    found = calibrate(table, sharp)
    assert (found.group, found.num_people) == ("everybody", len(sharp))
    assert found.compared_size is None
    assert f"all {len(sharp)} of them" in found.in_words()
    assert set(found.as_json()) == {"people", "num_people", "num_searches"}


@pytest.mark.parametrize(
    ("num_people", "sizes"),
    [
        (10, [1, 3]),
        (12, [1, 3, 7]),
        (51, [1, 3, 10, 30]),
        (100, [1, 3, 10, 30]),
        (150, [1, 3, 10, 30, 80]),
        (180, [1, 3, 10, 30, 100]),
        (450, [1, 3, 10, 30, 100, 250]),
        (1000, [1, 3, 10, 30, 100, 250, 500]),
    ],
)
def test_a_grid_ends_near_what_its_people_allow(num_people: int, sizes: list[int]) -> None:
    """Below 60 % of them, with one round size more where the usual ones end well before."""
    assert grid_sizes(num_people) == sizes


@pytest.mark.parametrize(("num_images", "is_soft"), [(50, False), (49, True)])
def test_few_errors_are_marked(num_images: int, is_soft: bool) -> None:
    """12 people's 600 searches allow 30 errors at FPIR 5 %, 588 allow 29; at 1 % all are few."""
    rng = np.random.default_rng(0)
    unit_BD = rng.normal(size=(12 * num_images, 16)).astype(np.float32)
    table = open_set_table(unit_BD, np.repeat(np.arange(12), num_images))
    thresholds = calibrate(table, [True] * 12).thresholds
    marked = {one.fpir: one.extrapolated for one in thresholds}
    assert marked == {0.05: is_soft, 0.01: True, 0.001: True}
