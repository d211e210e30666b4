"""An entry of the ledger, and its 96 bytes."""

import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from embedding.errors import RequestInvalid
from index.ids import NOBODY, check_id, id_bytes, id_text
from index.times import from_microseconds, to_microseconds

RemovalKind = Literal["subject", "template", "gallery"]

ENTRY_BYTES = 96

# Kind, microseconds since 1970, gallery, subject, template; zeros up to 96 bytes.
_ENTRY = struct.Struct("<B7xq16s16s16s")
_KIND_CODES: dict[RemovalKind, int] = {"subject": 1, "template": 2, "gallery": 3}
_KINDS: dict[int, RemovalKind] = {code: kind for kind, code in _KIND_CODES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Something that was erased. Its ids are random, so that an entry names nobody.

    Who removes a subject writes an entry for each of its templates, too: in an older backup a
    template may lie under another subject, which the subject's own entry would not reach.

    Attributes:
        gallery_id: public id of the gallery, a UUID.
        subject_id: of the subject; None for a gallery, and for a template that belonged to
            nobody.
        template_id: of the template; None unless the kind is ``template``.
        kind: what was removed, with everything in it.
        at: when, with a time zone; kept to the microsecond in UTC.
    """

    gallery_id: str
    subject_id: str | None
    template_id: str | None
    kind: RemovalKind
    at: datetime


def pack(removal: Removal) -> bytes:
    """Return the entry's 96 bytes.

    Raises:
        RequestInvalid: an id is no UUID or does not fit the kind, or the time has no zone.
    """
    if removal.at.tzinfo is None:
        raise RequestInvalid("the time of a removal must have a time zone")
    kind, subject_id, template_id = removal.kind, removal.subject_id, removal.template_id
    fits = {
        "subject": subject_id is not None and template_id is None,
        "template": template_id is not None,
        "gallery": subject_id is None and template_id is None,
    }
    if not fits.get(kind, False):
        raise RequestInvalid(
            "a removal is of kind subject (with its id), template (with its id) or gallery "
            "(without ids of subject and template)"
        )
    return _ENTRY.pack(
        _KIND_CODES[kind],
        to_microseconds(removal.at),
        _checked_bytes(removal.gallery_id),
        NOBODY if subject_id is None else _checked_bytes(subject_id),
        NOBODY if template_id is None else _checked_bytes(template_id),
    ).ljust(ENTRY_BYTES, b"\0")


def unpack(entry: bytes) -> Removal:
    """Return the removal of 96 bytes whose code (HMAC) was found right."""
    kind, microseconds, gallery, subject, template = _ENTRY.unpack_from(entry)
    return Removal(
        gallery_id=id_text(gallery),
        subject_id=None if subject == NOBODY else id_text(subject),
        template_id=None if template == NOBODY else id_text(template),
        kind=_KINDS[kind],
        at=from_microseconds(microseconds),
    )


def _checked_bytes(text: str) -> bytes:
    check_id(text, what="id in a removal")
    return id_bytes(text)
