"""Augmentation changes pixels, never shape or the original, and is repeatable."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.augment import augment
from training.config import AugmentConfig

EVERYTHING = AugmentConfig(
    mirror=1, geometry=1, low_resolution=1, jpeg=1, blur=1, colour=1, grey=1, erase=1
)


def noise(seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A crop of noise."""
    return np.random.default_rng(seed).integers(0, 256, (112, 112, 3), dtype=np.uint8)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_draw_gives_a_crop_of_the_same_shape(seed: int) -> None:
    """Every change together, with any draw, still gives an RGB crop and leaves the original."""
    crop = noise()
    before = crop.copy()
    changed = augment(crop, np.random.default_rng(seed), EVERYTHING)
    assert changed.shape == crop.shape
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(crop, before)


def test_equal_seeds_give_equal_crops() -> None:
    """What a resumed run rests on."""
    first = augment(noise(), np.random.default_rng(3), EVERYTHING)
    again = augment(noise(), np.random.default_rng(3), EVERYTHING)
    other = augment(noise(), np.random.default_rng(4), EVERYTHING)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_no_augmentation_gives_the_crop_itself() -> None:
    """All probabilities at zero change nothing."""
    crop = noise()
    np.testing.assert_array_equal(
        augment(crop, np.random.default_rng(0), AugmentConfig.none()), crop
    )


@pytest.mark.parametrize("name", ["blur", "low_resolution"])
def test_softening_lowers_the_contrast_between_neighbours(name: str) -> None:
    """Both ways of degrading take away fine detail."""
    config = replace(AugmentConfig.none(), **{name: 1.0})  # type: ignore[arg-type]
    soft = augment(noise(), np.random.default_rng(1), config)
    detail = np.abs(np.diff(noise().astype(int), axis=1)).mean()
    assert np.abs(np.diff(soft.astype(int), axis=1)).mean() < 0.8 * detail
