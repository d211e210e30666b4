"""A snapshot is read as it was written, and only what changed is written again."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from embedding.errors import RequestInvalid, StoreError
from index.sealing import Sealer
from index.snapshot.folder import SnapshotFolder
from index.snapshot.segment_file import Vectors
from tests.index.snapshot.samples import (
    CLEAR,
    KEY_1,
    OWNER,
    SEALERS,
    files,
    ids_of,
    open_snapshot,
    segment,
    segment_files,
    vectors,
    written,
)


@pytest.fixture(params=SEALERS)
def sealer(request: pytest.FixtureRequest) -> Sealer:
    """In the clear and sealed."""
    return SEALERS[request.param]


def _marks(path: Path) -> dict[str, tuple[int, int]]:
    return {
        file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in segment_files(path)
    }


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_was_written_is_read(tmp_path: Path, dtype: str, sealer: Sealer) -> None:
    """Sequence, ids and vectors come back bit by bit, in the type they had."""
    snapshot = open_snapshot(tmp_path / "a", sealer=sealer, dtype=dtype)
    assert snapshot.write(42, [segment(range(130), dtype=dtype), segment([200], dtype=dtype)])
    found = open_snapshot(tmp_path / "a", sealer=sealer, dtype=dtype).read()
    assert ids_of(found) == [*range(130), 200]
    assert found is not None
    assert (found.sequence, found.num_vectors) == (42, 131)
    assert {vectors_ND.dtype.name for _, vectors_ND in found.blocks} == {dtype}
    assert all(vectors_ND.flags.writeable for _, vectors_ND in found.blocks)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_mapped_snapshot_is_the_same(tmp_path: Path, dtype: str) -> None:
    """Mapped vectors are equal, read-only, and begin on a page."""
    snapshot = open_snapshot(tmp_path / "a", dtype=dtype)
    assert snapshot.write(1, [segment(range(130), dtype=dtype)])
    found = snapshot.read(mapped=True)
    assert ids_of(found) == list(range(130))
    assert found is not None
    for _, vectors_ND in found.blocks:
        assert isinstance(vectors_ND, np.memmap)
        assert not vectors_ND.flags.writeable
        assert vectors_ND.ctypes.data % 4096 == 0


def test_the_bytes_are_little_endian(tmp_path: Path) -> None:
    """A file holds int64 ids, zeros to the next page, and vectors, whatever the machine."""
    big = vectors(np.arange(2)).astype(">f4").astype(">f4")
    assert open_snapshot(tmp_path).write(1, [(np.arange(2), vectors(np.arange(2)))])
    (file,) = segment_files(tmp_path)
    ids = (0).to_bytes(8, "little") + (1).to_bytes(8, "little")
    assert file.read_bytes() == ids.ljust(4096, b"\0") + big.astype("<f4").tobytes()


def test_no_snapshot_is_none(tmp_path: Path) -> None:
    """Neither a folder that does not exist nor an empty one is an error."""
    assert open_snapshot(tmp_path / "missing").read() is None
    assert open_snapshot(tmp_path).read() is None


def test_an_empty_gallery_has_a_snapshot(tmp_path: Path, sealer: Sealer) -> None:
    """No segments, or only empty ones, are read as no blocks with their sequence."""
    for segments in ([], [segment([])]):
        assert open_snapshot(tmp_path, sealer=sealer).write(3, segments)
        found = open_snapshot(tmp_path, sealer=sealer).read()
        assert found is not None
        assert (found.sequence, found.blocks) == (3, ())


def test_a_removal_leaves_other_files_alone(tmp_path: Path, sealer: Sealer) -> None:
    """One id of 1000 goes: one file of ten is new, nine keep inode and time of change."""
    snapshot = open_snapshot(tmp_path, sealer=sealer)
    assert snapshot.write(1, [segment(range(1000))])
    before = _marks(tmp_path)
    assert snapshot.write(2, [segment(range(350), range(351, 1000))])
    after = _marks(tmp_path)
    assert (len(before), len(after), len(before.items() & after.items())) == (10, 10, 9)
    assert ids_of(snapshot.read()) == [*range(350), *range(351, 1000)]


def test_new_vectors_leave_full_files_alone(tmp_path: Path) -> None:
    """Ids behind the last rewrite the last, half-full file alone, in another process too."""
    assert open_snapshot(tmp_path).write(1, [segment(range(250))])
    before = _marks(tmp_path)
    assert open_snapshot(tmp_path).write(2, [segment(range(320))])
    after = _marks(tmp_path)
    assert (len(before), len(after), len(before.items() & after.items())) == (3, 4, 2)


def test_a_removed_vector_is_on_the_disk_no_more(tmp_path: Path) -> None:
    """After the next write no file holds its bytes, and no file is left over."""
    snapshot = open_snapshot(tmp_path)
    assert snapshot.write(1, [segment(range(250))])
    gone = vectors(np.array([77])).tobytes()
    assert any(gone in file.read_bytes() for file in files(tmp_path))
    assert snapshot.write(2, [segment(range(77), range(78, 250))])
    assert not any(gone in file.read_bytes() for file in files(tmp_path))
    assert len(files(tmp_path)) == 4


def test_another_owner_replaces_all(tmp_path: Path) -> None:
    """The same ids in another gallery space are other vectors, so no file stays."""
    written(tmp_path)
    before = _marks(tmp_path)
    snapshot = open_snapshot(tmp_path, space_id="space-2")
    assert snapshot.write(1, [segment(range(250))])
    assert not before.keys() & _marks(tmp_path).keys()
    assert ids_of(snapshot.read()) == list(range(250))


def test_a_later_snapshot_is_not_replaced(tmp_path: Path) -> None:
    """A process that lags behind does not bring back what another has removed."""
    written(tmp_path)
    snapshot = open_snapshot(tmp_path)
    assert snapshot.write(6, [segment(range(10))])
    assert ids_of(snapshot.read()) == list(range(250))
    assert snapshot.write(7, [segment(range(10))])


def test_a_damaged_file_does_not_stay(tmp_path: Path, sealer: Sealer) -> None:
    """A process that did not read the snapshot verifies a file before it keeps it."""
    written(tmp_path, sealer)
    damaged = segment_files(tmp_path)[0]
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    before = _marks(tmp_path)
    snapshot = open_snapshot(tmp_path, sealer=sealer)
    assert snapshot.write(8, [segment(range(150)), segment(range(150, 250))])
    assert before.keys() - _marks(tmp_path).keys() == {damaged.name}
    assert ids_of(snapshot.read()) == list(range(250))


def test_a_missing_file_is_written_again(tmp_path: Path) -> None:
    """Also by the process that wrote it before."""
    snapshot = open_snapshot(tmp_path)
    segments = [segment(range(250))]
    assert snapshot.write(1, segments)
    segment_files(tmp_path)[1].unlink()
    assert snapshot.write(2, segments)
    assert ids_of(snapshot.read()) == list(range(250))


def test_what_is_left_over_makes_room_first(tmp_path: Path) -> None:
    """What a dead writer left is gone before the next one writes, on a full disk too."""
    path = written(tmp_path)
    left = [path / "manifest.new", path / f"{'0' * 32}.segment"]
    for file in left:
        file.write_bytes(b"left")

    def segments() -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        assert not any(file.exists() for file in left)
        yield segment(range(250))

    assert open_snapshot(path).write(8, segments())


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    """Folders that were made have mode 0700, all files 0600."""
    written(tmp_path / "snapshots" / "gallery")
    made = list(tmp_path.rglob("*"))
    modes = {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in made}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_delete_removes_folder_and_all(tmp_path: Path, sealer: Sealer) -> None:
    """Nothing is left, a second call does nothing, and a new snapshot can be written."""
    path = written(tmp_path / "a", sealer)
    snapshot = open_snapshot(path, sealer=sealer)
    snapshot.delete()
    assert not path.exists()
    snapshot.delete()
    assert snapshot.read() is None
    written(path, sealer)


def test_delete_leaves_what_is_not_the_snapshots(tmp_path: Path) -> None:
    """A file of somebody else stays, and is reported."""
    written(tmp_path)
    (tmp_path / "letter").write_text("text")
    with pytest.raises(StoreError, match=r"removed.*not empty"):
        open_snapshot(tmp_path).delete()
    assert not segment_files(tmp_path)
    assert (tmp_path / "letter").exists()


def test_sealed_vectors_are_not_mapped(tmp_path: Path) -> None:
    """The request is refused before anything is read."""
    with pytest.raises(RequestInvalid, match="mapped"):
        open_snapshot(tmp_path, sealer=KEY_1).read(mapped=True)


@pytest.mark.parametrize("place", ["file", "link"])
def test_only_a_folder_is_written_to(tmp_path: Path, place: str) -> None:
    """A file or a link where the folder should be is refused and left alone."""
    path = tmp_path / "a"
    if place == "file":
        path.write_text("text")
    else:
        (tmp_path / "elsewhere").mkdir()
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="gallery-1 cannot be written"):
        open_snapshot(path).write(1, [])
    assert path.is_symlink() or path.read_text() == "text"


@pytest.mark.parametrize(
    ("ids", "vectors_ND"),
    [
        ([1, 1], np.zeros((2, 32), dtype=np.float32)),
        ([2, 1], np.zeros((2, 32), dtype=np.float32)),
        ([-1, 1], np.zeros((2, 32), dtype=np.float32)),
        ([1, 2], np.zeros((3, 32), dtype=np.float32)),
        ([1, 2], np.zeros((2, 31), dtype=np.float32)),
        ([1, 2], np.zeros((2, 32), dtype=np.float16)),
    ],
)
def test_segments_that_cannot_be_are_refused(
    tmp_path: Path, ids: list[int], vectors_ND: Vectors
) -> None:
    """A bug of the caller's leaves the last snapshot as it was, and nothing beside it."""
    before = {file: file.read_bytes() for file in files(written(tmp_path))}
    with pytest.raises(ValueError, match=r"expected vectors|must ascend"):
        open_snapshot(tmp_path).write(8, [segment(range(5)), (np.array(ids), vectors_ND)])
    assert {file: file.read_bytes() for file in files(tmp_path)} == before


