"""The removal ledger: an append-only file that remembers what was erased.

It lies outside the data folder and outside the backups, so that restoring a backup of before an
erasure cannot bring back what was erased: after the restore, `entries_after` the backup's head
are carried out again.

**Order with the database.** A removal is appended before its SQL transaction commits, inside it
and with the row held that keeps the database's head, which gets the new head in the same
transaction. An acknowledged removal is then in both. When the process dies in between, the entry
is in the ledger alone: nothing was acknowledged, and the next start finds `entries_after` the
database's head and carries them out, so the ledger decides. The other order could lose an
erasure: one that is committed, but in no ledger, comes back with the next restore. Carrying out an
entry twice is harmless, since ids are random and never used again; so it is for one whose commit
failed, which was asked for. With the row held, heads commit in the order of the entries, and no
process can step over an entry that another one has not committed yet.

**What is noticed.** An append writes and syncs its entries, then writes and syncs the mark that
counts them (one sector, which a disk writes whole or not at all), then returns. So:

- All that lies before the mark's count was acknowledged and must be perfect. A changed bit, a
  missing, moved or inserted entry, a file cut off there: `LedgerUnfit`.
- All that lies after it was never acknowledged: what a crash left of an append, whole, torn or
  zeros. It is cut off at the next opening or append, whatever it is.
- The file in an older state of its own, entries and mark, is perfect by itself, and so is a new
  empty one. Only a head that somebody else remembers tells: `check_continues`.
- Who has the key can write any ledger. The key is the caller's; it is never written here.

Several processes may append: each append takes the kernel's lock of the file (flock) and first
reads what others appended. The file must lie on a local disk. A process that was forked opens the
ledger for itself.
"""

import fcntl
import logging
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from embedding.errors import LedgerUnfit, SettingsInvalid, StoreError
from index.ledger.chain import (
    ENTRIES_AT,
    RECORD_BYTES,
    SECTOR_BYTES,
    Chain,
    LedgerHead,
)
from index.ledger.entries import ENTRY_BYTES, Removal, pack, unpack
from index.new_file import new_private_file

logger = logging.getLogger(__name__)

_CHUNK_RECORDS = 16_384
"""How many entries are read at a time: 1.5 MB."""


