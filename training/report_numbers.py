"""How numbers are written on the page of a report."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

NOT_MEASURED = "\N{EN DASH}"
NO_BREAK = "\N{NO-BREAK SPACE}"
MAX_DECIMALS = 4


def percent(share: float | None, column: Sequence[float | None] = ()) -> str:
    """A share as percent: one decimal, and more within 1 % of an end.

    So 31.2 %, but 0.083 % instead of 0.1 %, and 99.97 % instead of 100.0 %.

    Args:
        share: from 0 to 1; None where it was not measured.
        column: shares that are to get as many decimals, those of the one that needs most.
    """
    if share is None:
        return NOT_MEASURED
    decimals = max(_decimals(one) for one in (share, *column) if one is not None)
    return f"{_number(share, decimals)}{NO_BREAK}%"


def level(share: float) -> str:
    """A wanted rate as percent, with no more digits than it has: 1 %, 0.1 %."""
    return f"{round(100 * share, 10):g}{NO_BREAK}%"


def interval(ends: Sequence[float | None]) -> str:
    """Both ends of an interval of shares, with the digits of the one that needs fewer.

    An end of exactly 0 % or 100 % needs none of its own.
    """
    low, high = ends
    if low is None or high is None:
        return f"{percent(low)} to {percent(high)}"
    decimals = min((_decimals(end) for end in (low, high) if 0.0 < end < 1.0), default=1)
    return f"{_number(low, decimals)} to {_number(high, decimals)}{NO_BREAK}%"


def threshold(similarity: float | None) -> str:
    """A similarity with four decimals."""
    if similarity is None:
        return NOT_MEASURED
    return f"{similarity:.4f}".replace("-", "\N{MINUS SIGN}")


def threshold_interval(ends: Sequence[float | None]) -> str:
    """Both ends of an interval of similarities with three decimals."""
    texts = [NOT_MEASURED if end is None else f"{end:.3f}" for end in ends]
    return " to ".join(texts).replace("-", "\N{MINUS SIGN}")


def count(number: int | None) -> str:
    """A number of things, with separated thousands."""
    return NOT_MEASURED if number is None else f"{number:,}"


def hits(rate: Mapping[str, Any]) -> str:
    """What a rate counts: "1,234 of 3,950".

    It is the rate that is told: errors of an FNIR, accepted pairs of a TAR.
    """
    share, num_trials = rate["rate"], rate["num_trials"]
    if share is None:
        return f"{NOT_MEASURED} of {count(num_trials)}"
    return f"{count(round(share * num_trials))} of {count(num_trials)}"


def _decimals(share: float) -> int:
    """Digits after the point of a percentage."""
    percentage = 100 * share
    from_end = min(abs(percentage), abs(100.0 - percentage)) + 1e-9
    if from_end >= 1.0 or share in (0.0, 1.0):
        return 1
    first_digit = -math.floor(math.log10(from_end))
    # 0.083 % and 0.17 %; 99.17 % and 99.97 %, for 99.970 % says no more.
    return min(MAX_DECIMALS, first_digit + 1 if percentage < 50.0 else max(2, first_digit))


def _number(share: float, decimals: int) -> str:
    return f"{100 * share:.{decimals}f}".replace("-", "\N{MINUS SIGN}")
