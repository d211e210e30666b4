"""Tar shards: crops in uncompressed tar files, for sets too large for one file an image.

An index beside the shards, made once, says where each image lies, and one read at that place
gets it. In memory an image costs 32 bytes and the letters of its name.
"""

import contextlib
import logging
import os
import re
import tarfile
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from embedding.errors import DataInvalid
from training.data.crop_store import CropStore
from training.data.tar_index import (
    INDEX_NAME,
    ShardState,
    identity_of,
    load_index,
    scan_shards,
    write_index,
)

logger = logging.getLogger(__name__)

_NUM_NAMED: Final = 5  # names in a message that speaks of many
# A process may hold 1,024 open files by default; shards beyond these are opened for each read.
_MAX_OPEN_SHARDS: Final = 256
_COMPRESSED: Final = re.compile(r"\.(tar\.(gz|bz2|xz|zst)|tgz|tbz2|txz|tzst)$")
_UNSAFE_IN_FOLDER_NAMES: Final = re.compile(r'[%/\\:*?"<>|\x00-\x1f\x7f\ud800-\udfff]|^\.')
_MAX_FOLDER_NAME_BYTES: Final = 200


class TarShards:
    """A folder of tar files with members ``<identity>/<image>`` (see `CropStore`).

    The name of an image's folder inside the tar is its identity, however deep it lies; an
    identity may be spread over shards. Identities are sorted by name, the images of one by
    shard and place in it. Of members with the same name in one shard the last counts, as in
    unpacking. The first opening reads every tar header and writes ``index.npz`` beside the
    shards; later ones read only that, unless a shard changed its size or time.

    Raises:
        DataInvalid: no such folder, no shard or no image in it, compressed or damaged shards.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        paths = _shard_paths(folder)
        # Looked at before reading, so that a shard that is changed meanwhile is read again.
        shards = [ShardState.of(path) for path in paths]
        index = load_index(folder / INDEX_NAME, shards)
        if index is None:
            index = scan_shards(folder, shards)
            write_index(folder / INDEX_NAME, index, shards)
        self._index = index
        self._files = _ShardFiles(paths)
        firsts = index.first_rows[:-1].tolist()
        self._names = [identity_of(index.name(row)) or "" for row in firsts]

    @property
    def names(self) -> list[str]:
        """The identities, sorted."""
        return self._names

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """(I + 1,) where each identity's rows begin."""
        return self._index.first_rows

    def read(self, row: int) -> bytes:
        """The bytes of the member.

        Raises:
            DataInvalid: the shard is gone or was cut since it was opened.
        """
        shard, offset = int(self._index.shards_N[row]), int(self._index.offsets_N[row])
        size = self.num_bytes(row)
        try:
            encoded = self._files.read(shard, size, offset=offset)
        except OSError as error:
            raise DataInvalid(f"{self.key(row)} cannot be read: {error}") from error
        if len(encoded) != size:
            raise DataInvalid(f"{self.key(row)} ends early: its shard was cut")
        return encoded

    def key(self, row: int) -> str:
        """``<shard>#<member name>``."""
        shard = int(self._index.shards_N[row])
        return f"{self._files.paths[shard].name}#{self._index.name(row)}"

    def num_bytes(self, row: int) -> int:
        """Size of the member."""
        return int(self._index.sizes_N[row])


@dataclass(frozen=True, slots=True, kw_only=True)
class PackReport:
    """What `pack` wrote.

    Attributes:
        num_images: in the shards.
        num_identities: with at least one image in the shards.
        num_shards: files.
        skipped: keys of the images that could not be read.
    """

    num_images: int
    num_identities: int
    num_shards: int
    skipped: tuple[str, ...]


def pack(store: CropStore, folder: Path, *, shard_mb: int = 512) -> PackReport:
    """Writes all images of a store, as they are, into tar shards, and their index.

    No shard gets its final name before all are complete and on the disk. Members are named
    ``<folder_name(identity)>/<row in the identity>``, with the suffix of their format.

    Args:
        store: where the images come from.
        folder: made if it does not exist; must hold no shards yet.
        shard_mb: size of a shard in megabytes, exceeded at most by one image.

    Raises:
        DataInvalid: the folder holds shards or cannot be written, or no image could be read.
    """
    if shard_mb < 1:
        raise DataInvalid(f"a shard needs at least 1 MB, not {shard_mb}")
    writer = _ShardWriter(folder, max_bytes=shard_mb * 1_000_000)
    skipped: list[str] = []
    num_identities = 0
    try:
        writer.prepare()
        for identity, name in enumerate(tqdm(store.names, unit="identity", disable=None)):
            num_packed = _pack_identity(store, identity, folder_name(name), writer, skipped)
            num_identities += num_packed > 0
        if not num_identities:
            raise DataInvalid(f"not one of the {len(skipped)} images could be read")
        writer.finish()
    except OSError as error:
        raise DataInvalid(f"{folder} cannot be written: {error}") from error
    finally:
        writer.abandon()
    if skipped:
        named = ", ".join(skipped[:_NUM_NAMED])
        logger.warning("%d images cannot be read and are left out: %s", len(skipped), named)
    TarShards(folder)
    return PackReport(
        num_images=writer.num_images,
        num_identities=num_identities,
        num_shards=writer.num_shards,
        skipped=tuple(skipped),
    )


