"""Who trains and who never does, and selections of a store's images."""

import hashlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from embedding.errors import DataInvalid
from training.config import DataConfig
from training.data.crop_store import SHARP_BYTES, CropStore, is_sharp
from training.data.decoding import load_crops
from training.data.identity_folder import IdentityFolder
from training.data.opening import open_store
from training.data.split import Selection, select_all, split_store

SHARP, SOFT = SHARP_BYTES, SHARP_BYTES - 1
ANYWHERE = DataConfig(source=Path("somewhere"))


class SizedStore:
    """A store whose images are nothing but zeros, so many bytes each.

    Args:
        sizes: for each identity the bytes of its images.
    """

    def __init__(self, sizes: Mapping[str, Sequence[int]]) -> None:
        self._sizes = [size for one in sizes.values() for size in one]
        self._keys = [f"{name}/{n}.jpg" for name, one in sizes.items() for n in range(len(one))]
        self._names = list(sizes)
        counts = [0, *(len(one) for one in sizes.values())]
        self._first_rows = np.cumsum(counts, dtype=np.int64)

    @property
    def names(self) -> list[str]:
        """In the order that was given."""
        return self._names

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """Where each identity begins."""
        return self._first_rows

    def read(self, row: int) -> bytes:
        """Zeros."""
        return bytes(self._sizes[row])

    def key(self, row: int) -> str:
        """Name and number."""
        return self._keys[row]

    def num_bytes(self, row: int) -> int:
        """As given."""
        return self._sizes[row]


def people(num: int, *, num_images: int = 3, size: int = SHARP) -> SizedStore:
    """Identities named p00, p01 and so on, all alike."""
    return SizedStore({f"p{n:02d}": [size] * num_images for n in range(num)})


def by_hash(names: Sequence[str]) -> list[str]:
    """Names in the order in which people are held out."""
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())


def keys(selection: Selection) -> list[str]:
    """The keys of all its images."""
    return [selection.key(image) for image in range(len(selection))]


def name_of(selection: Selection, image: int) -> str:
    """The identity that an image's label stands for."""
    return selection.names[int(selection.labels_N[image])]


def test_the_sized_store_is_a_store() -> None:
    """The fake of these tests keeps the promises of the protocol."""
    store: CropStore = SizedStore({"a": [5], "b": [7, 9]})
    assert store.first_rows.tolist() == [0, 1, 3]
    assert [len(store.read(row)) for row in range(3)] == [5, 7, 9]
    assert [store.num_bytes(row) for row in range(3)] == [5, 7, 9]
    assert [store.key(row) for row in range(3)] == ["a/0.jpg", "b/0.jpg", "b/1.jpg"]


def test_nobody_trains_who_is_held_out(identities: Path) -> None:
    """The split is by identity and covers everybody once."""
    store = IdentityFolder(identities)
    split = split_store(store, DataConfig(source=identities, num_holdout_sharp=10))
    train, holdout = set(split.train.names), set(split.holdout.names)
    assert len(holdout) == 10
    assert not train & holdout
    assert train | holdout == set(store.names)
    assert sorted([*split.train.rows_N, *split.holdout.rows_N]) == list(range(120))


def test_the_same_people_are_held_out_as_ever(identities: Path) -> None:
    """By the SHA-256 of their names; other people would make all earlier figures lies."""
    config = DataConfig(source=identities, num_holdout_sharp=4)
    split = split_store(IdentityFolder(identities), config)
    assert split.holdout.names == ("person012", "person000", "person014", "person009")


def test_the_same_people_are_held_out_whoever_else_is_there() -> None:
    """A name alone decides: leaving out people who train keeps the held-out ones."""
    config = replace(ANYWHERE, num_holdout_sharp=6)
    split = split_store(people(24), config)
    fewer = SizedStore({n: [SHARP] * 3 for n in [*split.holdout.names, *split.train.names[:5]]})
    assert split_store(fewer, config).holdout.names == split.holdout.names