@pytest.mark.parametrize("change", [{"dtype": "float64"}, {"dimension": 0}])
def test_an_owner_of_other_vectors_is_refused(change: dict[str, Any]) -> None:
    """Only float32 and float16 vectors of at least one figure can be held."""
    with pytest.raises(ValueError, match="float32 or float16"):
        open_snapshot(Path("unused"), **change)


def _steps(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Write a change and yield what was asked of the system, in order."""
    steps: list[str] = []
    real = {name: getattr(os, name) for name in ("open", "fsync", "rename", "unlink")}

    def recorded(name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if name == "fsync":
                is_folder = stat.S_ISDIR(os.fstat(arguments[0]).st_mode)
                steps.append("sync folder" if is_folder else "sync file")
            elif name != "open" or arguments[1] & os.O_EXCL:
                kind = "manifest" if "manifest" in str(arguments[0]) else "segment"
                steps.append(f"{name} {kind}")
            return real[name](*arguments, **options)

        return call

    for name in real:
        monkeypatch.setattr(os, name, recorded(name))
    assert open_snapshot(path).write(8, [segment(range(1, 150)), segment(range(150, 250))])
    yield from steps


def test_what_is_named_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content before name, names before the manifest, the manifest before what it replaces."""
    path = written(tmp_path)
    assert list(_steps(path, monkeypatch)) == [
        "open segment",
        "sync file",
        "sync folder",
        "open manifest",
        "sync file",
        "rename manifest",
        "sync folder",
        "unlink segment",
        "sync folder",
    ]


def test_a_folder_of_default_size_holds_one_file(tmp_path: Path) -> None:
    """Without max_rows a file holds up to 65,536 vectors."""
    snapshot = SnapshotFolder(tmp_path, owner=OWNER, sealer=CLEAR)
    assert snapshot.write(1, [segment(range(4000))])
    assert len(segment_files(tmp_path)) == 1
