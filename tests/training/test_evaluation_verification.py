"""1:1 figures equal slow counting, and no FAR exceeds what was wanted."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from tests.training.evaluation_samples import mean_colours, no_numbers
from training.evaluation.images import EmbeddedImages, embed_images
from training.evaluation.pairs import PairSet
from training.evaluation.verification import (
    MAX_ROC_POINTS,
    SetVerification,
    has_thirty_errors,
    log_spread,
    roc_curve,
    verify_embedded,
    verify_pairs,
)

# Few distinct values, so that ties are common.
SCORES = st.lists(st.integers(-5, 5).map(lambda value: value / 5), min_size=1, max_size=40)


def pairs_of(left: list[int], right: list[int], same: list[bool]) -> PairSet:
    """Pairs of images that are noise, in two folds."""

    def crop(image: int) -> NDArray[np.uint8]:
        if image == 99:
            raise DataInvalid("image 99 cannot be read")
        rng = np.random.default_rng(image // 10)
        pattern = np.repeat(np.repeat(rng.integers(0, 200, (4, 4, 3)), 28, 0), 28, 1)
        noise = np.random.default_rng(1000 + image).integers(0, 55, pattern.shape)
        return (pattern + noise).astype(np.uint8)

    return PairSet(
        name="noise",
        images=tuple(f"image {number}" for number in range(100)),
        crop=crop,
        left_P=np.array(left),
        right_P=np.array(right),
        same_P=np.array(same),
        fold_P=np.arange(len(left)) * 2 // len(left),
    )


@given(mated=SCORES, non_mated=SCORES)
def test_each_point_of_the_roc_is_counted(mated: list[float], non_mated: list[float]) -> None:
    """Both rates at its threshold, by a loop; FAR rises from 0 to 1 and TAR never falls."""
    roc = roc_curve(np.array(mated), np.array(non_mated))
    for far, tar, threshold in zip(roc.far, roc.tar, roc.threshold, strict=True):
        assert far == sum(one >= threshold for one in non_mated) / len(non_mated)
        assert tar == sum(one >= threshold for one in mated) / len(mated)
    assert (roc.far[0], roc.far[-1], roc.tar[-1]) == (0.0, 1.0, 1.0)
    assert (np.diff(roc.far) > 0).all()
    assert (np.diff(roc.tar) >= 0).all()


@given(mated=SCORES, non_mated=SCORES)
def test_the_roc_shows_the_best_tar_at_each_far(
    mated: list[float], non_mated: list[float]
) -> None:
    """No threshold accepts more pairs of one person at the FAR of a point."""
    roc = roc_curve(np.array(mated), np.array(non_mated))
    thresholds = {*mated, *non_mated, 2.0}
    for far, tar in zip(roc.far, roc.tar, strict=True):
        for threshold in thresholds:
            if sum(one >= threshold for one in non_mated) / len(non_mated) == far:
                assert sum(one >= threshold for one in mated) / len(mated) <= tar


def test_a_long_roc_keeps_400_exact_points() -> None:
    """Spread over log FAR, with both ends."""
    rng = np.random.default_rng(0)
    mated, non_mated = rng.normal(2, 1, 2000), rng.normal(0, 1, 30_000)
    roc = roc_curve(mated, non_mated)
    assert 200 < len(roc.far) <= MAX_ROC_POINTS
    assert (roc.far[0], roc.far[1], roc.far[-1]) == (0.0, 1 / 30_000, 1.0)
    for place in range(0, len(roc.far), 37):
        assert roc.far[place] == (non_mated >= roc.threshold[place]).mean()
        assert roc.tar[place] == (mated >= roc.threshold[place]).mean()


@given(st.sets(st.integers(1, 10_000), min_size=2, max_size=300), st.integers(2, 50))
def test_a_spread_keeps_both_ends_and_its_limit(counts: set[int], max_points: int) -> None:
    """Whatever the counts."""
    rising = np.array(sorted(counts))
    places = log_spread(rising, max_points)
    assert len(places) <= max(max_points, 2)
    assert (places[0], places[-1]) == (0, len(rising) - 1)
    assert (np.diff(places) > 0).all()


def test_the_rule_of_thirty_counts_thirty_as_enough() -> None:
    """0.001 of 30,000 is thirty, whatever the rounding."""
    assert has_thirty_errors(0.001, 30_000)
    assert not has_thirty_errors(0.001, 29_999)
    assert has_thirty_errors(0.01, 3_000)


def test_figures_equal_a_loop_over_the_pairs() -> None:
    """Similarities, counts and rates of pairs of toy images."""
    left = [0, 10, 20, 30, 1, 11, 21, 31]
    right = [1, 11, 30, 0, 2, 12, 40, 10]
    same = [True, True, False, False] * 2
    pairs = pairs_of(left, right, same)
    found = verify_pairs(mean_colours, pairs, skip_missing=False)
    similarities = []
    for a, b in zip(left, right, strict=True):
        one, other = (mean_colours(pairs.crop(image)[None])[0][0] for image in (a, b))
        similarities.append(float(one @ other))
    mated = [value for value, is_same in zip(similarities, same, strict=True) if is_same]
    others = [value for value, is_same in zip(similarities, same, strict=True) if not is_same]
    assert (found.num_same, found.num_different, found.num_left_out) == (4, 4, 0)
    assert found.tar[0].threshold == pytest.approx(max(others), abs=1e-6)
    assert found.tar[0].tar.num_errors == sum(value > max(others) for value in mated)
    assert all(one.far.rate <= one.far_wanted for one in found.tar)
    assert not any(found.is_reliable(one) for one in found.tar)


def test_only_images_of_pairs_are_embedded() -> None:
    """An image that nobody needs may be damaged."""
    pairs = pairs_of([0, 0, 10, 10], [1, 10, 11, 20], [True, False] * 2)
    assert verify_pairs(mean_colours, pairs, skip_missing=False).num_left_out == 0


def test_pairs_of_unreadable_images_are_left_out_on_request_only() -> None:
    """And the report counts them."""
    left, right = [0, 0, 10, 10, 30, 0], [1, 10, 11, 20, 99, 99]
    pairs = pairs_of(left, right, [True, False] * 3)
    with pytest.raises(DataInvalid, match=r"1 of 100 images of noise .*image 99"):
        verify_pairs(mean_colours, pairs, skip_missing=False)
    found = verify_pairs(
        mean_colours, replace(pairs, fold_P=np.array([0, 0, 1, 1, 1, 1])), skip_missing=True
    )
    assert (found.num_left_out, found.num_same, found.num_different) == (2, 2, 2)


def test_embeddings_of_nan_are_refused() -> None:
    """With their number and what to do."""
    pairs = pairs_of([0, 0, 10, 10], [1, 10, 11, 20], [True, False] * 2)
    with pytest.raises(DataInvalid, match=r"5 of 5 embeddings that are NaN.*export it again"):
        verify_pairs(no_numbers, pairs, skip_missing=False)


def test_embeddings_of_another_shape_are_refused() -> None:
    """A foreign model may give one row too few."""
    crop = np.zeros((112, 112, 3), np.uint8)

    def one_short(
        crops: NDArray[np.uint8],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.ones((len(crops) - 1, 1), np.float32), np.ones(len(crops), np.float32)

    with pytest.raises(DataInvalid, match=r"for 4 crops .* shape \(3, 1\)"):
        embed_images(one_short, lambda _: crop, 4)


def test_images_are_embedded_in_order_over_chunks(tmp_path: Path) -> None:
    """Unreadable ones leave no gap, and their reasons are kept."""

    def crop(image: int) -> NDArray[np.uint8]:
        if image in (3, 300):
            raise DataInvalid(f"{tmp_path}/{image} is damaged")
        return np.full((112, 112, 3), image % 251, np.uint8)

    def first_value(
        crops: NDArray[np.uint8],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return np.ones((len(crops), 1), np.float32), crops[:, 0, 0, 0].astype(np.float32)

    found = embed_images(first_value, crop, 600)
    expected = [image for image in range(600) if image not in (3, 300)]
    assert found.images_B.tolist() == expected
    assert found.norms_B.tolist() == [image % 251 for image in expected]
    assert len(found.unreadable) == 2


def test_a_set_of_unreadable_images_is_refused() -> None:
    """With the reason of one."""

    def crop(image: int) -> NDArray[np.uint8]:
        raise DataInvalid(f"image {image} is damaged")

    with pytest.raises(DataInvalid, match="not one of 5 images can be read: image 0 is damaged"):
        embed_images(mean_colours, crop, 5)


def test_rows_of_images_that_are_embedded_already_may_lie_anywhere() -> None:
    """As with LFW, whose images serve pairs and searches."""
    pairs = pairs_of([0, 0, 10, 10], [1, 10, 11, 20], [True, False] * 2)
    direct = verify_pairs(mean_colours, pairs, skip_missing=False)
    needed = [20, 11, 10, 1, 0]
    unit_BD, norms_B = mean_colours(np.stack([pairs.crop(image) for image in needed]))
    row_I = np.full(100, -1)
    row_I[needed] = np.arange(5)
    embedded = EmbeddedImages(
        unit_BD=unit_BD, norms_B=norms_B, images_B=np.arange(5), unreadable=()
    )
    found = verify_embedded(pairs, embedded, row_I, skip_missing=False)
    assert isinstance(found, SetVerification)
    assert found.accuracy == direct.accuracy
    np.testing.assert_allclose(found.roc.threshold, direct.roc.threshold, atol=1e-6)
