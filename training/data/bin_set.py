"""InsightFace's verification sets (``lfw.bin`` and its kin): pairs of images in a pickle.

A pickle is a program, and one from a stranger may do anything. So two walls stand here. First the
instructions are read without running them: only those that build lists, tuples, bytes, numbers and
bools may occur. Then `_Unpickler` runs them, and every global it is asked for is one of our own
stand-ins below: they rebuild bytes and arrays of uint8 and bool, and nothing else exists there.

Source: layout from ``lfw2pack.py`` of the insightface project; instructions from CPython's
``pickletools``; what NumPy pickles from ``numpy/_core/src/multiarray`` (``array_reduce_ex``).
"""

import io
import math
import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from embedding.errors import DataInvalid

MAX_FILE_BYTES = 1 << 31  # the largest published set, cfp_fp.bin with 14,000 images, has 0.1 GB
MAX_AXES = 32  # of an array; NumPy's own limit when these files were made
FRAME_BYTES = 9  # a letter and a length of 64 bits

# Text forms (protocol 0) and whatever makes instances, reads the registry of extensions, or asks
# for objects from outside is not among them.
_INSTRUCTIONS = frozenset(
    [
        *("PROTO", "FRAME", "STOP", "MARK"),
        *("MEMOIZE", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET"),
        *("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
        *("EMPTY_LIST", "LIST", "APPEND", "APPENDS"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
        *("NONE", "NEWTRUE", "NEWFALSE", "INT", "BININT", "BININT1", "BININT2", "LONG1"),
        *("BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    ]
)

# Both Pythons and both namings of NumPy, before and since its version 2.
_GLOBALS = frozenset(
    [
        ("_codecs", "encode"),
        ("builtins", "bytes"),
        ("builtins", "bytearray"),
        ("__builtin__", "bytes"),
        ("__builtin__", "bytearray"),
        ("numpy", "dtype"),
        ("numpy", "ndarray"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
        ("numpy.core.multiarray", "scalar"),
        ("numpy._core.multiarray", "scalar"),
        ("numpy.core.numeric", "_frombuffer"),
        ("numpy._core.numeric", "_frombuffer"),
    ]
)

# What reading and running a damaged pickle raises.
_UNPICKLING_ERRORS = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    LookupError,
    ValueError,
    TypeError,
    OverflowError,
    MemoryError,
    RecursionError,
    Warning,  # of a bad escape in a name, where the caller has turned warnings into errors
)


@dataclass(frozen=True, slots=True)
class BinSet:
    """Pairs of one verification set; pair i is images 2i and 2i + 1.

    Attributes:
        images: two a pair, left encoded: as pixels they would need several times the memory.
        same: (P,) bool, whether a pair shows one person.
    """

    images: list[bytes]
    same: NDArray[np.bool_]


def read_bin(path: Path) -> BinSet:
    """Reads a ``.bin`` verification set, written by Python 2 or 3, and runs nothing of it.

    Raises:
        DataInvalid: the file cannot be read, is damaged, holds anything but encoded images and
            bools, or not two images for each bool.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DataInvalid(
                f"{path} has {size} bytes; a verification set has at most {MAX_FILE_BYTES}"
            )
        pickled = path.read_bytes()
    except OSError as error:
        raise DataInvalid(f"{path} cannot be read: {error}") from error
    try:
        content = _Unpickler(_checked(pickled)).load()
        return _to_bin_set(content)
    except DataInvalid as error:
        raise DataInvalid(f"{path} {error}") from error
    except _UNPICKLING_ERRORS as error:
        raise DataInvalid(
            f"{path} is damaged or is no verification set ({type(error).__name__}: {error})"
        ) from error


def _to_bin_set(content: object) -> BinSet:
    if not isinstance(content, tuple | list) or len(content) != 2:
        raise DataInvalid("should hold two lists, of encoded images and of bools")
    encoded, flags = content
    if not isinstance(encoded, tuple | list):
        raise DataInvalid("should begin with a list of encoded images")
    copies: dict[int, bytes] = {}
    images = [_to_image(image, number, copies) for number, image in enumerate(encoded)]
    same = _to_bools(flags)
    if not len(same):
        raise DataInvalid("holds not one pair")
    if len(images) != 2 * len(same):
        raise DataInvalid(f"holds {len(images)} images for {len(same)} pairs; expected two a pair")
    return BinSet(images=images, same=same)


def _to_image(found: object, number: int, copies: dict[int, bytes]) -> bytes:
    """One encoded image.

    Args:
        found: what stands in the list.
        number: its place there.
        copies: bytes made so far by id of the original, for a list may name one original a
            million times.
    """
    raw = found.encoded() if isinstance(found, _Array) else found
    if not isinstance(raw, bytes | bytearray) or not raw:
        raise DataInvalid(f"holds no encoded image at place {number} of its first list")
    if isinstance(raw, bytes):
        return raw
    if id(raw) not in copies:
        copies[id(raw)] = bytes(raw)
    return copies[id(raw)]


def _to_bools(found: object) -> NDArray[np.bool_]:
    if isinstance(found, _Array):
        return found.bools()
    if not isinstance(found, tuple | list) or not all(isinstance(one, bool) for one in found):
        raise DataInvalid("should end with a list of bools")
    return np.array(found, np.bool_)


def _checked(pickled: bytes) -> bytes:
    """The instructions without their frames, once none is found that no verification set needs.

    Frames go because the C unpickler loses its place where one ends inside an instruction, and
    would then run other instructions than were checked. The memo may not be larger than the file:
    that unpickler makes room for the highest number at once.
    """
    kept, begin = [], 0
    for instruction, argument, place in pickletools.genops(pickled):
        name = instruction.name
        if name in ("GLOBAL", "INST"):
            module, _, attribute = str(argument).partition(" ")
            _check_global(module, attribute)
        if name not in _INSTRUCTIONS:
            raise DataInvalid(
                f"holds the pickle instruction {name}, which no verification set in pickle "
                "protocol 1 to 5 needs; nothing of it was run"
            )
        if name == "LONG_BINPUT" and int(argument or 0) > len(pickled):
            raise DataInvalid(f"is damaged: a memo entry {argument} in {len(pickled)} bytes")
        if name == "FRAME":
            kept.append(pickled[begin:place])
            begin = int(place or 0) + FRAME_BYTES
    return b"".join([*kept, pickled[begin:]])


class _Unpickler(pickle.Unpickler):
    """Runs checked instructions with stand-ins for every global.

    Args:
        pickled: the instructions of the whole file.
    """

    def __init__(self, pickled: bytes) -> None:
        super().__init__(io.BytesIO(pickled), encoding="bytes")
        latin = _Latin1(len(pickled))
        self._stand_ins = {
            "encode": _StandIn(latin.encode),
            "bytes": _StandIn(_empty_bytes),
            "bytearray": _StandIn(latin.bytearray),
            "dtype": _StandIn(_Dtype),
            "ndarray": _StandIn(_never_called),
            "_reconstruct": _StandIn(_empty_array),
            "scalar": _StandIn(_scalar),
            "_frombuffer": _StandIn(_from_buffer),
        }

    def find_class(self, module: str, name: str) -> object:
        """The stand-in for a global; no module is imported."""
        _check_global(module, name)
        return self._stand_ins[name]


def _check_global(module: str, name: str) -> None:
    if (module, name) not in _GLOBALS:
        foreign = ascii(f"{module}.{name}"[:80])[1:-1]
        raise DataInvalid(f"holds a foreign object {foreign}; nothing of it was run")


class _Latin1:
    """Bytes that protocols below 3 wrap in text.

    Encoding is the one thing that instructions can repeat on the same text with new memory each
    time; a file that does so is stopped.

    Args:
        limit: how many bytes may come out in all.
    """

    def __init__(self, limit: int) -> None:
        self._num_left = limit

    def encode(self, text: object, encoding: object) -> bytes:
        """`_codecs.encode`."""
        is_latin = isinstance(encoding, str) and encoding in ("latin1", "latin-1")
        if not isinstance(text, str) or not is_latin:
            raise DataInvalid("encodes something else than text in latin1")
        self._num_left -= len(text)
        if self._num_left < 0:
            raise DataInvalid("unfolds to more bytes than it has itself")
        return text.encode("latin-1")

    def bytearray(self, *arguments: object) -> bytes:
        """`bytearray`, of nothing, of bytes, or of text and its encoding."""
        if len(arguments) == 2:
            return self.encode(*arguments)
        (found,) = arguments or (b"",)
        if not isinstance(found, bytes):
            raise DataInvalid("makes a bytearray of something else than bytes")
        return found


class _StandIn:
    """Something that a pickle may call but not change.

    A plain function would not do: the instruction BUILD sets attributes on what has no
    ``__setstate__``.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., object]) -> None:
        self._call = call

    def __call__(self, *arguments: object) -> object:
        return self._call(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise DataInvalid("changes a global; nothing of it was run")


class _Dtype:
    """uint8 or bool, and no other; its state must say nothing beyond that."""

    __slots__ = ("kind",)

    def __init__(self, code: object, *_: object) -> None:
        kinds = {"u1": np.uint8, "b1": np.bool_, b"u1": np.uint8, b"b1": np.bool_}
        if not isinstance(code, str | bytes) or code not in kinds:
            raise DataInvalid("holds an array of something else than uint8 and bool")
        self.kind = kinds[code]

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or state[2:5] != (None, None, None):
            raise DataInvalid("holds an array with a foreign dtype")


class _Array:
    """A NumPy array as the file describes it: parts that are trusted only when it is asked for."""

    __slots__ = ("_dtype", "_raw", "_shape")

    def __init__(self, shape: object = (0,), dtype: object = None, raw: object = b"") -> None:
        self._shape, self._dtype, self._raw = shape, dtype, raw

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise DataInvalid("holds an array in an unknown form")
        _, self._shape, self._dtype, _, self._raw = state

    def encoded(self) -> bytes | bytearray:
        """The elements of a uint8 array, whose axes but one have length 1."""
        return self._elements(np.uint8)

    def bools(self) -> NDArray[np.bool_]:
        """The elements of a bool array, whose axes but one have length 1."""
        flags: NDArray[np.bool_] = np.frombuffer(self._elements(np.bool_), np.uint8) != 0
        return flags

    def _elements(self, kind: type[np.generic]) -> bytes | bytearray:
        shape, raw = self._shape, self._raw
        if (
            isinstance(self._dtype, _Dtype)
            and self._dtype.kind is kind
            and isinstance(raw, bytes | bytearray)
            and isinstance(shape, tuple)
            and 0 < len(shape) <= MAX_AXES
            and all(isinstance(length, int) for length in shape)
            and max(shape) == math.prod(shape) == len(raw)
        ):
            return raw
        raise DataInvalid(
            f"holds an array where one row of {kind.__name__} was expected, or a damaged one"
        )


def _empty_bytes() -> bytes:
    """`bytes` without arguments, which is how protocol 2 writes empty ones."""
    return b""


def _empty_array(*_: object) -> _Array:
    """`numpy.core.multiarray._reconstruct`, which makes an empty array for BUILD to fill."""
    return _Array()


def _never_called(*_: object) -> NoReturn:
    """`numpy.ndarray`, which pickles only hand to `_reconstruct`."""
    raise DataInvalid("calls numpy.ndarray itself; nothing of it was run")


def _from_buffer(raw: object, dtype: object, shape: object, _order: object) -> _Array:
    """`numpy.core.numeric._frombuffer`, the form of arrays in protocol 5."""
    return _Array(shape, dtype, raw)


def _scalar(dtype: object, raw: object) -> bool:
    """`numpy.core.multiarray.scalar`, for NumPy's bools alone."""
    is_bool = isinstance(dtype, _Dtype) and dtype.kind is np.bool_
    if not is_bool or not isinstance(raw, bytes) or len(raw) != 1:
        raise DataInvalid("holds a NumPy number that is no bool")
    return raw != b"\0"