@given(
    counts=st.lists(st.integers(1, 6), min_size=4, max_size=20),
    num_holdout=st.integers(0, 3),
    min_images=st.integers(1, 4),
    max_identities=st.none() | st.integers(2, 20),
)
def test_any_split_keeps_its_promises(
    counts: list[int], num_holdout: int, min_images: int, max_identities: int | None
) -> None:
    """Whole identities, apart, in order, with images enough; or a message."""
    store = SizedStore({f"p{n}": [SHARP] * count for n, count in enumerate(counts)})
    config = replace(
        ANYWHERE,
        num_holdout_sharp=num_holdout,
        min_images=min_images,
        max_identities=max_identities,
    )
    try:
        split = split_store(store, config)
    except DataInvalid:
        able = [name for name, count in enumerate(counts) if count >= 3]
        assert len(able) < num_holdout or sum(c >= min_images for c in counts) < num_holdout + 2
        return
    assert split.holdout.num_identities == num_holdout
    assert not set(split.holdout.names) & set(split.train.names)
    assert split.train.num_identities <= (max_identities or len(counts))
    for part, least in ((split.train, min_images), (split.holdout, 3)):
        assert len(part) == len(part.rows_N) == len(part.labels_N)
        assert np.unique(part.labels_N).tolist() == list(range(part.num_identities))
        assert all(a <= b for a, b in pairwise(part.labels_N))
        for label, name in enumerate(part.names):
            number = store.names.index(name)
            rows = part.rows_N[part.labels_N == label]
            first, stop = store.first_rows[number : number + 2]
            assert rows.tolist() == list(range(first, stop))
            assert len(rows) >= least


def test_softness_is_seen_from_the_files(tmp_path: Path) -> None:
    """An identity of up-sampled images counts as soft."""
    rng = np.random.default_rng(0)
    for name, size in (("sharp", 112), ("soft", 12)):
        (tmp_path / name).mkdir()
        image = Image.fromarray(rng.integers(90, 160, (size, size, 3), dtype=np.uint8))
        image.resize((112, 112), Image.Resampling.BICUBIC).save(
            tmp_path / name / "0.jpg", quality=80
        )
    store = IdentityFolder(tmp_path)
    assert {
        name: is_sharp(store, range(*store.first_rows[one : one + 2]))
        for one, name in enumerate(store.names)
    } == {
        "sharp": True,
        "soft": False,
    }


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([SHARP], True), ([SOFT], False), ([1, SHARP, 9999], True), ([1, SOFT, 9999], False)],
)
def test_the_median_file_tells_sharp_from_soft(sizes: list[int], expected: bool) -> None:
    """At the boundary an identity is sharp."""
    assert is_sharp(SizedStore({"ann": sizes}), range(len(sizes))) is expected


def test_sharp_and_soft_people_are_held_out_by_their_numbers() -> None:
    """First the sharp ones by hash, then the soft ones by hash, and each is marked."""
    sizes = {f"p{n:02d}": [SHARP if n % 2 else SOFT] * 3 for n in range(20)}
    config = replace(ANYWHERE, num_holdout_sharp=2, num_holdout_soft=3)
    split = split_store(SizedStore(sizes), config)
    order = by_hash(list(sizes))
    sharp = [name for name in order if sizes[name][0] == SHARP]
    soft = [name for name in order if sizes[name][0] == SOFT]
    assert split.holdout.names == (*sharp[:2], *soft[:3])
    assert split.holdout.sharp == (True, True, False, False, False)


def test_who_has_two_images_is_never_held_out() -> None:
    """Nobody can be enrolled and searched with fewer than three."""
    sizes = {f"p{n:02d}": [SHARP] * (3 if n < 5 else 2) for n in range(20)}
    split = split_store(SizedStore(sizes), replace(ANYWHERE, num_holdout_sharp=5))
    assert sorted(split.holdout.names) == ["p00", "p01", "p02", "p03", "p04"]


def test_too_few_people_for_the_holdout_are_refused() -> None:
    """Asking for more held-out people than there are names both numbers."""
    with pytest.raises(DataInvalid, match=r"asked to hold out 25 sharp .* has 24"):
        split_store(people(24), replace(ANYWHERE, num_holdout_sharp=25))


def test_too_few_soft_people_for_the_holdout_are_refused() -> None:
    """Sharp ones do not stand in for them."""
    with pytest.raises(DataInvalid, match=r"and 1 soft .* has 2 and 0"):
        split_store(people(24), replace(ANYWHERE, num_holdout_sharp=2, num_holdout_soft=1))


@pytest.mark.parametrize("num_holdout", [23, 24])
def test_nobody_left_to_train_on_is_refused(num_holdout: int) -> None:
    """Holding out everybody, or all but one, leaves no training set."""
    with pytest.raises(DataInvalid, match=f"{24 - num_holdout} identities are left"):
        split_store(people(24), replace(ANYWHERE, num_holdout_sharp=num_holdout))


def test_at_most_so_many_identities_train() -> None:
    """The first by hash among those who may; the same people are held out as without a limit."""
    config = replace(ANYWHERE, num_holdout_sharp=3, max_identities=5)
    split = split_store(people(24), config)
    order = by_hash(people(24).names)
    assert split.holdout.names == tuple(order[:3])
    assert split.train.names == tuple(sorted(order[3:8]))


