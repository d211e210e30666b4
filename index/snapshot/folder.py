"""The snapshot of one gallery: written by one process at a time, read by any number.

A snapshot is a manifest and the files that it names. New files get names that were never used, so
until the new manifest takes the old one's place nothing of the old snapshot has changed; what no
manifest names is removed right after. A process may die, and the power fail, between any two
steps: the old or the new snapshot is there, and whoever comes next removes the rest.

Shapes: N vectors, D embedding dimension.
"""

import errno
import logging
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedding.errors import RequestInvalid, SealKeyMissing, SnapshotUnfit, StoreError
from index.private_files import make_private_folder, sync_folder
from index.sealing import Sealer
from index.snapshot.cutting import cut
from index.snapshot.manifest import (
    MANIFEST_NAME,
    Content,
    FileEntry,
    Manifest,
    SnapshotOwner,
    decode,
    sealed_body,
)
from index.snapshot.manifest_file import (
    NEW_MANIFEST_NAME,
    only_ours,
    read_manifest,
    remove_left_over,
    remove_snapshot,
    remove_unnamed,
)
from index.snapshot.private_folder import PrivateFolder
from index.snapshot.segment_file import Block, Vectors
from index.snapshot.segment_files import SegmentFiles, ascending, content_of

logger = logging.getLogger(__name__)

MAX_ROWS = 65_536
"""Of a file: 134 MB of 512 float32 numbers each, the most that one removal writes anew."""

