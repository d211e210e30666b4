"""A clock that is wrong."""

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

_UTC_NOW = "utc_now"
_TIME_NS = time.time_ns


def set_clock(monkeypatch: pytest.MonkeyPatch, shift: timedelta) -> None:
    """Set the clock that index writes times and ids by; a second shift is instead of the first."""
    shift_ns = shift // timedelta(microseconds=1) * 1000
    monkeypatch.setattr(time, "time_ns", lambda: _TIME_NS() + shift_ns)
    utc_now: Callable[[], datetime] = lambda: datetime.now(UTC) + shift  # noqa: E731
    for name, module in list(sys.modules.items()):
        if name.startswith("index.") and hasattr(module, _UTC_NOW):
            monkeypatch.setattr(module, _UTC_NOW, utc_now)
