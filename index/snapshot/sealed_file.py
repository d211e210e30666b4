"""One file of a snapshot, sealed: a chunk of ids, then chunks of vectors.

Each chunk stands behind its sealed length, four bytes little-endian. A chunk is bound to the
gallery, the file's name, its place and whether it is the last, so chunks cannot be exchanged,
left out or cut off.

Shapes: N vectors, D embedding dimension.
"""

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from io import FileIO
from typing import BinaryIO

from embedding.errors import SnapshotUnfit, StoreCorrupt
from index.sealing import ChunkContext, Sealer
from index.snapshot.segment_file import (
    Block,
    HashingWriter,
    Layout,
    Written,
    as_bytes,
    check_hash,
)

PURPOSE = "snapshot"

_CHUNK_BYTES = 1 << 20
"""Memory for four times as much comes fresh from the system each time, which takes longer than
unsealing."""

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedFile:
    """How one file is sealed.

    Attributes:
        owner_id: opaque id of the gallery.
        name: of the file.
        sealer: does the sealing.
    """

    owner_id: str
    name: str
    sealer: Sealer

    def write(self, stream: BinaryIO, block: Block, *, layout: Layout) -> Written:
        """Write a block that `Layout.as_stored` gave."""
        ids_N, vectors_ND = block
        writer = HashingWriter(stream)
        rows = max(1, _CHUNK_BYTES // layout.row_bytes)
        starts = range(0, len(vectors_ND), rows)
        chunks = [as_bytes(ids_N), *(as_bytes(vectors_ND[row : row + rows]) for row in starts)]
        for place, chunk in enumerate(chunks):
            context = self._context(place, last=place == len(chunks) - 1)
            sealed = self.sealer.seal(chunk.tobytes(), context=context)
            writer.write(_LENGTH.pack(len(sealed)))
            writer.write(sealed)
        return writer.written

    def read(self, stream: FileIO, *, num_rows: int, sha256: str, layout: Layout) -> Block:
        """Return a file's content, unsealed into memory; the arrays can be written to.

        Raises:
            SnapshotUnfit: the bytes were changed.
            SealKeyMissing: they are sealed with a key that is not at hand.
        """
        # First of all: in a changed file even the name of the key may be another.
        check_hash(hashlib.file_digest(stream, "sha256").hexdigest(), sha256)
        stream.seek(0)
        ids_N, vectors_ND = layout.empty(num_rows)
        chunks = self._unsealed(stream)
        _fill(as_bytes(ids_N), chunks, at_once=True)
        _fill(as_bytes(vectors_ND), chunks, at_once=False)
        if next(chunks, None) is not None:
            raise SnapshotUnfit("a sealed file of the snapshot holds more than its ids say")
        return ids_N, vectors_ND

    def is_current(self, stream: FileIO) -> bool:
        """Return whether sealing it anew would use the same key.

        The ids, sealed first, answer for the file: keys only move on.

        Raises:
            SnapshotUnfit: the file is cut off.
        """
        return self.sealer.is_current(_next_sealed(stream))

    def _unsealed(self, stream: FileIO) -> Iterator[bytes]:
        end = os.fstat(stream.fileno()).st_size
        place = 0
        while stream.tell() < end:
            sealed = _next_sealed(stream)
            context = self._context(place, last=stream.tell() == end)
            try:
                yield self.sealer.unseal(sealed, context=context)
            except StoreCorrupt as error:
                raise SnapshotUnfit(
                    f"a sealed file of the snapshot is damaged: {error}"
                ) from error
            place += 1

    def _context(self, chunk: int, *, last: bool) -> ChunkContext:
        return ChunkContext(
            purpose=PURPOSE, owner_id=self.owner_id, file=self.name, chunk=chunk, last=last
        )


def first_sealed(start: bytes) -> bytes:
    """Return how the first sealed chunk begins, of the bytes that a file begins with."""
    return start[_LENGTH.size :]


def _next_sealed(stream: FileIO) -> bytes:
    header = stream.read(_LENGTH.size)
    if len(header) == _LENGTH.size:
        (length,) = _LENGTH.unpack(header)
        # Before memory is taken for so many bytes.
        if length <= os.fstat(stream.fileno()).st_size - stream.tell():
            return stream.read(length)
    raise SnapshotUnfit("a sealed file of the snapshot is cut off inside a chunk")


def _fill(target: memoryview, chunks: Iterator[bytes], *, at_once: bool) -> None:
    """Copy chunks into the target until it is full, or one that must fill it."""
    filled = 0
    while filled < len(target):
        chunk = next(chunks, b"")
        stop = filled + len(chunk)
        if not chunk or stop > len(target) or (at_once and stop < len(target)):
            raise SnapshotUnfit("a sealed file of the snapshot holds another number of vectors")
        target[filled:stop] = chunk
        filled = stop
