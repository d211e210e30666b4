"""Lists of pairs are read as written, and nothing is left out in silence."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from embedding.errors import DataInvalid
from training.evaluation.pairs import bin_pair_set, lfw_pair_set, pair_list

# Ten folds of one pair of one person and one of two.
PAIRS = [
    pair
    for fold in range(10)
    for pair in (
        ((fold % 4, fold % 5), (fold % 4, (fold + 2) % 5), 1),
        ((fold % 4, fold % 5), ((fold + 1) % 4, (fold + 3) % 5), 0),
    )
]


def write_list(file: Path, *, folds: bool = False) -> Path:
    """These pairs as a user's list."""
    lines = []
    for number, ((a, i), (b, j), same) in enumerate(PAIRS):
        fold = f"\tpart{number // 10}" if folds else ""
        lines.append(f"person{a:03d}/{i}.jpg\tperson{b:03d}/{j}.jpg\t{same}{fold}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


@pytest.fixture
def folder(identities: Path, tmp_path: Path) -> Path:
    """The small identities, in a folder that may be written to."""
    for person in identities.iterdir():
        (tmp_path / person.name).mkdir()
        for image in person.iterdir():
            (tmp_path / person.name / image.name).symlink_to(image)
    return tmp_path


def test_a_list_without_folds_has_ten_in_its_order(folder: Path) -> None:
    """Each image stands there once, however many pairs it is in."""
    pairs = pair_list(write_list(folder / "mine.txt"))
    assert pairs.name == "mine"
    assert pairs.fold_P.tolist() == [number // 2 for number in range(20)]
    assert pairs.same_P.tolist() == [True, False] * 10
    assert pairs.images[pairs.left_P[3]] == "person001/1.jpg"
    assert pairs.images[pairs.right_P[3]] == "person002/4.jpg"
    assert len(set(pairs.images)) == len(pairs.images)
    assert pairs.crop(0).shape == (112, 112, 3)


def test_a_list_may_name_its_folds(folder: Path) -> None:
    """Any words will do; blank lines and a byte order mark do not matter."""
    file = write_list(folder / "mine.txt", folds=True)
    file.write_text("\ufeff" + file.read_text() + "\n\n", encoding="utf-8")
    assert pair_list(file).fold_P.tolist() == [0] * 10 + [1] * 10


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg\tb.jpg\t2", "line 21 of"),
        ("a.jpg\tb.jpg", "line 21 of"),
        ("a.jpg b.jpg 1", "TAB"),
        ("a.jpg\tb.jpg\t1\t3", "in every line or in none"),
        ("a.jpg\t\t1", "line 21 of"),
    ],
    ids=["another number", "no number", "spaces", "a fold in one line", "no second image"],
)
def test_a_line_of_another_form_is_told_by_its_number(
    folder: Path, line: str, message: str
) -> None:
    """With what was expected."""
    file = write_list(folder / "mine.txt")
    file.write_text(file.read_text() + line + "\n")
    with pytest.raises(DataInvalid, match=message):
        pair_list(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "not one pair"), (b"\n \n", "not one pair"), (b"\xff\xfe\t", "cannot be read")],
    ids=["empty", "blank", "no UTF-8"],
)
def test_a_list_without_pairs_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """The message says what a line looks like, or why the file cannot be read."""
    (tmp_path / "mine.txt").write_bytes(content)
    with pytest.raises(DataInvalid, match=message):
        pair_list(tmp_path / "mine.txt")


def test_a_list_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(DataInvalid, match=r"none\.txt cannot be read"):
        pair_list(tmp_path / "none.txt")


def test_fewer_than_ten_pairs_make_no_ten_folds(folder: Path) -> None:
    """Nine are told; a fold column would do."""
    file = write_list(folder / "mine.txt")
    file.write_text("\n".join(file.read_text().splitlines()[:9]))
    with pytest.raises(DataInvalid, match="holds 9 pairs; ten folds need at least ten"):
        pair_list(file)


def test_one_fold_is_refused(folder: Path) -> None:
    """Its threshold could be chosen on no other."""
    file = write_list(folder / "mine.txt", folds=True)
    file.write_text(file.read_text().replace("part1", "part0"))
    with pytest.raises(DataInvalid, match="has one fold"):
        pair_list(file)


def test_a_fold_of_one_kind_is_refused(folder: Path) -> None:
    """A list that is sorted by kind has such folds; the message says what to do."""
    file = write_list(folder / "mine.txt")
    file.write_text("\n".join(sorted(file.read_text().splitlines(), key=lambda line: line[-1])))
    with pytest.raises(DataInvalid, match="fold 1 of 10 of mine holds only pairs of two people"):
        pair_list(file)


def test_missing_images_are_counted_and_three_are_named(folder: Path) -> None:
    """Before anything is embedded, and with the option that leaves their pairs out."""
    file = write_list(folder / "mine.txt")
    for image in range(4):
        (folder / "person000" / f"{image}.jpg").unlink()
    with pytest.raises(DataInvalid, match=r"4 of 18 images of mine .*--skip-missing") as caught:
        pair_list(file)
    assert str(caught.value).count("person000/") == 3


def test_pairs_of_missing_images_are_left_out_on_request(folder: Path) -> None:
    """All pairs of such an image, and no other, are counted."""
    file = write_list(folder / "mine.txt", folds=True)
    (folder / "person000" / "0.jpg").unlink()
    pairs = pair_list(file, skip_missing=True)
    gone = sum((0, 0) in (first, second) for first, second, _ in PAIRS)
    assert 0 < gone < 20
    assert pairs.num_left_out == gone
    assert len(pairs.same_P) == 20 - gone
    used = {pairs.images[image] for image in (*pairs.left_P, *pairs.right_P)}
    assert "person000/0.jpg" not in used


def test_leaving_pairs_out_may_not_empty_a_fold(folder: Path) -> None:
    """With one pair of each kind a fold, none may go."""
    file = write_list(folder / "mine.txt")
    (folder / "person000" / "0.jpg").unlink()
    with pytest.raises(DataInvalid, match="holds only pairs of"):
        pair_list(file, skip_missing=True)


def test_a_bin_set_has_ten_folds_in_its_order(identities: Path, tmp_path: Path) -> None:
    """Pair i is images 2i and 2i + 1."""
    places = [place for first, second, _ in PAIRS for place in (first, second)]
    images = [(identities / f"person{n:03d}" / f"{m}.jpg").read_bytes() for n, m in places]
    (tmp_path / "set.bin").write_bytes(pickle.dumps((images, [one == 1 for *_, one in PAIRS])))
    pairs = bin_pair_set(tmp_path / "set.bin")
    assert pairs.right_P.tolist() == list(range(1, 40, 2))
    assert pairs.fold_P.tolist() == [number // 2 for number in range(20)]
    np.testing.assert_array_equal(pairs.crop(2), pairs.crop(0))


def test_lfw_names_its_images_below_the_folder(tmp_path: Path) -> None:
    """A message shows no more of the path than the user needs."""
    lines = ["2\t1", "a\t1\t2", "a\t1\tb\t1", "b\t1\t2", "a\t2\tb\t2"]
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    pairs, paths = lfw_pair_set(tmp_path)
    assert pairs.images[0] == "aligned/a/a_0001.jpg"
    assert paths[0] == tmp_path / pairs.images[0]
    assert pairs.fold_P.tolist() == [0, 0, 1, 1]
    with pytest.raises(DataInvalid, match=r"1 of 4 images of LFW .*aligned/a/a_0001\.jpg"):
        pairs.without(np.array([True, False, False, False]), skip_missing=False)
