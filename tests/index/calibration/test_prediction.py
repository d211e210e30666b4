"""Tests of what a sample says of thresholds and of searches to come."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from index.calibration.measuring import calibrated_points
from index.calibration.prediction import (
    design_effect,
    prediction_interval,
    threshold_interval,
)
from tests.index.calibration.samples import NO_FLOOR, alike_probes, searches

TAIL = Fraction(25, 1000)


def slow_central(pmf: Callable[[int], Fraction], num: int) -> tuple[int, int]:
    """The counts between tails of 2.5 % at most, in exact fractions."""
    cdf = [sum((pmf(x) for x in range(last + 1)), Fraction(0)) for last in range(num + 1)]
    low = next(x for x in range(num + 1) if cdf[x] > TAIL)
    return low, next(x for x in range(num + 1) if cdf[x] >= 1 - TAIL)


def beta(a: int, b: int) -> Fraction:
    """The beta function of whole numbers."""
    return Fraction(math.factorial(a - 1) * math.factorial(b - 1), math.factorial(a + b - 1))


def beta_binomial(num: int, a: int, b: int) -> Callable[[int], Fraction]:
    """The probability of each count, straight from the definition."""
    return lambda x: math.comb(num, x) * beta(x + a, num - x + b) / beta(a, b)


@pytest.mark.parametrize("num_errors", [0, 1, 4, 19, 20])
@pytest.mark.parametrize("num_future", [1, 7, 40])
def test_the_prediction_is_that_of_exact_fractions(num_errors: int, num_future: int) -> None:
    """Both ends are quantiles of the beta-binomial distribution, at the ends 0 and 1 too."""
    found = prediction_interval(num_errors, 20, num_future=num_future, effect=1.0)
    low, high = 0, num_future
    if num_errors:
        pmf = beta_binomial(num_future, num_errors, 20 - num_errors + 1)
        low = slow_central(pmf, num_future)[0]
    if num_errors < 20:
        pmf = beta_binomial(num_future, num_errors + 1, 20 - num_errors)
        high = slow_central(pmf, num_future)[1]
    assert (found.low, found.high) == (low / num_future, high / num_future)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
@pytest.mark.parametrize("num", [1, 10, 60])
def test_the_threshold_s_interval_is_that_of_exact_fractions(rate: float, num: int) -> None:
    """Its ends are the order statistics that the binomial distribution names."""
    similarities = np.random.default_rng(num).uniform(-1, 1, num)
    share = Fraction(rate)
    fewest, most = slow_central(
        lambda x: math.comb(num, x) * share**x * (1 - share) ** (num - x), num
    )
    descending = sorted(similarities, reverse=True)
    found = threshold_interval(similarities, rate, effect=1.0)
    assert found.high == (descending[fewest - 1] if fewest else 1.0)
    assert found.low == (descending[most] if most < num else -1.0)


def test_few_searches_have_no_upper_end() -> None:
    """Fifty searches cannot say how high the threshold for one in a hundred may be."""
    found = threshold_interval(np.linspace(0.1, 0.5, 50), 0.01, effect=1.0)
    assert found.high == 1.0
    assert found.low > 0.4


def test_the_design_effect_is_that_of_people_drawn_again_and_again() -> None:
    """Its variance over people is what a bootstrap over whole people finds."""
    rng = np.random.default_rng(5)
    best_P, person_P = alike_probes(200, 4, rng=rng)
    wrong_P = best_P >= 0.5
    wrong_U4 = wrong_P.reshape(200, 4)
    rates = [wrong_U4[rng.integers(0, 200, 200)].mean() for _ in range(6000)]
    rate = wrong_P.mean()
    slow = np.var(rates) / (rate * (1 - rate) / len(wrong_P))
    assert slow > 1.5
    assert design_effect(person_P, wrong_P) == pytest.approx(slow, rel=0.06)


def test_searches_of_different_people_count_as_they_are() -> None:
    """With one search a person the design effect is 1 but for the n - 1 of a variance."""
    wrong_P = np.arange(1000) % 10 == 0
    assert design_effect(np.arange(1000), wrong_P) == pytest.approx(1.0, abs=0.002)


def test_few_people_with_errors_are_taken_for_the_worst() -> None:
    """All searches of a person count as one while fewer than ten people have errors."""
    person_P = np.arange(100).repeat(5)
    assert design_effect(person_P, np.zeros(500, bool)) == 5.0
    assert design_effect(person_P, np.arange(500) % 60 == 0) == 5.0


@pytest.mark.parametrize(("num_people", "probes_each"), [(300, 1), (150, 4), (60, 10)])
@pytest.mark.parametrize("fpir", [0.02, 0.1])
def test_the_prediction_comes_true(num_people: int, probes_each: int, fpir: float) -> None:
    """New people's FPIR lies in the interval in nine of ten samples, of like searches too."""
    rng = np.random.default_rng([num_people, int(1000 * fpir)])
    inside = 0
    for _ in range(200):
        best_P, person_P = alike_probes(num_people, probes_each, rng=rng)
        made = calibrated_points(
            searches(best_P, person_P), card=NO_FLOOR, fpirs=[fpir], num_subjects=10
        )[0]
        new_P, _ = alike_probes(num_people, probes_each, rng=rng)
        inside += made.predicted_low <= (new_P >= made.value).mean() <= made.predicted_high
    assert inside >= 180


def test_an_interval_for_the_threshold_alone_would_not_do() -> None:
    """The prediction is wider than the interval of the rate that was measured."""
    best_P, _ = alike_probes(1500, 1, rng=np.random.default_rng(0))
    made = calibrated_points(searches(best_P), card=NO_FLOOR, fpirs=[0.03], num_subjects=10)[0]
    alone = 2 * 1.96 * math.sqrt(0.03 * 0.97 / 1500)
    assert made.predicted_high - made.predicted_low > 1.3 * alone
