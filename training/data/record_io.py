"""RecordIO, the container of InsightFace's training sets, read and written without mxnet.

A file is a chain of parts, each four bytes aligned, all numbers little endian:

    magic u32 | length word u32 | payload | zeros up to a multiple of 4

The upper 3 bits of the length word say which part of a record this is, the lower 29 its bytes.
A writer splits a payload where it holds the magic at a multiple of 4 and leaves the magic out; the
reader puts it back between the parts. Hence an aligned magic in a file is always a header.

Source: the formats documented in dmlc-core's ``include/dmlc/recordio.h`` (container) and in
mxnet's ``python/mxnet/recordio.py`` (index file, header of an image record).
"""

import os
import struct
import weakref
from array import array
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from embedding.errors import DataInvalid

MAGIC = 0xCED7230A
MAX_PAYLOAD_BYTES = (1 << 29) - 1  # the length word has 29 bits for it

_MAGIC_BYTES = MAGIC.to_bytes(4, "little")
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)
_PART_HEADER = struct.Struct("<II")
_IMAGE_HEADER = struct.Struct("<IfQQ")
_LABEL_BYTES = 4


class RecordReader:
    """Random access to the records of one file.

    Reading keeps no position, so threads and forked processes may share a reader. A pickled one
    opens the file again.

    Attributes:
        path: the file.
        size: its bytes when it was opened.

    Raises:
        DataInvalid: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDONLY)
            self.size = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise DataInvalid(f"{path} cannot be opened: {error}") from error
        weakref.finalize(self, os.close, self._descriptor)

    def __reduce__(self) -> tuple[type[Self], tuple[Path]]:
        return type(self), (self.path,)

    def read_at(self, offset: int, *, at_most: int | None = None) -> bytes:
        """The payload of the record whose header begins at `offset`.

        Args:
            offset: in bytes from the beginning of the file.
            at_most: read no more than this many bytes of the payload; all if None.

        Raises:
            DataInvalid: no record begins there, or it is damaged; names file and offset.
        """
        pieces: list[bytes] = []
        missing = MAX_PAYLOAD_BYTES if at_most is None else at_most
        for start, length in self._parts(offset):
            if pieces:
                pieces.append(_MAGIC_BYTES[:missing])
                missing -= len(pieces[-1])
            pieces.append(self._pread(min(length, missing), start))
            missing -= len(pieces[-1])
            if missing == 0:
                break
        return b"".join(pieces)

    def length_at(self, offset: int) -> int:
        """Bytes of the payload of the record at `offset`, from its length words alone.

        Raises:
            DataInvalid: as `read_at`.
        """
        lengths = [length for _, length in self._parts(offset)]
        return sum(lengths) + len(_MAGIC_BYTES) * (len(lengths) - 1)

    def is_cut_off(self, offset: int) -> bool:
        """Whether the file ends inside or before the record at `offset`, not damaged otherwise."""
        while offset + _PART_HEADER.size <= self.size:
            magic, word = _PART_HEADER.unpack(self._pread(_PART_HEADER.size, offset))
            end = offset + _PART_HEADER.size + (word & MAX_PAYLOAD_BYTES)
            if magic != MAGIC or word >> 29 not in (_FIRST, _MIDDLE):
                return bool(magic == MAGIC and end > self.size)
            offset = _padded(end)
        return True

    def scan(self) -> NDArray[np.int64]:
        """(R,) the offset of every record in bytes, found by walking from header to header.

        Raises:
            DataInvalid: a header is damaged, or the last record is cut off.
        """
        offsets = array("q")
        offset = 0
        while offset < self.size:
            offsets.append(offset)
            for start, length in self._parts(offset):
                offset = start + _padded(length)
        return np.array(offsets, np.int64)

    def _parts(self, offset: int) -> Iterator[tuple[int, int]]:
        """Offset and bytes of the payload of each part of a record."""
        expected = (_WHOLE, _FIRST)
        while True:
            place, length = self._part_header(offset)
            if place not in expected:
                raise DataInvalid(
                    f"{self.path}: the part at byte {offset} is of kind {place} where "
                    f"{expected[0]} or {expected[1]} must stand: the file is damaged or the "
                    "offset is not the beginning of a record"
                )
            yield offset + _PART_HEADER.size, length
            if place in (_WHOLE, _LAST):
                return
            expected = (_MIDDLE, _LAST)
            offset += _PART_HEADER.size + _padded(length)

    def _part_header(self, offset: int) -> tuple[int, int]:
        if not 0 <= offset < self.size:
            raise DataInvalid(
                f"{self.path}: byte {offset} lies outside the file of {self.size} bytes: it is "
                "truncated or the index belongs to another file"
            )
        if offset + _PART_HEADER.size > self.size:
            raise DataInvalid(
                f"{self.path} is truncated: it ends at byte {self.size}, inside the header at "
                f"byte {offset}"
            )
        magic, word = _PART_HEADER.unpack(self._pread(_PART_HEADER.size, offset))
        if magic != MAGIC:
            raise DataInvalid(
                f"{self.path}: wrong magic at byte {offset}: the file is damaged or is no "
                "RecordIO file"
            )
        place, length = word >> 29, word & MAX_PAYLOAD_BYTES
        end = offset + _PART_HEADER.size + length
        if end > self.size:
            raise DataInvalid(
                f"{self.path} is truncated: it ends at byte {self.size}, the record at byte "
                f"{offset} goes on to byte {end}"
            )
        return place, length

    def _pread(self, num_bytes: int, offset: int) -> bytes:
        try:
            found = os.pread(self._descriptor, num_bytes, offset)
        except OSError as error:
            raise DataInvalid(f"{self.path}, byte {offset}, cannot be read: {error}") from error
        if len(found) != num_bytes:
            raise DataInvalid(
                f"{self.path}: {len(found)} bytes at byte {offset} where {num_bytes} were "
                "expected: the file has shrunk since it was opened"
            )
        return found


class RecordWriter:
    """Writes a ``.rec`` file and the ``.idx`` file beside it; a context manager.

    Args:
        path: the ``.rec`` file; it and its index are overwritten.
    """

    def __init__(self, path: Path) -> None:
        self._files = ExitStack()
        self._records = self._files.enter_context(path.open("wb"))
        self._index = self._files.enter_context(path.with_suffix(".idx").open("w"))
        self._num_written = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()

    def write(self, payload: bytes, *, key: int | None = None) -> int:
        """Appends a record and says at which offset, in bytes.

        Args:
            payload: fewer than 2**29 bytes.
            key: what the index calls it; by default how many records were written before.

        Raises:
            DataInvalid: the payload is too long for the format.
        """
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise DataInvalid(
                f"a payload of {len(payload)} bytes; RecordIO holds at most {MAX_PAYLOAD_BYTES}"
            )
        offset = self._records.tell()
        begin = 0
        for cut in _aligned_magics(payload):
            self._write_part(_MIDDLE if begin else _FIRST, payload[begin:cut])
            begin = cut + len(_MAGIC_BYTES)
        self._write_part(_LAST if begin else _WHOLE, payload[begin:])
        self._index.write(f"{self._num_written if key is None else key}\t{offset}\n")
        self._num_written += 1
        return offset

    def _write_part(self, place: int, part: bytes) -> None:
        self._records.write(_PART_HEADER.pack(MAGIC, place << 29 | len(part)))
        self._records.write(part.ljust(_padded(len(part)), b"\0"))


def _padded(length: int) -> int:
    return (length + 3) // 4 * 4


def _aligned_magics(payload: bytes) -> Iterator[int]:
    found = payload.find(_MAGIC_BYTES)
    while found >= 0:
        if found % 4 == 0:
            yield found
        found = payload.find(_MAGIC_BYTES, found + 1)


def read_index(path: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Keys and offsets in bytes, (R,) each, of an ``.idx`` file, in its order.

    Raises:
        DataInvalid: the file cannot be read, or a line is not "key<tab>offset" in whole numbers
            from 0 on; names the line.
    """
    keys, offsets = array("q"), array("q")
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                fields = line.split()
                if not fields:
                    continue
                if len(fields) != 2 or not all(field.isdigit() for field in fields):
                    raise DataInvalid(_bad_line(path, number))
                try:
                    keys.append(int(fields[0]))
                    offsets.append(int(fields[1]))
                except (ValueError, OverflowError) as error:  # more digits than fit
                    raise DataInvalid(_bad_line(path, number)) from error
    except OSError as error:
        raise DataInvalid(f"{path} cannot be read: {error}") from error
    return np.array(keys, np.int64), np.array(offsets, np.int64)


