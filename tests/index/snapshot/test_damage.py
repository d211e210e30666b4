"""A snapshot that is not as it was written is never read."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedding.errors import SnapshotUnfit
from index.sealing import Sealer
from index.snapshot.folder import SnapshotFolder
from tests.index.snapshot.samples import (
    CLEAR,
    SEALERS,
    files,
    ids_of,
    open_snapshot,
    segment,
    segment_files,
    written,
)

NUM_FLIPS = 200

Changed = Callable[[dict[str, Any]], object]


def _unfit(path: Path, reason: str, *, sealer: Sealer = CLEAR, **owner: Any) -> None:
    """The snapshot is unfit for this reason, in memory and mapped."""
    snapshot = open_snapshot(path, sealer=sealer, **owner)
    for mapped in (False,) if sealer.encrypts else (False, True):
        with pytest.raises(SnapshotUnfit, match=reason):
            snapshot.read(mapped=mapped)


def _rewrite_manifest(path: Path, content: bytes) -> None:
    """Put a manifest in place whose own hash fits."""
    line = f"facegallery-snapshot sha256={hashlib.sha256(content).hexdigest()}\n"
    (path / "manifest").write_bytes(line.encode() + content)


def _change_manifest(path: Path, change: Changed) -> None:
    found = json.loads((path / "manifest").read_bytes().partition(b"\n")[2])
    change(found)
    _rewrite_manifest(path, json.dumps(found).encode())


@pytest.mark.parametrize("mode", [*SEALERS, "mapped"])
def test_every_flipped_bit_is_noticed(tmp_path: Path, mode: str) -> None:
    """200 bits anywhere in the manifest and in the files, flipped one at a time."""
    sealer = SEALERS.get(mode, CLEAR)
    written(tmp_path, sealer)
    snapshot = open_snapshot(tmp_path, sealer=sealer)
    random = np.random.default_rng(1)
    for number in range(NUM_FLIPS):
        file = files(tmp_path)[number % len(files(tmp_path))]
        content = file.read_bytes()
        place, bit = int(random.integers(len(content))), int(random.integers(8))
        flipped = bytearray(content)
        flipped[place] ^= 1 << bit
        file.write_bytes(flipped)
        with pytest.raises(SnapshotUnfit):
            snapshot.read(mapped=mode == "mapped")
        file.write_bytes(content)
    assert ids_of(snapshot.read()) == list(range(250))


def test_every_bit_of_a_manifest_counts(tmp_path: Path) -> None:
    """Each of the first 800 bits, its own hash among them, and each of the last 100."""
    written(tmp_path)
    snapshot, manifest = open_snapshot(tmp_path), tmp_path / "manifest"
    content = manifest.read_bytes()
    for place in [*range(800), *range(8 * len(content) - 100, 8 * len(content))]:
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        manifest.write_bytes(flipped)
        with pytest.raises(SnapshotUnfit):
            snapshot.read()


@pytest.mark.parametrize("name", SEALERS)
def test_every_truncation_is_noticed(tmp_path: Path, name: str) -> None:
    """Files cut to nothing, by one byte, or anywhere between, or longer by one."""
    written(tmp_path, SEALERS[name])
    snapshot = open_snapshot(tmp_path, sealer=SEALERS[name])
    random = np.random.default_rng(2)
    for file in files(tmp_path):
        content = file.read_bytes()
        lengths = [0, len(content) - 1, *random.integers(1, len(content), 10).tolist()]
        for changed in (content + b"\0", *(content[:length] for length in lengths)):
            file.write_bytes(changed)
            with pytest.raises(SnapshotUnfit):
                snapshot.read()
        file.write_bytes(content)
    assert ids_of(snapshot.read()) == list(range(250))


@pytest.mark.parametrize("name", SEALERS)
def test_a_missing_file_is_noticed(tmp_path: Path, name: str) -> None:
    """The reason is the system's."""
    written(tmp_path, SEALERS[name])
    segment_files(tmp_path)[2].unlink()
    _unfit(tmp_path, "No such file", sealer=SEALERS[name])


@pytest.mark.parametrize("name", SEALERS)
def test_exchanged_files_are_noticed(tmp_path: Path, name: str) -> None:
    """Two files of the same size under each other's name."""
    assert open_snapshot(tmp_path, sealer=SEALERS[name]).write(1, [segment(range(200))])
    first, second = segment_files(tmp_path)
    first.rename(tmp_path / "third")
    second.rename(first)
    (tmp_path / "third").rename(second)
    _unfit(tmp_path, "sha256", sealer=SEALERS[name])


@pytest.mark.parametrize("name", SEALERS)
@pytest.mark.parametrize(
    "owner",
    [
        {"database_id": "database-2"},
        {"fingerprint": "b" * 64},
        {"space_id": "space-1"},
        {"dimension": 16},
        {"dtype": "float16"},
    ],
    ids=lambda owner: next(iter(owner)),
)
def test_another_owner_is_noticed(tmp_path: Path, name: str, owner: dict[str, Any]) -> None:
    """The reason says in what they differ."""
    written(tmp_path, SEALERS[name])
    _unfit(tmp_path, f"another {next(iter(owner))}", sealer=SEALERS[name], **owner)


@pytest.mark.parametrize("name", SEALERS)
def test_another_gallery_is_noticed(tmp_path: Path, name: str) -> None:
    """A snapshot that was copied from another gallery's folder."""
    written(tmp_path, SEALERS[name])
    _unfit(tmp_path, "gallery_id|damaged", sealer=SEALERS[name], gallery_id="gallery-2")


