"""How often a key may ask: a rate that refills, and a quota a day, as this process knows them.

`service.limits_sharing` has all processes count the quota together, and `service.keys` asks the
database that they share whether the rate of all is kept.
"""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from embedding.errors import KeyLimited

_MINUTE_S = 60.0
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """How often a key may ask; None for as often as it likes.

    Attributes:
        per_minute: requests at once, refilled evenly within a minute.
        per_day: requests from midnight to midnight UTC.
    """

    per_minute: int | None = None
    per_day: int | None = None

    def within(self, other: "Allowance") -> bool:
        """Whether it allows nothing that the other does not."""
        return _within(self.per_minute, other.per_minute) and _within(self.per_day, other.per_day)


@dataclass(slots=True, kw_only=True)
class _Used:
    """What a key has left at a moment of the steady clock, and took on a day.

    Attributes:
        num_today: counted here, and by others as far as they told.
        num_unshared: of these, what the others were not told.
        has_quota: the key's requests of a day are limited.
    """

    left: float
    at_s: float
    day: int
    num_today: int = 0
    num_unshared: int = 0
    has_quota: bool = False

    def begin_day(self, day: int) -> None:
        """Nothing was taken yet."""
        self.day, self.num_today, self.num_unshared = day, 0, 0


class Limits:
    """Counts the requests of keys; thread safe.

    Args:
        steady_s: a clock that never goes back.
        now_s: seconds since 1970, which tell the day.
    """

    def __init__(
        self,
        *,
        steady_s: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._steady_s = steady_s
        self._now_s = now_s
        self._lock = threading.Lock()
        # Only of keys that are valid, so there are never many.
        self._used: dict[str, _Used] = {}

    def take(self, key_id: str, allowance: Allowance) -> None:
        """Count a request.

        Raises:
            KeyLimited: it is one too many; says when to come again, and is not counted.
        """
        if allowance == Allowance():
            return
        with self._lock:
            steady_s, now_s = self._steady_s(), self._now_s()
            today = int(now_s // _DAY_S)
            full = float(allowance.per_minute or 0)
            used = self._used.setdefault(key_id, _Used(left=full, at_s=steady_s, day=today))
            # A clock that was set back does not give the day's requests a second time.
            if today > used.day:
                used.begin_day(today)
            used.has_quota = allowance.per_day is not None
            if allowance.per_day is not None and used.num_today >= allowance.per_day:
                raise KeyLimited(
                    f"this key may ask {allowance.per_day} times a day; the next begins at "
                    f"midnight UTC",
                    retry_after_s=(used.day + 1) * _DAY_S - now_s,
                    key_id=key_id,
                )
            if allowance.per_minute is not None:
                a_second = allowance.per_minute / _MINUTE_S
                used.left = min(full, used.left + (steady_s - used.at_s) * a_second)
                used.at_s = steady_s
                if used.left < 1.0:
                    raise _too_fast(key_id, allowance.per_minute, (1.0 - used.left) / a_second)
                used.left -= 1.0
            used.num_today += 1
            used.num_unshared += 1

    def taken_elsewhere(self, key_id: str, *, per_minute: int, wait_s: float) -> KeyLimited:
        """What to raise where other processes took the turn that `take` gave; it is given back.

        Until the time is over this process refuses by itself.

        Args:
            key_id: public part.
            per_minute: that the key may ask.
            wait_s: until its next turn.
        """
        with self._lock:
            used = self._used[key_id]
            used.left = min(used.left, 1.0 - wait_s * per_minute / _MINUTE_S)
            used.num_today -= 1
            used.num_unshared -= 1
        return _too_fast(key_id, per_minute, wait_s)

    def unshared(self) -> tuple[int, dict[str, int]]:
        """The day, and how much each key with a quota took since the others were told."""
        with self._lock:
            today = int(self._now_s() // _DAY_S)
            return today, {
                key_id: used.num_unshared if used.day == today else 0
                for key_id, used in self._used.items()
                if used.has_quota
            }

    def take_over(self, day: int, told: Mapping[str, int], *, totals: Mapping[str, int]) -> None:
        """Go on from what all have counted.

        Args:
            day: that was counted.
            told: what `unshared` gave, which is in the totals now.
            totals: by key.
        """
        with self._lock:
            for key_id, total in totals.items():
                # One that has not asked here yet has all of its rate left.
                unknown = _Used(left=math.inf, at_s=self._steady_s(), day=day)
                used = self._used.setdefault(key_id, unknown)
                if day > used.day:
                    used.begin_day(day)
                if day == used.day:
                    used.num_unshared -= told.get(key_id, 0)
                    used.num_today = total + used.num_unshared


def _too_fast(key_id: str, per_minute: int, wait_s: float) -> KeyLimited:
    return KeyLimited(
        f"this key may ask {per_minute} times a minute; come again in {math.ceil(wait_s)} s",
        retry_after_s=wait_s,
        key_id=key_id,
    )


def _within(own: int | None, other: int | None) -> bool:
    return other is None or (own is not None and own <= other)
