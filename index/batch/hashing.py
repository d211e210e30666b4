"""Keyed hashes of a batch: of photos, of whom they show, and the ids that follow from them."""

import hashlib
import hmac

from index.batch.sources.source import SubjectKey
from index.store.batch_rows import SubjectDigest

_DIGEST_BYTES = 16


class Hashing:
    """Hashes under the data folder's secret; without it nobody can test a guess.

    A photo's hash is the one that the service gives templates.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def content(self, photo: bytes) -> bytes:
        """Return the hash of a photo's bytes, 32 bytes."""
        return hmac.digest(self._secret, b"image\0" + photo, hashlib.sha256)

    def subject(self, key: SubjectKey) -> SubjectDigest:
        """Return what tells a subject."""
        return SubjectDigest(
            name=self._label(b"name", key.name),
            external_id=self._label(b"external", key.external_id),
        )

    def metadata(self, text: str | None) -> bytes | None:
        """Return what tells metadata, as JSON text; None for none."""
        return self._label(b"metadata", text)

    def image_id(self, *, address: str, key: str, content_hash: bytes) -> str:
        """Return the id of a photo: the same for the same bytes at the same place."""
        place = f"{len(address)} {address}{key}".encode()
        return self._id(b"batch image\0" + content_hash + place)

    def face_id(self, image_id: str) -> str:
        """Return the id of the face that is taken from a photo."""
        return self._id(b"batch face\0" + image_id.encode())

    def _id(self, content: bytes) -> str:
        return hmac.digest(self._secret, content, hashlib.sha256)[:_DIGEST_BYTES].hex()

    def _label(self, what: bytes, text: str | None) -> bytes | None:
        if text is None:
            return None
        content = b"batch " + what + b"\0" + text.encode()
        return hmac.digest(self._secret, content, hashlib.sha256)[:_DIGEST_BYTES]