class RemovalLedger:
    """An open ledger whose acknowledged entries are all verified; thread safe."""

    def __init__(self, path: Path, file: int, chain: Chain) -> None:
        self._path = path
        self._file = file
        self._chain = chain
        self._lock = threading.Lock()
        # What was verified so far; other processes may have gone on.
        self._count = 0
        self._code = chain.beginning

    @classmethod
    def open(cls, path: Path, *, database_id: str, key: bytes, create: bool = False) -> Self:
        """Return the ledger of a database, with every acknowledged entry verified.

        Args:
            path: of the file; pass it through `check_outside` first.
            database_id: opaque, 1 to 255 bytes.
            key: at least 32 random bytes.
            create: begin an empty one (mode 0600) when there is no file. Only for a database that
                never had a ledger: else a lost ledger would become an empty one.

        Raises:
            LedgerUnfit: there is none, it is damaged, or it is of another database or key.
            SettingsInvalid: the key or id is too short or long, or the path's folder is missing.
            StoreNewer: written by a newer version of this program.
            StoreError: it cannot be read or written.
        """
        chain = Chain(database_id=database_id, key=key)
        if create:
            _create(path, chain)
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise _missing(path) from error
        except OSError as error:
            raise _not_usable(path, error) from error
        ledger = cls(path, file, chain)
        try:
            with ledger._held():
                ledger._check_file()
                chain.check_header(os.pread(file, SECTOR_BYTES, 0))
                ledger._catch_up()
                ledger._cut_tail()
        except BaseException:
            ledger.close()
            raise
        return ledger

    def append(self, entries: Sequence[Removal]) -> LedgerHead:
        """Return the head after the entries, which are on disk then, all of them.

        Args:
            entries: in the order in which they are to be carried out again; none is allowed.

        Raises:
            RequestInvalid: an id is no UUID, or does not fit the entry's kind.
            LedgerUnfit: the file was removed, replaced or changed since it was opened.
            StoreError: it cannot be written; none of the entries counts, and a later append may
                succeed. Only when the mark itself cannot be written they may count.
        """
        packed = [pack(entry) for entry in entries]
        with self._held():
            self._check_file()
            self._catch_up()
            if packed:
                self._cut_tail()
                self._write(packed)
            return self._head()

    def head(self) -> LedgerHead:
        """Return how far the ledger goes now, with the entries of other processes verified.

        Raises:
            LedgerUnfit: the file was removed, replaced or changed since it was opened.
            StoreError: it cannot be read.
        """
        with self._held():
            self._check_file()
            self._catch_up()
            return self._head()

    def check_continues(self, head: LedgerHead) -> None:
        """Pass a head that this ledger had at some time: nothing since then is missing.

        Raises:
            LedgerUnfit: the ledger is shorter, or went another way: it was replaced by an older
                copy, or begun anew. Or the file was changed since it was opened.
            StoreError: it cannot be read.
        """
        with self._held():
            self._check_file()
            self._catch_up()
            if self._count < head.count:
                raise LedgerUnfit(
                    f"the removal ledger has {self._count} entries, but a backup or the database "
                    f"remembers {head.count}; put back its newest copy"
                )
            if self._code_of(head.count).hex() != head.digest:
                raise LedgerUnfit(
                    f"the removal ledger's first {head.count} entries are not those that a backup "
                    f"or the database remembers; give the ledger that was used then"
                )

    def entries(self) -> Iterator[Removal]:
        """Give all entries that are acknowledged now, the oldest first; see `entries_after`."""
        return self.entries_after(LedgerHead(count=0, digest=self._chain.beginning.hex()))

    def entries_after(self, head: LedgerHead) -> Iterator[Removal]:
        """Give the entries that followed a head, the oldest first, verified as they are read.

        The head is checked at once; what is appended later is not given.

        Raises:
            LedgerUnfit: as `check_continues`; also while entries are given.
            StoreError: it cannot be read.
        """
        self.check_continues(head)
        records = self._records(head.count, self._count, bytes.fromhex(head.digest))
        return (unpack(entry) for entry, _ in records)

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Run a block alone, among the threads and among the processes."""
        with self._lock:
            if self._file < 0:
                raise StoreError("the removal ledger was closed; open it again")
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX)
                try:
                    yield
                finally:
                    fcntl.flock(self._file, fcntl.LOCK_UN)
            except OSError as error:
                raise _not_usable(self._path, error) from error

    def _check_file(self) -> None:
        """Pass when the path still leads to the open file: else appends would go nowhere."""
        opened = os.fstat(self._file)
        if not stat.S_ISREG(opened.st_mode):
            raise LedgerUnfit(f"{self._path} is not a file; give the path of the removal ledger")
        try:
            named = self._path.stat()
        except FileNotFoundError as error:
            raise _missing(self._path) from error
        if not os.path.samestat(named, opened):
            raise LedgerUnfit(
                f"{self._path} was replaced while it was open; put the removal ledger back"
            )

    def _catch_up(self) -> None:
        """Verify what was acknowledged since the last time."""
        count, code = self._chain.read_mark(os.pread(self._file, SECTOR_BYTES, SECTOR_BYTES))
        if count < self._count:
            raise LedgerUnfit(
                f"the removal ledger had {self._count} entries and now has {count}; it was "
                f"replaced by an older copy: put back its newest one"
            )
        last = self._code
        for _, following in self._records(self._count, count, self._code):
            last = following
        if last != code:
            raise _damaged(count)
        self._count, self._code = count, code

    def _records(self, begin: int, end: int, code: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Give entries with their codes, verified; `code` is that of the one before."""
        for first in range(begin, end, _CHUNK_RECORDS):
            size = RECORD_BYTES * min(_CHUNK_RECORDS, end - first)
            chunk = os.pread(self._file, size, _place(first))
            for at in range(0, size, RECORD_BYTES):
                entry = chunk[at : at + ENTRY_BYTES]
                code = self._chain.code(code, entry)
                if code != chunk[at + ENTRY_BYTES : at + RECORD_BYTES]:
                    raise _damaged(first + at // RECORD_BYTES)
                yield entry, code

    def _cut_tail(self) -> None:
        """Cut off what was never acknowledged."""
        end = _place(self._count)
        surplus = os.fstat(self._file).st_size - end
        if surplus > 0:
            os.ftruncate(self._file, end)
            logger.warning("removal ledger: cut off %s bytes of an unfinished append", surplus)

    def _write(self, packed: Sequence[bytes]) -> None:
        code = self._code
        records: list[bytes] = []
        for entry in packed:
            code = self._chain.code(code, entry)
            records += (entry, code)
        count = self._count + len(packed)
        _write_at(self._file, b"".join(records), _place(self._count))
        os.fdatasync(self._file)
        # If this fails, the entries are on disk and may count: harmless, as said at the top.
        _write_at(self._file, self._chain.mark(count, code), SECTOR_BYTES)
        os.fdatasync(self._file)
        self._count, self._code = count, code

    def _head(self) -> LedgerHead:
        return LedgerHead(count=self._count, digest=self._code.hex())

    def _code_of(self, count: int) -> bytes:
        """Return the code of the last of so many entries."""
        if count == 0:
            return self._chain.beginning
        return os.pread(self._file, RECORD_BYTES, _place(count - 1))[ENTRY_BYTES:]


def _create(path: Path, chain: Chain) -> None:
    if not path.parent.is_dir():
        # It is not made: an unmounted disk would go unnoticed.
        raise SettingsInvalid(
            f"the folder {path.parent} of the removal ledger is missing; mount or make it"
        )
    try:
        with new_private_file(path) as stream:
            stream.write(chain.header + chain.mark(0, chain.beginning))
    except FileExistsError:
        return
    except OSError as error:
        raise _not_usable(path, error) from error


def _place(number: int) -> int:
    """Return where an entry begins, in bytes from the file's beginning."""
    return ENTRIES_AT + RECORD_BYTES * number


def _write_at(file: int, content: bytes, place: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(file, rest, place)
        rest, place = rest[written:], place + written


def _damaged(number: int) -> LedgerUnfit:
    return LedgerUnfit(
        f"the removal ledger is damaged or was changed at entry {number}; put back its newest copy"
    )


def _missing(path: Path) -> LedgerUnfit:
    return LedgerUnfit(f"there is no removal ledger at {path}; put back its newest copy")


def _not_usable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"the removal ledger {path} cannot be used: {error.strerror}; check the disk's free space "
        f"and the rights of this user"
    )
