"""Photos in plain tar files, which are read where they lie; nothing is unpacked.

The folder that holds a photo is its subject, as in what ``python -m training pack`` writes. Beside
a photo may stand a JSON file of the same name, as WebDataset has it, that names the subject.
"""

import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from embedding.errors import RequestInvalid
from index.batch.sources.lines import metadata_of, owned_by, subject_of
from index.batch.sources.paths import is_photo_name, printable
from index.batch.sources.source import Skip, SourcePhoto, SourceRules, SubjectKey, skip

TAR_SUFFIX = ".tar"

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_BLOCK_BYTES = 512
_TAIL_BYTES = 1024
"""Two blocks of zeros end a tar file."""

_MAX_JSON_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Named:
    """What a JSON file says of the photo of the same name."""

    stem: str
    subject: SubjectKey
    metadata: str | None


class TarShards:
    """The photos of one tar file, or of all in a folder."""

    def __init__(self, path: Path, *, rules: SourceRules | None = None) -> None:
        """Take a ``.tar`` file or a folder with such files in it.

        Raises:
            RequestInvalid: there is none, or the folder has folders too.
        """
        self._root = Path(os.path.realpath(path))
        self._rules = rules or SourceRules()
        self._shards = [self._root.name] if self._root.is_file() else _shards_in(self._root)
        self._folder = self._root.parent if self._root.is_file() else self._root
        if not self._shards:
            raise RequestInvalid(f"{printable(str(path))} has no .tar file")

    @property
    def address(self) -> str:
        """The real path."""
        return printable(str(self._root))

    def photos(self) -> Iterator[SourcePhoto | Skip]:
        """See `Source`; a damaged file gives what comes before the damage, and a skip."""
        for name in self._shards:
            key = printable(name)
            if not name.lower().endswith(TAR_SUFFIX):
                yield skip(key, "damaged_shard", "it is compressed; unpack it to a plain .tar")
                continue
            try:
                with (self._folder / name).open("rb") as file:
                    yield from self._of_shard(name, file)
            except OSError as error:
                yield skip(key, "unreadable", error.strerror)

    def _of_shard(self, name: str, file: BinaryIO) -> Iterator[SourcePhoto | Skip]:
        status, key = os.fstat(file.fileno()), printable(name)
        waiting: tuple[tarfile.TarInfo, _Named | None] | None = None
        named: _Named | None = None
        damage: str | None = None
        for member in _members(file, size_bytes=status.st_size):
            if isinstance(member, str):
                damage = member
                break
            if member.isdir():
                continue
            stem = _stem(member)
            if member.name.endswith(".json") and member.isreg():
                named = _named(stem, file, member)
                if waiting is not None and _stem(waiting[0]) == stem:
                    yield self._photo(name, waiting[0], named, status.st_mtime_ns)
                    waiting = None
                continue
            if waiting is not None:
                yield self._photo(name, *waiting, status.st_mtime_ns)
                waiting = None
            if not is_photo_name(member.name):
                continue
            if not member.isreg() or member.issparse():
                yield skip(f"{key}/{printable(member.name)}", "no_file")
                continue
            waiting = (member, named if named is not None and named.stem == stem else None)
        if waiting is not None:
            yield self._photo(name, *waiting, status.st_mtime_ns)
        if damage is not None:
            yield skip(key, "damaged_shard", damage)

    def _photo(
        self, shard: str, member: tarfile.TarInfo, named: _Named | None, mtime_ns: int
    ) -> SourcePhoto | Skip:
        key = f"{printable(shard)}/{printable(member.name)}"
        subject = self._subject(member.name) if named is None else named.subject
        metadata = None if named is None else named.metadata
        owned = owned_by(self._rules, key, subject, metadata)
        if isinstance(owned, Skip):
            return owned
        subject, metadata = owned
        return SourcePhoto(
            key=key,
            subject=subject,
            size_bytes=member.size,
            mtime_ns=mtime_ns,
            read=_reader(self._folder / shard, member.offset_data, member.size),
            metadata=metadata,
        )

    def _subject(self, member: str) -> SubjectKey:
        parts = member.rsplit("/", 2)
        if len(parts) == 1 or parts[-2] in ("", "."):
            return SubjectKey()
        return self._rules.subject(parts[-2])


def holds_shards(folder: Path) -> bool:
    """Return whether a folder has tar files directly in it."""
    with os.scandir(folder) as entries:
        return any(each.name.lower().endswith(TAR_SUFFIX) for each in entries)


def _shards_in(folder: Path) -> list[str]:
    """The names of tar files in a folder, in their order, with compressed ones."""
    names = []
    try:
        with os.scandir(folder) as entries:
            for each in entries:
                if each.name.lower().endswith((TAR_SUFFIX, *_COMPRESSED)):
                    names.append(each.name)
                elif each.is_dir():
                    raise RequestInvalid(
                        f"{printable(str(folder))} has tar files and folders; give one of the two"
                    )
    except OSError as error:
        raise RequestInvalid(
            f"{printable(str(folder))} cannot be read: {error.strerror}"
        ) from error
    return sorted(names)


def _members(file: BinaryIO, *, size_bytes: int) -> Iterator[tarfile.TarInfo | str]:
    """The headers of a tar file; at last where it is damaged, if it is."""
    try:
        tar = tarfile.TarFile(fileobj=file, encoding="utf-8", errors="surrogateescape")
    except (tarfile.TarError, ValueError, OverflowError):
        yield "it is no tar file"
        return
    with tar:
        end = -1
        while (member := _next(tar)) is not None:
            # tarfile keeps every header that it read; typeshed leaves the list out.
            tar.members.clear()  # type: ignore[attr-defined]
            if tar.offset <= end or member.size < 0:
                yield f"at byte {end}"
                return
            if member.offset_data + member.size > size_bytes:
                yield f"cut off at byte {size_bytes}"
                return
            end = tar.offset
            yield member
        file.seek(tar.offset)
        tail = file.read(_TAIL_BYTES)
        if len(tail) < _BLOCK_BYTES:
            # How much is missing cannot be told from what is left.
            yield f"cut off at byte {size_bytes}"
        elif any(tail[:_BLOCK_BYTES]):
            yield f"at byte {tar.offset}"


def _next(tar: tarfile.TarFile) -> tarfile.TarInfo | None:
    try:
        return tar.next()
    except (tarfile.TarError, ValueError, OverflowError):
        # Where it stands is looked at next.
        return None


def _stem(member: tarfile.TarInfo) -> str:
    return os.path.splitext(member.name)[0]  # noqa: PTH122 - a name, no path


def _named(stem: str, file: BinaryIO, member: tarfile.TarInfo) -> _Named | None:
    """What a JSON file says; None where it says nothing that can be used."""
    if member.size > _MAX_JSON_BYTES:
        return None
    file.seek(member.offset_data)
    try:
        fields: Mapping[str, Any] = json.loads(file.read(member.size))
        if not isinstance(fields, dict):
            return None
        subject, metadata = subject_of(fields), metadata_of(fields)
    except (ValueError, RecursionError):
        return None
    return (
        None if subject == SubjectKey() else _Named(stem=stem, subject=subject, metadata=metadata)
    )


def _reader(path: Path, offset: int, size: int) -> Callable[[int], bytes]:
    def read(limit: int) -> bytes:
        with path.open("rb") as stream:
            stream.seek(offset)
            return stream.read(min(size, limit))

    return read
