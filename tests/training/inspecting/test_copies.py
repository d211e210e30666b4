"""Of copies of a picture one stays, under the likelier name."""

import numpy as np
import pytest
from PIL import Image

from tests.training.planted import LIMITS, crop, different, gather, kinds, random_units, unit
from training.inspecting.copies import CopyFinder, picture_correlation
from training.inspecting.findings import Kind
from training.inspecting.gathered import small_greys
from training.inspecting.inspection import find_all
from training.inspecting.search import Neighbours


def test_picture_correlation_is_pearsons_with_and_without_the_mirror() -> None:
    """NumPy's own correlation is the oracle; brightness and contrast change nothing."""
    rng = np.random.default_rng(0)
    left = rng.integers(0, 200, (3, 256), dtype=np.uint8)
    right = rng.integers(0, 200, (3, 256), dtype=np.uint8)
    mirrored = right.reshape(-1, 16, 16)[:, :, ::-1].reshape(-1, 256)
    found, is_mirrored = picture_correlation(left, right)
    for place in range(3):
        as_is = np.corrcoef(left[place], right[place])[0, 1]
        turned = np.corrcoef(left[place], mirrored[place])[0, 1]
        assert found[place] == pytest.approx(max(as_is, turned), abs=1e-9)
        assert is_mirrored[place] == (turned > as_is)
    assert picture_correlation(left // 2, left // 2 + 50)[0] == pytest.approx(1.0)
    flat = np.full((3, 256), 7, np.uint8)
    assert picture_correlation(flat, flat)[0].tolist() == [-1.0] * 3


def test_small_greys_are_the_mean_luma_of_squares() -> None:
    """A slow loop over 7 x 7 squares with Pillow's grey gives the same but for rounding."""
    crop_HWC = np.random.default_rng(1).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    grey = np.asarray(Image.fromarray(crop_HWC).convert("L"), np.float64)
    expected = [
        grey[7 * y : 7 * y + 7, 7 * x : 7 * x + 7].mean() for y in range(16) for x in range(16)
    ]
    assert small_greys(crop_HWC[None])[0] == pytest.approx(expected, abs=1.5)


def test_each_copy_that_goes_is_a_copy_of_one_that_stays() -> None:
    """A is like B and B like C, but A is not like C: B stays or A and C do, never C alone."""
    rng = np.random.default_rng(4)
    num_images = 40
    images = [crop(0, image) for image in range(num_images)]
    gathered = gather({"data": {"one": images}}, random_units(num_images))
    pairs = np.array(
        sorted({tuple(sorted(pair)) for pair in rng.integers(0, num_images, (60, 2)).tolist()})
    )
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    finder = CopyFinder(gathered, LIMITS)
    neighbours = Neighbours(
        identities_MK=np.empty((num_images, 0), np.int64),
        similarities_MK=np.empty((num_images, 0), np.float32),
        copies_P2=pairs,
    )
    stays_for = finder.stays_for(neighbours).tolist()
    known = {tuple(pair) for pair in pairs.tolist()}
    staying = {row for row in range(num_images) if stays_for[row] == row}
    for row, kept in enumerate(stays_for):
        if row != kept:
            assert kept in staying
            assert tuple(sorted((row, kept))) in known
    assert not [pair for pair in known if set(pair) <= staying]
    assert 0 < len(staying) < num_images


def test_of_a_picture_under_two_names_the_likelier_name_stays() -> None:
    """The wrong name comes first in the set and loses all the same; other sets never lose."""
    picture = crop(0, 0)
    first, second = [1.0, 0.0, 0.1], [0.0, 1.0, 0.1]
    data = {
        "wrong": [picture, *different([1, 2])],
        "right": [picture, *different([3, 4])],
    }
    vectors = unit([second, first, first, second, second, second])
    gathered = gather({"data": data}, vectors)
    assert kinds(find_all(gathered, LIMITS), gathered) == [("duplicate", "wrong/0")]
    other = {"any": [picture, *different([5, 6, 7])]}
    third = [0.0, 0.0, 1.0]
    gathered = gather({"data": data, "other": other}, np.concatenate(
        [vectors, unit([second, third, third, third])]
    ))  # fmt: skip
    found = [one for one in find_all(gathered, LIMITS) if one.kind is Kind.DUPLICATE]
    assert kinds(found, gathered) == [("duplicate", "wrong/0"), ("duplicate", "right/0")]
    assert {gathered.set_name(one.row_b or 0) for one in found} == {"other"}


def test_equal_pictures_of_any_number_leave_one() -> None:
    """A placeholder that stands in a set 30 times is left once, flat as it is."""
    flat = np.full((112, 112, 3), 90, np.uint8)
    gathered = gather({"data": {"one": [flat] * 20, "two": [flat] * 10}}, unit([[1.0, 0.0]] * 30))
    found = [one for one in find_all(gathered, LIMITS) if one.kind is Kind.DUPLICATE]
    assert len(found) == 29
    assert len({one.row_b for one in found}) == 1
    assert all(one.reason.endswith("equal to the pixel") for one in found)