def _bad_line(path: Path, number: int) -> str:
    return (
        f"{path}, line {number}: expected a key, a tab and an offset in whole numbers from 0 on; "
        "the index is damaged or of another kind"
    )


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What mxnet packs into a record's payload: numbers, then an encoded image.

    Attributes:
        labels: at least one; float32 in the file, so whole numbers are exact below 2**24.
        image: the encoded image; empty in InsightFace's meta and identity records.
        number: first id, unsigned 64 bits.
        number2: second id, unsigned 64 bits.
    """

    labels: tuple[float, ...]
    image: bytes
    number: int = 0
    number2: int = 0

    @classmethod
    def from_payload(cls, payload: bytes, name: str) -> Self:
        """Takes a payload apart.

        Args:
            payload: of a record, whole.
            name: what to call the record in a message.

        Raises:
            DataInvalid: the payload is shorter than its header says.
        """
        flag, label, number, number2 = _unpack_image_header(payload, name)
        begin = _IMAGE_HEADER.size + _LABEL_BYTES * flag
        if begin > len(payload):
            raise DataInvalid(_too_short(name, flag, len(payload)))
        labels = struct.unpack_from(f"<{flag}f", payload, _IMAGE_HEADER.size) or (label,)
        return cls(labels=labels, image=payload[begin:], number=number, number2=number2)

    def to_payload(self) -> bytes:
        """The payload of a record; one label stands in the header, several follow it."""
        if len(self.labels) == 1:
            header = _IMAGE_HEADER.pack(0, self.labels[0], self.number, self.number2)
            return header + self.image
        flag = len(self.labels)
        header = _IMAGE_HEADER.pack(flag, 0.0, self.number, self.number2)
        return header + struct.pack(f"<{flag}f", *self.labels) + self.image


@dataclass(frozen=True, slots=True)
class ImageHead:
    """What can be known of an image record without reading its image.

    Attributes:
        label: the first one.
        num_labels: at least 1.
        num_image_bytes: size of the encoded image; 0 in meta and identity records.
    """

    label: float
    num_labels: int
    num_image_bytes: int


def read_head(reader: RecordReader, offset: int) -> ImageHead:
    """The head of the image record at `offset`, in bytes.

    Raises:
        DataInvalid: no record begins there, or it is damaged; names file and offset.
    """
    name = f"{reader.path}, record at byte {offset}"
    start = reader.read_at(offset, at_most=_IMAGE_HEADER.size + _LABEL_BYTES)
    flag, label, _, _ = _unpack_image_header(start, name)
    length = reader.length_at(offset)
    num_image_bytes = length - _IMAGE_HEADER.size - _LABEL_BYTES * flag
    if num_image_bytes < 0:
        raise DataInvalid(_too_short(name, flag, length))
    if flag:
        (label,) = struct.unpack_from("<f", start, _IMAGE_HEADER.size)
    return ImageHead(label=label, num_labels=max(flag, 1), num_image_bytes=num_image_bytes)


def _unpack_image_header(payload: bytes, name: str) -> tuple[int, float, int, int]:
    if len(payload) < _IMAGE_HEADER.size:
        raise DataInvalid(
            f"{name} holds {len(payload)} bytes; an image record begins with a header of "
            f"{_IMAGE_HEADER.size}"
        )
    flag, label, number, number2 = _IMAGE_HEADER.unpack_from(payload)
    return flag, label, number, number2


def _too_short(name: str, num_labels: int, num_bytes: int) -> str:
    return f"{name} announces {num_labels} labels but holds {num_bytes} bytes in all"
