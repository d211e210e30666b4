"""Where every image of a folder of tar shards lies: found by reading all headers, or kept.

Shape legend: I identities, N images (rows), S shards, L letters.
"""

import logging
import os
import tarfile
import zipfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from embedding.errors import DataInvalid
from training.data.decoding import IMAGE_SUFFIXES

logger = logging.getLogger(__name__)

INDEX_NAME: Final = "index.npz"

_VERSION: Final = 1
# A tar is filled up with zeros to a multiple of 10 KiB; the second of two joined ones begins
# sooner.
_TAIL_BYTES: Final = 64 * 1024
_COMPRESSED_MAGIC: Final = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd")
# What a damaged or foreign file makes np.load raise.
_UNUSABLE: Final = (
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    EOFError,
    zipfile.BadZipFile,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardState:
    """A shard as it was when its headers were read; another state needs another reading.

    Attributes:
        name: of the file.
        num_bytes: its size.
        mtime_ns: its time of modification.
    """

    name: str
    num_bytes: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> "ShardState":
        """The state now.

        Raises:
            DataInvalid: the file is not there or may not be looked at.
        """
        try:
            status = path.stat()
        except OSError as error:
            raise DataInvalid(f"{path} cannot be read: {error}") from error
        return cls(name=path.name, num_bytes=status.st_size, mtime_ns=status.st_mtime_ns)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TarIndex:
    """Where every image lies.

    Attributes:
        shards_N: number of the shard, in the order of their names.
        offsets_N: of the image's first byte in its shard.
        sizes_N: bytes.
        name_starts_N: where the member's name begins in the letters.
        name_lengths_N: letters of the name.
        letters_L: the names of all members in UTF-8, one after the other.
        first_rows: (I + 1,) where each identity's rows begin.
    """

    shards_N: NDArray[np.int32]
    offsets_N: NDArray[np.int64]
    sizes_N: NDArray[np.int64]
    name_starts_N: NDArray[np.int64]
    name_lengths_N: NDArray[np.int32]
    letters_L: NDArray[np.uint8]
    first_rows: NDArray[np.int64]

    def name(self, row: int) -> str:
        """The member's name."""
        start = self.name_starts_N[row]
        return self.letters_L[start : start + self.name_lengths_N[row]].tobytes().decode()

    def fits(self, shards: Sequence[ShardState]) -> bool:
        """Whether every image lies inside its shard and every identity has a row."""
        num_rows = len(self.offsets_N)
        columns = (self.shards_N, self.sizes_N, self.name_starts_N, self.name_lengths_N)
        if any(column.shape != (num_rows,) for column in columns) or not num_rows:
            return False
        if np.any((self.shards_N < 0) | (self.shards_N >= len(shards))):
            return False
        sizes_S = np.array([shard.num_bytes for shard in shards], np.int64)
        name_stops_N = self.name_starts_N + self.name_lengths_N
        return bool(
            self.first_rows[0] == 0
            and self.first_rows[-1] == num_rows
            and np.all(np.diff(self.first_rows) > 0)
            and np.all((self.offsets_N >= 0) & (self.sizes_N >= 0))
            and np.all(self.offsets_N + self.sizes_N <= sizes_S[self.shards_N])
            and np.all((self.name_starts_N >= 0) & (self.name_lengths_N >= 0))
            and np.all(name_stops_N <= len(self.letters_L))
        )


def identity_of(member_name: str) -> str | None:
    """The name of the folder that holds a member; None for one that lies in no named folder."""
    parts = member_name.rsplit("/", 2)
    return parts[-2] if len(parts) > 1 and parts[-2] not in ("", ".", "..") else None


def load_index(file: Path, shards: Sequence[ShardState]) -> TarIndex | None:
    """The stored index, or None where there is none that fits the shards as they are now."""
    if not file.exists():
        return None
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            names, numbers = stored["shard_names"].tolist(), stored["shard_numbers"].tolist()
            known = [
                ShardState(name=name, num_bytes=num_bytes, mtime_ns=mtime_ns)
                for name, (num_bytes, mtime_ns) in zip(names, numbers, strict=True)
            ]
            if int(stored["version"]) != _VERSION or known != list(shards):
                logger.info("the shards beside %s changed; it is made anew", file)
                return None
            index = TarIndex(
                shards_N=stored["shards"],
                offsets_N=stored["offsets"],
                sizes_N=stored["sizes"],
                name_starts_N=stored["name_starts"],
                name_lengths_N=stored["name_lengths"],
                letters_L=stored["letters"],
                first_rows=stored["first_rows"],
            )
            if not index.fits(shards):
                raise ValueError("it points outside the shards")
            return index
    except _UNUSABLE as error:
        logger.warning("%s cannot be used and is made anew: %s", file, error)
        return None


def write_index(file: Path, index: TarIndex, shards: Sequence[ShardState]) -> None:
    """Keeps an index, all of it or nothing; where that fails a warning says so."""
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as stream:
            np.savez(
                stream,
                version=np.int64(_VERSION),
                shard_names=np.array([shard.name for shard in shards], np.str_),
                shard_numbers=np.array(
                    [(shard.num_bytes, shard.mtime_ns) for shard in shards], np.int64
                ),
                shards=index.shards_N,
                offsets=index.offsets_N,
                sizes=index.sizes_N,
                name_starts=index.name_starts_N,
                name_lengths=index.name_lengths_N,
                letters=index.letters_L,
                first_rows=index.first_rows,
            )
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(file)
    except OSError as error:
        logger.warning("no index is kept, so every start reads all shards: %s", error)


def scan_shards(folder: Path, shards: Sequence[ShardState]) -> TarIndex:
    """Reads the headers of all shards.

    Raises:
        DataInvalid: a shard is compressed, no tar file, damaged or cut off; or there is no
            image in a named folder.
    """
    scan = _Scan()
    for number, shard in enumerate(tqdm(shards, unit="shard", desc="headers", disable=None)):
        try:
            with (folder / shard.name).open("rb") as file:
                scan.add_shard(number, shard, file)
        except OSError as error:
            raise DataInvalid(f"{folder / shard.name} cannot be read: {error}") from error
    return scan.finish(folder)


class _Scan:
    """What the headers told so far, in plain arrays: there may be tens of millions."""

    def __init__(self) -> None:
        self._shards = array("i")
        self._offsets = array("q")
        self._sizes = array("q")
        self._name_starts = array("q")
        self._name_lengths = array("i")
        self._identities = array("q")
        self._letters = bytearray()
        self._numbers: dict[str, int] = {}
        self._replaced: list[int] = []
        self._ignored: Counter[str] = Counter()

    def add_shard(self, number: int, shard: ShardState, file: BinaryIO) -> None:
        """Reads the headers of one shard."""
        first_row = len(self._offsets)
        hashes = array("q")
        for member in _members(file, shard):
            identity = self._identity(member)
            if identity is None:
                continue
            letters = member.name.encode()
            self._shards.append(number)
            self._offsets.append(member.offset_data)
            self._sizes.append(member.size)
            self._name_starts.append(len(self._letters))
            self._name_lengths.append(len(letters))
            self._identities.append(self._numbers.setdefault(identity, len(self._numbers)))
            self._letters += letters
            hashes.append(hash(letters))
        self._find_replaced(first_row, np.array(hashes, np.int64))

    def _identity(self, member: tarfile.TarInfo) -> str | None:
        """The identity of a member that is an image; others are counted."""
        if member.isdir():
            return None
        path = PurePosixPath(member.name)
        if member.issym() or member.islnk():
            self._ignored["links"] += 1
        elif not member.isreg() or member.issparse():
            self._ignored["devices and other special files"] += 1
        elif path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            self._ignored["other than images"] += 1
        elif (identity := identity_of(member.name)) is None:
            self._ignored["images outside a person's folder"] += 1
        else:
            return identity
        return None

    def _find_replaced(self, first_row: int, hashes_R: NDArray[np.int64]) -> None:
        """Notes rows of a shard that a later member of the same name replaces.

        Hashes first: names as Python objects would be the largest thing in memory.
        """
        values, counts = np.unique(hashes_R, return_counts=True)
        suspects = np.flatnonzero(np.isin(hashes_R, values[counts > 1])) + first_row
        last_rows: dict[bytes, int] = {}
        for row in suspects.tolist():
            start = self._name_starts[row]
            name = bytes(self._letters[start : start + self._name_lengths[row]])
            if name in last_rows:
                self._replaced.append(last_rows[name])
            last_rows[name] = row

    def finish(self, folder: Path) -> TarIndex:
        """All rows, grouped by identity, and a line in the log for what was left out."""
        num_rows = len(self._offsets)
        self._ignored["replaced by a later member of the same name"] += len(self._replaced)
        for what, number in self._ignored.items():
            if number:
                logger.warning("%s: left out %d members: %s", folder, number, what)
        kept = np.ones(num_rows, np.bool_)
        kept[self._replaced] = False
        if not kept.any():
            raise DataInvalid(
                f"the tar files in {folder} hold no image named <identity>/<image> with one of "
                f"the suffixes {', '.join(IMAGE_SUFFIXES)}"
            )
        names = list(self._numbers)
        ranks = np.empty(len(names), np.int64)
        ranks[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
        ranks_N = ranks[np.array(self._identities, np.int64)]
        # Rows were added by shard and place, so a stable sort keeps that order in an identity.
        order = np.argsort(ranks_N, kind="stable")
        order = order[kept[order]]
        counts = np.bincount(ranks_N[kept], minlength=len(names))
        return TarIndex(
            shards_N=np.array(self._shards, np.int32)[order],
            offsets_N=np.array(self._offsets, np.int64)[order],
            sizes_N=np.array(self._sizes, np.int64)[order],
            name_starts_N=np.array(self._name_starts, np.int64)[order],
            name_lengths_N=np.array(self._name_lengths, np.int32)[order],
            letters_L=np.frombuffer(self._letters, np.uint8),
            first_rows=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        )


def _members(file: BinaryIO, shard: ShardState) -> Iterator[tarfile.TarInfo]:
    """All headers of a shard.

    Raises:
        DataInvalid: compressed, no tar file, or one that cannot be read to its end.
    """
    start = file.read(512)
    if start.startswith(_COMPRESSED_MAGIC):
        raise DataInvalid(
            f"{shard.name} is compressed, so that single images cannot be reached; unpack it, "
            "as with gunzip or unzstd, to a plain .tar"
        )
    file.seek(0)
    try:
        tar = tarfile.TarFile(fileobj=file, encoding="utf-8", errors="backslashreplace")
    except tarfile.TarError as error:
        raise DataInvalid(f"{shard.name} is not a tar file: {error}") from error
    with tar:
        end = 0
        while (member := _next(tar)) is not None:
            # tarfile keeps every header that it read; typeshed leaves the list out.
            tar.members.clear()  # type: ignore[attr-defined]
            if tar.offset <= end:
                raise DataInvalid(f"{shard.name} is damaged at byte {end}")
            end = tar.offset
            yield member
        _check_end(file, shard, tar.offset)


def _next(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    try:
        return tar.next()
    except (tarfile.TarError, ValueError, OverflowError):
        return None


def _check_end(file: BinaryIO, shard: ShardState, offset: int) -> None:
    """What stands after the last header that could be read: zeros, or images that are lost."""
    file.seek(offset)
    tail = file.read(_TAIL_BYTES)
    if not tail:
        # How much is missing cannot be told from what is left.
        raise DataInvalid(f"{shard.name} has no end mark, so it was cut off; copy it again")
    if any(tail):
        raise DataInvalid(
            f"{shard.name} cannot be read as tar after byte {offset}; it was cut off or damaged, "
            "or several were joined: copy it again or unpack it"
        )
