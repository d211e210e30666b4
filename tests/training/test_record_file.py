"""InsightFace's training sets: identities, rows and names, in every form and when damaged."""

import logging
import multiprocessing
import pickle
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding.errors import DataInvalid
from training.data.crop_store import CropStore
from training.data.record_file import FIRST_INEXACT, RecordFile
from training.data.record_io import ImageRecord, RecordWriter

MAGIC = b"\x0a\x23\xd7\xce"


def photo(number: int) -> bytes:
    """Bytes that stand for an image; some hold an aligned magic."""
    return b"photo %02d" % number + (MAGIC * (number % 3)) + b"x" * (number % 5)


def write_flat(path: Path, labels: Sequence[float]) -> Path:
    """A file as im2rec makes it; the image of each record is `photo` of its key."""
    with RecordWriter(path) as writer:
        for key, label in enumerate(labels):
            writer.write(ImageRecord((label,), photo(key), number=key).to_payload())
    return path


def write_meta(
    path: Path,
    counts: Sequence[int],
    *,
    first_key: int = 1,
    meta_first: bool = False,
    changes: Mapping[int, ImageRecord] | None = None,
) -> Path:
    """A file as InsightFace makes it; the image of each record is `photo` of its place.

    Args:
        path: where.
        counts: images of each identity.
        first_key: key of the first image.
        meta_first: put meta and identity records before the images.
        changes: records that stand instead of others, by key.
    """
    starts = [first_key + sum(counts[:place]) for place in range(len(counts) + 1)]
    images, others, place = {}, {}, 0
    for identity, count in enumerate(counts):
        for _ in range(count):
            images[first_key + place] = ImageRecord((float(identity), 1.0), photo(place))
            place += 1
    stop = starts[-1]
    others[0] = ImageRecord((float(stop), float(stop + len(counts))), b"")
    for identity, (start, end) in enumerate(pairwise(starts)):
        others[stop + identity] = ImageRecord((float(start), float(end)), b"")
    records = {**others, **images} if meta_first else {**images, **others}
    with RecordWriter(path) as writer:
        for key, record in records.items():
            writer.write((changes or {}).get(key, record).to_payload(), key=key)
    return path


def contents(store: CropStore) -> dict[str, list[bytes]]:
    """All images by identity, read through the protocol."""
    found = {}
    for name, (first, stop) in zip(store.names, pairwise(store.first_rows), strict=True):
        found[name] = [store.read(row) for row in range(first, stop)]
        for row in range(first, stop):
            assert store.num_bytes(row) == len(store.read(row))
    return found


def keys(store: CropStore) -> list[str]:
    """The keys of all rows."""
    return [store.key(row) for row in range(int(store.first_rows[-1]))]


def cut(path: Path, num_bytes: int) -> None:
    """Takes bytes off the end of a file."""
    path.write_bytes(path.read_bytes()[:-num_bytes])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property."""
    return tmp_path_factory.mktemp("sets")


@given(
    counts=st.lists(st.integers(0, 4), min_size=1, max_size=6).filter(any),
    meta_first=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_identity_records_say_whose_an_image_is(
    folder: Path, counts: list[int], meta_first: bool
) -> None:
    """Every image is found once, with its identity; identities without images are absent."""
    store = RecordFile(write_meta(folder / "train.rec", counts, meta_first=meta_first))
    places = iter(range(sum(counts)))
    expected = {
        f"identity-{identity:07d}": [photo(next(places)) for _ in range(count)]
        for identity, count in enumerate(counts)
        if count
    }
    assert contents(store) == expected
    assert keys(store) == [f"train.rec#{key}" for key in range(1, sum(counts) + 1)]
    assert store.first_rows.dtype == np.int64


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=12), with_index=st.booleans())
@settings(max_examples=100, deadline=None)
def test_labels_say_whose_an_image_is(folder: Path, labels: list[int], with_index: bool) -> None:
    """Without identity records an identity's images are gathered by label, in order."""
    path = write_flat(folder / "flat.rec", labels)
    if not with_index:
        path.with_suffix(".idx").unlink()
    store = RecordFile(path)
    rows = sorted(range(len(labels)), key=lambda key: labels[key])
    assert contents(store) == {
        f"identity-{label:07d}": [photo(key) for key in rows if labels[key] == label]
        for label in sorted(set(labels))
    }
    assert keys(store) == [f"flat.rec#{key}" for key in rows]


