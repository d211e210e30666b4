"""Reads values of Thrift's compact protocol, in which Parquet writes its headers.

Written for what anybody may send: it never reads beyond the bytes, does not nest without end, and
keeps count of the values that it makes.
"""

import mmap
from typing import Final

Content = bytes | bytearray | mmap.mmap
"""All bytes of a file."""

Value = int | float | bytes | dict[int, "Value"] | list["Value"] | None
"""A struct is a dict, by the numbers of its fields."""

_MAX_DEPTH: Final = 8
_MAX_VARINT_BITS: Final = 63
_BYTES_KEPT: Final = 256
"""Of a text: enough for the names that are looked at."""


class NoThriftError(Exception):
    """The bytes are no value of the protocol, or one of too many."""


class ThriftReader:
    """Reads one value after the other.

    Args:
        content: of the file.
        position: where the first begins.
        end: where the last ends at the latest.
        max_values: so many in all, those in others included.
    """

    def __init__(self, content: Content, position: int, *, end: int, max_values: int) -> None:
        self._content = content
        self.position = position
        self._end = min(end, len(content))
        self._num_left = max_values

    def struct(self, *, depth: int = 0) -> dict[int, Value]:
        """Return the fields of a struct.

        Raises:
            NoThriftError: there is none.
        """
        fields: dict[int, Value] = {}
        number = 0
        while byte := self._byte():
            step, kind = byte >> 4, byte & 15
            number = number + step if step else self._integer()
            if kind in (1, 2):
                # A truth value of a field is its kind.
                self._count()
                fields[number] = kind
            else:
                fields[number] = self._value(kind, depth)
        return fields

    def _count(self) -> None:
        self._num_left -= 1
        if self._num_left < 0:
            raise NoThriftError

    def _value(self, kind: int, depth: int) -> Value:
        self._count()
        if depth > _MAX_DEPTH:
            raise NoThriftError
        match kind:
            case 1 | 2 | 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._integer()
            case 7:
                self._pass(8)
                return None
            case 8:
                length = self._varint()
                start = self.position
                self._pass(length)
                return bytes(self._content[start : start + min(length, _BYTES_KEPT)])
            case 9 | 10:
                head = self._byte()
                num = head >> 4 if head >> 4 < 15 else self._varint()
                if num > self._num_left:
                    raise NoThriftError
                return [self._value(head & 15, depth + 1) for _ in range(num)]
            case 12:
                return self.struct(depth=depth + 1)
            case _:
                raise NoThriftError

    def _byte(self) -> int:
        if self.position >= self._end:
            raise NoThriftError
        self.position += 1
        return self._content[self.position - 1]

    def _pass(self, num_bytes: int) -> None:
        if num_bytes > self._end - self.position:
            raise NoThriftError
        self.position += num_bytes

    def _integer(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _varint(self) -> int:
        value, shift = 0, 0
        while shift <= _MAX_VARINT_BITS:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise NoThriftError


def number_of(struct: Value, field: int) -> int:
    """Return a whole number of a struct; -1 where it is missing or is none."""
    found = struct.get(field) if isinstance(struct, dict) else None
    return found if isinstance(found, int) else -1


def list_of(struct: Value, field: int) -> list[Value]:
    """Return a list of a struct; an empty one where it is missing."""
    found = struct.get(field) if isinstance(struct, dict) else None
    return found if isinstance(found, list) else []


def struct_of(struct: Value, field: int) -> dict[int, Value]:
    """Return a struct in a struct; an empty one where it is missing."""
    found = struct.get(field) if isinstance(struct, dict) else None
    return found if isinstance(found, dict) else {}
