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
        return self._sealed(row_id.to_bytes(_ROW_BYTES, "big"), gallery_id)

    def read(self, cursor: str, *, gallery_id: str) -> int:
        """Return the row that a cursor points behind.

        Raises:
            RequestInvalid: not written by `write` for this gallery.
        """
        row = self._opened(cursor, gallery_id)
        if len(row) != _ROW_BYTES:
            # A scope that another one begins with would take the rest of it for a row.
            raise _unknown()
        return int.from_bytes(row, "big")

    def write_text(self, text: str, *, list_name: str) -> str:
        """Return the cursor that points behind what a list holds under this text."""
        return self._sealed(text.encode(), list_name + "\0")

    def read_text(self, cursor: str, *, list_name: str) -> str:
        """Return the text behind which a cursor points.

        Raises:
            RequestInvalid: not written by `write_text` for this list.
        """
        return self._opened(cursor, list_name + "\0").decode()

    def _sealed(self, content: bytes, scope: str) -> str:
        return base64.urlsafe_b64encode(content + self._signature(content, scope)).decode()

    def _opened(self, cursor: str, scope: str) -> bytes:
        try:
            whole = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            whole = b""
        content, signature = whole[:-_SIGNATURE_BYTES], whole[-_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(content, scope)):
            raise _unknown()
        return content

    def _signature(self, content: bytes, scope: str) -> bytes:
        message = scope.encode() + content
        return hmac.digest(self._secret, message, hashlib.sha256)[:_SIGNATURE_BYTES]


def _unknown() -> RequestInvalid:
    return RequestInvalid("the cursor is not one of this list; begin again without a cursor")
