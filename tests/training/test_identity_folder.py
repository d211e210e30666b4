"""Identity folders as a store, and which store a path is opened as."""

import io
import logging
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embedding.errors import DataInvalid
from training.data.crop_store import CropStore
from training.data.identity_folder import IdentityFolder
from training.data.opening import open_store
from training.data.tar_shards import TarShards


def write_files(folder: Path, *names: str) -> Path:
    """Files that hold their own names."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def keys(store: CropStore) -> list[str]:
    """The keys of all images, by rows."""
    return [store.key(row) for row in range(int(store.first_rows[-1]))]


def test_images_of_a_person_are_neighbours_and_all_is_sorted(tmp_path: Path) -> None:
    """Rows go by the name of the person, then by the name of the file."""
    store = IdentityFolder(write_files(tmp_path, "ben/1.jpg", "ann/2.jpg", "ann/10.jpg"))
    assert store.names == ["ann", "ben"]
    assert store.first_rows.tolist() == [0, 2, 3]
    assert store.first_rows.dtype == np.int64
    assert keys(store) == ["ann/10.jpg", "ann/2.jpg", "ben/1.jpg"]


def test_only_images_inside_subfolders_count(tmp_path: Path) -> None:
    """Suffixes in any case; other files, and files beside the subfolders, are nobody's."""
    names = ["ann/a.JPG", "ann/b.jpeg", "ann/c.png", "ann/d.WebP"]
    others = ["ann/notes.txt", "ann/e.gif", "ann/f", "lonely.jpg"]
    assert keys(IdentityFolder(write_files(tmp_path, *names, *others))) == names


def test_a_subfolder_without_images_is_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is missed in silence."""
    folder = write_files(tmp_path, "ann/1.jpg", "ben/readme.txt", "cat/1.jpg")
    store = IdentityFolder(folder)
    assert store.names == ["ann", "cat"]
    assert "1 subfolders hold no image and are left out, such as ben" in caplog.text


def test_a_whole_folder_is_read_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning means something."""
    with caplog.at_level(logging.WARNING):
        IdentityFolder(write_files(tmp_path, "ann/1.jpg"))
    assert not caplog.records


def test_an_image_is_given_as_it_lies_on_disk(tmp_path: Path) -> None:
    """Bytes, their number and the path are those of the file."""
    store = IdentityFolder(write_files(tmp_path, "ann/1.jpg", "ben/two.png"))
    assert store.read(1) == b"ben/two.png"
    assert store.num_bytes(1) == len(b"ben/two.png")
    assert store.path(1) == tmp_path / "ben" / "two.png"


def test_keys_stay_when_the_folder_moves(tmp_path: Path) -> None:
    """Lists of images and teacher files outlive a move to another disk."""
    before = keys(IdentityFolder(write_files(tmp_path / "here", "ann/1.jpg", "ben/2.jpg")))
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert keys(IdentityFolder(tmp_path / "there")) == before


def test_an_image_that_has_gone_is_named(tmp_path: Path) -> None:
    """What vanishes during a run ends in our own error."""
    store = IdentityFolder(write_files(tmp_path, "ann/1.jpg"))
    (tmp_path / "ann" / "1.jpg").unlink()
    with pytest.raises(DataInvalid, match=r"ann/1\.jpg cannot be read"):
        store.read(0)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "missing", "not a folder"),
        (lambda folder: folder, "no subfolder"),
        (lambda folder: write_files(folder, "ann/notes.txt"), "no subfolder"),
    ],
    ids=["missing", "empty", "without images"],
)
def test_a_folder_without_people_says_what_is_expected(
    tmp_path: Path, make: Callable[[Path], Path], words: str
) -> None:
    """Missing and empty folders are told apart."""
    with pytest.raises(DataInvalid, match=words):
        IdentityFolder(make(tmp_path))


def test_a_folder_of_people_is_opened_as_one(tmp_path: Path) -> None:
    """What holds neither records nor tars is taken for subfolders."""
    assert isinstance(open_store(write_files(tmp_path, "ann/1.jpg")), IdentityFolder)


def test_a_folder_with_a_tar_is_opened_as_shards(tmp_path: Path) -> None:
    """Whatever else lies beside it."""
    write_files(tmp_path, "ann/1.jpg")
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        member = tarfile.TarInfo("ben/1.jpg")
        member.size = 3
        tar.addfile(member, io.BytesIO(b"ben"))
    store = open_store(tmp_path)
    assert isinstance(store, TarShards)
    assert list(store.names) == ["ben"]


@pytest.mark.parametrize("inside", [True, False])
def test_records_are_looked_for_in_rec_files(tmp_path: Path, inside: bool) -> None:
    """The file itself or its folder may be given; an empty one is refused by its name."""
    (tmp_path / "train.rec").touch()
    with pytest.raises(DataInvalid, match=r"train\.rec"):
        open_store(tmp_path if inside else tmp_path / "train.rec")


@pytest.mark.parametrize(
    ("name", "words"),
    [("faces.zip", r"faces\.zip is no \.rec file"), ("missing", "not a folder")],
)
def test_a_path_that_is_no_store_is_refused(tmp_path: Path, name: str, words: str) -> None:
    """The message says what may be given."""
    (tmp_path / "faces.zip").touch()
    with pytest.raises(DataInvalid, match=words):
        open_store(tmp_path / name)
