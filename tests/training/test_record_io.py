"""The RecordIO container: what is written comes back, and damage is named."""

import os
import pickle
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding.errors import DataInvalid
from training.data.record_io import (
    MAX_PAYLOAD_BYTES,
    ImageRecord,
    RecordReader,
    RecordWriter,
    read_head,
    read_index,
)

MAGIC = b"\x0a\x23\xd7\xce"

# Mostly pieces of the magic, so that aligned, shifted and broken ones turn up often.
payloads = st.lists(
    st.sampled_from([MAGIC, MAGIC[:1], MAGIC[1:], b"\0", b"\0\0\0\0", b"photo"]), max_size=12
).map(b"".join)


def split_slowly(payload: bytes) -> bytes:
    """The record of a payload, word by word: the format's definition, not the writer's code."""
    parts = [b""]
    for start in range(0, len(payload), 4):
        word = payload[start : start + 4]
        if word == MAGIC:
            parts.append(b"")
        else:
            parts[-1] += word
    kinds = [0] if len(parts) == 1 else [1, *[2] * (len(parts) - 2), 3]
    return b"".join(
        MAGIC + struct.pack("<I", kind << 29 | len(part)) + part + b"\0" * (-len(part) % 4)
        for kind, part in zip(kinds, parts, strict=True)
    )


def write_all(path: Path, written: Sequence[bytes]) -> list[int]:
    """Writes records; their offsets."""
    with RecordWriter(path) as writer:
        return [writer.write(payload) for payload in written]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property."""
    return tmp_path_factory.mktemp("records")


@given(written=st.lists(payloads, min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_what_is_written_comes_back(folder: Path, written: list[bytes]) -> None:
    """Payloads with the magic anywhere survive, and index and scan find the same records."""
    path = folder / "some.rec"
    offsets = write_all(path, written)
    reader = RecordReader(path)
    assert [reader.read_at(offset) for offset in offsets] == written
    assert [reader.length_at(offset) for offset in offsets] == [len(one) for one in written]
    assert reader.scan().tolist() == offsets
    keys, indexed = read_index(path.with_suffix(".idx"))
    assert (keys.tolist(), indexed.tolist()) == (list(range(len(written))), offsets)


@given(written=st.lists(payloads, min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_the_writer_splits_as_the_format_asks(folder: Path, written: list[bytes]) -> None:
    """The file is byte for byte what a slow writer makes, and that one's files are read."""
    path = folder / "split.rec"
    write_all(path, written)
    slow = [split_slowly(payload) for payload in written]
    assert path.read_bytes() == b"".join(slow)
    reader = RecordReader(path)
    assert [reader.read_at(int(offset)) for offset in reader.scan()] == written


@given(payload=payloads, at_most=st.integers(0, 40))
@settings(max_examples=200, deadline=None)
def test_a_beginning_is_the_beginning_of_the_whole(
    folder: Path, payload: bytes, at_most: int
) -> None:
    """Reading a few bytes gives the first ones, across parts too."""
    path = folder / "begin.rec"
    (offset,) = write_all(path, [payload])
    assert RecordReader(path).read_at(offset, at_most=at_most) == payload[:at_most]


@given(data=st.data(), written=st.lists(payloads, min_size=1, max_size=4))
@settings(max_examples=200, deadline=None)
def test_damage_raises_nothing_but_data_invalid(
    folder: Path, data: st.DataObject, written: list[bytes]
) -> None:
    """A file with one byte changed, cut anywhere, gives records or a `DataInvalid`."""
    path = folder / "damaged.rec"
    write_all(path, written)
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    reader = RecordReader(path)
    for offset in range(-1, len(content) + 1):
        with suppress(DataInvalid):
            assert len(reader.read_at(offset)) == reader.length_at(offset)
            assert not reader.is_cut_off(offset)
    with suppress(DataInvalid):
        reader.scan()


