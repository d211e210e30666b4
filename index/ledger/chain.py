"""The bytes of a ledger and the codes that bind them together.

The file is, in this order:

- the header, 512 bytes: what the file is, its version, the id of its database;
- the mark, 512 bytes: how many entries are known to be on disk, and the code of the last of them;
- the entries, 128 bytes each: 96 bytes of content, then a code of 32. So none lies across two
  sectors of a disk.

Every code is an HMAC-SHA-256 (RFC 2104) under the ledger's key. An entry's code covers the code
before it, the first one's covers the header's: so an entry that was changed, moved, inserted or
taken out breaks every code after it.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass

from embedding.errors import LedgerUnfit, SettingsInvalid, StoreNewer
from index.ledger.entries import ENTRY_BYTES

SECTOR_BYTES = 512
"""What a disk writes whole or not at all; header and mark have one each."""

CODE_BYTES = 32
RECORD_BYTES = ENTRY_BYTES + CODE_BYTES
ENTRIES_AT = 2 * SECTOR_BYTES
"""Where the first entry begins, in bytes."""

MIN_KEY_BYTES = 32
MAX_ID_BYTES = 255

_MAGIC = b"FaceGallery removal ledger\n"
_VERSION = 1
_HEADER = struct.Struct(f"<{len(_MAGIC)}sIH")
_MARK = struct.Struct(f"<Q{CODE_BYTES}s")
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
_BLOCK_BYTES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerHead:
    """How far a ledger went at some moment; backups and the database remember it.

    Attributes:
        count: how many entries.
        digest: 64 hexadecimal digits: the last entry's code, the header's when there is none.
    """

    count: int
    digest: str


class Chain:
    """Writes and verifies the codes of one database's ledger."""

    def __init__(self, *, database_id: str, key: bytes) -> None:
        """Prepare the codes.

        Raises:
            SettingsInvalid: the key has fewer than 32 bytes, or the id is empty or too long.
        """
        if len(key) < MIN_KEY_BYTES:
            raise SettingsInvalid(
                f"the removal ledger's key must have at least {MIN_KEY_BYTES} bytes, but has "
                f"{len(key)}"
            )
        self._database_id = database_id.encode()
        if not 1 <= len(self._database_id) <= MAX_ID_BYTES:
            raise SettingsInvalid(f"a database's id must have 1 to {MAX_ID_BYTES} bytes")
        if len(key) > _BLOCK_BYTES:
            key = hashlib.sha256(key).digest()
        block = key.ljust(_BLOCK_BYTES, b"\0")
        # With both pads hashed once, a code takes a third of the time of `hmac.digest`.
        self._inner = hashlib.sha256(block.translate(_INNER_PAD))
        self._outer = hashlib.sha256(block.translate(_OUTER_PAD))
        self._header = self._sector(b"header", self._header_content())

    @property
    def header(self) -> bytes:
        """The header's 512 bytes."""
        return self._header

    @property
    def beginning(self) -> bytes:
        """The code that the first entry's covers."""
        return self._header[-CODE_BYTES:]

    def check_header(self, header: bytes) -> None:
        """Pass the header of a ledger that was begun for this database with this key.

        Raises:
            StoreNewer: it is of a newer version of this program.
            LedgerUnfit: it is none, was changed, or is of another database or key.
        """
        if not header.startswith(_MAGIC):
            raise LedgerUnfit(
                "the file is not a removal ledger; give the path of this database's ledger"
            )
        content = self._content(b"header", header)
        if content is None:
            raise LedgerUnfit(
                "the removal ledger's header was changed, or belongs to another key; give this "
                "database's ledger and key"
            )
        _, version, length = _HEADER.unpack_from(content)
        if version > _VERSION:
            raise StoreNewer(
                f"the removal ledger has version {version}, but this program knows only "
                f"{_VERSION}; install the newer one"
            )
        if content[_HEADER.size : _HEADER.size + length] != self._database_id:
            raise LedgerUnfit(
                "the removal ledger is that of another database; give this database's ledger"
            )

    def mark(self, count: int, code: bytes) -> bytes:
        """Return the 512 bytes that say how many entries are on disk."""
        return self._sector(b"mark", self.beginning + _MARK.pack(count, code))

    def read_mark(self, mark: bytes) -> tuple[int, bytes]:
        """Return how many entries are on disk at least, and the code of the last of them.

        Raises:
            LedgerUnfit: the mark was changed, or belongs to another ledger.
        """
        content = self._content(b"mark", mark)
        if content is None or not content.startswith(self.beginning):
            raise LedgerUnfit(
                "the mark of the removal ledger was changed, or is that of another ledger; "
                "restore the ledger from its newest copy"
            )
        count, code = _MARK.unpack_from(content, CODE_BYTES)
        return int(count), bytes(code)

    def code(self, previous: bytes, entry: bytes) -> bytes:
        """Return the code of an entry after the one whose code is `previous`."""
        return self._hmac(b"entry" + previous + entry)

    def _header_content(self) -> bytes:
        fixed = _HEADER.pack(_MAGIC, _VERSION, len(self._database_id))
        return fixed + self._database_id

    def _sector(self, purpose: bytes, content: bytes) -> bytes:
        padded = content.ljust(SECTOR_BYTES - CODE_BYTES, b"\0")
        return padded + self._hmac(purpose + padded)

    def _content(self, purpose: bytes, sector: bytes) -> bytes | None:
        """Return a sector without its code, or None when the code does not fit."""
        content, code = sector[:-CODE_BYTES], sector[-CODE_BYTES:]
        fits = len(sector) == SECTOR_BYTES and hmac.compare_digest(
            code, self._hmac(purpose + content)
        )
        return content if fits else None

    def _hmac(self, message: bytes) -> bytes:
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()
