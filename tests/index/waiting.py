"""Waits of tests for what threads do."""

import time
from collections.abc import Callable

PATIENCE_S = 60.0


def wait_until(true: Callable[[], bool]) -> None:
    """Return once it is true; fails when it never is."""
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


class Failing:
    """Something to call that raises what it is given, one error a call, and then works.

    Attributes:
        errors: still to be raised.
        num_done: calls that did not raise.
    """

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.num_done = 0

    def __call__(self) -> None:
        """Raise the next error, or count."""
        if self.errors:
            raise self.errors.pop(0)
        self.num_done += 1
