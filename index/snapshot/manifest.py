"""The manifest: what a snapshot holds and whose it is; JSON under a hash, sealed if files are.

The first line names the sha256 of all that follows; what follows is the JSON, passed through the
gallery's sealer.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from embedding.errors import SnapshotUnfit, StoreCorrupt
from index.sealing import ChunkContext, Sealer
from index.snapshot.sealed_file import PURPOSE
from index.snapshot.segment_file import Layout

FORMAT = 1
MANIFEST_NAME = "manifest"
SEGMENT_NAME = re.compile(r"[0-9a-f]{32}\.segment")

MAX_MANIFEST_BYTES = 64 << 20
"""Room for 100,000 files; more is not read into memory."""

_DTYPES: dict[str, np.dtype[np.floating[Any]]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ANCHOR = re.compile(r"[ -~]{0,200}")
_MOST = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotOwner:
    """What vectors a snapshot holds; it is read for no other owner.

    Attributes:
        gallery_id: opaque id of the gallery.
        database_id: opaque id of the database that the gallery is in.
        fingerprint: of the model that made the embeddings.
        space_id: of the gallery space that the vectors were turned into; None for the model's.
        dimension: D, at least 1.
        dtype: ``float32`` or ``float16``.
    """

    gallery_id: str
    database_id: str
    fingerprint: str
    space_id: str | None
    dimension: int
    dtype: str

    def __post_init__(self) -> None:
        if self.dtype not in _DTYPES or self.dimension < 1:
            raise ValueError("a snapshot holds float32 or float16 vectors of 1 or more figures")

    @property
    def layout(self) -> Layout:
        """How the vectors lie in a file."""
        return Layout(dimension=self.dimension, dtype=_DTYPES[self.dtype])


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What files share that hold the same ids, and so the same vectors.

    Attributes:
        rows: number of vectors, at least 1.
        first_id: lowest id.
        last_id: highest id.
        ids_sha256: of all ids, int64 little-endian, in hex.
    """

    rows: int
    first_id: int
    last_id: int
    ids_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry(Content):
    """One file of a snapshot.

    Attributes:
        name: of the file; never used a second time.
        bytes: size of the file.
        sha256: of the whole file as it lies on the disk, in hex.
    """

    name: str
    bytes: int
    sha256: str

    @property
    def content(self) -> Content:
        """What it holds."""
        return Content(
            rows=self.rows,
            first_id=self.first_id,
            last_id=self.last_id,
            ids_sha256=self.ids_sha256,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a snapshot holds.

    Attributes:
        owner: whose it is.
        sequence: of the last change that is in it.
        anchor: what that change was, in the writer's words; tells histories apart.
        files: in the order in which they were written.
    """

    owner: SnapshotOwner
    sequence: int
    anchor: str
    files: tuple[FileEntry, ...]

    @property
    def num_vectors(self) -> int:
        """N."""
        return sum(entry.rows for entry in self.files)

    def encode(self, sealer: Sealer) -> bytes:
        """Return the bytes of the file."""
        clear = json.dumps(
            {
                "format": FORMAT,
                "owner": asdict(self.owner),
                "sequence": self.sequence,
                "anchor": self.anchor,
                "num_vectors": self.num_vectors,
                "files": [asdict(entry) for entry in self.files],
            }
        ).encode()
        body = sealer.seal(clear, context=_context(self.owner))
        return _first_line(body) + body


def decode(content: bytes, *, owner: SnapshotOwner, sealer: Sealer) -> Manifest:
    """Return a manifest, verified.

    Args:
        content: of the file.
        owner: whose it must be.
        sealer: of the gallery.

    Raises:
        SnapshotUnfit: damaged, forged, of another owner, or of a newer version; says which.
        SealKeyMissing: sealed with a key that is not at hand, or not sealed at all.
    """
    body = content[len(_first_line(b"")) :]
    if content != _first_line(body) + body:
        raise SnapshotUnfit("the snapshot's manifest was changed: its sha256 does not fit")
    try:
        fields_found = json.loads(sealer.unseal(body, context=_context(owner)))
    except StoreCorrupt as error:
        raise SnapshotUnfit(f"the snapshot's manifest is damaged: {error}") from error
    except (ValueError, RecursionError) as error:
        raise SnapshotUnfit("the snapshot's manifest is not JSON, or is sealed") from error
    return _checked(fields_found, owner=owner, encrypts=sealer.encrypts)


def is_sealed_with_current(content: bytes, *, sealer: Sealer) -> bool:
    """Return whether sealing a manifest anew would use the same key."""
    return not sealer.encrypts or sealer.is_current(content[len(_first_line(b"")) :])


def _first_line(body: bytes) -> bytes:
    return b"facegallery-snapshot sha256=%s\n" % hashlib.sha256(body).hexdigest().encode()


def _context(owner: SnapshotOwner) -> ChunkContext:
    return ChunkContext(
        purpose=PURPOSE, owner_id=owner.gallery_id, file=MANIFEST_NAME, chunk=0, last=True
    )


def _checked(found: object, *, owner: SnapshotOwner, encrypts: bool) -> Manifest:
    if not isinstance(found, dict) or type(found.get("format")) is not int:
        raise SnapshotUnfit("the snapshot's manifest names no format")
    if found["format"] != FORMAT:
        raise SnapshotUnfit(
            f"the snapshot has format {found['format']}, but this version reads {FORMAT}"
        )
    _check_owner(found.get("owner"), owner)
    files = found.get("files")
    if not isinstance(files, list):
        raise SnapshotUnfit("the snapshot's manifest lists no files")
    entries = tuple(_entry(each, layout=owner.layout, encrypts=encrypts) for each in files)
    if len({entry.name for entry in entries}) < len(entries):
        raise SnapshotUnfit("the snapshot's manifest names a file twice")
    sequence = _whole(found, "sequence", least=0)
    anchor = _text(found, "anchor", _ANCHOR)
    manifest = Manifest(owner=owner, sequence=sequence, anchor=anchor, files=entries)
    if _whole(found, "num_vectors", least=0) != manifest.num_vectors:
        raise SnapshotUnfit("the snapshot's manifest counts other vectors than its files")
    return manifest


def _check_owner(found: object, owner: SnapshotOwner) -> None:
    expected = asdict(owner)
    if not isinstance(found, dict) or found.keys() != expected.keys():
        raise SnapshotUnfit("the snapshot's manifest names no owner")
    for name, value in expected.items():
        if type(found[name]) is not type(value) or found[name] != value:
            raise SnapshotUnfit(f"the snapshot is of another {name} than the gallery")


def _entry(found: object, *, layout: Layout, encrypts: bool) -> FileEntry:
    if not isinstance(found, dict) or found.keys() != {field.name for field in fields(FileEntry)}:
        raise SnapshotUnfit("the snapshot's manifest describes a file in another way")
    entry = FileEntry(
        name=_text(found, "name", SEGMENT_NAME),
        rows=_whole(found, "rows", least=1),
        first_id=_whole(found, "first_id", least=0),
        last_id=_whole(found, "last_id", least=0),
        ids_sha256=_text(found, "ids_sha256", _SHA256),
        bytes=_whole(found, "bytes", least=1),
        sha256=_text(found, "sha256", _SHA256),
    )
    # Memory is taken for so many rows: no more than fit into a file of this size.
    least_bytes = layout.row_bytes * entry.rows if encrypts else layout.file_bytes(entry.rows)
    if entry.bytes < least_bytes or (entry.bytes > least_bytes and not encrypts):
        raise SnapshotUnfit("the snapshot's manifest gives a file a size that cannot be")
    return entry


def _whole(found: Mapping[str, Any], name: str, *, least: int) -> int:
    value = found.get(name)
    if type(value) is not int or not least <= value <= _MOST:
        raise SnapshotUnfit(f"the snapshot's manifest gives no usable number for {name}")
    return value


def _text(found: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise SnapshotUnfit(f"the snapshot's manifest gives no usable text for {name}")
    return value