def _pack_identity(
    store: CropStore, identity: int, safe_name: str, writer: "_ShardWriter", skipped: list[str]
) -> int:
    """Packs one identity's images; how many. Those that cannot be read go to ``skipped``."""
    first, stop = store.first_rows[identity : identity + 2].tolist()
    num_packed = 0
    for row in range(first, stop):
        try:
            encoded = store.read(row)
        except DataInvalid:
            skipped.append(store.key(row))
            continue
        suffix = _suffix(encoded)
        if suffix is None:
            skipped.append(store.key(row))
            continue
        writer.add(f"{safe_name}/{row - first:06d}{suffix}", encoded)
        num_packed += 1
    return num_packed


def folder_name(identity: str) -> str:
    """A name for an identity's folder: another for every identity, and safe everywhere.

    What cannot stand in a file name becomes ``%`` and its hexadecimal code; a very long name
    ends in a hash.
    """
    safe = _UNSAFE_IN_FOLDER_NAMES.sub(lambda found: f"%{ord(found[0]):02X}", identity) or "%"
    letters = safe.encode()
    if len(letters) <= _MAX_FOLDER_NAME_BYTES:
        return safe
    start = letters[: _MAX_FOLDER_NAME_BYTES - 33].decode(errors="ignore")
    return f"{start}%{sha256(letters).hexdigest()[:32]}"


def _suffix(encoded: bytes) -> str | None:
    """The suffix of an image's format by its first bytes; None for no JPEG, PNG or WebP."""
    if encoded.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if encoded.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    return ".webp" if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP" else None


def _shard_paths(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataInvalid(f"{folder} is not a folder; give one with tar files")
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    compressed = [path.name for path in files if _COMPRESSED.search(path.name)]
    if compressed:
        raise DataInvalid(
            f"{folder} holds compressed tars, whose single images cannot be reached: unpack "
            f"{', '.join(compressed[:_NUM_NAMED])} to plain .tar files"
        )
    shards = [path for path in files if path.suffix == ".tar"]
    if not shards:
        raise DataInvalid(f"{folder} holds no .tar file")
    return shards


class _ShardFiles:
    """Reads at places of files, and holds many of them open.

    There is no position in a file, so threads and forked processes share it; pickled, it opens
    the files anew.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self._open: list[int] = []
        weakref.finalize(self, _close, self._open)
        try:
            for path in self.paths[:_MAX_OPEN_SHARDS]:
                self._open.append(os.open(path, os.O_RDONLY))
        except OSError as error:
            raise DataInvalid(f"{path} cannot be read: {error}") from error

    def __reduce__(self) -> tuple[type["_ShardFiles"], tuple[tuple[Path, ...]]]:
        return _ShardFiles, (self.paths,)

    def read(self, shard: int, num_bytes: int, *, offset: int) -> bytes:
        """Bytes at a place; fewer where the file ends."""
        if shard < len(self._open):
            return os.pread(self._open[shard], num_bytes, offset)
        descriptor = os.open(self.paths[shard], os.O_RDONLY)
        try:
            return os.pread(descriptor, num_bytes, offset)
        finally:
            os.close(descriptor)


def _close(descriptors: list[int]) -> None:
    while descriptors:
        os.close(descriptors.pop())


class _ShardWriter:
    """Fills shards one after the other, under temporary names until `finish`."""

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._partials: list[Path] = []
        self._stream: IO[bytes] | None = None
        self.num_images = 0

    @property
    def num_shards(self) -> int:
        """Shards begun so far."""
        return len(self._partials)

    def prepare(self) -> None:
        """Makes the folder and removes what an interrupted packing left there.

        Raises:
            DataInvalid: it holds shards.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        if any(path.suffix == ".tar" for path in self._folder.iterdir()):
            raise DataInvalid(f"{self._folder} holds tar files already; give an empty folder")
        for partial in self._folder.glob("shard-*.tar.partial"):
            partial.unlink()

    def add(self, name: str, encoded: bytes) -> None:
        """Appends one member."""
        if self._stream is None or self._stream.tell() >= self._max_bytes:
            self._close()
            self._stream = self._begin()
        member = tarfile.TarInfo(name)
        member.size = len(encoded)
        # GNU headers hold any name in UTF-8, without a header more for each that is not ASCII.
        self._stream.write(member.tobuf(tarfile.GNU_FORMAT, "utf-8", "strict"))
        self._stream.write(encoded)
        _fill_up(self._stream, tarfile.BLOCKSIZE)
        self.num_images += 1

    def finish(self) -> None:
        """Gives the shards their names."""
        self._close()
        for partial in self._partials:
            partial.rename(partial.with_suffix(""))
        descriptor = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def abandon(self) -> None:
        """Removes the shards that have no name yet."""
        # Closing writes what is left, which fails again on a full disk.
        with contextlib.suppress(OSError):
            if self._stream is not None:
                self._stream.close()
        for partial in self._partials:
            partial.unlink(missing_ok=True)

    def _begin(self) -> IO[bytes]:
        partial = self._folder / f"shard-{len(self._partials):06d}.tar.partial"
        self._partials.append(partial)
        return partial.open("wb")

    def _close(self) -> None:
        if self._stream is None:
            return
        # The end mark of a tar: two empty blocks.
        self._stream.write(bytes(2 * tarfile.BLOCKSIZE))
        _fill_up(self._stream, tarfile.RECORDSIZE)
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._stream = None


def _fill_up(stream: IO[bytes], block: int) -> None:
    stream.write(bytes(-stream.tell() % block))
