"""One file of a snapshot: ids, zeros up to a page, vectors; all little-endian.

Shapes: N vectors, D embedding dimension.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from embedding.errors import SnapshotUnfit

Vectors = NDArray[np.floating[Any]]
"""float32 or float16."""

Block = tuple[NDArray[np.int64], Vectors]
"""Ids (N,) int64, ascending, and their vectors (N, D)."""

_ID = np.dtype("<i8")
_PAGE_BYTES = 4096
"""Mapped vectors begin on a page."""

_PIECE_BYTES = 1 << 20
"""Hashed right after it was read, while the processor's cache holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things lie in a file.

    Attributes:
        dimension: D.
        dtype: of the vectors, little-endian.
    """

    dimension: int
    dtype: np.dtype[np.floating[Any]]

    @property
    def row_bytes(self) -> int:
        """Of one vector."""
        return self.dimension * self.dtype.itemsize

    def vectors_offset(self, num_rows: int) -> int:
        """Return where the vectors begin, in bytes."""
        return -(-num_rows * _ID.itemsize // _PAGE_BYTES) * _PAGE_BYTES

    def file_bytes(self, num_rows: int) -> int:
        """Return the size of a file in the clear."""
        return self.vectors_offset(num_rows) + num_rows * self.row_bytes

    def empty(self, num_rows: int) -> Block:
        """Return arrays to be filled."""
        return (
            np.empty(num_rows, dtype=_ID),
            np.empty((num_rows, self.dimension), dtype=self.dtype),
        )

    def as_stored(self, ids_N: NDArray[np.int64], vectors_ND: Vectors) -> Block:
        """Return both contiguous and little-endian; a copy only where they are not."""
        return (
            np.ascontiguousarray(ids_N, dtype=_ID),
            np.ascontiguousarray(vectors_ND, dtype=self.dtype),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written into a file: its size in bytes and the sha256 of all of it, in hex."""

    num_bytes: int
    sha256: str


class HashingWriter:
    """Hashes what it writes."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._num_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Write all of it."""
        self._digest.update(data)
        self._stream.write(data)
        self._num_bytes += len(data)

    @property
    def written(self) -> Written:
        """All that was written so far."""
        return Written(num_bytes=self._num_bytes, sha256=self._digest.hexdigest())


def write_clear(stream: BinaryIO, block: Block, *, layout: Layout) -> Written:
    """Write a block that `Layout.as_stored` gave."""
    ids_N, vectors_ND = block
    writer = HashingWriter(stream)
    for part in (as_bytes(ids_N), _padding(len(ids_N), layout), as_bytes(vectors_ND)):
        for piece in _pieces(part):
            writer.write(piece)
    return writer.written


def read_clear(stream: FileIO, *, num_rows: int, sha256: str, layout: Layout) -> Block:
    """Return a file's content in memory, verified; the arrays can be written to.

    Raises:
        SnapshotUnfit: the bytes do not fit the hash.
    """
    ids_N, vectors_ND = layout.empty(num_rows)
    digest = hashlib.sha256()
    for part in (as_bytes(ids_N), _padding(num_rows, layout), as_bytes(vectors_ND)):
        for piece in _pieces(part):
            read_into(stream, piece)
            digest.update(piece)
    check_hash(digest.hexdigest(), sha256)
    return ids_N, vectors_ND


def map_clear(stream: FileIO, *, num_rows: int, sha256: str, layout: Layout) -> Block:
    """Return a file's content mapped read-only, verified.

    Raises:
        SnapshotUnfit: the bytes do not fit the hash.
    """
    content = np.memmap(stream, dtype=np.uint8, mode="r")
    check_hash(hashlib.sha256(content.data).hexdigest(), sha256)
    ids_N = content[: num_rows * _ID.itemsize].view(_ID)
    vectors_ND = content[layout.vectors_offset(num_rows) :].view(layout.dtype)
    return ids_N, vectors_ND.reshape(num_rows, layout.dimension)


def check_hash(found: str, expected: str) -> None:
    """Pass a file's hash.

    Raises:
        SnapshotUnfit: it is another one.
    """
    if found != expected:
        raise SnapshotUnfit("a file of the snapshot was changed: its sha256 does not fit")


def as_bytes(array: NDArray[Any]) -> memoryview:
    """Return the bytes of a contiguous array, not copied."""
    return array.reshape(-1).view(np.uint8).data


def read_into(stream: FileIO, target: memoryview) -> None:
    """Fill the target with the next bytes of a file.

    Raises:
        SnapshotUnfit: the file ends before.
    """
    filled = 0
    while filled < len(target):
        num_read = stream.readinto(target[filled:])
        if not num_read:
            raise SnapshotUnfit("a file of the snapshot is shorter than it was")
        filled += num_read


def _padding(num_rows: int, layout: Layout) -> memoryview:
    return memoryview(bytearray(layout.vectors_offset(num_rows) - num_rows * _ID.itemsize))


def _pieces(data: memoryview) -> Iterator[memoryview]:
    for start in range(0, len(data), _PIECE_BYTES):
        yield data[start : start + _PIECE_BYTES]
