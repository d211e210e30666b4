"""Alignment: the transform, and the crop against a slow bilinear oracle."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from embedding.align import ARCFACE_TEMPLATE, CROP_SIZE_PX, align_face, similarity_transform
from embedding.errors import RequestInvalid


def similarity(scale: float, angle_rad: float, x: float, y: float) -> NDArray[np.float64]:
    """A similarity transform as a (2, 3) matrix."""
    cos, sin = scale * math.cos(angle_rad), scale * math.sin(angle_rad)
    return np.array([[cos, -sin, x], [sin, cos, y]])


def apply(matrix: NDArray[np.float64], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """The points after the transform."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2])


def umeyama(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Umeyama (1991) eq. 40-42 by singular values, word by word."""
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    covariance = (target - target_mean).T @ (source - source_mean) / len(source)
    left, values, right = np.linalg.svd(covariance)
    signs = np.array([1.0, np.sign(np.linalg.det(left) * np.linalg.det(right))])
    turn = left @ np.diag(signs) @ right
    scale = (values * signs).sum() / ((source - source_mean) ** 2).sum(axis=1).mean()
    return np.column_stack([scale * turn, target_mean - scale * turn @ source_mean])


def slow_bilinear(photo: NDArray[np.uint8], x: float, y: float) -> NDArray[np.float64]:
    """The photo's colour at a point; pixel centres at halves."""
    column, row = x - 0.5, y - 0.5
    left, top = math.floor(column), math.floor(row)
    total = np.zeros(3)
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (1 - abs(column - left - dx)) * (1 - abs(row - top - dy))
            total += weight * photo[top + dy, left + dx]
    return total


def smooth_photo(side: int) -> NDArray[np.uint8]:
    """A photo with slow waves."""
    y, x = np.mgrid[0:side, 0:side]
    waves = [128 + 100 * np.sin(x / 9), 128 + 100 * np.cos(y / 7), 128 + 90 * np.sin((x + y) / 11)]
    return np.stack(waves, axis=2).astype(np.uint8)


@given(
    scale=st.floats(0.05, 20.0),
    angle_rad=st.floats(-math.pi, math.pi),
    x=st.floats(-1000.0, 1000.0),
    y=st.floats(-1000.0, 1000.0),
)
def test_a_similarity_is_recovered(scale: float, angle_rad: float, x: float, y: float) -> None:
    """Points moved by a similarity transform give that transform back."""
    matrix = similarity(scale, angle_rad, x, y)
    found = similarity_transform(ARCFACE_TEMPLATE, apply(matrix, ARCFACE_TEMPLATE))
    assert np.allclose(found, matrix, atol=1e-6 * (1 + abs(x) + abs(y) + scale))


@given(seed=st.integers(0, 10_000))
def test_agrees_with_umeyama(seed: int) -> None:
    """For any points the closed form is Umeyama's solution."""
    random = np.random.default_rng(seed)
    source, target = random.normal(size=(2, 5, 2)) * 50
    assert np.allclose(similarity_transform(source, target), umeyama(source, target), atol=1e-6)


def test_never_reflects() -> None:
    """Mirrored points get the best rotation, not a reflection."""
    mirrored = ARCFACE_TEMPLATE * [-1.0, 1.0]
    matrix = similarity_transform(mirrored, ARCFACE_TEMPLATE)
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize(
    "points",
    [np.full((5, 2), 7.0), np.full((5, 2), np.nan), np.zeros((5, 3)), np.zeros((4, 2))],
)
def test_points_that_fix_nothing_are_refused(points: NDArray[np.float64]) -> None:
    """Equal, NaN or ill-shaped points are an error that says so."""
    with pytest.raises(RequestInvalid):
        similarity_transform(points, ARCFACE_TEMPLATE)


@pytest.mark.parametrize(("scale", "angle_rad"), [(0.8, 0.3), (1.0, 0.0), (1.7, -2.0)])
def test_crop_equals_slow_bilinear(scale: float, angle_rad: float) -> None:
    """The crop is the bilinear sample of the photo at each pixel's centre."""
    photo = smooth_photo(400)
    to_photo = similarity(scale, angle_rad, 0, 0)
    to_photo[:, 2] = 200 - to_photo[:, :2] @ (56.0, 56.0)
    crop = align_face(photo, apply(to_photo, ARCFACE_TEMPLATE))
    for row, column in [(0, 0), (5, 100), (56, 56), (111, 0), (80, 33), (111, 111)]:
        x, y = apply(to_photo, np.array([column + 0.5, row + 0.5]))
        assert np.abs(crop[row, column] - slow_bilinear(photo, x, y)).max() <= 1.0


@pytest.mark.parametrize("scale", [0.4, 1.0, 1.99, 2.0, 3.7, 8.0])
def test_landmarks_land_on_the_template(scale: float) -> None:
    """A dot at each landmark appears within half a pixel of the template's point."""
    to_photo = similarity(scale, 0.4, 0, 0)
    to_photo[:, 2] = 600 - to_photo[:, :2] @ (56.0, 56.0)
    landmarks = apply(to_photo, ARCFACE_TEMPLATE)
    y, x = np.mgrid[0:1200, 0:1200] + 0.5
    for point, place in zip(landmarks, ARCFACE_TEMPLATE, strict=True):
        reach = 2.5 * max(1.0, scale)
        dot = 255 * np.exp(-((x - point[0]) ** 2 + (y - point[1]) ** 2) / reach**2)
        crop = align_face(np.repeat(dot[..., None], 3, axis=2).astype(np.uint8), landmarks)
        weights = crop[..., 0].astype(float)
        rows, columns = np.mgrid[0:CROP_SIZE_PX, 0:CROP_SIZE_PX] + 0.5
        center = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()
        assert np.abs(center - place).max() < 0.5


def test_a_large_face_is_averaged() -> None:
    """A one-pixel checkerboard that is six times too large becomes grey, not stripes."""
    board = (np.indices((900, 900)).sum(axis=0) % 2 * 255).astype(np.uint8)
    photo = np.repeat(board[..., None], 3, axis=2)
    crop = align_face(photo, ARCFACE_TEMPLATE * 6.3 + 50)
    assert np.abs(crop[20:90, 20:90].astype(int) - 127).max() < 12


def test_beyond_the_edge_is_black() -> None:
    """What the photo does not show is black, even when it shows nothing of the face."""
    photo = np.full((60, 60, 3), 200, np.uint8)
    crop = align_face(photo, ARCFACE_TEMPLATE)
    assert crop[20, 20].tolist() == [200, 200, 200]
    assert crop[100, 100].tolist() == [0, 0, 0]
    assert not align_face(photo, ARCFACE_TEMPLATE + 5000).any()


def test_template_cannot_be_changed() -> None:
    """The template is part of the fingerprint and is read-only."""
    with pytest.raises(ValueError, match="read-only"):
        ARCFACE_TEMPLATE[0, 0] = 0