def test_a_wrong_magic_is_named_with_its_place(tmp_path: Path) -> None:
    """Damage in the second header is reported at its byte."""
    path = tmp_path / "a.rec"
    offsets = write_all(path, [b"one", b"two"])
    content = bytearray(path.read_bytes())
    content[offsets[1]] ^= 1
    path.write_bytes(content)
    reader = RecordReader(path)
    assert reader.read_at(0) == b"one"
    for act in (lambda: reader.read_at(offsets[1]), reader.scan):
        with pytest.raises(DataInvalid, match=rf"a\.rec: wrong magic at byte {offsets[1]}: "):
            act()


@pytest.mark.parametrize("num_left", [4, 8, 10])
def test_a_cut_record_is_called_truncated(tmp_path: Path, num_left: int) -> None:
    """Whether header or payload is cut, the message gives the file's end."""
    path = tmp_path / "a.rec"
    write_all(path, [b"a longer payload"])
    path.write_bytes(path.read_bytes()[:num_left])
    reader = RecordReader(path)
    assert reader.is_cut_off(0)
    with pytest.raises(DataInvalid, match=f"truncated: it ends at byte {num_left}"):
        reader.read_at(0)


def test_a_record_that_is_cut_between_its_parts_is_cut_off(tmp_path: Path) -> None:
    """The last part may be missing whole."""
    path = tmp_path / "a.rec"
    write_all(path, [b"1234" + MAGIC + b"5678"])
    path.write_bytes(path.read_bytes()[:12])
    reader = RecordReader(path)
    assert reader.is_cut_off(0)
    with pytest.raises(DataInvalid, match="byte 12 lies outside the file of 12 bytes"):
        reader.read_at(0)


def test_missing_padding_at_the_end_loses_nothing(tmp_path: Path) -> None:
    """The last payload counts as whole when only the zeros after it are gone."""
    path = tmp_path / "a.rec"
    write_all(path, [b"12345"])
    path.write_bytes(path.read_bytes()[:-3])
    assert RecordReader(path).read_at(0) == b"12345"
    assert RecordReader(path).scan().tolist() == [0]


@pytest.mark.parametrize("offset", [-4, 12, 1 << 40])
def test_an_offset_outside_the_file_is_refused(tmp_path: Path, offset: int) -> None:
    """Negative offsets and those at or beyond the end say so."""
    path = tmp_path / "a.rec"
    write_all(path, [b"1234"])
    with pytest.raises(DataInvalid, match=f"byte {offset} lies outside the file of 12 bytes"):
        RecordReader(path).read_at(offset)


def test_a_middle_part_is_no_record(tmp_path: Path) -> None:
    """An offset into the middle of a split record is refused, not read as something shorter."""
    path = tmp_path / "a.rec"
    write_all(path, [b"1234" + MAGIC + b"5678"])
    with pytest.raises(DataInvalid, match=r"part at byte 12 is of kind 3 where 0 or 1 must"):
        RecordReader(path).read_at(12)


def test_a_file_that_shrinks_under_the_reader_is_noticed(tmp_path: Path) -> None:
    """What is missing since the file was opened is never returned short."""
    path = tmp_path / "a.rec"
    write_all(path, [b"12345678"])
    reader = RecordReader(path)
    os.truncate(path, 10)
    with pytest.raises(DataInvalid, match="has shrunk"):
        reader.read_at(0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Opening nothing is the caller's mistake."""
    with pytest.raises(DataInvalid, match=r"none\.rec cannot be opened"):
        RecordReader(tmp_path / "none.rec")
    with pytest.raises(DataInvalid, match=r"none\.idx cannot be read"):
        read_index(tmp_path / "none.idx")


def test_readers_work_in_threads_and_after_pickling(tmp_path: Path) -> None:
    """Many threads on one reader each get their record; a pickled reader opens the file again."""
    path = tmp_path / "a.rec"
    written = [bytes([number]) * (number * 37) for number in range(50)]
    offsets = write_all(path, written)
    reader = pickle.loads(pickle.dumps(RecordReader(path)))  # noqa: S301 - our own bytes
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(reader.read_at, offsets * 4)) == written * 4


