"""How often a key may ask, with clocks that the test turns."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding.errors import KeyLimited
from service.limits import Allowance, Limits

DAY_S = 86_400.0


@dataclass
class Clock:
    """Both clocks."""

    steady_s: float = 0.0
    now_s: float = 10 * DAY_S

    def pass_by(self, seconds: float) -> None:
        """Let time go by."""
        self.steady_s += seconds
        self.now_s += seconds


def _limits(clock: Clock) -> Limits:
    return Limits(steady_s=lambda: clock.steady_s, now_s=lambda: clock.now_s)


def _num_allowed(limits: Limits, allowance: Allowance, *, tries: int, key: str = "k") -> int:
    num = 0
    for _ in range(tries):
        try:
            limits.take(key, allowance)
        except KeyLimited:
            continue
        num += 1
    return num


def test_a_rate_refills() -> None:
    """So many at once, then one more each time that its share of the minute went by."""
    clock = Clock()
    limits, allowance = _limits(clock), Allowance(per_minute=6)
    assert _num_allowed(limits, allowance, tries=20) == 6
    with pytest.raises(KeyLimited) as caught:
        limits.take("k", allowance)
    assert caught.value.retry_after_s == pytest.approx(10.0)
    clock.pass_by(9.9)
    assert _num_allowed(limits, allowance, tries=5) == 0
    clock.pass_by(0.2)
    assert _num_allowed(limits, allowance, tries=5) == 1
    clock.pass_by(3600)
    assert _num_allowed(limits, allowance, tries=20) == 6


def test_a_quota_begins_anew_at_midnight() -> None:
    """No more than so many a day, and the error says how long until the next one."""
    clock = Clock(now_s=10 * DAY_S + DAY_S - 60)
    limits, allowance = _limits(clock), Allowance(per_day=3)
    assert _num_allowed(limits, allowance, tries=10) == 3
    with pytest.raises(KeyLimited) as caught:
        limits.take("k", allowance)
    assert caught.value.retry_after_s == pytest.approx(60)
    clock.pass_by(61)
    assert _num_allowed(limits, allowance, tries=10) == 3


def test_a_clock_that_is_set_back_gives_nothing() -> None:
    """The requests of a day are not given a second time."""
    clock = Clock()
    limits, allowance = _limits(clock), Allowance(per_day=3)
    assert _num_allowed(limits, allowance, tries=10) == 3
    clock.now_s -= 2 * DAY_S
    assert _num_allowed(limits, allowance, tries=10) == 0


def test_keys_have_their_own() -> None:
    """What one key took is not missing to another."""
    limits, allowance = _limits(Clock()), Allowance(per_minute=2, per_day=2)
    assert _num_allowed(limits, allowance, tries=5) == 2
    assert _num_allowed(limits, allowance, tries=5, key="other") == 2


@given(
    st.integers(1, 50),
    st.lists(st.floats(0, 120, allow_nan=False), min_size=1, max_size=40),
)
def test_no_minute_has_more_than_twice_the_rate(per_minute: int, waits: list[float]) -> None:
    """Whatever the rhythm: a full bucket and what refills, never more."""
    clock = Clock()
    limits, allowance = _limits(clock), Allowance(per_minute=per_minute)
    taken: list[float] = []
    for wait in waits:
        clock.pass_by(wait)
        taken += [clock.steady_s] * _num_allowed(limits, allowance, tries=3 * per_minute)
    for begin in taken:
        within = sum(begin <= each < begin + 60 for each in taken)
        assert within <= 2 * per_minute
    assert len(taken) <= per_minute * (1 + clock.steady_s / 60) + 1e-6


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        (Allowance(), Allowance(), True),
        (Allowance(per_minute=5), Allowance(), True),
        (Allowance(), Allowance(per_minute=5), False),
        (Allowance(per_minute=5), Allowance(per_minute=5), True),
        (Allowance(per_minute=6), Allowance(per_minute=5), False),
        (Allowance(per_minute=5), Allowance(per_minute=5, per_day=9), False),
        (Allowance(per_minute=5, per_day=9), Allowance(per_minute=5, per_day=9), True),
    ],
)
def test_within(own: Allowance, other: Allowance, *, expected: bool) -> None:
    """Within another allowance is what allows nothing more, to the equal number."""
    assert own.within(other) is expected
