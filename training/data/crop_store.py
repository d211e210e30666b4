"""What every place that holds training crops offers: encoded images, grouped by identity.

Identity folders, InsightFace records and tar shards each implement it. Nothing is decoded here.
Shape legend: I identities, N images (rows).
"""

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

# Up-sampled low-resolution faces compress to small files. Over the crops at hand the median file
# size of an identity has two humps, at 2.7 and 3.6 kB, with its valley at 3.05 kB.
SHARP_BYTES = 3050


class CropStore(Protocol):
    """Encoded aligned crops. Rows 0..N-1 are images, and those of one identity are neighbours.

    Reading is safe from several threads and from processes that were forked.
    """

    @property
    def names(self) -> Sequence[str]:
        """The name of each identity, unique, in the order of their rows."""
        ...

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """(I + 1,) identity i owns the rows first_rows[i] to first_rows[i + 1] - 1, at least one.

        The last entry is N.
        """
        ...

    def read(self, row: int) -> bytes:
        """The encoded image.

        Raises:
            DataInvalid: it cannot be read any more; the message names it.
        """
        ...

    def key(self, row: int) -> str:
        """A name of the image that is unique in the store and stays the same between runs."""
        ...

    def num_bytes(self, row: int) -> int:
        """Size of the encoded image, without reading it."""
        ...


def is_sharp(store: CropStore, rows: Iterable[int]) -> bool:
    """Whether an identity's images are sharp ones: by the median size of its files."""
    return float(np.median([store.num_bytes(int(row)) for row in rows])) >= SHARP_BYTES
