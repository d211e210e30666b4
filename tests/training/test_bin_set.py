"""Verification sets in pickles: what is honest is read, and nothing else ever runs."""

import functools
import io
import os
import pickle
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from embedding.errors import DataInvalid
from training.data import bin_set
from training.data.bin_set import BinSet, read_bin

IMAGES = [b"\xff\xd8 one", b"\xff\xd8 two", bytes(range(256)), b"\xff\xd8" * 200]
SAME = [True, False]
PROTOCOLS = [1, 2, 3, 4, 5]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file for all examples of a property."""
    return tmp_path_factory.mktemp("sets") / "set.bin"


def read(path: Path, pickled: bytes) -> BinSet:
    """What `read_bin` makes of these bytes."""
    path.write_bytes(pickled)
    return read_bin(path)


def is_the_set(found: BinSet) -> bool:
    """Whether all images and flags came back, images as plain bytes."""
    return (
        found.images == IMAGES
        and {type(image) for image in found.images} == {bytes}
        and found.same.dtype == np.bool_
        and found.same.tolist() == SAME
    )


def as_is(image: bytes) -> object:
    """An image as bytes."""
    return image


def as_array(image: bytes) -> object:
    """An image as one row of uint8."""
    return np.frombuffer(image, np.uint8).copy()


def as_column(image: bytes) -> object:
    """An image as OpenCV's ``imencode`` of old gives it, (n, 1)."""
    return np.frombuffer(image, np.uint8).reshape(-1, 1).copy()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("wrap", [as_is, bytearray, as_array, as_column])
@pytest.mark.parametrize("flags", [SAME, [np.bool_(one) for one in SAME], np.array(SAME)])
@pytest.mark.parametrize("outer", [tuple, list])
def test_every_honest_form_is_read(
    path: Path, protocol: int, wrap: Callable[[bytes], object], flags: object, outer: type
) -> None:
    """Bytes, bytearrays and uint8 arrays, bools of Python and NumPy, all binary protocols."""
    content = outer([[wrap(image) for image in IMAGES], flags])
    assert is_the_set(read(path, pickle.dumps(content, protocol=protocol)))


def rename_numpy(pickled: bytes) -> bytes:
    """A protocol 2 pickle of NumPy 2 with the names that NumPy 1 wrote."""
    return pickled.replace(b"cnumpy._core.", b"cnumpy.core.")


def test_arrays_of_both_numpys_are_read(path: Path) -> None:
    """NumPy 2 renamed the module that arrays are rebuilt with."""
    content = ([as_array(image) for image in IMAGES], np.array(SAME))
    new = pickle.dumps(content, protocol=2)
    old = rename_numpy(new)
    assert old != new
    assert is_the_set(read(path, old))
    assert is_the_set(read(path, new))


def python2_string(raw: bytes) -> bytes:
    """The instruction with which Python 2 writes a str."""
    if len(raw) < 256:
        return b"U" + bytes([len(raw)]) + raw
    return b"T" + struct.pack("<i", len(raw)) + raw


@pytest.mark.parametrize("flags", [b"\x88\x89", b"I01\nI00\n"])
def test_a_file_of_python_2_is_read(path: Path, flags: bytes) -> None:
    """By hand: a tuple of a list of str and a list of bools, as protocols 2 and 1 write them."""
    strings = b"".join(python2_string(image) + b"q\x05" for image in IMAGES)
    pickled = b"\x80\x02]q\x01(" + strings + b"e]q\x02(" + flags + b"e\x86q\x03."
    assert is_the_set(read(path, pickled))


def test_arrays_of_python_2_are_read(path: Path) -> None:
    """By hand: its str stand for the codes and the bytes of an array."""
    reconstruct = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    minus_1 = b"J\xff\xff\xff\xff"
    state = b"(K\x03U\x01|NNN" + minus_1 * 2 + b"K\x00tb"
    dtype = b"cnumpy\ndtype\nU\x02%bK\x00K\x01\x87R" + state
    array = reconstruct + b"(K\x01K\x02\x85" + dtype % b"u1" + b"\x89U\x02abtb"
    scalar = b"cnumpy.core.multiarray\nscalar\n" + dtype % b"b1" + b"U\x01\x01\x86R"
    found = read(path, b"\x80\x02](" + array + array + b"e]" + scalar + b"a\x86.")
    assert found.images == [b"ab", b"ab"]
    assert found.same.tolist() == [True]


def test_an_image_that_is_used_twice_is_held_once(path: Path) -> None:
    """A million names for one bytearray do not make a million copies."""
    image = bytearray(1000)
    found = read(path, pickle.dumps(([image] * 2000, [True] * 1000), protocol=5))
    assert len(found.images) == 2000
    assert len({id(one) for one in found.images}) == 1


def test_a_frame_that_ends_inside_an_instruction_hides_nothing(path: Path) -> None:
    """What is run is what was checked, although the C unpickler would lose its place here."""
    content = b"](C\x02abC\x02cde](\x88e\x86."
    for length in range(len(content)):
        frame = b"\x95" + struct.pack("<Q", length)
        found = read(path, b"\x80\x04" + frame + content)
        assert (found.images, found.same.tolist()) == ([b"ab", b"cd"], [True])


