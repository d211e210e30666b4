"""Cuts of the audit log: old entries taken off its beginning, without loosening the rest.

What is left goes on from the number and the code of the last entry that went. Both are kept with
a code of their own, made with the key of the log, in the database and in the anchor; and the log
itself has an entry that tells how far it was cut, when and by whom.
"""

import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from embedding.errors import StoreCorrupt
from index.audit.anchor import AuditHead
from index.audit.entries import AuditEntry, Codes, canonical

MIN_PIECE_DAYS = 1.0
"""So much is cut at a time by itself, or more: else each hour would leave an entry and a file."""

_PURPOSE = b"audit cut"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRetention:
    """How long entries stay.

    Attributes:
        keep_days: entries that are older are cut off, once a day; positive.
        archive: folder that gets them as files before, outside the data folder; None where they
            are not kept.
    """

    keep_days: float
    archive: Path | None = None

    def cut_before(self, oldest: datetime, *, now: datetime) -> datetime | None:
        """Return from which time on entries stay; None while a cut is not worth it.

        Args:
            oldest: time of the first entry, with its zone.
            now: with its zone.
        """
        limit = now - timedelta(days=self.keep_days)
        return limit if oldest < limit - timedelta(days=MIN_PIECE_DAYS) else None


def cut_line(cut: AuditHead, codes: Codes) -> str:
    """Return a cut as JSON, with its code: the first line of what is left of a log."""
    return canonical(
        {"cut": {"count": cut.count, "code": cut.code.hex(), "seal": _seal(cut, codes).hex()}}
    )


def is_cut_line(line: str) -> bool:
    """Return whether a line of an export tells of a cut, and is no entry."""
    return line.startswith('{"cut":')


def read_cut_line(line: str, codes: Codes) -> AuditHead:
    """Return the cut of a line that `cut_line` gave.

    Raises:
        StoreCorrupt: it was changed, or is that of another log.
    """
    try:
        found = json.loads(line)["cut"]
        cut = AuditHead(count=int(found["count"]), code=bytes.fromhex(found["code"]))
        genuine = cut.count > 0 and hmac.compare_digest(
            bytes.fromhex(found["seal"]), _seal(cut, codes)
        )
    except (ValueError, KeyError, TypeError, OverflowError):
        genuine = False
    if not genuine:
        raise StoreCorrupt(
            "what the audit log says of its cut was changed, or is that of another database"
        )
    return cut


def cut_facts(last: AuditEntry, *, archived: bool) -> Mapping[str, Any]:
    """Return what the log's entry says of a cut that ends with an entry."""
    return {
        "through": last.number,
        "until": last.at.isoformat(),
        "code": last.code.hex(),
        "archived": archived,
    }


def unbroken(
    entries: Iterable[AuditEntry], codes: Codes, *, after: AuditHead
) -> Iterator[AuditEntry]:
    """Give entries that follow one another without a change.

    Raises:
        StoreCorrupt: one was changed or is missing: it is evidence, which no cut may take away.
    """
    number, code = after.count, after.code
    for entry in entries:
        number += 1
        if entry.number != number or not hmac.compare_digest(codes.code(code, entry), entry.code):
            raise StoreCorrupt(
                f"the audit log was changed at entry {number}, so it is not cut; run "
                f"facegallery-index audit verify, and keep what it says"
            )
        code = entry.code
        yield entry


def _seal(cut: AuditHead, codes: Codes) -> bytes:
    return codes.seal(_PURPOSE, cut.count.to_bytes(8, "big") + cut.code)