_ATTEMPTS = 5
"""A reader begins again when a writer was faster; five times in a row is no coincidence."""
_MAX_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A snapshot that was read and verified.

    Attributes:
        sequence: of the last change that is in it; later ones are still to be applied.
        anchor: what `write` was given.
        blocks: ids (N,) int64, ascending, and vectors (N, D), of each file; mapped ones are
            read-only, others can be written to.
    """

    sequence: int
    anchor: str
    blocks: tuple[Block, ...]

    @property
    def num_vectors(self) -> int:
        """N of all blocks."""
        return sum(len(ids_N) for ids_N, _ in self.blocks)


class SnapshotFolder:
    """The folder that a gallery's snapshot lies in; thread safe.

    Args:
        path: of the folder, which belongs to the snapshot alone; `write` makes it.
        owner: what vectors it holds.
        sealer: the gallery's.
        max_rows: of a file, at least 1.
    """

    def __init__(
        self, path: Path, *, owner: SnapshotOwner, sealer: Sealer, max_rows: int = MAX_ROWS
    ) -> None:
        self._path = path
        self._owner = owner
        self._sealer = sealer
        self._max_rows = max_rows
        self._files = SegmentFiles(owner, sealer)

    def write(
        self,
        sequence: int,
        segments: Iterable[tuple[NDArray[np.int64], Vectors]],
        *,
        anchor: str = "",
    ) -> bool:
        """Make this the snapshot; on return it is on the disk, and what it replaced is gone.

        Only files whose ids changed since the last snapshot are written, since the vector of an
        id never changes.

        Args:
            sequence: of the last change that is in the segments.
            segments: ids (N,) int64, ascending and not negative, and vectors (N, D) of the
                owner's type. They are taken one after another.
            anchor: what the last change was, up to 200 printable ASCII characters: a reader
                whose database says otherwise has another history.

        Returns:
            True when a snapshot of this sequence, or a later one of another process, is there;
            False when nothing was written, because another process is writing or deleting it.

        Raises:
            StoreError: the disk is full or cannot be written; the last snapshot stays.
        """
        try:
            make_private_folder(self._path)
            folder = self._opened()
            if folder is None:
                return False
            with folder, folder.locking(wait=False) as held:
                return held and self._write(folder, sequence, segments, anchor=anchor)
        except OSError as error:
            raise StoreError(
                f"the snapshot of gallery {self._owner.gallery_id} cannot be written: "
                f"{error.strerror}; make room or give this user the right to write there"
            ) from error

    def read(self, *, mapped: bool = False) -> Snapshot | None:
        """Return the snapshot, every byte of it verified, or None when there is none.

        Args:
            mapped: leave the vectors in their files, mapped read-only.

        Raises:
            SnapshotUnfit: damaged, of another owner or of a newer version; says which.
            SealKeyMissing: sealed with a key that is not at hand, or not sealed at all.
            RequestInvalid: sealed vectors cannot be mapped.
        """
        if mapped and self._sealer.encrypts:
            raise RequestInvalid("an encrypted snapshot cannot be mapped; read it into memory")
        try:
            folder = self._opened()
            if folder is None:
                return None
            with folder:
                return self._read(folder, mapped=mapped)
        except OSError as error:
            raise SnapshotUnfit(f"the snapshot cannot be read: {error.strerror}") from error

    def verify(self) -> Manifest | None:
        """Return the manifest, with one file after another verified; None without a snapshot.

        Raises:
            SnapshotUnfit: damaged, of another owner or of a newer version; says which.
            SealKeyMissing: sealed with a key that is not at hand, or not sealed at all.
        """
        try:
            folder = self._opened()
            if folder is None:
                return None
            with folder:
                content = read_manifest(folder)
                if content is None:
                    return None
                manifest = self._decoded(content)
                for entry in manifest.files:
                    self._files.read(folder, entry, mapped=False)
                return manifest
        except OSError as error:
            raise SnapshotUnfit(f"the snapshot cannot be read: {error.strerror}") from error

    def is_current(self) -> bool:
        """Return whether the snapshot, if there is one, is sealed with today's key.

        The manifest answers for its files: what is sealed with another key is never kept. One
        that cannot be read is not current either: it is to be written anew.
        """
        try:
            folder = self._opened()
            if folder is None:
                return True
            with folder:
                content = read_manifest(folder)
        except (OSError, SnapshotUnfit) as error:
            logger.warning(
                "the snapshot of gallery %s cannot be read: %s", self._owner.gallery_id, error
            )
            return False
        return content is None or self._sealer.is_current(sealed_body(content))

    def delete(self) -> None:
        """Remove the snapshot and its folder; on return that is on the disk.

        Waits for a process that is writing it.

        Raises:
            StoreError: something cannot be removed, or files of others lie in the folder.
        """
        try:
            while (folder := self._opened()) is not None:
                with folder, folder.locking(wait=True) as held:
                    if held:
                        remove_snapshot(folder)
                        self._remove_folder(folder)
        except OSError as error:
            raise StoreError(
                f"the snapshot of gallery {self._owner.gallery_id} cannot be removed: "
                f"{error.strerror}"
            ) from error

    def _remove_folder(self, folder: PrivateFolder) -> None:
        """Remove the folder that is empty now, unless a writer has begun in it again."""
        try:
            self._path.rmdir()
        except OSError as error:
            # Its lock is a new one: it is waited for next.
            if error.errno != errno.ENOTEMPTY or not only_ours(folder):
                raise
            return
        sync_folder(self._path.parent)

    def _opened(self) -> PrivateFolder | None:
        try:
            return PrivateFolder(self._path)
        except FileNotFoundError:
            return None

    def _write(
        self,
        folder: PrivateFolder,
        sequence: int,
        segments: Iterable[tuple[NDArray[np.int64], Vectors]],
        *,
        anchor: str,
    ) -> bool:
        last = self._last(folder)
        if last is not None and last.sequence > sequence:
            logger.info("gallery %s has a later snapshot already", self._owner.gallery_id)
            return True
        old = {entry.content: entry for entry in last.files} if last is not None else {}
        created: list[str] = []
        try:
            entries = tuple(self._entries(folder, segments, old=old, created=created))
            manifest = Manifest(owner=self._owner, sequence=sequence, anchor=anchor, files=entries)
            # The files' names are on the disk before a manifest that names them.
            folder.sync()
            with folder.creating(NEW_MANIFEST_NAME) as stream:
                stream.write(manifest.encode(self._sealer))
            folder.rename(NEW_MANIFEST_NAME, MANIFEST_NAME)
        except BaseException:
            for name in (NEW_MANIFEST_NAME, *created):
                folder.remove(name)
            raise
        # And the manifest's before files that only the last one names are removed.
        folder.sync()
        remove_unnamed(folder, manifest)
        self._files.set_verified(entries)
        logger.info(
            "wrote %d of the %d files of the snapshot of gallery %s",
            len(created),
            len(entries),
            self._owner.gallery_id,
        )
        return True

    def _last(self, folder: PrivateFolder) -> Manifest | None:
        """The manifest to write after, if it can be used; what it does not name is removed."""
        try:
            content = read_manifest(folder)
            last = self._decoded(content) if content is not None else None
        except (SnapshotUnfit, SealKeyMissing) as error:
            logger.warning(
                "the snapshot of gallery %s is written anew: %s", self._owner.gallery_id, error
            )
            folder.remove(NEW_MANIFEST_NAME)
            return None
        remove_unnamed(folder, last)
        return last

    def _entries(
        self,
        folder: PrivateFolder,
        segments: Iterable[tuple[NDArray[np.int64], Vectors]],
        *,
        old: dict[Content, FileEntry],
        created: list[str],
    ) -> Iterator[FileEntry]:
        """Yield the entries of all segments, of files that stay and of new ones."""
        first_ids_F = np.array(sorted(entry.first_id for entry in old.values()), dtype=np.int64)
        for ids_N, vectors_ND in segments:
            self._check(ids_N, vectors_ND)
            for rows in cut(ids_N, first_ids_F=first_ids_F, max_rows=self._max_rows):
                block = self._owner.layout.as_stored(ids_N[rows], vectors_ND[rows])
                content = content_of(block[0])
                entry = old.pop(content, None)
                if entry is None or not self._files.can_stay(folder, entry):
                    created.append(self._files.new_name())
                    entry = self._files.write(folder, created[-1], block, content=content)
                yield entry

    def _check(self, ids_N: NDArray[np.int64], vectors_ND: Vectors) -> None:
        layout = self._owner.layout
        if vectors_ND.shape != (len(ids_N), layout.dimension) or vectors_ND.dtype != layout.dtype:
            raise ValueError(f"expected vectors of {layout}, got {vectors_ND.shape}")
        if not ascending(ids_N):
            raise ValueError("the ids of a segment must ascend from 0 or more")

    def _read(self, folder: PrivateFolder, *, mapped: bool) -> Snapshot | None:
        gallery_id = self._owner.gallery_id
        for _ in range(_ATTEMPTS):
            content = read_manifest(folder)
            if content is None:
                remove_left_over(folder, None, content=None, gallery_id=gallery_id)
                return None
            try:
                manifest = self._decoded(content)
                blocks = self._blocks(folder, manifest, mapped=mapped)
            except SnapshotUnfit:
                # A writer may have put another snapshot in its place and removed its files.
                if read_manifest(folder) == content:
                    raise
                continue
            remove_left_over(folder, manifest, content=content, gallery_id=gallery_id)
            return Snapshot(sequence=manifest.sequence, anchor=manifest.anchor, blocks=blocks)
        raise SnapshotUnfit("the snapshot is replaced again and again while it is read")

    def _blocks(
        self, folder: PrivateFolder, manifest: Manifest, *, mapped: bool
    ) -> tuple[Block, ...]:
        num_threads = min(_MAX_THREADS, os.cpu_count() or 1)
        # Hashing, unsealing and reading let other threads run.
        with ThreadPoolExecutor(num_threads, thread_name_prefix="snapshot") as threads:
            read = partial(self._files.read, folder, mapped=mapped)
            blocks = tuple(threads.map(read, manifest.files))
        self._files.set_verified(manifest.files)
        return blocks

    def _decoded(self, content: bytes) -> Manifest:
        return decode(content, owner=self._owner, sealer=self._sealer)