class Call:
    """Pickles to a call of anything."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


@pytest.mark.parametrize("protocol", [0, *PROTOCOLS])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda mark: Call(os.system, f"touch {mark}"), r"(posix|nt|os)\.system"),
        (lambda mark: Call(eval, f"open({str(mark)!r}, 'w')"), r"(__builtin__|builtins)\.eval"),
        (lambda mark: Call(functools.partial, os.mkdir, mark), r"functools\.partial"),
        (lambda mark: Call(io.open, str(mark), "w"), r"\b_?io\.open"),
        (lambda _: Call(getattr, "os", "system"), r"(__builtin__|builtins)\.getattr"),
        (lambda _: Call(np.load, "x", None, True), r"numpy.*\.load"),
    ],
)
def test_what_is_foreign_is_named_and_not_run(
    tmp_path: Path, protocol: int, nested: bool, make: Callable[[Path], object], name: str
) -> None:
    """Wherever a foreign call hides, it leaves no trace but the message."""
    mark = tmp_path / "mark"
    hostile = make(mark)
    content = ([*IMAGES[:3], hostile], SAME) if nested else hostile
    refused = rf"set\.bin holds a foreign object {name}; nothing of it was run"
    if nested and protocol == 0:
        refused = "nothing of it was run"  # the text form of the images comes first
    with pytest.raises(DataInvalid, match=refused):
        read(tmp_path / "set.bin", pickle.dumps(content, protocol=protocol))
    assert not mark.exists()


def test_the_hostile_files_of_these_tests_do_run_elsewhere(tmp_path: Path) -> None:
    """The mark that must be absent above is made by the ordinary unpickler."""
    mark = tmp_path / "mark"
    pickle.loads(pickle.dumps(Call(os.system, f"touch {mark}")))  # noqa: S301 - that is the point
    assert mark.exists()


@pytest.mark.parametrize(
    ("pickled", "words"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", r"foreign object os\.system;"),
        (b"(S'true'\nios\nsystem\n.", "nothing of it was run"),
        (b"(ios\nsystem\n.", r"foreign object os\.system;"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", r"foreign object os\.system;"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0b__class__.x\x93.", r"foreign object numpy\.__class__\.x;"),
        (b"c" + b"x" * 500 + b"\ny\n.", "foreign object x{80};"),
        (b"\x80\x02K\x01Q.", "instruction BINPERSID"),
        (b"Psome\n.", "instruction PERSID"),
        (b"\x80\x02\x82\x01.", "instruction EXT1"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "instruction NEWOBJ"),
        (b"\x80\x05\x97.", "instruction NEXT_BUFFER"),
        (b"\x80\x02}.", "instruction EMPTY_DICT"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "a memo entry 2147483647 in 9 bytes"),
        (b"\x80\x02cnumpy\nndarray\n)R.", r"calls numpy\.ndarray itself"),
        (b"\x80\x02c_codecs\nencode\nNb.", "changes a global"),
        (b"\x80\x02cnumpy\ndtype\nN\x85b.", "changes a global"),
    ],
)
def test_hand_made_attacks_are_refused(path: Path, pickled: bytes, words: str) -> None:
    """Text form, instances, extensions, outside objects, giant memos, changed globals."""
    with pytest.raises(DataInvalid, match=words):
        read(path, pickled)


def test_text_that_is_encoded_again_and_again_is_stopped(path: Path) -> None:
    """A small file cannot ask for the same megabyte a thousand times."""
    text = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
    prefix = b"\x80\x02c_codecs\nencode\nq\x01" + text + b"X\x06\0\0\0latin1\x86q\x02"
    with pytest.raises(DataInvalid, match="unfolds to more bytes than it has itself"):
        read(path, prefix + b"](" + b"h\x01h\x02R" * 1000 + b"e.")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (IMAGES, "should hold two lists"),
        ((IMAGES, SAME, SAME), "should hold two lists"),
        (b"some", "should hold two lists"),
        (("some", SAME), "should begin with a list"),
        ((IMAGES, "some"), "should end with a list of bools"),
        ((IMAGES, [1, 0]), "should end with a list of bools"),
        ((IMAGES, IMAGES), "should end with a list of bools"),
        (([], []), "holds not one pair"),
        ((IMAGES[:3], SAME), "holds 3 images for 2 pairs; expected two a pair"),
        (([*IMAGES[:3], b""], SAME), "no encoded image at place 3"),
        (([*IMAGES[:3], "text"], SAME), "no encoded image at place 3"),
        (([*IMAGES[:3], IMAGES], SAME), "no encoded image at place 3"),
        (([*IMAGES[:3], np.zeros((2, 2), np.uint8)], SAME), "one row of uint8"),
        (([*IMAGES[:3], np.zeros(2, np.bool_)], SAME), "one row of uint8"),
        (([*IMAGES[:3], np.array(7, np.uint8)], SAME), "one row of uint8"),
        ((IMAGES, np.zeros(2, np.uint8)), "one row of bool"),
        ((IMAGES, np.zeros((2, 2), np.bool_)), "one row of bool"),
        ((IMAGES, np.zeros(2, np.float32)), "something else than uint8 and bool"),
        ((np.array(IMAGES, object), SAME), "something else than uint8 and bool"),
        ((IMAGES, [np.uint8(1), np.uint8(0)]), "a NumPy number that is no bool"),
        ((IMAGES, [np.float64(1), np.float64(0)]), "something else than uint8 and bool"),
        ((Call(bytes, 5), SAME), "damaged or is no verification set"),
        ((Call(bytearray, 1 << 40), SAME), "a bytearray of something else than bytes"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4])
def test_another_content_is_refused(
    path: Path, content: object, words: str, protocol: int
) -> None:
    """Harmless pickles that hold no verification set say what was expected."""
    with pytest.raises(DataInvalid, match=words):
        read(path, pickle.dumps(content, protocol=protocol, fix_imports=False))


def test_a_missing_file_and_a_giant_one_are_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is read."""
    with pytest.raises(DataInvalid, match=r"none\.bin cannot be read"):
        read_bin(path.with_name("none.bin"))
    monkeypatch.setattr(bin_set, "MAX_FILE_BYTES", 10)
    with pytest.raises(DataInvalid, match="has 11 bytes; a verification set has at most 10"):
        read(path, b"x" * 11)


