"""Photos in tar files are read where they lie; what is damaged is named and loses nothing else."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding.errors import RequestInvalid
from index.batch.sources.opening import open_source
from index.batch.sources.source import Skip, SourcePhoto, SourceRules, SubjectKey
from index.batch.sources.tar_shards import TarShards
from tests.fakes import make_photo
from tests.index.batch.samples import Place

PHOTO = b"what a photo holds is not looked at here"


def shard(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a tar file."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def photos_of(path: Path) -> dict[str, SubjectKey]:
    """The subjects of the photos, by key."""
    photos = TarShards(path).photos()
    return {each.key: each.subject for each in photos if isinstance(each, SourcePhoto)}


def skips_of(path: Path) -> dict[str, str]:
    """What is left out: codes by key."""
    photos = TarShards(path).photos()
    return {each.key: each.error for each in photos if isinstance(each, Skip)}


def test_subjects_are_the_folders(tree: Path) -> None:
    """The folder that holds a photo is its subject; other files are passed over."""
    path = shard(
        tree / "a.tar",
        {"./ann/1.jpg": PHOTO, "all/ben/2.PNG": PHOTO, "ann/notes.txt": b"", "alone.jpg": PHOTO},
    )
    assert photos_of(path) == {
        "a.tar/./ann/1.jpg": SubjectKey(name="ann"),
        "a.tar/all/ben/2.PNG": SubjectKey(name="ben"),
    }
    assert skips_of(path) == {"a.tar/alone.jpg": "no_subject"}


def test_a_json_file_names_the_subject(tree: Path) -> None:
    """A JSON file before or after a photo of the same name counts, and no other."""
    path = shard(
        tree / "a.tar",
        {
            "1.jpg": PHOTO,
            "1.json": json.dumps({"subject": "Ann", "year": 2019}).encode(),
            "2.json": json.dumps({"external_id": "7"}).encode(),
            "2.jpg": PHOTO,
            "3.jpg": PHOTO,
            "3.json": b"{",
            "x/4.jpg": PHOTO,
        },
    )
    assert photos_of(path) == {
        "a.tar/1.jpg": SubjectKey(name="Ann"),
        "a.tar/2.jpg": SubjectKey(external_id="7"),
        "a.tar/x/4.jpg": SubjectKey(name="x"),
    }
    assert skips_of(path) == {"a.tar/3.jpg": "no_subject"}
    first = next(TarShards(path).photos())
    assert isinstance(first, SourcePhoto)
    assert first.metadata == '{"year":2019}'


def test_a_photo_is_read_from_its_shard(tree: Path) -> None:
    """Its bytes, no more, and at most as many as are asked for."""
    path = shard(tree / "a.tar", {"ann/1.jpg": PHOTO, "ann/2.jpg": PHOTO[::-1]})
    first, second = TarShards(path).photos()
    assert isinstance(first, SourcePhoto)
    assert isinstance(second, SourcePhoto)
    assert (first.read(9999), second.read(9999)) == (PHOTO, PHOTO[::-1])
    assert second.read(3) == PHOTO[::-1][:3]
    assert first.size_bytes == len(PHOTO)


def test_all_shards_of_a_folder(tree: Path) -> None:
    """Shards come by name; a compressed one is named, not passed over."""
    shard(tree / "b.tar", {"ann/1.jpg": PHOTO})
    shard(tree / "a.tar", {"ann/1.jpg": PHOTO})
    (tree / "c.tar.gz").write_bytes(b"")
    source = open_source(tree, rules=SourceRules(subjects_are="external-id"))
    photos = [each for each in source.photos() if isinstance(each, SourcePhoto)]
    assert [each.key for each in photos] == ["a.tar/ann/1.jpg", "b.tar/ann/1.jpg"]
    assert photos[0].subject == SubjectKey(external_id="ann")
    assert skips_of(tree) == {"c.tar.gz": "damaged_shard"}


def test_tar_files_beside_folders(tree: Path) -> None:
    """Nobody guesses which of the two is meant."""
    shard(tree / "a.tar", {"ann/1.jpg": PHOTO})
    (tree / "ann").mkdir()
    with pytest.raises(RequestInvalid, match="one of the two"):
        open_source(tree, rules=SourceRules())
    with pytest.raises(RequestInvalid):
        open_source(tree / "gone.tar", rules=SourceRules())


def test_links_and_devices(tree: Path) -> None:
    """What is no plain file in a shard is named and not followed."""
    with tarfile.open(tree / "a.tar", "w") as tar:
        info = tarfile.TarInfo("ann/link.jpg")
        info.type = tarfile.SYMTYPE
        info.linkname = "../../secret.jpg"
        tar.addfile(info)
    assert skips_of(tree / "a.tar") == {"a.tar/ann/link.jpg": "no_file"}


def _damaged(content: bytes, how: str) -> bytes:
    """Three photos of two blocks each, and the end, damaged in some way."""
    match how:
        case "cut in a photo":
            return content[: 512 * 5 + 10]
        case "cut between":
            return content[: 512 * 4]
        case "header":
            return content[: 512 * 4] + b"\xff" * 512 + content[512 * 5 :]
        case "number":
            return content[: 512 * 4 + 124] + b"999999999999" + content[512 * 4 + 136 :]
        case _:
            raise AssertionError(how)


@pytest.mark.parametrize("how", ["cut in a photo", "cut between", "header", "number"])
def test_damage_keeps_what_comes_before(tree: Path, how: str) -> None:
    """Photos before the damage are given, those of other shards too; the damage is named."""
    path = shard(tree / "a.tar", {f"ann/{number}.jpg": PHOTO for number in range(3)})
    shard(tree / "b.tar", {"ben/1.jpg": PHOTO})
    path.write_bytes(_damaged(path.read_bytes(), how))
    assert list(photos_of(tree)) == ["a.tar/ann/0.jpg", "a.tar/ann/1.jpg", "b.tar/ben/1.jpg"]
    assert skips_of(tree) == {"a.tar": "damaged_shard"}


@pytest.mark.parametrize("content", [b"", b"no tar file", bytes(5), b"\x1f\x8b" + bytes(2000)])
def test_no_tar_file(tree: Path, content: bytes) -> None:
    """A file of another kind is a damaged shard."""
    (tree / "a.tar").write_bytes(content)
    assert skips_of(tree / "a.tar") == {"a.tar": "damaged_shard"}


@given(st.data())
def test_any_damage(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever bytes change, reading ends, and no photo reaches beyond the file."""
    path = tmp_path_factory.getbasetemp() / "any.tar"
    shard(path, {f"ann/{number}.jpg": PHOTO for number in range(3)} | {"ann/3.json": b"{}"})
    content = bytearray(path.read_bytes()[: data.draw(st.integers(0, 6000))])
    for _ in range(data.draw(st.integers(0, 4))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    for each in TarShards(path).photos():
        if isinstance(each, SourcePhoto):
            assert len(each.read(1 << 20)) == each.size_bytes


def test_a_gallery_of_shards(place: Place, tree: Path) -> None:
    """Photos of shards become templates; run again, nothing is done."""
    shard(tree / "a.tar", {"ann/1.png": make_photo(["ann"]), "ben/1.png": make_photo(["ben"])})
    shard(tree / "b.tar", {"ann/2.png": make_photo(["ann"], variant=5)})
    (tree / "c.tar").write_bytes(b"damaged")
    built = place.build(TarShards(tree))
    assert place.num_templates() == {"ann": 2, "ben": 1}
    assert built.tally.failures == {"damaged_shard": 1}
    assert place.failed() == {"c.tar": "damaged_shard"}
    again = place.build(TarShards(tree)).tally
    assert (again.num_indexed, again.num_known) == (0, 3)
