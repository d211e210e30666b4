"""A folder tree gives its photos with their subjects, and says what it leaves out."""

import os
from itertools import islice
from pathlib import Path

import pytest

from embedding.errors import RequestInvalid
from index.batch.sources.folder_tree import FolderTree
from index.batch.sources.source import Skip, SourcePhoto, SourceRules, SubjectKey
from tests.index.batch.samples import write_tree

PHOTO = b"what a photo holds is not looked at here"


def photos_of(root: Path, **rules: object) -> dict[str, SubjectKey]:
    """The subjects of the photos of a tree, by key."""
    tree = FolderTree(root, rules=SourceRules(**rules))  # type: ignore[arg-type]
    return {each.key: each.subject for each in tree.photos() if isinstance(each, SourcePhoto)}


def skips_of(root: Path, **rules: object) -> dict[str, str]:
    """What a tree leaves out: codes by key."""
    tree = FolderTree(root, rules=SourceRules(**rules))  # type: ignore[arg-type]
    return {each.key: each.error for each in tree.photos() if isinstance(each, Skip)}


def test_subjects_are_the_folders(tree: Path) -> None:
    """A photo belongs to the first folder on its way; its key is its path in the source."""
    write_tree(tree, {"ann/1.JPG": PHOTO, "ann/b/c/2.png": PHOTO, "Zoë B/3.webp": PHOTO})
    assert photos_of(tree) == {
        "ann/1.JPG": SubjectKey(name="ann"),
        "ann/b/c/2.png": SubjectKey(name="ann"),
        "Zoë B/3.webp": SubjectKey(name="Zoë B"),
    }


def test_folders_can_be_external_ids(tree: Path) -> None:
    """A folder's name is an external id where that is wanted."""
    write_tree(tree, {"4711/1.jpg": PHOTO})
    found = photos_of(tree, subjects_are="external-id")
    assert found == {"4711/1.jpg": SubjectKey(external_id="4711")}


def test_a_photo_is_read_when_it_is_asked_for(tree: Path) -> None:
    """Size and time come with the photo, its bytes when they are wanted, at most so many."""
    write_tree(tree, {"ann/1.jpg": PHOTO})
    os.utime(tree / "ann/1.jpg", ns=(5, 7))
    photo = next(FolderTree(tree).photos())
    assert isinstance(photo, SourcePhoto)
    assert (photo.size_bytes, photo.mtime_ns) == (len(PHOTO), 7)
    assert photo.read(4) == PHOTO[:4]


def test_other_files_are_passed_over(tree: Path) -> None:
    """Files that do not call themselves photos are no matter."""
    write_tree(tree, {"ann/1.jpg": PHOTO, "ann/Thumbs.db": b"", "read.me": b""})
    assert list(photos_of(tree)) == ["ann/1.jpg"]
    assert skips_of(tree) == {}


def test_a_photo_without_a_folder_has_no_subject(tree: Path) -> None:
    """A photo that lies in the source itself is named."""
    write_tree(tree, {"stray.jpg": PHOTO})
    assert skips_of(tree) == {"stray.jpg": "no_subject"}


def test_empty_folders_are_named(tree: Path) -> None:
    """A subject without a photo is named."""
    (tree / "ann/deep/er").mkdir(parents=True)
    write_tree(tree, {"ben/notes.txt": b""})
    assert skips_of(tree) == {"ann": "empty_folder", "ben": "empty_folder"}


def test_an_empty_source_gives_nothing(tree: Path) -> None:
    """A source without anything in it is no error."""
    assert list(FolderTree(tree).photos()) == []


