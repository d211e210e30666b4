"""How many processor cores there are to work with."""

import os


def num_cores() -> int:
    """Return the number of cores that this process may use."""
    # Only Linux knows which ones.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