def test_images_come_in_the_order_of_their_keys(tmp_path: Path) -> None:
    """A file that was shuffled when it was written gives the same rows as an ordered one."""
    path = tmp_path / "train.rec"
    with RecordWriter(path) as writer:
        for key in (9, 2, 30, 4):
            writer.write(ImageRecord((float(key % 2),), photo(key)).to_payload(), key=key)
    store = RecordFile(path)
    assert keys(store) == [f"train.rec#{key}" for key in (2, 4, 30, 9)]
    assert contents(store)["identity-0000000"] == [photo(2), photo(4), photo(30)]


def test_a_folder_with_one_record_file_will_do(tmp_path: Path) -> None:
    """The folder of a set stands for its file; none or two are refused with their number."""
    with pytest.raises(DataInvalid, match=r"holds 0 \.rec files"):
        RecordFile(tmp_path)
    write_meta(tmp_path / "train.rec", [2, 1])
    assert RecordFile(tmp_path).path == tmp_path / "train.rec"
    write_flat(tmp_path / "more.rec", [1])
    with pytest.raises(DataInvalid, match=r"holds 2 \.rec files"):
        RecordFile(tmp_path)


@pytest.mark.parametrize("meta_first", [True, False])
def test_a_missing_index_is_made_up_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, meta_first: bool
) -> None:
    """A scan finds the same images, wherever the meta record lies, and the log says so."""
    path = write_meta(tmp_path / "train.rec", [2, 3], first_key=3, meta_first=meta_first)
    with_index = contents(RecordFile(path))
    path.with_suffix(".idx").unlink()
    if meta_first:  # then the key of a record is its place: 0 meta, 1 and 2 identities
        write_by_place(path)
    with caplog.at_level(logging.INFO):
        assert contents(RecordFile(path)) == with_index
    assert "train.idx is missing: scanning" in caplog.text


def write_by_place(path: Path) -> None:
    """The set of two and three images with its records in the order of their keys, no index."""
    records = [
        ImageRecord((1.0, 3.0), b""),
        ImageRecord((3.0, 5.0), b""),
        ImageRecord((5.0, 8.0), b""),
        *(ImageRecord((9.0,), photo(place)) for place in range(5)),
    ]
    with RecordWriter(path) as writer:
        for record in records:
            writer.write(record.to_payload())
    path.with_suffix(".idx").unlink()


def test_identities_without_an_image_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An empty identity is left out, and the others keep their names."""
    store = RecordFile(write_meta(tmp_path / "train.rec", [1, 0, 2]))
    assert store.names == ["identity-0000000", "identity-0000002"]
    assert store.first_rows.tolist() == [0, 1, 3]
    assert "1 identities hold no image and are left out" in caplog.text


def test_images_of_nobody_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Images outside every identity's range are left out and counted."""
    narrower = ImageRecord((2.0, 3.0), b"")
    path = write_meta(tmp_path / "train.rec", [2, 2], changes={5: narrower})
    assert keys(RecordFile(path)) == ["train.rec#2", "train.rec#3", "train.rec#4"]
    assert "1 images belong to no identity record and are left out" in caplog.text


