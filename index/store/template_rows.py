"""A template as a row: packing, unpacking and the checksum over all of it."""

import hashlib
import struct
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row

from embedding.errors import StoreCorrupt
from index.records import EMBEDDING_DIMENSION, NewTemplate, Template
from index.sealing import Sealer, TemplateContext

CHECKED_FIELDS = (
    "public_id",
    "face_id",
    "image_id",
    "fingerprint",
    "image_hash",
    "landmarks",
    "sealed_embedding",
    "created_at",
    "box_left",
    "box_top",
    "box_right",
    "box_bottom",
    "confidence",
    "quality",
    "norm",
    "photo_width",
    "photo_height",
    "sequence",
    "space_id",
)
"""What the checksum covers: four texts, three blobs, the time, the figures, the space."""

_TIME_PLACE = CHECKED_FIELDS.index("created_at")
_SEALED_PLACE = CHECKED_FIELDS.index("sealed_embedding")

# The figures, then the lengths of what follows them.
_FIGURES = struct.Struct("<7d3q4I")
EMBEDDING_BYTES = 4 * EMBEDDING_DIMENSION
"""Of a vector in the clear."""


def pack(
    template: NewTemplate,
    *,
    embedding: bytes,
    context: TemplateContext,
    sealer: Sealer,
    sequence: int,
    created_at: str,
) -> dict[str, Any]:
    """Return the columns of a new row, without the ids of gallery and subject.

    Args:
        template: checked; its embedding is not looked at.
        embedding: the vector to store, float32, little-endian.
        context: whose it is.
        sealer: seals it.
        sequence: number in the change log.
        created_at: UTC, as `datetime.isoformat` writes it.
    """
    left, top, right, bottom = map(float, template.box)
    width, height = map(int, template.photo_size)
    row: dict[str, Any] = {
        "public_id": context.template_id,
        "face_id": template.face_id,
        "image_id": template.image_id,
        "image_hash": bytes(template.image_hash),
        "box_left": left,
        "box_top": top,
        "box_right": right,
        "box_bottom": bottom,
        "photo_width": width,
        "photo_height": height,
        "landmarks": np.ascontiguousarray(template.landmarks, dtype="<f4").tobytes(),
        "confidence": float(template.confidence),
        "quality": float(template.quality),
        "norm": float(template.norm),
        "fingerprint": template.fingerprint,
        "sealed_embedding": sealer.seal(embedding, context=context),
        "sequence": sequence,
        "created_at": created_at,
        "space_id": context.space_id,
    }
    row["checksum"] = _checksum(
        context.gallery_id, context.subject_id, [row[name] for name in CHECKED_FIELDS]
    )
    return row


def intact(row: Row[Any], *, gallery_id: str, subject_id: str | None) -> bool:
    """Return whether a row's checksum fits everything in it, and whose it is.

    Args:
        row: begins with `CHECKED_FIELDS`, in their order.
        gallery_id: public id of its gallery.
        subject_id: public id of its subject.
    """
    try:
        fields = list(row[: len(CHECKED_FIELDS)])
        fields[_TIME_PLACE] = _iso(fields[_TIME_PLACE])
        checksum = _checksum(gallery_id, subject_id, fields)
    except (TypeError, AttributeError, UnicodeError, struct.error):
        # A flipped bit may turn a number into text or NULL.
        return False
    return bool(checksum == row.checksum)


def checksum_with(
    row: Row[Any], sealed: bytes, *, gallery_id: str, subject_id: str | None
) -> bytes:
    """Return the checksum of a row whose embedding is sealed anew; arguments as `intact`'s."""
    fields = list(row[: len(CHECKED_FIELDS)])
    fields[_TIME_PLACE] = _iso(fields[_TIME_PLACE])
    fields[_SEALED_PLACE] = sealed
    return _checksum(gallery_id, subject_id, fields)


def unpack(row: Row[Any], *, subject_id: str | None) -> Template:
    """Return the template of a row, without its embedding."""
    return Template(
        id=row.public_id,
        subject_id=subject_id,
        face_id=row.face_id,
        image_id=row.image_id,
        image_hash=row.image_hash,
        box=(row.box_left, row.box_top, row.box_right, row.box_bottom),
        photo_size=(row.photo_width, row.photo_height),
        landmarks=np.frombuffer(row.landmarks, dtype="<f4").reshape(5, 2).astype(np.float32),
        confidence=row.confidence,
        quality=row.quality,
        norm=row.norm,
        fingerprint=row.fingerprint,
        sequence=row.sequence,
        created_at=row.created_at,
    )


def embeddings(clear: list[bytes]) -> NDArray[np.float32]:
    """Return (N, D) float32 from unsealed bytes.

    Raises:
        StoreCorrupt: one has another length.
    """
    if any(len(each) != EMBEDDING_BYTES for each in clear):
        raise StoreCorrupt(
            f"a stored embedding must have {EMBEDDING_BYTES} bytes, but one has not; restore "
            f"the data folder from a backup"
        )
    flat = np.frombuffer(b"".join(clear), dtype="<f4")
    return flat.reshape(len(clear), EMBEDDING_DIMENSION).astype(np.float32, copy=False)


def _checksum(gallery_id: str, subject_id: str | None, fields: Sequence[Any]) -> bytes:
    """Return sha256 over everything that a row says, as it lies on disk (sealed)."""
    *texts, image_hash, landmarks, sealed, created_at = fields[:8]
    *figures, space_id = fields[8:]
    # None of these texts can hold a NUL. Rows that are older than spaces have none.
    spaces = () if space_id is None else (space_id,)
    text = "\0".join((gallery_id, subject_id or "", *texts, created_at, *spaces)).encode()
    head = _FIGURES.pack(*figures, len(text), len(image_hash), len(landmarks), len(sealed))
    return hashlib.sha256(b"".join((head, text, image_hash, landmarks, sealed))).digest()


def _iso(time: datetime | str) -> str:
    """Return a time in UTC as `datetime.isoformat` writes it; SQLite's text is spared the way."""
    if isinstance(time, str):
        return time.replace(" ", "T").removesuffix(".000000") + "+00:00"
    return time.isoformat()