CHANGES: dict[str, tuple[Changed, str]] = {
    "newer": (lambda found: found.update(format=2), "has format 2, but this version reads 1"),
    "no format": (lambda found: found.pop("format"), "names no format"),
    "true format": (lambda found: found.update(format=True), "names no format"),
    "no owner": (lambda found: found.pop("owner"), "names no owner"),
    "half an owner": (lambda found: found["owner"].pop("space_id"), "names no owner"),
    "loose owner": (lambda found: found["owner"].update(dimension=32.0), "another dimension"),
    "no files": (lambda found: found.pop("files"), "lists no files"),
    "fewer files": (lambda found: found["files"].pop(), "counts other vectors"),
    "file twice": (lambda found: found["files"].append(found["files"][0]), "twice"),
    "text as file": (lambda found: found["files"].append("text"), "in another way"),
    "more of a file": (lambda found: found["files"][0].update(more=1), "in another way"),
    "no sequence": (lambda found: found.pop("sequence"), "sequence"),
    "huge sequence": (lambda found: found.update(sequence=2**63), "sequence"),
    "negative sequence": (lambda found: found.update(sequence=-1), "sequence"),
    "infinite sequence": (lambda found: found.update(sequence=float("inf")), "sequence"),
    "negative rows": (lambda found: found["files"][0].update(rows=-1), "rows"),
    "no rows": (lambda found: found["files"][0].update(rows=0), "rows"),
    "huge rows": (lambda found: found["files"][0].update(rows=2**60), "size"),
    "huge bytes": (lambda found: found["files"][0].update(bytes=2**60), "size"),
    "other ids": (lambda found: found["files"][0].update(first_id=1), "other ids"),
    "no hash": (lambda found: found["files"][0].update(sha256="x" * 64), "sha256"),
    "other hash": (lambda found: found["files"][0].update(sha256="0" * 64), "sha256"),
    "path": (lambda found: found["files"][0].update(name="../a"), "name"),
    "path behind": (
        lambda found: found["files"][0].update(name=found["files"][0]["name"] + "/../a"),
        "name",
    ),
    "null as name": (lambda found: found["files"][0].update(name=None), "name"),
    "empty name": (lambda found: found["files"][0].update(name=""), "name"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_manifest_that_cannot_be_is_noticed(tmp_path: Path, change: str) -> None:
    """Its own hash fits, but what it says is not what a writer says; the reason says where."""
    written(tmp_path)
    changed, reason = CHANGES[change]
    _change_manifest(tmp_path, changed)
    _unfit(tmp_path, reason)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1, 2]", b"null", b"\xff\xfe", b"[" * 200_000, b"1" * 5000, b'{"format": 1}'],
    ids=["empty", "cut", "list", "null", "no text", "deep", "long number", "format alone"],
)
def test_a_manifest_of_another_kind_is_noticed(tmp_path: Path, content: bytes) -> None:
    """With its hash and without, anything else than the JSON of a snapshot is refused."""
    written(tmp_path)
    _rewrite_manifest(tmp_path, content)
    _unfit(tmp_path, "manifest")
    (tmp_path / "manifest").write_bytes(content)
    _unfit(tmp_path, "sha256")


def test_a_manifest_without_end_is_not_read(tmp_path: Path) -> None:
    """A size beyond the limit is refused before memory is taken."""
    written(tmp_path)
    os.truncate(tmp_path / "manifest", 1 << 40)
    _unfit(tmp_path, "too long")


def test_ids_out_of_order_are_noticed(tmp_path: Path) -> None:
    """Files and hashes that fit each other still need ids in ascending order."""
    assert open_snapshot(tmp_path).write(1, [segment(range(3))])
    (file,) = segment_files(tmp_path)
    ids = np.array([0, 1, 1], dtype="<i8").tobytes()
    content = ids + file.read_bytes()[len(ids) :]
    file.write_bytes(content)
    _change_manifest(
        tmp_path,
        lambda found: found["files"][0].update(
            last_id=1,
            ids_sha256=hashlib.sha256(ids).hexdigest(),
            sha256=hashlib.sha256(content).hexdigest(),
        ),
    )
    _unfit(tmp_path, "other ids")


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
@pytest.mark.parametrize("which", ["manifest", "segment"])
def test_only_plain_files_are_read(tmp_path: Path, kind: str, which: str) -> None:
    """A link, even to the same bytes, a folder or a pipe in a file's place is refused."""
    path = written(tmp_path / "a")
    file = path / "manifest" if which == "manifest" else segment_files(path)[0]
    file.rename(tmp_path / "moved")
    if kind == "link":
        file.symlink_to(tmp_path / "moved")
    elif kind == "folder":
        file.mkdir()
    else:
        os.mkfifo(file)
    _unfit(path, "cannot be read|another size|not a plain file")


def test_a_link_to_the_folder_is_not_followed(tmp_path: Path) -> None:
    """The folder itself must be one."""
    written(tmp_path / "a")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    _unfit(tmp_path / "b", "cannot be read")


def test_a_damaged_snapshot_is_replaced(tmp_path: Path) -> None:
    """What cannot be used is no hindrance for the next snapshot, and goes with it."""
    written(tmp_path)
    before = set(segment_files(tmp_path))
    (tmp_path / "manifest").write_bytes(b"text")
    snapshot: SnapshotFolder = open_snapshot(tmp_path)
    assert snapshot.write(1, [segment(range(10))])
    assert ids_of(snapshot.read()) == list(range(10))
    assert not before & set(segment_files(tmp_path))
