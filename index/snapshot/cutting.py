"""Where a segment is cut into files, so that most files stay as they are after a change.

Shapes: N vectors, F files.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


def cut(ids_N: NDArray[np.int64], *, first_ids_F: NDArray[np.int64], max_rows: int) -> list[slice]:
    """Return the rows of each file that a segment goes into.

    The segment is cut where files began at the last snapshot, so a removal changes the file it
    falls into and no other. Neighbours that together fill at most half a file become one: there
    are never more than about four times as many files as full ones would be.

    Args:
        ids_N: (N,) int64, ascending; may be empty.
        first_ids_F: (F,) int64, ascending: lowest id of each file of the last snapshot.
        max_rows: of a file, at least 1.
    """
    starts = np.unique(np.searchsorted(ids_N, first_ids_F))
    inner = starts[(starts > 0) & (starts < len(ids_N))].tolist()
    joined = [0]
    for start, stop in pairwise([*inner, len(ids_N)]):
        if stop - joined[-1] > max_rows // 2:
            joined.append(start)
    files: list[slice] = []
    for start, stop in pairwise([*joined, len(ids_N)]):
        for row in range(start, stop, max_rows):
            end = min(row + max_rows, stop)
            # What is left of a part that was too long for one file may be a crumb.
            if files and end - files[-1].start <= max_rows // 2:
                files[-1] = slice(files[-1].start, end)
            else:
                files.append(slice(row, end))
    return files
