"""Public ids are UUIDs, written in lower case; here they are checked and made bytes."""

import re

from embedding.errors import RequestInvalid

ID_BYTES = 16

NOBODY = bytes(ID_BYTES)
"""No id's bytes: they stand for an id that is not given."""

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def check_id(text: str, *, what: str) -> None:
    """Pass an id.

    Args:
        text: never repeated in the message, since it may be a name.
        what: for the message.

    Raises:
        RequestInvalid: no UUID in lower case, or all zeros.
    """
    if not _ID.fullmatch(text) or id_bytes(text) == NOBODY:
        raise RequestInvalid(f"the {what} must be a UUID in lower case, and not all zeros")


def id_bytes(text: str) -> bytes:
    """Return the 16 bytes of an id that `check_id` passed."""
    return bytes.fromhex(text.replace("-", ""))


def id_text(content: bytes) -> str:
    """Return the id of 16 bytes."""
    digits = content.hex()
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "-".join(parts)
