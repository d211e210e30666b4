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
failed, which was asked for. With the row held, heads commit in the order of the entries: whoever
holds it and finds entries after the head knows that nobody is at work on them, and has them
carried out before the head moves past them.

**What is noticed.** An append writes its entries, syncs once, and returns. In the same round it
writes the mark: how many entries were on disk before. So the mark is never ahead of the entries,
and all but the last append is counted by it; `close` moves it to the end. A disk writes a sector
of 512 bytes whole or not at all, and no entry lies across two. So:

- All that the mark counts must be there and perfect. A changed bit, a missing, moved or inserted
  entry, a file cut off there: `LedgerUnfit`.
- After it an entry is perfect, or what a power cut leaves of an append that was not acknowledged:
  cut off by the file's end, or all zeros. From there on the file is cut at the next opening or
  append. Anything else is `LedgerUnfit`.
- Taking off or zeroing the last append after a crash, before anybody opens the ledger, looks like
  such a remainder. The file in an older state of its own, entries and mark, is perfect by itself,
  and so is a new empty one. Only a head that somebody else remembers tells: `check_continues`.
- Who has the key can write any ledger. The key is the caller's; it is never written here.

Several processes may append: each append takes the kernel's lock of the file (flock) and first
reads what others appended. The file must lie on a local disk. A process that was forked opens the
ledger for itself.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from embedding.errors import LedgerUnfit, StoreError
from index.ledger import ledger_file
from index.ledger.chain import (
    ENTRIES_AT,
    RECORD_BYTES,
    SECTOR_BYTES,
    Chain,
    LedgerHead,
)
from index.ledger.entries import ENTRY_BYTES, Removal, pack, unpack
from index.ledger.ledger_file import LedgerFile

logger = logging.getLogger(__name__)

_CHUNK_RECORDS = 16_384
"""How many entries are read at a time: 2 MB."""