@pytest.mark.parametrize(
    "line",
    ["one\t2", "1", "1\t2\t3", "-1\t2", "1\t2.5", "9" * 30 + "\t0", "1_0\t2", "1\t" + "9" * 5000],
)
def test_a_bad_index_line_is_named(tmp_path: Path, line: str) -> None:
    """Whatever is no pair of whole numbers gives the line's number."""
    path = tmp_path / "a.idx"
    path.write_text(f"0\t0\n{line}\n")
    with pytest.raises(DataInvalid, match=r"a\.idx, line 2: expected a key"):
        read_index(path)


def test_empty_index_lines_are_skipped(tmp_path: Path) -> None:
    """Line ends of Windows and an empty last line do no harm."""
    path = tmp_path / "a.idx"
    path.write_bytes(b"7\t0\r\n8\t12\r\n\r\n")
    keys, offsets = read_index(path)
    assert (keys.tolist(), offsets.tolist()) == ([7, 8], [0, 12])


def test_a_payload_beyond_the_format_is_refused(tmp_path: Path) -> None:
    """The length word has 29 bits."""
    with (
        RecordWriter(tmp_path / "a.rec") as writer,
        pytest.raises(DataInvalid, match=f"at most {MAX_PAYLOAD_BYTES}"),
    ):
        writer.write(bytes(MAX_PAYLOAD_BYTES + 1))


@given(
    record=st.builds(
        ImageRecord,
        labels=st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4).map(tuple),
        image=payloads,
        number=st.integers(0, 2**64 - 1),
        number2=st.integers(0, 2**64 - 1),
    )
)
@settings(max_examples=200, deadline=None)
def test_image_records_survive(folder: Path, record: ImageRecord) -> None:
    """A record comes back from its payload, and its head agrees with it."""
    path = folder / "images.rec"
    (offset,) = write_all(path, [record.to_payload()])
    reader = RecordReader(path)
    assert ImageRecord.from_payload(reader.read_at(offset), "it") == record
    head = read_head(reader, offset)
    assert head.label == record.labels[0]
    assert head.num_labels == len(record.labels)
    assert head.num_image_bytes == len(record.image)


def test_the_image_header_is_mxnets() -> None:
    """Flag, label and two ids, little endian; the labels of flag 2 follow the header."""
    plain = bytes.fromhex("00000000 0000e040 0300000000000000 0400000000000000") + b"jpeg"
    assert ImageRecord.from_payload(plain, "it") == ImageRecord((7.0,), b"jpeg", 3, 4)
    several = bytes.fromhex("02000000 00000000") + bytes(16) + struct.pack("<2f", 1, 9) + b"jpeg"
    assert ImageRecord.from_payload(several, "it") == ImageRecord((1.0, 9.0), b"jpeg")


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"short", "holds 5 bytes; an image record begins with a header of 24"),
        (struct.pack("<IfQQ", 2**32 - 1, 0, 0, 0), "announces 4294967295 labels but holds 24"),
        (struct.pack("<IfQQf", 2, 0, 0, 0, 0), "announces 2 labels but holds 28"),
    ],
)
def test_a_payload_shorter_than_its_header_says_is_refused(
    tmp_path: Path, payload: bytes, words: str
) -> None:
    """Both the whole record and its head name what is missing."""
    with pytest.raises(DataInvalid, match=f"it {words}"):
        ImageRecord.from_payload(payload, "it")
    (offset,) = write_all(tmp_path / "a.rec", [payload])
    with pytest.raises(DataInvalid, match=f"record at byte 0 {words}"):
        read_head(RecordReader(tmp_path / "a.rec"), offset)