@given(pickled=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
@example(pickled=b"")
@example(pickled=b"\x80\x06.")
@example(pickled=b"c\\_codecs\nencode\n.")
def test_any_bytes_give_data_invalid_or_a_set(path: Path, pickled: bytes) -> None:
    """Nothing but `DataInvalid` comes out of a file that is no pickle."""
    with suppress(DataInvalid):
        assert isinstance(read(path, pickled), BinSet)


GLOBALS = sorted(bin_set._GLOBALS)
PIECES = [
    *(f"c{module}\n{name}\n".encode() for module, name in GLOBALS),
    *(b"\x8c%c%b\x8c%c%b\x93" % (len(m), m.encode(), len(n), n.encode()) for m, n in GLOBALS),
    *(
        b"(",
        b"]",
        b")",
        b"t",
        b"l",
        b"e",
        b"a",
        b"\x85",
        b"\x86",
        b"\x87",
        b"R",
        b"b",
        b"N",
        b"\x88",
    ),
    *(b"K\x01", b"J\xff\xff\xff\xff", b"I01\n", b"I99\n", b"\x8a\x01\xff", b"U\x02u1", b"U\x02b1"),
    *(b"C\x02ab", b"X\x02\0\0\0ab", b"X\x06\0\0\0latin1", b"X\x02\0\0\0b1", b"q\x01", b"h\x01"),
    *(b"\x94", b"\x96\x02\0\0\0\0\0\0\0ab", b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7f", b"0", b"2"),
    *(b"X\x03\0\0\0\xed\xa0\x80", b"X\x02\0\0\0\xc4\x80", b"\x95\x08\0\0\0\0\0\0\0", b"(NNNNNNNt"),
]


@given(pieces=st.lists(st.sampled_from(PIECES), max_size=25))
@settings(max_examples=800, deadline=None)
def test_any_instructions_give_data_invalid_or_a_set(path: Path, pieces: list[bytes]) -> None:
    """Stand-ins called with anything, set to any state, put into anything: `DataInvalid`."""
    with suppress(DataInvalid):
        assert isinstance(read(path, b"\x80\x04" + b"".join(pieces) + b"."), BinSet)


HONEST = [
    pickle.dumps(content, protocol=protocol)
    for protocol in (2, 4, 5)
    for content in (
        ([b"ab", b"c"], [True]),
        ([np.array([1, 2], np.uint8), bytearray(b"c")], [np.bool_(True)]),
        ([np.array([[1], [2]], np.uint8), b"c"], np.array([True])),
    )
]


@given(data=st.data(), pickled=st.sampled_from(HONEST))
@settings(max_examples=800, deadline=None)
def test_damaged_sets_give_data_invalid_or_a_set(
    path: Path, data: st.DataObject, pickled: bytes
) -> None:
    """Bytes changed, cut out or put in: `DataInvalid`, or a set where the damage hit an image."""
    damaged = bytearray(pickled)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(damaged)))
        end = data.draw(st.integers(start, min(start + 3, len(damaged))))
        damaged[start:end] = data.draw(st.binary(max_size=3) | st.sampled_from(PIECES))
    with suppress(DataInvalid):
        assert isinstance(read(path, bytes(damaged)), BinSet)


def test_a_truncated_set_is_damaged(path: Path) -> None:
    """A copy that broke off anywhere is refused."""
    pickled = pickle.dumps((IMAGES, SAME), protocol=4)
    for length in range(len(pickled)):
        with pytest.raises(DataInvalid, match="damaged"):
            read(path, pickled[:length])
