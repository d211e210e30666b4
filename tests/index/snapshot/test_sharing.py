"""One writes at a time, and others read meanwhile."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.snapshot.private_folder import PrivateFolder
from index.snapshot.segment_file import Vectors
from tests.index.snapshot.samples import files, ids_of, open_snapshot, segment, written
from tests.index.snapshot.states import ids_at, segments_at
from tests.index.waiting import wait_until


class SlowSegments:
    """Segments that a writer waits for in the middle of its work."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def __iter__(self) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        yield segment(range(120))
        self.begun.set()
        assert self.go_on.wait(30)
        yield segment(range(200, 210))


def test_a_second_writer_is_told_so(tmp_path: Path) -> None:
    """While one writes, another returns False, readers get the old one, deleting waits."""
    path = written(tmp_path / "a")
    slow = SlowSegments()
    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(open_snapshot(path).write, 8, slow)
        assert slow.begun.wait(30)
        assert not open_snapshot(path).write(9, [segment(range(5))])
        num_files = len(files(path))
        assert ids_of(open_snapshot(path).read()) == list(range(250))
        assert len(files(path)) == num_files
        deleting = threads.submit(open_snapshot(path).delete)
        slow.go_on.set()
        assert writing.result(30)
        deleting.result(30)
    assert not path.exists()


def test_readers_see_whole_snapshots(tmp_path: Path) -> None:
    """While 20 snapshots are written, every read gets one of them, whole, never an older one."""
    writer, reader = open_snapshot(tmp_path), open_snapshot(tmp_path)
    assert writer.write(0, segments_at(0))

    def write_all() -> None:
        for sequence in range(1, 20):
            # A reader that clears away what is left over holds the lock for a moment.
            wait_until(partial(writer.write, sequence, segments_at(sequence)))

    last, num_read = 0, 0
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write_all)
        while not writing.done():
            found = reader.read()
            assert found is not None
            assert ids_of(found) == ids_at(found.sequence)
            assert found.sequence >= last
            last, num_read = found.sequence, num_read + 1
        writing.result()
    assert num_read > 1


def test_writing_and_deleting_go_beside_each_other(tmp_path: Path) -> None:
    """Whichever comes first, neither is an error, and after the last deletion nothing is left."""
    path = tmp_path / "a"
    writer, deleter = open_snapshot(path), open_snapshot(path)

    enough = threading.Event()
    num_written = 0

    def write_until_enough() -> None:
        nonlocal num_written
        for sequence in count(1):
            if enough.is_set():
                return
            num_written += writer.write(sequence, [segment(range(5))])

    end = time.monotonic() + 60
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write_until_enough)
        while num_written < 100 and not writing.done():
            assert time.monotonic() < end
            deleter.delete()
        enough.set()
        writing.result()
    deleter.delete()
    assert not path.exists()


def test_mapped_vectors_outlive_their_files(tmp_path: Path) -> None:
    """What a reader has mapped stays readable after a write and after delete."""
    path = written(tmp_path / "a")
    found = open_snapshot(path).read(mapped=True)
    assert open_snapshot(path).write(8, [segment(range(1, 5))])
    open_snapshot(path).delete()
    assert ids_of(found) == list(range(250))


def test_what_is_left_over_goes_with_the_next_read(tmp_path: Path) -> None:
    """Files of a dead writer are removed, those of others are not touched."""
    path = written(tmp_path / "a")
    for name in (f"{'0' * 32}.segment", "manifest.new", "letter"):
        (path / name).write_bytes(b"left")
    assert ids_of(open_snapshot(path).read()) == list(range(250))
    assert {file.name for file in files(path)} >= {"manifest", "letter"}
    assert len(files(path)) == 4 + 1


def test_what_cannot_be_removed_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A leftover that cannot be unlinked is a warning; the snapshot is read."""
    path = written(tmp_path / "a")
    (path / "manifest.new").mkdir()
    assert ids_of(open_snapshot(path).read()) == list(range(250))
    assert "of gallery gallery-1 cannot be removed" in caplog.text


@pytest.mark.parametrize("replaced", [False, True])
def test_a_lock_that_was_removed_is_not_held(tmp_path: Path, replaced: bool) -> None:
    """Who waited for a lock that was deleted meanwhile, or made anew, does not hold it."""
    path = tmp_path / "a"
    path.mkdir()
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("only Linux says which files a process has open")
    with PrivateFolder(path) as folder, ThreadPoolExecutor(1) as threads:
        with folder.locking(wait=True) as held:
            assert held
            waiting = threads.submit(_hold, folder)
            while _num_open(path / "lock") < 2:
                time.sleep(0.001)
            (path / "lock").unlink()
            if replaced:
                (path / "lock").touch()
        assert not waiting.result(30)


def _num_open(path: Path) -> int:
    """How often this process has a file open."""
    opened = [name.resolve() for name in Path("/proc/self/fd").iterdir()]
    return opened.count(path.resolve())


def _hold(folder: PrivateFolder) -> bool:
    with folder.locking(wait=True) as held:
        return held