def test_an_image_with_two_labels_and_key_zero_is_no_meta_record(tmp_path: Path) -> None:
    """InsightFace's images may have two labels themselves; a meta record holds no image."""
    path = tmp_path / "train.rec"
    with RecordWriter(path) as writer:
        for key in range(3):
            writer.write(ImageRecord((float(key // 2), 1.0), photo(key)).to_payload())
    assert RecordFile(path).names == ["identity-0000000", "identity-0000001"]


@pytest.mark.parametrize("first_key", [FIRST_INEXACT - 5 + shift for shift in range(8)])
def test_beyond_the_whole_numbers_of_float32_images_speak_for_themselves(
    tmp_path: Path, first_key: int
) -> None:
    """Where the ranges are rounded no image goes to a neighbour, and nobody is lost."""
    counts = [1, 3, 1, 2, 1, 1, 2]
    store = RecordFile(write_meta(tmp_path / "train.rec", counts, first_key=first_key))
    assert [len(images) for images in contents(store).values()] == counts
    assert keys(store) == [f"train.rec#{first_key + place}" for place in range(sum(counts))]
    assert store.names == [f"identity-{identity:07d}" for identity in range(len(counts))]


@pytest.mark.parametrize("meta_first", [True, False])
@pytest.mark.parametrize("beyond", ["index", "file"])
def test_a_few_lost_images_are_left_out_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, meta_first: bool, beyond: str
) -> None:
    """Up to one in a hundred may lie beyond the end; the log names and counts them."""
    path = tmp_path / "train.rec"
    if meta_first:
        write_meta(path, [50, 49, 1], meta_first=True)
        last = 100
    else:
        write_flat(path, [0] * 50 + [1] * 49 + [2])
        last = 99
    if beyond == "file":
        cut(path, 8)
    else:
        index = path.with_suffix(".idx")
        lines = index.read_text().splitlines()
        index.write_text("\n".join([*lines[:-1], f"{last}\t{10**12}"]))
    store = RecordFile(path)
    assert store.names == ["identity-0000000", "identity-0000001"]
    assert store.first_rows.tolist() == [0, 50, 99]
    assert "truncated: 1 of 100 images cannot be read" in caplog.text
    assert f"such as train.rec#{last}" in caplog.text


@pytest.mark.parametrize("meta_first", [True, False])
def test_many_lost_images_are_a_truncated_file(tmp_path: Path, meta_first: bool) -> None:
    """Beyond one in a hundred the set is refused with both numbers."""
    path = tmp_path / "train.rec"
    if meta_first:
        write_meta(path, [50, 49], meta_first=True)
    else:
        write_flat(path, [0] * 50 + [1] * 49)
    cut(path, 4)
    with pytest.raises(DataInvalid, match=r"train\.rec is truncated: 1 of 99 images"):
        RecordFile(path)


@pytest.mark.parametrize(
    ("num_bytes", "words"),
    [
        (4, "truncated: 1 of its 2 identity records lie beyond its end"),
        (44, "truncated: 2 of its 2 identity records lie beyond its end"),
        (
            90,
            "truncated: 3 of the 6 records of its index lie beyond its end, among them the first",
        ),
    ],
)
def test_a_file_without_its_identity_records_is_truncated(
    tmp_path: Path, num_bytes: int, words: str
) -> None:
    """They stand last in InsightFace's files, so they are the first to go."""
    path = write_meta(tmp_path / "train.rec", [2, 1])
    cut(path, num_bytes)
    with pytest.raises(DataInvalid, match=words):
        RecordFile(path)


def test_a_few_damaged_labels_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A record in the middle whose header is damaged costs its image, not the set."""
    path = write_flat(tmp_path / "train.rec", [0] * 100)
    content = bytearray(path.read_bytes())
    content[content.index(b"photo 40") - 32] ^= 255
    path.write_bytes(content)
    assert "train.rec#40" not in keys(RecordFile(path))
    assert "damaged: 1 of 100 images cannot be read, 0 of them because" in caplog.text


def test_damage_after_opening_is_named_at_reading(tmp_path: Path) -> None:
    """Reading a damaged record says which, and the others are read."""
    path = write_meta(tmp_path / "train.rec", [2, 1])
    content = bytearray(path.read_bytes())
    content[content.index(b"photo 01") - 40] ^= 255  # 8 bytes of header, 24 and two labels
    path.write_bytes(content)
    store = RecordFile(path)
    assert store.read(0) == photo(0)
    for act in (store.read, store.num_bytes):
        with pytest.raises(DataInvalid, match=r"train\.rec#2 cannot be read: .* wrong magic"):
            act(1)


def test_a_record_without_image_is_named_at_reading(tmp_path: Path) -> None:
    """An identity's range may point at what is no image."""
    path = write_meta(tmp_path / "train.rec", [2], changes={2: ImageRecord((0.0,), b"")})
    with pytest.raises(DataInvalid, match=r"record train\.rec#2 holds no image"):
        RecordFile(path).read(1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({4: ImageRecord((1.0, 4.0), b"")}, "two identity records claim the image with key 3"),
        ({4: ImageRecord((3.0, 1.0), b"")}, r"record 4, gives the range 3\.0 to 1\.0"),
        ({4: ImageRecord((0.0, 3.0), b"")}, r"record 4, gives the range 0\.0 to 3\.0"),
        ({4: ImageRecord((1.5, 3.0), b"")}, r"record 4, gives the range 1\.5 to 3\.0"),
        ({4: ImageRecord((1.0, float("nan")), b"")}, "record 4, gives the range"),
        ({4: ImageRecord((1.0, 3.0), b"a")}, "record 4, should be an identity record"),
        ({4: ImageRecord((1.0,), b"")}, "record 4, should be an identity record"),
        ({0: ImageRecord((4.0, 9.0), b"")}, "speaks of 5 identity records, its index has 2"),
        ({0: ImageRecord((4.0, 3.0), b"")}, "record 0, gives the range"),
        ({0: ImageRecord((4.0, 4.0), b"")}, "not one image that belongs to an identity"),
    ],
)
def test_records_that_contradict_each_other_are_refused(
    tmp_path: Path, changes: Mapping[int, ImageRecord], words: str
) -> None:
    """Ranges must be whole, in order and apart."""
    path = write_meta(tmp_path / "train.rec", [2, 1], changes=changes)
    with pytest.raises(DataInvalid, match=words):
        RecordFile(path)


@pytest.mark.parametrize("label", [-1.0, 0.5, float("nan"), float("inf"), float(FIRST_INEXACT)])
def test_a_label_that_is_no_identity_is_refused(tmp_path: Path, label: float) -> None:
    """Labels are whole numbers that float32 holds exactly; the record is named."""
    path = write_flat(tmp_path / "train.rec", [0, label])
    with pytest.raises(DataInvalid, match=r"train\.rec, record 1, has label"):
        RecordFile(path)


@pytest.mark.parametrize(
    ("index", "words"),
    [
        ("0\t0\n0\t0\n", "has the key 0 twice"),
        ("0\tzero\n", "line 1: expected a key"),
        ("", "hold not one record"),
    ],
)
def test_a_bad_index_is_refused(tmp_path: Path, index: str, words: str) -> None:
    """Keys that occur twice, lines of another kind, and no line at all."""
    path = write_flat(tmp_path / "train.rec", [0, 1])
    path.with_suffix(".idx").write_text(index)
    with pytest.raises(DataInvalid, match=words):
        RecordFile(path)


def test_the_index_of_another_file_is_noticed(tmp_path: Path) -> None:
    """Offsets that hit no record are damage, not images."""
    path = write_flat(tmp_path / "train.rec", [0, 1, 2])
    path.with_suffix(".idx").write_text("0\t0\n1\t17\n2\t21\n")
    with pytest.raises(DataInvalid, match="damaged: 2 of 3 images"):
        RecordFile(path)


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork")
def test_a_store_is_read_in_other_processes(tmp_path: Path) -> None:
    """Forked workers share the file without disturbing each other; spawned ones open it again."""
    store = RecordFile(write_meta(tmp_path / "train.rec", [20, 20]))
    again = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
    assert contents(again) == contents(store)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(store.read, list(range(40)) * 5, chunksize=1)
    assert found == [photo(place) for place in range(40)] * 5
