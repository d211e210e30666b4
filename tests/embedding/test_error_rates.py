"""Error rates against slow second implementations, at the edges above all."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding.error_rates import (
    fold_accuracy,
    identification_rates,
    rate_with_interval,
    smallest_threshold,
    tar_at_far,
    threshold_by_size,
)
from embedding.errors import RequestInvalid

# Coarse values make ties, which is where definitions differ.
similarities = st.lists(
    st.integers(-10, 10).map(lambda value: value / 10), min_size=1, max_size=60
)
rates = st.sampled_from([0.0, 0.001, 0.01, 0.1, 1 / 3, 0.5, 0.9])


@given(values=similarities, rate=rates)
def test_the_threshold_keeps_the_rate_and_no_smaller_one_does(
    values: list[float], rate: float
) -> None:
    """At T the rate holds; at the largest refused similarity it would not."""
    threshold = smallest_threshold(values, rate)
    array = np.array(values)
    assert np.mean(array >= threshold) <= rate + 1e-9
    below = array[array < threshold]
    assert len(below) > 0
    assert np.mean(array >= below.max()) > rate


@given(values=similarities)
def test_the_false_positive_rate_falls_as_the_threshold_rises(values: list[float]) -> None:
    """A stricter rate never asks for a lower threshold."""
    thresholds = [smallest_threshold(values, rate) for rate in (0.9, 0.5, 0.1, 0.01, 0.0)]
    assert thresholds == sorted(thresholds)


def test_three_of_three_thousand_are_allowed_at_one_in_a_thousand() -> None:
    """0.001 * 3000 is 2.9999999999999996 in floating point and still means three pairs."""
    non_mated = np.arange(3000) / 3000
    mated = np.full(10, 2998.5 / 3000)
    found = tar_at_far(mated, non_mated, 0.001)
    assert found.far.num_errors == 3
    assert found.far.num_trials == 3000
    assert found.tar.rate == 1.0


@pytest.mark.parametrize("values", [[], [0.1, math.nan], [math.inf]])
def test_similarities_that_are_none_or_not_finite_are_refused(values: list[float]) -> None:
    """No figure comes of them."""
    with pytest.raises(RequestInvalid):
        smallest_threshold(values, 0.01)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2.0, math.nan])
def test_a_rate_outside_its_range_is_refused(rate: float) -> None:
    """A rate of 1 would accept everybody."""
    with pytest.raises(RequestInvalid, match=r"\[0, 1\)"):
        smallest_threshold([0.1, 0.2], rate)


@given(
    pairs=st.lists(
        st.tuples(st.integers(-5, 5), st.booleans(), st.integers(0, 2)), min_size=6, max_size=40
    )
)
def test_fold_accuracy_equals_trying_every_threshold(
    pairs: list[tuple[int, bool, int]],
) -> None:
    """Chosen on all other folds by brute force; ties go to the strictest threshold."""
    values = np.array([value / 5 for value, _, _ in pairs])
    same = np.array([truth for _, truth, _ in pairs])
    folds = np.array([fold for _, _, fold in pairs])
    if len(np.unique(folds)) < 2:
        return
    expected = []
    for fold in np.unique(folds):
        train = folds != fold
        options = [np.nextafter(values[train].max(), np.inf), *sorted(values[train])[::-1]]
        accuracies = [np.mean((values[train] >= t) == same[train]) for t in options]
        threshold = options[int(np.argmax(accuracies))]
        expected.append(np.mean((values[~train] >= threshold) == same[~train]))
    found = fold_accuracy(values, same, folds)
    assert found.folds == pytest.approx(expected)
    assert found.mean == pytest.approx(np.mean(expected))
    assert found.deviation == pytest.approx(np.std(expected))


def test_one_fold_is_refused() -> None:
    """There would be nothing to choose the threshold on."""
    with pytest.raises(RequestInvalid, match="two folds"):
        fold_accuracy([0.1, 0.2], [True, False], [0, 0])


@given(num_trials=st.integers(1, 2000), share=st.floats(0, 1))
def test_the_interval_holds_its_rate(num_trials: int, share: float) -> None:
    """Low <= rate <= high inside [0, 1], and it reaches the ends only where it must."""
    rate = rate_with_interval(round(share * num_trials), num_trials)
    assert 0.0 <= rate.low <= rate.rate <= rate.high <= 1.0
    assert (rate.low == 0.0) == (rate.num_errors == 0)
    assert (rate.high == 1.0) == (rate.num_errors == num_trials)


def test_the_interval_is_wilsons() -> None:
    """The textbook case: 10 of 100 gives 5.5 % to 17.4 %."""
    rate = rate_with_interval(10, 100)
    assert (rate.low, rate.high) == pytest.approx((0.0552, 0.1744), abs=1e-4)


def test_identification_counts_each_kind_of_error() -> None:
    """Below the threshold and not first are both misses; at the threshold is a match."""
    rates = identification_rates(
        mated_similarity_M=[0.9, 0.5, 0.4, 0.8],
        mated_is_first_M=[True, True, True, False],
        best_non_mated_N=[0.5, 0.2, 0.1, 0.49],
        threshold=0.5,
        num_subjects=7,
    )
    assert (rates.fnir.num_errors, rates.fnir.num_trials) == (2, 4)
    assert (rates.rank1.num_errors, rates.rank1.num_trials) == (3, 4)
    assert (rates.fpir.num_errors, rates.fpir.num_trials) == (1, 4)


def test_the_threshold_by_size_equals_every_gallery_tried() -> None:
    """Random galleries come to what all galleries of that size give together."""
    rng = np.random.default_rng(5)
    own = np.repeat(np.arange(6), 40)
    table = rng.normal(0, 0.2, (len(own), 6))
    searches = [
        table[probe, list(gallery)].max()
        for probe in range(len(own))
        for gallery in itertools.combinations(set(range(6)) - {int(own[probe])}, 3)
    ]
    exact = smallest_threshold(searches, 0.05)
    found = threshold_by_size(table, own, fpir=0.05, num_subjects=3, num_draws=200)
    assert found.value == pytest.approx(exact, abs=0.02)
    assert found.low <= found.value <= found.high
    assert found.num_probes == len(own)


def test_the_threshold_grows_with_the_gallery() -> None:
    """More subjects, more chances to look like a stranger."""
    rng = np.random.default_rng(1)
    own = np.repeat(np.arange(50), 10)
    table = rng.normal(0, 0.1, (len(own), 50))
    values = [
        threshold_by_size(table, own, fpir=0.05, num_subjects=size).value for size in (1, 5, 25)
    ]
    assert values == sorted(values)
    assert values[0] < values[-1]


def test_a_probe_never_meets_its_own_subject() -> None:
    """A perfect similarity to oneself does not raise the threshold for strangers."""
    own = np.repeat(np.arange(10), 5)
    table = np.zeros((50, 10))
    table[np.arange(50), own] = 1.0
    found = threshold_by_size(table, own, fpir=0.01, num_subjects=4)
    assert found.value == pytest.approx(0.0, abs=1e-6)


def test_a_gallery_larger_than_the_people_is_refused() -> None:
    """Nothing is made up for sizes that cannot be drawn."""
    with pytest.raises(RequestInvalid, match="more than 10 held-out"):
        threshold_by_size(
            np.zeros((20, 10)), np.repeat(np.arange(10), 2), fpir=0.1, num_subjects=10
        )