@pytest.mark.parametrize("target", [".", "..", "../..", "../ann/loop", "loop"])
def test_loops_of_links_end(tree: Path, target: str) -> None:
    """A link to a folder that it lies in, or to itself, is left out, and all else is there."""
    write_tree(tree, {"ann/deep/1.jpg": PHOTO})
    (tree / "ann/deep/loop").symlink_to(target)
    assert photos_of(tree, outside=True)["ann/deep/1.jpg"] == SubjectKey(name="ann")
    assert set(skips_of(tree, outside=True).values()) <= {"symlink_loop", "missing"}
    assert len(photos_of(tree, outside=True)) == 1


def test_a_link_within_the_source_is_followed(tree: Path) -> None:
    """Two folders may be one."""
    write_tree(tree, {"ann/1.jpg": PHOTO})
    (tree / "anne").symlink_to("ann")
    assert photos_of(tree) == {
        "ann/1.jpg": SubjectKey(name="ann"),
        "anne/1.jpg": SubjectKey(name="anne"),
    }


def test_links_that_lead_out_are_refused(tree: Path, tmp_path: Path) -> None:
    """A link out of the source is left out, be it a photo or a folder, unless it is allowed."""
    write_tree(tmp_path / "secret", {"1.jpg": PHOTO, "x/2.jpg": PHOTO})
    (tree / "ann").mkdir()
    (tree / "ann/1.jpg").symlink_to(tmp_path / "secret/1.jpg")
    (tree / "ben").symlink_to(tmp_path / "secret/x")
    assert photos_of(tree) == {}
    assert skips_of(tree) == {"ann/1.jpg": "outside", "ben": "outside"}
    assert set(photos_of(tree, outside=True)) == {"ann/1.jpg", "ben/2.jpg"}


def test_dangling_links_are_named(tree: Path) -> None:
    """A photo whose file is gone is named."""
    (tree / "ann").mkdir()
    (tree / "ann/1.jpg").symlink_to("gone.jpg")
    assert skips_of(tree) == {"ann/1.jpg": "missing"}


def test_a_pipe_is_not_read(tree: Path) -> None:
    """What is no file could keep a reader waiting for ever, and is named instead."""
    (tree / "ann").mkdir()
    os.mkfifo(tree / "ann/1.jpg")
    assert skips_of(tree) == {"ann/1.jpg": "no_file"}


def test_names_that_are_no_text(tree: Path) -> None:
    """A subject's name must be text; a photo's name may be anything, and has a key."""
    for path in (b"ann/\xff.jpg", b"b\xffn/1.jpg"):
        file = os.path.join(os.fsencode(tree), path)  # noqa: PTH118 - bytes
        os.makedirs(os.path.dirname(file), exist_ok=True)  # noqa: PTH103, PTH120 - bytes
        with open(file, "wb") as stream:  # noqa: PTH123 - bytes
            stream.write(PHOTO)
    assert list(photos_of(tree)) == ["ann/\\xff.jpg"]
    assert skips_of(tree) == {"b\\xffn": "name_invalid"}


def test_a_folder_is_not_listed_as_a_whole(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of any size gives its first photo before its last entry was looked at."""
    write_tree(tree, {f"ann/{number}.jpg": PHOTO for number in range(500)})
    met = 0
    scandir = os.scandir

    class Counted:
        def __init__(self, path: str) -> None:
            self._entries = scandir(path)

        def __enter__(self) -> "Counted":
            return self

        def __exit__(self, *_: object) -> None:
            self._entries.close()

        def __iter__(self) -> "Counted":
            return self

        def __next__(self) -> "os.DirEntry[str]":
            nonlocal met
            met += 1
            return next(self._entries)

    monkeypatch.setattr(os, "scandir", Counted)
    assert len(list(islice(FolderTree(tree).photos(), 10))) == 10
    assert met < 20


@pytest.mark.parametrize("name", ["nothing", "file"])
def test_a_source_is_a_folder(tmp_path: Path, name: str) -> None:
    """What is no folder is refused at once."""
    (tmp_path / "file").write_bytes(PHOTO)
    with pytest.raises(RequestInvalid, match="folder"):
        FolderTree(tmp_path / name)
