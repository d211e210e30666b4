"""Public ids: UUIDs that begin with their time, as many at once as are needed."""

import os
import time

_RANDOM_BYTES = 10


def new_ids(num: int) -> list[str]:
    """Return so many new UUIDs of version 7 (RFC 9562, 5.7), ascending.

    They begin with the milliseconds since 1970, so new ones lie beside each other in an index:
    with random ones, every commit into a large gallery rewrites pages all over it. The other 74
    bits are random.
    """
    milliseconds = f"{time.time_ns() // 1_000_000:012x}"
    begin = f"{milliseconds[:8]}-{milliseconds[8:]}-7"
    digits = os.urandom(_RANDOM_BYTES * num).hex()
    each_has = 2 * _RANDOM_BYTES
    # In order, a lot goes to one place of an index even within its millisecond.
    return sorted(
        begin + _rest(digits[start : start + each_has])
        for start in range(0, each_has * num, each_has)
    )


def _rest(digits: str) -> str:
    """Return what follows the time and the version; its first two bits are the variant."""
    variant = _VARIANT[digits[3]]
    return f"{digits[:3]}-{variant}{digits[4:7]}-{digits[7:19]}"


_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