def test_a_limit_counts_only_people_with_images_enough() -> None:
    """People left out for their few images take nobody's place."""
    order = by_hash([f"p{n:02d}" for n in range(10)])
    sizes = {name: [SHARP] * (1 if name == order[1] else 2) for name in sorted(order)}
    split = split_store(SizedStore(sizes), replace(ANYWHERE, max_identities=3))
    assert split.train.names == tuple(sorted([order[0], order[2], order[3]]))


def test_people_with_few_images_are_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    """How many they are, the limit, and some names."""
    sizes = {"ann": [SHARP] * 3, "ben": [SHARP], "cat": [SHARP] * 2, "dan": [SHARP] * 3}
    split = split_store(SizedStore(sizes), replace(ANYWHERE, min_images=3))
    assert split.train.names == ("ann", "dan")
    assert (
        "2 identities have fewer than 3 images and are left out, such as ben, cat" in caplog.text
    )


def test_a_split_that_leaves_nobody_out_warns_of_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A warning means something."""
    with caplog.at_level(logging.WARNING):
        split_store(people(4), replace(ANYWHERE, num_holdout_sharp=1))
    assert not caplog.records


def excluding(tmp_path: Path, *lines: str) -> DataConfig:
    """A configuration with a list of images to leave out."""
    (tmp_path / "exclude.txt").write_text("\n".join(lines) + "\n")
    return replace(ANYWHERE, exclude=tmp_path / "exclude.txt")


def test_listed_images_are_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By key; empty lines and spaces at the ends of lines mean nothing."""
    config = excluding(tmp_path, "p00/1.jpg", "", "  p02/0.jpg ", "p02/2.jpg")
    with caplog.at_level(logging.INFO):
        split = split_store(people(4), replace(config, min_images=1))
    kept = [f"p0{n}/{m}.jpg" for n in range(4) for m in range(3)]
    assert keys(split.train) == [
        key for key in kept if key not in ("p00/1.jpg", "p02/0.jpg", "p02/2.jpg")
    ]
    assert "3 images are excluded" in caplog.text
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_listed_images_that_are_not_there_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A list made for another set does not work in silence."""
    split_store(people(4), excluding(tmp_path, "p00/1.jpg", "p00/7.jpg", "elsewhere/0.jpg"))
    assert "2 of 3 keys" in caplog.text


def test_who_loses_all_images_is_gone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Classes stay without gaps, and the log says how many are lost."""
    split = split_store(people(4), excluding(tmp_path, *(f"p01/{n}.jpg" for n in range(3))))
    assert split.train.names == ("p00", "p02", "p03")
    assert [name_of(split.train, n) for n in range(9)] == [
        name for name in ("p00", "p02", "p03") for _ in range(3)
    ]
    assert "1 identities lose all images" in caplog.text


def test_excluded_images_do_not_count_as_images(tmp_path: Path) -> None:
    """Who keeps one image of three has fewer than min_images."""
    split = split_store(people(4), excluding(tmp_path, "p01/0.jpg", "p01/2.jpg"))
    assert split.train.names == ("p00", "p02", "p03")


def test_excluding_a_person_leaves_others_as_sharp_as_they_are(tmp_path: Path) -> None:
    """Whoever comes behind is not taken for the neighbour."""
    sizes = {"a": [SOFT] * 3, "b": [SHARP] * 3, "c": [SOFT] * 3, "d": [SHARP] * 3}
    config = replace(excluding(tmp_path, *(f"a/{n}.jpg" for n in range(3))), num_holdout_sharp=1)
    assert set(split_store(SizedStore(sizes), config).holdout.names) <= {"b", "d"}


def test_excluding_everybody_is_refused(tmp_path: Path) -> None:
    """Nothing is left to train on."""
    config = excluding(tmp_path, *(f"p0{n}/{m}.jpg" for n in range(2) for m in range(3)))
    with pytest.raises(DataInvalid, match="0 identities are left"):
        split_store(people(2), config)


def test_a_list_that_is_missing_is_refused(tmp_path: Path) -> None:
    """A typing mistake must not train on what was to be left out."""
    config = replace(ANYWHERE, exclude=tmp_path / "none.txt")
    with pytest.raises(DataInvalid, match=r"none\.txt"):
        split_store(people(4), config)


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """An image given by mistake ends in a message."""
    (tmp_path / "list.txt").write_bytes(b"\xff\xd8\xff\xe0")
    with pytest.raises(DataInvalid, match=r"list\.txt"):
        split_store(people(4), replace(ANYWHERE, exclude=tmp_path / "list.txt"))


