"""What a snapshot of the crash tests holds at a sequence, the same in every process."""

import numpy as np
from numpy.typing import NDArray

from index.snapshot.segment_file import Vectors
from tests.index.snapshot.samples import segment


def ids_at(sequence: int) -> list[int]:
    """Return 500 to 560 ids, of which three of the first 500 are missing, others each time."""
    removed = set(np.random.default_rng(sequence).integers(0, 500, 3).tolist())
    return [each for each in range(500 + 10 * (sequence % 7)) if each not in removed]


def segments_at(sequence: int) -> list[tuple[NDArray[np.int64], Vectors]]:
    """Return them in two segments."""
    ids = ids_at(sequence)
    return [segment(ids[:300]), segment(ids[300:])]
