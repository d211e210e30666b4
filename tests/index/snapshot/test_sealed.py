"""A sealed snapshot hides its vectors, and opens with its key alone."""

from pathlib import Path

import numpy as np
import pytest

from embedding.errors import SealKeyMissing, SnapshotUnfit
from index.snapshot import sealed_file
from tests.index.snapshot.samples import (
    CLEAR,
    KEY_1,
    AesSealer,
    files,
    ids_of,
    open_snapshot,
    segment,
    segment_files,
    vectors,
    written,
)

KEY_2 = AesSealer({2: b"\x02" * 32})
BOTH_KEYS = AesSealer({1: b"\x01" * 32, 2: b"\x02" * 32})


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_no_vector_is_found_in_the_clear(tmp_path: Path, dtype: str) -> None:
    """Neither 8 bytes of a vector in either type nor the run of ids are in any file."""
    snapshot = open_snapshot(tmp_path, sealer=KEY_1, dtype=dtype)
    assert snapshot.write(1, [segment(range(250), dtype=dtype)])
    everything = b"".join(file.read_bytes() for file in files(tmp_path))
    for each in range(0, 250, 10):
        for kind in ("float32", "float16"):
            assert vectors(np.array([each]), kind).tobytes()[:8] not in everything
    assert np.arange(10, 12).tobytes() not in everything
    assert b"gallery-1" not in everything


def test_without_the_key_nothing_is_read(tmp_path: Path) -> None:
    """Another key is no damage: the snapshot may be read once the right one is there."""
    written(tmp_path, KEY_1)
    with pytest.raises(SealKeyMissing):
        open_snapshot(tmp_path, sealer=KEY_2).read()
    with pytest.raises(SnapshotUnfit, match="sealed"):
        open_snapshot(tmp_path, sealer=CLEAR).read()
    assert ids_of(open_snapshot(tmp_path, sealer=KEY_1).read()) == list(range(250))


def test_a_clear_snapshot_is_no_sealed_one(tmp_path: Path) -> None:
    """A forged snapshot in the clear is not read by a gallery that seals."""
    written(tmp_path, CLEAR)
    with pytest.raises(SealKeyMissing):
        open_snapshot(tmp_path, sealer=KEY_1).read()


def test_after_a_change_of_keys_all_is_sealed_anew(tmp_path: Path) -> None:
    """The next write replaces files of the old key; then the new key alone opens it."""
    written(tmp_path, KEY_1)
    before = set(segment_files(tmp_path))
    snapshot = open_snapshot(tmp_path, sealer=BOTH_KEYS)
    assert ids_of(snapshot.read()) == list(range(250))
    assert snapshot.write(8, [segment(range(150)), segment(range(150, 250))])
    assert not before & set(segment_files(tmp_path))
    assert ids_of(open_snapshot(tmp_path, sealer=KEY_2).read()) == list(range(250))


def test_encryption_that_was_switched_on_replaces_the_clear(tmp_path: Path) -> None:
    """After the next write no vector of the clear snapshot is on the disk."""
    written(tmp_path, CLEAR)
    assert open_snapshot(tmp_path, sealer=KEY_1).write(1, [segment(range(250))])
    clear = vectors(np.array([5])).tobytes()
    assert not any(clear in file.read_bytes() for file in files(tmp_path))


def test_vectors_fill_many_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a row each, or of several with a shorter last one, are read as they were."""
    for chunk_bytes in (1, 1000, 128 * 100):
        monkeypatch.setattr(sealed_file, "_CHUNK_BYTES", chunk_bytes)
        path = written(tmp_path / str(chunk_bytes), KEY_1)
        assert ids_of(open_snapshot(path, sealer=KEY_1).read()) == list(range(250))