def test_names_that_are_no_unicode_are_split_too(tmp_path: Path) -> None:
    """Old sets have folders named in Latin-1."""
    for name in (b"Bj\xf6rn", b"ann", b"ben"):
        folder = os.fsencode(tmp_path) + b"/" + name
        os.mkdir(folder)  # noqa: PTH102 - pathlib takes no bytes
        for number in range(3):
            Path(os.fsdecode(folder), f"{number}.jpg").touch()
    store = IdentityFolder(tmp_path)
    assert split_store(store, replace(ANYWHERE, source=tmp_path)).train.num_identities == 3


def test_an_image_that_has_gone_before_the_split_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A link to nowhere holds nobody out, and does not stop the split of others."""
    for name in ("ann", "ben", "cat"):
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.jpg").symlink_to(tmp_path / "nowhere")
    config = DataConfig(source=tmp_path, num_holdout_soft=1)
    with pytest.raises(DataInvalid, match="asked to hold out 0 sharp and 1 soft"):
        split_store(IdentityFolder(tmp_path), config)
    assert "ann/0.jpg cannot be read" in caplog.text


@pytest.fixture
def everybody(identities: Path) -> Selection:
    """All 120 images of the small identities."""
    return select_all(IdentityFolder(identities))


def test_everybody_is_all_of_the_store(everybody: Selection, identities: Path) -> None:
    """Rows in order, five of each class, and nobody asked who is sharp."""
    assert everybody.num_identities == 24
    assert everybody.rows_N.tolist() == list(range(120))
    assert everybody.labels_N.tolist() == [label for label in range(24) for _ in range(5)]
    assert everybody.names == tuple(IdentityFolder(identities).names)
    assert everybody.sharp == ()


def test_some_identities_come_in_the_order_asked_for(everybody: Selection) -> None:
    """With all their images, numbered anew, and marked sharp as before."""
    marked = replace(everybody, sharp=tuple(n == 7 for n in range(24)))
    some = marked.of_identities([7, 2])
    assert some.names == ("person007", "person002")
    assert some.rows_N.tolist() == [*range(35, 40), *range(10, 15)]
    assert some.labels_N.tolist() == [0] * 5 + [1] * 5
    assert some.sharp == (True, False)


def test_nobody_may_be_asked_for(everybody: Selection) -> None:
    """An empty choice is an empty selection."""
    nobody = everybody.of_identities([])
    assert len(nobody) == nobody.num_identities == 0
    assert nobody.rows_N.dtype == np.int64
    assert list(nobody.chunks()) == []


@given(data=st.data())
def test_choosing_twice_is_choosing_once(data: st.DataObject) -> None:
    """Some of some identities are those identities of all."""
    counts = data.draw(st.lists(st.integers(1, 4), min_size=1, max_size=8))
    whole = select_all(SizedStore({f"p{n}": [1] * count for n, count in enumerate(counts)}))
    some = data.draw(st.permutations(range(len(counts))))
    few = data.draw(st.lists(st.integers(0, len(some) - 1), unique=True))
    twice = whole.of_identities(some).of_identities(few)
    once = whole.of_identities([some[n] for n in few])
    assert twice.names == once.names
    assert keys(twice) == keys(once)
    assert twice.labels_N.tolist() == once.labels_N.tolist()


def test_crops_are_the_images_at_their_positions(everybody: Selection, identities: Path) -> None:
    """Decoded, in the order asked for."""
    some = everybody.of_identities([3, 1])
    paths = (identities / "person001" / "4.jpg", identities / "person003" / "0.jpg")
    np.testing.assert_array_equal(some.crops([9, 0]), load_crops(paths))
    np.testing.assert_array_equal(some.crop(9), load_crops(paths)[0])
    assert [some.key(9), some.key(0)] == ["person001/4.jpg", "person003/0.jpg"]


@pytest.mark.parametrize("size", [1, 4, 10, 256])
def test_chunks_are_all_crops_in_order(everybody: Selection, size: int) -> None:
    """All full but the last."""
    some = everybody.of_identities([5, 0])
    chunks = list(some.chunks(size))
    assert all(len(chunk) == size for chunk in chunks[:-1])
    np.testing.assert_array_equal(np.concatenate(chunks), some.crops(range(10)))


def test_an_image_that_cannot_be_read_is_named() -> None:
    """The key stands in the message."""
    with pytest.raises(DataInvalid, match=r"p01/2\.jpg"):
        select_all(people(2)).crop(5)


@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "a.tar.zst"])
def test_compressed_tars_are_told_from_folders(tmp_path: Path, name: str) -> None:
    """The message says to unpack them."""
    (tmp_path / name).write_bytes(b"\x1f\x8b")
    with pytest.raises(DataInvalid, match="unpack"):
        open_store(tmp_path)
