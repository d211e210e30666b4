"""Vectors that follow from their ids, folders of them, and a sealer that really encrypts."""

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from numpy.typing import NDArray

from embedding.errors import SealKeyMissing, StoreCorrupt
from index.sealing import ClearSealer, SealContext, Sealer
from index.snapshot.folder import Snapshot, SnapshotFolder
from index.snapshot.manifest import SnapshotOwner
from index.snapshot.segment_file import Vectors

DIMENSION = 32
NUM_IDS = 4000
MAX_ROWS = 100

OWNER = SnapshotOwner(
    gallery_id="gallery-1",
    database_id="database-1",
    fingerprint="a" * 64,
    space_id=None,
    dimension=DIMENSION,
    dtype="float32",
)
_TABLE = np.random.default_rng(0).standard_normal((NUM_IDS, DIMENSION), dtype=np.float32)


class AesSealer:
    """Seals with AES-GCM: one byte that names the key, a nonce, the sealed bytes.

    Args:
        keys: by number; the highest seals.
    """

    def __init__(self, keys: dict[int, bytes]) -> None:
        self._keys = {number: AESGCM(key) for number, key in keys.items()}

    @property
    def encrypts(self) -> bool:
        """True."""
        return True

    def seal(self, clear: bytes, *, context: SealContext) -> bytes:
        """Return the sealed bytes."""
        number, nonce = max(self._keys), secrets.token_bytes(12)
        sealed = self._keys[number].encrypt(nonce, clear, context.authenticated())
        return bytes([number]) + nonce + sealed

    def unseal(self, sealed: bytes, *, context: SealContext) -> bytes:
        """Return the clear bytes."""
        key = self._keys.get(sealed[0]) if sealed else None
        if key is None:
            raise SealKeyMissing("the key is not at hand")
        try:
            return key.decrypt(sealed[1:13], sealed[13:], context.authenticated())
        except InvalidTag as error:
            raise StoreCorrupt("the tag does not fit") from error

    def is_current(self, sealed: bytes) -> bool:
        """Return whether the highest key sealed it."""
        return sealed[0] == max(self._keys)


KEY_1 = AesSealer({1: b"\x01" * 32})
CLEAR = ClearSealer()
SEALERS: dict[str, Sealer] = {"clear": CLEAR, "sealed": KEY_1}


def vectors(ids_N: NDArray[np.int64], dtype: str = "float32") -> Vectors:
    """Return the vectors (N, D) of these ids, below 4000."""
    found: Vectors = _TABLE[ids_N].astype(dtype)
    return found


def segment(*ids: range | list[int], dtype: str = "float32") -> tuple[NDArray[np.int64], Vectors]:
    """Return a segment of these ids."""
    ids_N = np.array([each for some in ids for each in some], dtype=np.int64)
    return ids_N, vectors(ids_N, dtype)


def open_snapshot(
    path: Path, *, sealer: Sealer = CLEAR, max_rows: int = MAX_ROWS, **owner: Any
) -> SnapshotFolder:
    """Return a folder of small files, with some fields of its owner changed."""
    return SnapshotFolder(path, owner=replace(OWNER, **owner), sealer=sealer, max_rows=max_rows)


def written(path: Path, sealer: Sealer = CLEAR) -> Path:
    """Write sequence 7 with the ids 0 to 249 in two segments, three files, and return the path."""
    segments = [segment(range(150)), segment(range(150, 250))]
    assert open_snapshot(path, sealer=sealer).write(7, segments)
    return path


def ids_of(snapshot: Snapshot | None) -> list[int]:
    """Return all ids of a snapshot, after a look at the vector of each."""
    assert snapshot is not None
    for ids_N, vectors_ND in snapshot.blocks:
        np.testing.assert_array_equal(vectors_ND, vectors(ids_N, vectors_ND.dtype.name))
    return [int(each) for ids_N, _ in snapshot.blocks for each in ids_N]


def files(path: Path) -> list[Path]:
    """Return the manifest and the files that can be damaged, by name."""
    return sorted(each for each in path.iterdir() if each.name != "lock")


def segment_files(path: Path) -> list[Path]:
    """Return the files that hold vectors, by name."""
    return sorted(path.glob("*.segment"))
