"""Which engine holds a gallery's vectors."""

from typing import Literal

from embedding.errors import RequestInvalid
from index.matrix.compressed import CompressedMatrix
from index.matrix.exact import ExactMatrix
from index.matrix.vectors import VectorMatrix

Kind = Literal["exact", "compressed", "auto"]
Storage = Literal["float32", "float16"]

_AUTO_CODED_FROM = 500_000
"""Up to here an exact search takes about 30 ms on two cores, less than finding the face."""


def new_matrix(
    dimension: int, *, kind: Kind = "exact", storage: Storage = "float32"
) -> VectorMatrix:
    """Return an empty matrix.

    Args:
        dimension: D.
        kind: ``exact`` compares every vector; ``compressed`` looks at codes first; ``auto`` is
            exact until it holds half a million vectors, and then compressed; blocks that are
            adopted are compared exactly until `settle`.
        storage: ``float16`` takes half the memory, at similarities that differ by about 4e-5.

    Raises:
        RequestInvalid: an unknown kind or storage, or a dimension that the kind cannot have.
    """
    if storage not in ("float32", "float16"):
        raise RequestInvalid(f"storage must be float32 or float16, but is {storage!r}")
    if kind == "exact":
        return ExactMatrix(dimension, storage=storage)
    if kind == "compressed":
        return CompressedMatrix(dimension, storage=storage)
    if kind == "auto":
        return CompressedMatrix(
            dimension, storage=storage, coded_from=_AUTO_CODED_FROM, codes_adopted=False
        )
    raise RequestInvalid(f"kind must be exact, compressed or auto, but is {kind!r}")
