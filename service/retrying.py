"""When a client sends a request again, and how long it waits before."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from service.calls import AnyAnswer, Call

PASSING: Final = frozenset({429, 502, 503, 504})
"""Statuses that say "not now": too busy, starting, stopping, or a proxy without its service."""

CONFLICT: Final = 409
"""With ``Retry-After``: the same request is being worked on, over a connection that broke."""

BROKEN: Final = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout)
"""Connections that were not made, or broke: a restart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How patient a client is; only repeatable calls are ever sent again.

    Attributes:
        max_tries: in all; 1 never repeats.
        first_wait_s: before the second try; doubles from try to try, with chance taken off so
            that many clients do not come back at the same moment.
        max_wait_s: longest wait. When the service asks for a longer one (``Retry-After``), its
            answer counts at once.
    """

    max_tries: int = 4
    first_wait_s: float = 0.25
    max_wait_s: float = 20.0

    def wait_s(
        self,
        call: Call[AnyAnswer],
        *,
        num_tries: int,
        outcome: httpx.Response | httpx.RequestError,
    ) -> float | None:
        """Seconds to wait before the next try; None when there is none.

        Args:
            call: what was asked.
            num_tries: made so far.
            outcome: of the last one: an answer, or why there was none.
        """
        if not call.repeatable or num_tries >= self.max_tries:
            return None
        if not isinstance(outcome, httpx.Response):
            # A service that took the request and is slow would only get slower.
            return self._own_wait_s(num_tries) if isinstance(outcome, BROKEN) else None
        asked_s = retry_after_s(outcome)
        in_work = outcome.status_code == CONFLICT and asked_s is not None
        if outcome.status_code not in PASSING and not in_work:
            return None
        if asked_s is None:
            return self._own_wait_s(num_tries)
        return asked_s if asked_s <= self.max_wait_s else None

    def _own_wait_s(self, num_tries: int) -> float:
        longest_s = min(self.max_wait_s, self.first_wait_s * 2.0 ** (num_tries - 1))
        return longest_s * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, guards nothing)


def retry_after_s(response: httpx.Response) -> float | None:
    """Seconds that the service asks to wait, given as such or as a date; None when it does not.

    What cannot be read counts as not asked.
    """
    text = str(response.headers.get("retry-after", "")).strip()
    if text.isascii() and text.isdecimal():
        return float(text[:9])  # longer numbers are decades all the same
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
