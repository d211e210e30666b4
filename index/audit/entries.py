"""What the audit log holds, and the codes that chain it.

An entry's code is an HMAC-SHA-256 (RFC 2104) under a key outside the database, over the code of
the entry before and all that the entry says, its number included. So an entry that was changed,
moved, inserted or taken out breaks the chain there.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from embedding.errors import StoreCorrupt
from index.ids import id_bytes
from index.times import to_microseconds

CODE_BYTES = 32
SALT_BYTES = 16
PSEUDONYM_BYTES = 12

DONE = "done"
"""The outcome of what was carried out; else the code of the error that stood against it."""

MAX_SUBJECTS = 100
"""So many people are named, by pseudonym, in one entry; one of more only counts them."""

Fact = int | str | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEvent:
    """Something that is to be entered; ids and counts only, never a name.

    Attributes:
        action: what was done, such as ``subject.enroll``.
        outcome: `DONE`, or an error's code.
        gallery_id: public id of the gallery that it was done in, if any.
        subject_ids: of the people whom it was about, which become pseudonyms; who is not there
            any more is left out.
        pseudonyms: of people whose ids are about to go.
        facts: counts and ids of keys.
        at: when, if not now.
        actor: who, if not whoever acts now.
    """

    action: str
    outcome: str = DONE
    gallery_id: str | None = None
    subject_ids: tuple[str, ...] = ()
    pseudonyms: tuple[str, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    at: datetime | None = None
    actor: str | None = None

    @property
    def named_ids(self) -> tuple[str, ...]:
        """Of the people who are named, each once: all, or nobody where they are too many."""
        ids = tuple(dict.fromkeys(self.subject_ids))
        return ids if len(ids) <= MAX_SUBJECTS else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """An entry as it is kept.

    Attributes:
        number: from 1 on, without a gap.
        at: UTC.
        actor: id of a key, or ``local``.
        action: what.
        outcome: `DONE`, or an error's code.
        gallery_id: public id; None where no gallery is concerned.
        subjects: pseudonyms, 24 hexadecimal digits each.
        facts: counts and ids of keys.
        code: 32 bytes.
    """

    number: int
    at: datetime
    actor: str
    action: str
    outcome: str
    gallery_id: str | None
    subjects: tuple[str, ...]
    facts: Mapping[str, Fact]
    code: bytes = b""

    def content(self) -> bytes:
        """Return what the code covers, apart from the code before."""
        return canonical(
            [
                self.number,
                to_microseconds(self.at),
                self.actor,
                self.action,
                self.outcome,
                self.gallery_id,
                list(self.subjects),
                dict(self.facts),
            ]
        ).encode()

    def line(self) -> str:
        """Return the entry as a line of JSON, with its code, without the line's end."""
        return canonical(
            {
                "number": self.number,
                "at": self.at.isoformat(),
                "actor": self.actor,
                "action": self.action,
                "outcome": self.outcome,
                "gallery_id": self.gallery_id,
                "subjects": list(self.subjects),
                "facts": dict(self.facts),
                "code": self.code.hex(),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditWanted:
    """Which entries somebody wants to see; all conditions hold together.

    Attributes:
        gallery_ids: only of these galleries; None for all, and for what concerns no gallery.
        actor: only what this key's id, or ``local``, did; None for all.
        action: only this one and its family: ``subject`` means ``subject.enroll``, too.
        refused: only what was refused.
    """

    gallery_ids: tuple[str, ...] | None = None
    actor: str | None = None
    action: str | None = None
    refused: bool = False


ALL_ENTRIES = AuditWanted()
"""Nothing is left out."""


def entry_of_line(line: str) -> AuditEntry:
    """Return the entry of a line that `AuditEntry.line` gave.

    Raises:
        StoreCorrupt: it is none.
    """
    try:
        found = json.loads(line)
        return AuditEntry(
            number=int(found["number"]),
            at=datetime.fromisoformat(found["at"]),
            actor=found["actor"],
            action=found["action"],
            outcome=found["outcome"],
            gallery_id=found["gallery_id"],
            subjects=tuple(found["subjects"]),
            facts=dict(found["facts"]),
            code=bytes.fromhex(found["code"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise StoreCorrupt("a line of the file is no entry of an audit log") from error


def canonical(value: object) -> str:
    """Return JSON that is the same for the same value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


class Codes:
    """Makes codes and pseudonyms of one database.

    Args:
        key: 32 random bytes that are not in the database.
        database_id: of the database.
    """

    def __init__(self, *, key: bytes, database_id: str) -> None:
        self._key = key
        self.beginning = self._hmac(b"audit beginning\0" + database_id.encode())
        """What the first entry's code covers."""

    def code(self, previous: bytes, entry: AuditEntry) -> bytes:
        """Return the code of an entry after the one whose code is `previous`."""
        return self._hmac(b"audit entry\0" + previous + entry.content())

    def seal(self, purpose: bytes, content: bytes) -> bytes:
        """Return the code of something else that belongs to the log."""
        return self._hmac(purpose + b"\0" + self.beginning + content)

    def pseudonym(self, subject_id: str, *, salt: bytes) -> str:
        """Return what stands for a subject; without its salt nobody can tell for whom."""
        message = b"audit subject\0" + salt + id_bytes(subject_id)
        return self._hmac(message)[:PSEUDONYM_BYTES].hex()

    def _hmac(self, message: bytes) -> bytes:
        return hmac.digest(self._key, message, hashlib.sha256)
