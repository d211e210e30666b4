"""What a sample of non-mated searches says of thresholds and of searches still to come.

The rules, to the edge:

- The threshold for a rate is `embedding.error_rates.smallest_threshold`: the smallest one that
  at most ``floor(rate * n)`` of the n similarities reach.
- If n independent searches give a threshold just above their (k + 1)-th largest similarity, the
  share p of all strangers at or above it follows Beta(k + 1, n - k), whatever the distribution of
  similarities. So the errors among m new searches follow the beta-binomial distribution of these
  parameters: the noise of both samples at once. For a threshold that the sample did not choose,
  the lower end takes Beta(k, n - k + 1), as Clopper and Pearson (1934) do; both ends are taken
  that way always, so that the promise is kept in either case.
- Searches of one person resemble each other. Counts are divided by the design effect (Kish 1965,
  section 5.4): how many times larger the variance of the rate is over people, drawn as a whole,
  than over independent searches.

Shapes: P probes, U people, X counts of errors.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95

MIN_PEOPLE_WITH_ERRORS = 10
"""With fewer a variance over people says nothing, and the worst case is taken: all searches of
one person go wrong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Both ends belong to it."""

    low: float
    high: float


def design_effect(person_P: NDArray[np.int64], is_error_P: NDArray[np.bool_]) -> float:
    """How many times larger a rate's variance is than with independent searches, at least 1.

    Args:
        person_P: whose search it is, any numbers.
        is_error_P: whether it went wrong.
    """
    _, unit_P, num_U = np.unique(person_P, return_inverse=True, return_counts=True)
    errors_U = np.bincount(unit_P, weights=is_error_P, minlength=len(num_U))
    num_probes, num_people = len(person_P), len(num_U)
    if np.count_nonzero(errors_U) < MIN_PEOPLE_WITH_ERRORS:
        return float((num_U.astype(np.float64) ** 2).sum() / num_probes)
    rate = errors_U.sum() / num_probes
    if rate == 1.0:
        return float((num_U.astype(np.float64) ** 2).sum() / num_probes)
    over_people = float(((errors_U - rate * num_U) ** 2).sum()) / num_probes**2
    over_people *= num_people / (num_people - 1)
    return float(max(1.0, over_people / (rate * (1 - rate) / num_probes)))


def threshold_interval(
    similarities_P: NDArray[np.float64], rate: float, *, effect: float
) -> Interval:
    """The interval that holds the threshold of all strangers for a rate, at 95 %.

    Between order statistics of the sample, by the binomial distribution of how many of its
    similarities reach the true threshold; 1 where the sample is too small for an upper end, and
    -1 where it is for a lower one.

    Args:
        similarities_P: of non-mated searches, not empty.
        rate: wanted, between 0 and 1.
        effect: the design effect.
    """
    descending_P = np.sort(similarities_P)[::-1]
    num_independent = max(1, round(len(descending_P) / effect))
    fewest, most = _central(_binomial_log_pmf(num_independent, rate))
    above, below = math.floor(fewest * effect), math.ceil(most * effect)
    return Interval(
        low=float(descending_P[below]) if below < len(descending_P) else -1.0,
        high=float(descending_P[above - 1]) if above else 1.0,
    )


def prediction_interval(
    num_errors: int, num_probes: int, *, num_future: int, effect: float
) -> Interval:
    """The interval that will hold the rate measured on new searches at the same threshold, 95 %.

    Args:
        num_errors: of the sample, at or above the threshold.
        num_probes: of the sample, at least 1.
        num_future: searches that will be measured, at least 1, of people like the sample's.
        effect: the design effect of both samples.
    """
    future = max(1, round(num_future / effect))
    low, high = 0.0, 1.0
    if num_errors:
        counts = num_errors / effect, (num_probes - num_errors + 1) / effect
        low = _central(_beta_binomial_log_pmf(future, *counts))[0] / future
    if num_errors < num_probes:
        counts = (num_errors + 1) / effect, (num_probes - num_errors) / effect
        high = _central(_beta_binomial_log_pmf(future, *counts))[1] / future
    return Interval(low=low, high=high)


def _central(log_pmf_X: NDArray[np.float64]) -> tuple[int, int]:
    """The counts that are left when each tail has lost at most half of what may be lost."""
    cdf_X = np.cumsum(np.exp(log_pmf_X))
    cdf_X /= cdf_X[-1]
    tail = (1 - CONFIDENCE) / 2
    low = int(np.searchsorted(cdf_X, tail, side="right"))
    high = int(np.searchsorted(cdf_X, 1 - tail, side="left"))
    return low, high


def _binomial_log_pmf(num: int, rate: float) -> NDArray[np.float64]:
    counts_X = np.arange(num)
    steps_X = np.log((num - counts_X) / (counts_X + 1)) + math.log(rate) - math.log1p(-rate)
    return np.concatenate([[0.0], np.cumsum(steps_X)]) + num * math.log1p(-rate)


def _beta_binomial_log_pmf(num: int, alpha: float, beta: float) -> NDArray[np.float64]:
    counts_X = np.arange(num)
    steps_X = np.log((num - counts_X) * (alpha + counts_X)) - np.log(
        (counts_X + 1) * (beta + num - counts_X - 1)
    )
    first = (
        math.lgamma(beta + num)
        - math.lgamma(beta)
        + math.lgamma(alpha + beta)
        - math.lgamma(alpha + beta + num)
    )
    return first + np.concatenate([[0.0], np.cumsum(steps_X)])
