"""Long lists of values, a lot at a time."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

_Value = TypeVar("_Value")

LOOKUP_ROWS = 10_000
"""Values in one query; SQLite takes at most 32,766 parameters."""


def in_lots(values: Sequence[_Value]) -> Iterator[Sequence[_Value]]:
    """Yield the values in lots that one query takes."""
    for start in range(0, len(values), LOOKUP_ROWS):
        yield values[start : start + LOOKUP_ROWS]
