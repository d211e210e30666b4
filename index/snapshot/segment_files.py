"""The files of one gallery's snapshot, in the clear or sealed: written, read, kept.

Shapes: N vectors, D embedding dimension.
"""

import hashlib
import logging
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import FileIO

import numpy as np
from numpy.typing import NDArray

from embedding.errors import SnapshotUnfit
from index.sealing import Sealer
from index.snapshot.manifest import Content, FileEntry, SnapshotOwner
from index.snapshot.private_folder import PrivateFolder
from index.snapshot.sealed_file import SealedFile
from index.snapshot.segment_file import Block, check_hash, map_clear, read_clear, write_clear

logger = logging.getLogger(__name__)


class SegmentFiles:
    """Writes and reads the files that a manifest names; thread safe.

    Args:
        owner: of the snapshot.
        sealer: the gallery's.
    """

    def __init__(self, owner: SnapshotOwner, sealer: Sealer) -> None:
        self._owner = owner
        self._sealer = sealer
        # Others are verified before they are kept, so that a damaged file does not stay for good.
        self._verified: frozenset[str] = frozenset()

    def new_name(self) -> str:
        """Return a name that no file had before."""
        return f"{secrets.token_hex(16)}.segment"

    def write(
        self, folder: PrivateFolder, name: str, block: Block, *, content: Content
    ) -> FileEntry:
        """Write a new file; its content, but not yet its name, is on the disk on return.

        Args:
            folder: where to.
            name: of the file.
            block: as `Layout.as_stored` gives it.
            content: of the block.
        """
        write = self._sealed(name).write if self._sealer.encrypts else write_clear
        with folder.creating(name) as stream:
            written = write(stream, block, layout=self._owner.layout)
        return FileEntry(
            name=name,
            rows=content.rows,
            first_id=content.first_id,
            last_id=content.last_id,
            ids_sha256=content.ids_sha256,
            bytes=written.num_bytes,
            sha256=written.sha256,
        )

    def read(self, folder: PrivateFolder, entry: FileEntry, *, mapped: bool) -> Block:
        """Return the content of a file, verified.

        Raises:
            SnapshotUnfit: missing, damaged or no plain file.
            SealKeyMissing: sealed with a key that is not at hand.
        """
        if self._sealer.encrypts:
            read = self._sealed(entry.name).read
        else:
            read = map_clear if mapped else read_clear
        with _opened(folder, entry) as stream:
            block = read(
                stream, num_rows=entry.rows, sha256=entry.sha256, layout=self._owner.layout
            )
        if content_of(block[0]) != entry.content or not ascending(block[0]):
            raise SnapshotUnfit("a file of the snapshot holds other ids than its manifest says")
        return block

    def can_stay(self, folder: PrivateFolder, entry: FileEntry) -> bool:
        """Return whether a file of the last snapshot is whole, and sealed with today's key."""
        try:
            with _opened(folder, entry) as stream:
                if entry.name not in self._verified:
                    check_hash(hashlib.file_digest(stream, "sha256").hexdigest(), entry.sha256)
                    stream.seek(0)
                return not self._sealer.encrypts or self._sealed(entry.name).is_current(stream)
        except SnapshotUnfit as error:
            logger.warning(
                "a file of the snapshot of gallery %s is written anew: %s",
                self._owner.gallery_id,
                error,
            )
            return False

    def set_verified(self, entries: Iterable[FileEntry]) -> None:
        """Take these files, and no others, as written or read just now by this process."""
        self._verified = frozenset(entry.name for entry in entries)

    def _sealed(self, name: str) -> SealedFile:
        return SealedFile(owner_id=self._owner.gallery_id, name=name, sealer=self._sealer)


def content_of(ids_N: NDArray[np.int64]) -> Content:
    """Return what tells whether a file of these ids, at least one, is there already."""
    return Content(
        rows=len(ids_N),
        first_id=int(ids_N[0]),
        last_id=int(ids_N[-1]),
        ids_sha256=hashlib.sha256(ids_N.data).hexdigest(),
    )


def ascending(ids_N: NDArray[np.int64]) -> bool:
    """Return whether all ids are different, not negative, and in order."""
    return bool((np.diff(ids_N, prepend=-1) > 0).all())


@contextmanager
def _opened(folder: PrivateFolder, entry: FileEntry) -> Iterator[FileIO]:
    try:
        with folder.reading(entry.name) as stream:
            if os.fstat(stream.fileno()).st_size != entry.bytes:
                raise SnapshotUnfit("a file of the snapshot has another size than it had")
            yield stream
    except OSError as error:
        raise SnapshotUnfit(f"a file of the snapshot cannot be read: {error.strerror}") from error
