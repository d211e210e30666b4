"""A file outside the database that remembers how far the audit log went, and was cut.

512 bytes, which a disk writes whole or not at all: count and code of the last entry, those of the
last one that was cut off the beginning, and a code over all. It only moves forward, and is never
ahead of what is committed: before an entry is written it is moved to the one before, and the
upkeep moves it to the end. So whoever cuts entries off the database leaves the anchor beyond its
end.
"""

import fcntl
import hmac
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from embedding.errors import SettingsInvalid, StoreCorrupt, StoreError
from index.audit.entries import CODE_BYTES, Codes
from index.private_files import create_private

ANCHOR_NAME = "audit.anchor"
"""In the data folder, where no other place is given."""

_SECTOR_BYTES = 512
_MAGIC = b"FaceGallery audit anchor 1\n\0\0\0\0\0"
# An earlier version left the second pair empty: nothing was cut then.
_CONTENT = struct.Struct(f"<{len(_MAGIC)}sQ{CODE_BYTES}sQ{CODE_BYTES}s")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead:
    """How far the log goes.

    Attributes:
        count: of its entries.
        code: of the last one; that of the beginning when there is none.
    """

    count: int
    code: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchored:
    """What the file remembers.

    Attributes:
        head: how far the log went.
        cut: the last entry that was cut off its beginning; the beginning itself where none was.
    """

    head: AuditHead
    cut: AuditHead


class Anchor:
    """The open file; thread safe, and several processes may share it."""

    def __init__(self, path: Path, *, codes: Codes) -> None:
        """Open the file, made for an empty log when it is missing.

        Raises:
            SettingsInvalid: its folder is missing.
            StoreError: it cannot be made or opened.
        """
        self._path = path
        self._codes = codes
        self._lock = threading.Lock()
        if not path.parent.is_dir():
            raise SettingsInvalid(
                f"the folder {path.parent} of the audit log's anchor is missing; mount or make it"
            )
        self.is_new = not path.exists()
        """Whether it was made now."""
        try:
            if self.is_new:
                try:
                    create_private(path, self._packed(_nothing(codes)))
                except FileExistsError:
                    self.is_new = False
            self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise _not_usable(path, error) from error

    def anchored(self) -> Anchored:
        """Return how far the log went, and was cut, at least.

        Raises:
            StoreCorrupt: the file was changed, or belongs to another database.
            StoreError: it cannot be read.
        """
        with self._held():
            return self._read()

    def advance(self, head: AuditHead) -> None:
        """Move forward to a head that is committed; never back.

        Raises:
            StoreCorrupt: the file was changed.
            StoreError: it cannot be written.
        """
        with self._held():
            known = self._read()
            if known.head.count < head.count:
                os.pwrite(self._file, self._packed(replace(known, head=head)), 0)

    def advance_cut(self, cut: AuditHead) -> None:
        """Remember a cut that is committed; an earlier one changes nothing.

        Raises:
            As `advance`.
        """
        with self._held():
            known = self._read()
            if known.cut.count < cut.count:
                os.pwrite(self._file, self._packed(replace(known, cut=cut)), 0)

    def replace(self, anchored: Anchored) -> None:
        """Begin again from here, after the log itself tells that it does not go on from before.

        Raises:
            StoreError: it cannot be written.
        """
        with self._held():
            os.pwrite(self._file, self._packed(anchored), 0)
            os.fsync(self._file)

    def sync(self) -> None:
        """Bring the file to the disk.

        Raises:
            StoreError: the disk fails.
        """
        with self._held():
            os.fsync(self._file)

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def _packed(self, anchored: Anchored) -> bytes:
        head, cut = anchored.head, anchored.cut
        content = _CONTENT.pack(_MAGIC, head.count, head.code, cut.count, cut.code)
        content = content.ljust(_SECTOR_BYTES - CODE_BYTES, b"\0")
        return content + self._codes.seal(b"audit anchor", content)

    def _read(self) -> Anchored:
        return read_anchor(self._path, os.pread(self._file, _SECTOR_BYTES, 0), self._codes)

    @contextmanager
    def _held(self) -> Iterator[None]:
        with self._lock:
            if self._file < 0:
                raise StoreError("the audit log was closed; open it again")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX)
                try:
                    yield
                finally:
                    fcntl.flock(self._file, fcntl.LOCK_UN)
            except OSError as error:
                raise _not_usable(self._path, error) from error


def read_anchor(path: Path, sector: bytes, codes: Codes) -> Anchored:
    """Return what the bytes of an anchor say.

    Raises:
        StoreCorrupt: they were changed, or belong to another database.
    """
    content, code = sector[:-CODE_BYTES], sector[-CODE_BYTES:]
    if len(sector) != _SECTOR_BYTES or not hmac.compare_digest(
        code, codes.seal(b"audit anchor", content)
    ):
        raise StoreCorrupt(
            f"the audit log's anchor {path} was changed, or is that of another database; put it "
            f"back, or move it away: the log then tells that it was lost"
        )
    _, count, last, num_cut, cut = _CONTENT.unpack_from(content)
    known = AuditHead(count=count, code=last)
    if num_cut == 0:
        return replace(_nothing(codes), head=known)
    return Anchored(head=known, cut=AuditHead(count=num_cut, code=cut))


def _nothing(codes: Codes) -> Anchored:
    beginning = AuditHead(count=0, code=codes.beginning)
    return Anchored(head=beginning, cut=beginning)


def _not_usable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the audit log's anchor {path} cannot be used: {error.strerror}; check the disk's free "
        f"space and the rights of this user"
    )
