"""Opaque cursors of paged lists, signed so that a forged one is refused."""

import base64
import binascii
import hashlib
import hmac

from embedding.errors import RequestInvalid

_ROW_BYTES = 8
_SIGNATURE_BYTES = 16


class Cursors:
    """Writes and reads cursors under a secret of the data folder."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def write(self, row_id: int, *, gallery_id: str) -> str:
        """Return the cursor that points behind a row of a gallery."""
        row = row_id.to_bytes(_ROW_BYTES, "big")
        return base64.urlsafe_b64encode(row + self._signature(row, gallery_id)).decode()

    def read(self, cursor: str, *, gallery_id: str) -> int:
        """Return the row that a cursor points behind.

        Raises:
            RequestInvalid: not written by `write` for this gallery.
        """
        try:
            content = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            content = b""
        row, signature = content[:_ROW_BYTES], content[_ROW_BYTES:]
        if not hmac.compare_digest(signature, self._signature(row, gallery_id)):
            raise RequestInvalid(
                "the cursor is not one of this list; begin again without a cursor"
            )
        return int.from_bytes(row, "big")

    def _signature(self, row: bytes, gallery_id: str) -> bytes:
        message = gallery_id.encode() + row
        return hmac.digest(self._secret, message, hashlib.sha256)[:_SIGNATURE_BYTES]