class RemovalLedger:
    """An open ledger whose entries are all verified; thread safe."""

    def __init__(self, file: LedgerFile, chain: Chain) -> None:
        self._file = file
        self._chain = chain
        # What was verified so far, and what of it is known to be on disk: counts and last codes.
        self._count, self._code = 0, chain.beginning
        self._synced_count, self._synced_code = 0, chain.beginning
        self._marked = 0

    @classmethod
    def open(cls, path: Path, *, database_id: str, key: bytes, create: bool = False) -> Self:
        """Return the ledger of a database, with every entry verified.

        Args:
            path: of the file; pass it through `index.places.check_outside` first.
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
            ledger_file.create(path, chain.header + chain.mark(0, chain.beginning))
        file = LedgerFile.open(path)
        ledger = cls(file, chain)
        try:
            with file.held():
                file.check_place()
                chain.check_header(file.read(SECTOR_BYTES, 0))
                ledger._settle()
        except BaseException:
            file.close()
            raise
        return ledger

    def append(self, entries: Sequence[Removal]) -> LedgerHead:
        """Return the head after the entries, which are on disk then, all of them.

        Args:
            entries: in the order in which they are to be carried out again; none is allowed.

        Raises:
            RequestInvalid: an id is no UUID, or does not fit the entry's kind.
            LedgerUnfit: the file was removed, replaced or changed since it was opened.
            StoreError: it cannot be written, and the entries are taken back; a later append may
                succeed. Only on a disk that fails they may count, which is harmless.
        """
        packed = [pack(entry) for entry in entries]
        with self._file.held():
            if packed:
                self._catch_up()
                self._write(packed)
            else:
                self._settle()
            return self._head()

    def head(self) -> LedgerHead:
        """Return how far the ledger goes now, with the entries of other processes verified.

        Raises:
            LedgerUnfit: the file was removed, replaced or changed since it was opened.
            StoreError: it cannot be read.
        """
        with self._file.held():
            self._settle()
            return self._head()

    def goes_beyond(self, count: int) -> bool:
        """Whether the file is longer than so many entries: a quick look, nothing is verified.

        Raises:
            StoreError: it was closed.
        """
        return self._file.size() > _place(count)

    def check_continues(self, head: LedgerHead) -> None:
        """Pass a head that this ledger had at some time: nothing since then is missing.

        Raises:
            LedgerUnfit: the ledger is shorter, or went another way: it was replaced by an older
                copy, or begun anew. Or the file was changed since it was opened.
            StoreError: it cannot be read.
        """
        with self._file.held():
            self._settle()
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
        """Give all entries that are there now, the oldest first; see `entries_after`."""
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
        """Move the mark to the end and let go of the file; a second call does nothing.

        A ledger that is unfit by now is let go of as it is: the next opening says so.
        """
        if self._file.closed:
            return
        try:
            with self._file.held():
                self._settle()
        except StoreError as error:
            logger.warning("removal ledger: not closed cleanly: %s", error)
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _settle(self) -> None:
        """Verify what came since the last time, and see that it is on disk and counted."""
        self._catch_up()
        if self._synced_count < self._count:
            self._file.sync()
            self._synced_count, self._synced_code = self._count, self._code
        self._write_mark()

    def _catch_up(self) -> None:
        """Verify what came since the last time; cut off what a crash left of an append."""
        self._file.check_place()
        marked, code = self._chain.read_mark(self._file.read(SECTOR_BYTES, SECTOR_BYTES))
        size = self._file.size()
        num_whole = (size - ENTRIES_AT) // RECORD_BYTES
        if num_whole < max(marked, self._count):
            raise LedgerUnfit(
                f"the removal ledger had {max(marked, self._count)} entries and now has "
                f"{max(num_whole, 0)}; it was cut short or replaced by an older copy: put "
                f"back its newest one"
            )
        if self._code_of(self._count) != self._code:
            raise _damaged(self._count - 1)
        self._read_on(marked)
        if self._code_of(marked) != code:
            raise _damaged(marked - 1)
        if marked > self._synced_count:
            self._synced_count, self._synced_code = marked, code
        self._marked = marked
        self._read_on(num_whole, may_be_torn=True)
        end = _place(self._count)
        if size > end:
            self._file.cut(end)
            logger.warning("removal ledger: cut off %s bytes of an unfinished append", size - end)

    def _read_on(self, end: int, *, may_be_torn: bool = False) -> None:
        count, code = self._count, self._code
        for _, following in self._records(count, end, code, may_be_torn=may_be_torn):
            count, code = count + 1, following
        self._count, self._code = count, code

    def _records(
        self, begin: int, end: int, code: bytes, *, may_be_torn: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        """Give entries with their codes, verified.

        Args:
            begin: number of the first one.
            end: number after the last one.
            code: of the entry before the first one.
            may_be_torn: end before one that is all zeros.
        """
        for first in range(begin, end, _CHUNK_RECORDS):
            size = RECORD_BYTES * min(_CHUNK_RECORDS, end - first)
            chunk = self._file.read(size, _place(first))
            for at in range(0, size, RECORD_BYTES):
                entry = chunk[at : at + ENTRY_BYTES]
                code = self._chain.code(code, entry)
                if code != chunk[at + ENTRY_BYTES : at + RECORD_BYTES]:
                    if may_be_torn and chunk[at : at + RECORD_BYTES] == bytes(RECORD_BYTES):
                        return
                    raise _damaged(first + at // RECORD_BYTES)
                yield entry, code

    def _write(self, packed: Sequence[bytes]) -> None:
        code = self._code
        records: list[bytes] = []
        for entry in packed:
            code = self._chain.code(code, entry)
            records += (entry, code)
        count = self._count + len(packed)
        try:
            self._write_mark()
            self._file.write(b"".join(records), _place(self._count))
            self._file.sync()
        except OSError:
            self._file.cut(_place(self._count))
            raise
        self._count, self._code = count, code
        self._synced_count, self._synced_code = count, code

    def _write_mark(self) -> None:
        """Count what is known to be on disk; needs no sync, for a lower count is as good."""
        if self._marked < self._synced_count:
            mark = self._chain.mark(self._synced_count, self._synced_code)
            self._file.write(mark, SECTOR_BYTES)
            self._marked = self._synced_count

    def _head(self) -> LedgerHead:
        return LedgerHead(count=self._count, digest=self._code.hex())

    def _code_of(self, count: int) -> bytes:
        """Return the code of the last of so many entries."""
        if count == 0:
            return self._chain.beginning
        return self._file.read(RECORD_BYTES, _place(count - 1))[ENTRY_BYTES:]


def _place(number: int) -> int:
    """Return where an entry begins, in bytes from the file's beginning."""
    return ENTRIES_AT + RECORD_BYTES * number


def _damaged(number: int) -> LedgerUnfit:
    return LedgerUnfit(
        f"the removal ledger is damaged or was changed at entry {number}; put back its newest copy"
    )
