"""Tar shards: what is read back, what is left out and said, what is refused."""

import io
import multiprocessing
import os
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from training.data.crop_store import CropStore
from training.data.identity_folder import IdentityFolder
from training.data.tar_index import INDEX_NAME
from training.data.tar_shards import TarShards, folder_name, pack

JPEG = b"\xff\xd8\xff\xe0"


class FakeStore:
    """Images made of a JPEG's first bytes and their own key; those in `broken` cannot be read."""

    def __init__(self, people: dict[str, int], *, broken: tuple[str, ...] = ()) -> None:
        self.names = list(people)
        self.first_rows: NDArray[np.int64] = np.cumsum([0, *people.values()], dtype=np.int64)
        self._keys = [f"{name}/{n}" for name, number in people.items() for n in range(number)]
        self._broken = broken

    def read(self, row: int) -> bytes:
        """The image, or `DataInvalid` for a broken one."""
        if self._keys[row] in self._broken:
            raise DataInvalid(f"{self._keys[row]} is broken")
        return JPEG + self._keys[row].encode()

    def key(self, row: int) -> str:
        """Person and number."""
        return self._keys[row]

    def num_bytes(self, row: int) -> int:
        """Size of the image."""
        return len(JPEG + self._keys[row].encode())


def add(tar: tarfile.TarFile, name: str, data: bytes = JPEG) -> None:
    """Appends a member."""
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def write_tar(file: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    """A tar file with these members."""
    with tarfile.open(file, mode) as tar:  # type: ignore[call-overload]
        for name, data in members.items():
            add(tar, name, data)
    return file


def contents(store: CropStore) -> dict[str, list[bytes]]:
    """All images by identity."""
    rows = store.first_rows.tolist()
    return {
        name: [store.read(row) for row in range(rows[i], rows[i + 1])]
        for i, name in enumerate(store.names)
    }


def test_packed_folder_reads_back_the_same(identities: Path, tmp_path: Path) -> None:
    """Shards hold the identities, images and sizes of the store that was packed."""
    store = IdentityFolder(identities)
    report = pack(store, tmp_path / "shards", shard_mb=1)
    shards = TarShards(tmp_path / "shards")
    assert contents(shards) == contents(store)
    assert (report.num_images, report.num_identities, report.skipped) == (120, 24, ())
    assert [shards.num_bytes(row) for row in range(120)] == [
        store.num_bytes(row) for row in range(120)
    ]


def test_shards_are_split_by_size(tmp_path: Path) -> None:
    """A shard is closed once it has its megabytes, and no image is lost at the seam."""
    store = FakeStore({"a": 1100, "b": 1100})
    report = pack(store, tmp_path, shard_mb=1)
    assert report.num_shards == len(list(tmp_path.glob("shard-00000?.tar"))) == 3
    assert contents(TarShards(tmp_path)) == contents(store)


def test_identity_may_be_spread_over_shards(tmp_path: Path) -> None:
    """Rows are grouped by identity in the order of names, then by shard and place."""
    write_tar(tmp_path / "0.tar", {"b/1.jpg": b"1", "a/9.jpg": b"2", "./b/0.png": b"3"})
    write_tar(tmp_path / "1.tar", {"set/a/1.JPG": b"4", "c/1.webp": b"5"})
    shards = TarShards(tmp_path)
    assert contents(shards) == {"a": [b"2", b"4"], "b": [b"1", b"3"], "c": [b"5"]}
    assert [shards.key(row) for row in range(5)] == [
        "0.tar#a/9.jpg",
        "1.tar#set/a/1.JPG",
        "0.tar#b/1.jpg",
        "0.tar#./b/0.png",
        "1.tar#c/1.webp",
    ]


def test_second_opening_reads_only_the_index(tmp_path: Path) -> None:
    """A shard of the same size and time is not read again."""
    file = write_tar(tmp_path / "0.tar", {"a/1.jpg": b"1"})
    TarShards(tmp_path)
    status = file.stat()
    file.write_bytes(bytes(status.st_size))
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert TarShards(tmp_path).names == ["a"]


def test_changed_shards_are_read_again(tmp_path: Path) -> None:
    """A member that was appended and a shard that was added are found in spite of an index."""
    file = write_tar(tmp_path / "0.tar", {"a/1.jpg": b"1"})
    TarShards(tmp_path)
    write_tar(file, {"a/2.jpg": b"2"}, mode="a")
    assert contents(TarShards(tmp_path)) == {"a": [b"1", b"2"]}
    write_tar(tmp_path / "1.tar", {"b/1.jpg": b"3"})
    assert contents(TarShards(tmp_path)) == {"a": [b"1", b"2"], "b": [b"3"]}


@pytest.mark.parametrize("damage", [b"", b"no index", b"PK\x03\x04"])
def test_damaged_index_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    """An index that cannot be read costs a reading of the shards, nothing else."""
    write_tar(tmp_path / "0.tar", {"a/1.jpg": b"1"})
    (tmp_path / INDEX_NAME).write_bytes(damage)
    assert contents(TarShards(tmp_path)) == {"a": [b"1"]}
    assert np.load(tmp_path / INDEX_NAME, allow_pickle=False)["version"] == 1


def test_index_that_points_outside_is_made_anew(tmp_path: Path) -> None:
    """An index is not believed where it names places that its shards do not have."""
    write_tar(tmp_path / "0.tar", {"a/1.jpg": b"1"})
    TarShards(tmp_path)
    with np.load(tmp_path / INDEX_NAME) as stored:
        arrays = dict(stored)
    arrays["offsets"] = arrays["offsets"] + 10**9
    with (tmp_path / INDEX_NAME).open("wb") as file:
        np.savez(file, **arrays)
    assert contents(TarShards(tmp_path)) == {"a": [b"1"]}


def test_index_that_cannot_be_written_is_only_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no index can be kept the set is usable all the same."""
    write_tar(tmp_path / "0.tar", {"a/1.jpg": b"1"})
    (tmp_path / INDEX_NAME).mkdir()
    assert TarShards(tmp_path).names == ["a"]
    assert "no index is kept" in caplog.text


def test_last_member_of_a_name_counts(tmp_path: Path) -> None:
    """A member that was appended under the name of another replaces it, as in unpacking."""
    members = {"a/1.jpg": b"old", "a/2.jpg": b"2"}
    file = write_tar(tmp_path / "0.tar", members)
    write_tar(file, {"a/1.jpg": b"new"}, mode="a")
    assert contents(TarShards(tmp_path)) == {"a": [b"2", b"new"]}


def test_what_is_no_image_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Links, devices, texts and images in no folder are no rows, and the log counts them."""
    with tarfile.open(tmp_path / "0.tar", "w") as tar:
        for name, kind in (("a/link.jpg", tarfile.SYMTYPE), ("a/device.jpg", tarfile.CHRTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        for name in ("a/notes.txt", "a/._1.jpg", "loose.jpg", "../up.jpg", "a/1.jpg"):
            add(tar, name)
    shards = TarShards(tmp_path)
    assert [shards.key(row) for row in range(shards.first_rows[-1])] == ["0.tar#a/1.jpg"]
    for count in ("1 members: links", "1 members: devices", "2 members: other", "2 members: im"):
        assert count in caplog.text


@pytest.mark.parametrize("num_bytes", [512, 1000, 19 * 2048, 19 * 2048 + 100, 19 * 2048 + 600])
def test_a_cut_shard_is_refused(tmp_path: Path, num_bytes: int) -> None:
    """How much is missing cannot be told, wherever it was cut."""
    file = write_tar(tmp_path / "0.tar", {f"a/{n}.jpg": JPEG * 300 for n in range(20)})
    file.write_bytes(file.read_bytes()[:num_bytes])
    with pytest.raises(DataInvalid, match="cut off"):
        TarShards(tmp_path)


def test_damage_inside_a_shard_is_refused(tmp_path: Path) -> None:
    """Images behind a broken header are not lost in silence."""
    file = write_tar(tmp_path / "0.tar", {f"a/{n}.jpg": JPEG for n in range(20)})
    data = bytearray(file.read_bytes())
    data[5 * 1024 : 5 * 1024 + 512] = b"x" * 512
    file.write_bytes(data)
    with pytest.raises(DataInvalid, match="cannot be read as tar"):
        TarShards(tmp_path)


def test_joined_tars_are_refused(tmp_path: Path) -> None:
    """Two tars in one file would show only the first one's images."""
    first = write_tar(tmp_path / "0.tar", {"a/1.jpg": JPEG})
    second = write_tar(tmp_path / "1.tar", {"b/1.jpg": JPEG})
    first.write_bytes(first.read_bytes() + second.read_bytes())
    with pytest.raises(DataInvalid, match="joined"):
        TarShards(tmp_path)


@pytest.mark.parametrize(("name", "mode"), [("0.tar.gz", "w:gz"), ("0.tar", "w:gz")])
def test_compressed_tars_are_refused(tmp_path: Path, name: str, mode: str) -> None:
    """The message says to unpack them, whatever their name is."""
    write_tar(tmp_path / name, {"a/1.jpg": JPEG}, mode=mode)
    with pytest.raises(DataInvalid, match="unpack"):
        TarShards(tmp_path)


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    """No folder, no shard, no image: each is said."""
    with pytest.raises(DataInvalid, match="not a folder"):
        TarShards(tmp_path / "none")
    with pytest.raises(DataInvalid, match=r"no \.tar file"):
        TarShards(tmp_path)
    write_tar(tmp_path / "0.tar", {"a/notes.txt": b"1"})
    with pytest.raises(DataInvalid, match="hold no image"):
        TarShards(tmp_path)


@given(data=st.binary(max_size=2000), at=st.integers(0, 10240))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_shards_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int
) -> None:
    """Whatever stands in a tar, it is read or refused, and nothing else is raised."""
    folder = tmp_path_factory.mktemp("any")
    file = write_tar(folder / "0.tar", {f"a/{n}.jpg": JPEG for n in range(5)})
    valid = file.read_bytes()
    file.write_bytes(valid[:at] + data + valid[at + len(data) :])
    try:
        contents(TarShards(folder))
    except DataInvalid:
        return


def test_more_shards_than_may_be_open_are_read(tmp_path: Path) -> None:
    """Shards beyond those that stay open are read as well."""
    for n in range(258):
        write_tar(tmp_path / f"{n:03d}.tar", {f"p{n:03d}/1.jpg": b"%d" % n})
    assert contents(TarShards(tmp_path)) == {f"p{n:03d}": [b"%d" % n] for n in range(258)}


def test_threads_share_shards(tmp_path: Path) -> None:
    """Reading in eight threads gives each its own image."""
    store = FakeStore({"a": 300})
    pack(store, tmp_path)
    shards = TarShards(tmp_path)
    rows = list(range(300)) * 10
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(shards.read, rows)) == [store.read(row) for row in rows]


def read_in_child(shards: TarShards, row: int) -> bytes:
    """For another process."""
    return shards.read(row)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_forked_processes_share_shards(tmp_path: Path) -> None:
    """Processes that were forked read through the files that were open."""
    store = FakeStore({"a": 40})
    pack(store, tmp_path)
    shards = TarShards(tmp_path)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        read = pool.starmap(read_in_child, [(shards, row) for row in range(40)])
    assert read == contents(store)["a"]


def test_pickled_shards_open_their_files_anew(tmp_path: Path) -> None:
    """A copy for a process that was not forked reads the same."""
    pack(FakeStore({"a": 3}), tmp_path)
    shards = TarShards(tmp_path)
    copy = pickle.loads(pickle.dumps(shards))  # noqa: S301 (our own bytes)
    assert contents(copy) == contents(shards)


def test_shard_that_was_cut_later_is_named(tmp_path: Path) -> None:
    """An image that is gone since the opening raises with its key."""
    file = write_tar(tmp_path / "0.tar", {"a/1.jpg": JPEG})
    shards = TarShards(tmp_path)
    os.truncate(file, 100)
    with pytest.raises(DataInvalid, match=r"0\.tar#a/1\.jpg ends early"):
        shards.read(0)


def test_images_that_cannot_be_read_are_not_packed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are named and counted, and the others keep their rows in the name."""
    store = FakeStore({"a": 3, "b": 1}, broken=("a/1", "b/0"))
    report = pack(store, tmp_path)
    assert report.skipped == ("a/1", "b/0")
    assert (report.num_images, report.num_identities) == (2, 1)
    assert [TarShards(tmp_path).key(row) for row in range(2)] == [
        "shard-000000.tar#a/000000.jpg",
        "shard-000000.tar#a/000002.jpg",
    ]
    assert "2 images cannot be read" in caplog.text


def test_packing_never_mixes_with_other_shards(tmp_path: Path) -> None:
    """A folder that holds a tar is refused and stays as it is."""
    write_tar(tmp_path / "0.tar", {"a/1.jpg": JPEG})
    with pytest.raises(DataInvalid, match="already"):
        pack(FakeStore({"a": 1}), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["0.tar"]


def test_interrupted_packing_leaves_no_shard(tmp_path: Path) -> None:
    """Half a set never looks like a whole one, and packing can be started again."""

    class Interrupted(FakeStore):
        def read(self, row: int) -> bytes:
            if row == 2:
                raise KeyboardInterrupt
            return super().read(row)

    with pytest.raises(KeyboardInterrupt):
        pack(Interrupted({"a": 4}), tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "shard-000007.tar.partial").touch()
    assert pack(FakeStore({"a": 4}), tmp_path).num_images == 4
    assert not list(tmp_path.glob("*.partial"))


def test_nothing_readable_is_refused(tmp_path: Path) -> None:
    """A store of broken images makes no shard."""
    with pytest.raises(DataInvalid, match="not one of the 1 images"):
        pack(FakeStore({"a": 1}, broken=("a/0",)), tmp_path)
    assert list(tmp_path.iterdir()) == []


@given(names=st.lists(st.text(max_size=300), min_size=2, max_size=6, unique=True))
def test_folder_names_are_safe_and_differ(names: list[str]) -> None:
    """Any identities get different names that no file system takes for a path or hides."""
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == len(folders)
    for folder in folders:
        assert 0 < len(folder.encode()) <= 200
        assert "/" not in folder
        assert not folder.startswith(".")


def test_ordinary_names_stay_as_they_are() -> None:
    """Spaces, dots and letters of any script are kept."""
    for name in ("Anna Müller", "n000012", "李小龙", "A. B. Smith"):
        assert folder_name(name) == name


def test_odd_names_survive_packing(tmp_path: Path) -> None:
    """Names that are no folder names, or long, or not ASCII, stay different identities."""
    names = ["a/b", "..", "", "\u00e9" * 150, "\u00e9" * 151, "\udcff"]
    store = FakeStore({f"p{number}": 1 for number in range(len(names))})
    store.names = names
    pack(store, tmp_path)
    assert set(TarShards(tmp_path).names) == {folder_name(name) for name in names}
