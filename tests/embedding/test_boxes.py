"""Arithmetic on boxes, against slow second implementations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding.boxes import points_in, rolls_of, shift_edges, squares, suppress, turn_about
from embedding.detect import Box


def box(values: np.ndarray) -> Box:
    """A row as a Box."""
    left, top, right, bottom = values.tolist()
    return Box(left=left, top=top, right=right, bottom=bottom)


def random_boxes(seed: int, num: int) -> tuple[np.ndarray, np.ndarray]:
    """Overlapping boxes with confidences."""
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 60, (num, 2))
    return np.concatenate([corners, corners + random.uniform(5, 40, (num, 2))], axis=1), (
        random.uniform(0, 1, num)
    )


@given(seed=st.integers(0, 5000), num=st.integers(0, 30), limit=st.floats(0.1, 0.9))
def test_suppression_equals_slow_greedy(seed: int, num: int, limit: float) -> None:
    """Suppression keeps what a loop over pairs keeps."""
    boxes, confidences = random_boxes(seed, num)
    expected: list[int] = []
    for i in np.argsort(-confidences):
        if all(box(boxes[i]).iou(box(boxes[j])) <= limit for j in expected):
            expected.append(int(i))
    assert suppress(boxes, confidences, max_overlap=limit).tolist() == expected


def test_suppression_of_nested_boxes() -> None:
    """A small box inside a large one goes when the overlap is a share of the smaller."""
    boxes = np.array([[0.0, 0, 100, 100], [40, 40, 60, 60]])
    confidences = np.array([0.9, 0.8])
    assert len(suppress(boxes, confidences, max_overlap=0.7)) == 2
    assert suppress(boxes, confidences, max_overlap=0.7, of_smaller=True).tolist() == [0]


def test_shift_edges() -> None:
    """Offsets are shares of width and height."""
    moved = shift_edges(np.array([[10.0, 10, 30, 50]]), np.array([[0.1, -0.1, 0.5, 0.0]]))
    assert moved.tolist() == [[12.0, 6.0, 40.0, 50.0]]


def test_squares() -> None:
    """A square keeps the centre and takes the longer side."""
    assert squares(np.array([[10.0, 10, 30, 50]])).tolist() == [[0.0, 10.0, 40.0, 50.0]]


def test_points_in() -> None:
    """Shares of a box become pixels."""
    points = points_in(np.array([[10.0, 20, 30, 60]]), np.full((1, 5, 2), 0.5))
    assert points[0, 0].tolist() == [20.0, 40.0]


def test_box_measures() -> None:
    """Width, height, area, centre and scaling of a box."""
    one = Box(left=10, top=20, right=30, bottom=60)
    assert (one.width, one.height, one.area, one.center) == (20, 40, 800, (20, 40))
    assert one.scaled(0.5) == Box(left=5, top=10, right=15, bottom=30)


def test_iou_of_boxes() -> None:
    """Equal boxes overlap by 1, touching ones by 0, empty ones by 0."""
    one = Box(left=0, top=0, right=2, bottom=2)
    assert one.iou(one) == 1.0
    assert one.iou(Box(left=2, top=0, right=4, bottom=2)) == 0.0
    assert one.iou(Box(left=1, top=0, right=3, bottom=2)) == pytest.approx(1 / 3)
    empty = Box(left=1, top=1, right=1, bottom=1)
    assert empty.iou(empty) == 0.0


@given(seed=st.integers(0, 1000), angle=st.floats(-3.0, 3.0))
def test_points_turn_about_their_centre(seed: int, angle: float) -> None:
    """Turning equals a loop with complex numbers, and turns the line between the eyes as much."""
    random = np.random.default_rng(seed)
    points, centre = random.uniform(0, 100, (1, 5, 2)), random.uniform(0, 100, (1, 2))
    turned = turn_about(points, centre, np.array([angle]))
    for point, found in zip(points[0], turned[0], strict=True):
        around = complex(*(point - centre[0])) * complex(np.cos(angle), np.sin(angle))
        assert complex(*found) == pytest.approx(around + complex(*centre[0]))
    difference = rolls_of(turned) - rolls_of(points) - angle
    assert np.cos(difference) == pytest.approx(1.0)
