"""A template as a row: packing, unpacking and the checksum over all of it."""

import struct
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from itertools import repeat
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
    """Return the columns of a new row, without the ids of gallery and subject and the checksum.

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
    return {
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


def add_checksums(
    rows: Sequence[dict[str, Any]], *, gallery_id: str, owners: Sequence[str | None]
) -> None:
    """Give packed rows their checksums, all of them together: it takes half the time.

    Args:
        rows: as `pack` returned them.
        gallery_id: public id of their gallery.
        owners: public ids of their subjects.
    """
    columns = [[row[name] for row in rows] for name in CHECKED_FIELDS]
    for row, checksum in zip(rows, _checksums(columns, gallery_id, owners), strict=True):
        row["checksum"] = checksum


def damaged(rows: Sequence[Row[Any]], *, gallery_id: str) -> list[Row[Any]]:
    """Return the rows whose checksum does not fit everything in them, and whose they are.

    Args:
        rows: with `CHECKED_FIELDS` first, in their order, then `checksum`; and the public id of
            their subject as `owner`.
        gallery_id: public id of their gallery.
    """
    if not rows or _all_intact(rows, gallery_id):
        return []
    return [row for row in rows if not _all_intact([row], gallery_id)]


def checksum_with(
    row: Row[Any], sealed: bytes, *, gallery_id: str, owner: str | None = None
) -> bytes:
    """Return the checksum of a row, as `damaged` takes it, whose embedding is sealed anew.

    Args:
        row: as it is.
        sealed: its embedding then.
        gallery_id: public id of its gallery.
        owner: public id of its subject then; None for the same as now.
    """
    columns = [[value] for value in row[: len(CHECKED_FIELDS)]]
    columns[_TIME_PLACE] = [_iso(row.created_at)]
    columns[_SEALED_PLACE] = [sealed]
    return _checksums(columns, gallery_id, [owner or row.owner])[0]


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
    """Return (N, D) float32, which can be written to, from unsealed bytes.

    Raises:
        StoreCorrupt: one has another length.
    """
    if any(len(each) != EMBEDDING_BYTES for each in clear):
        raise StoreCorrupt(
            f"a stored embedding must have {EMBEDDING_BYTES} bytes, but one has not; restore "
            f"the data folder from a backup"
        )
    flat = np.frombuffer(bytearray().join(clear), dtype="<f4")
    return flat.reshape(len(clear), EMBEDDING_DIMENSION).astype(np.float32, copy=False)


def _all_intact(rows: Sequence[Row[Any]], gallery_id: str) -> bool:
    num = len(CHECKED_FIELDS)
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    try:
        columns[_TIME_PLACE] = tuple(map(_iso, columns[_TIME_PLACE]))
        found = _checksums(columns[:num], gallery_id, [row.owner for row in rows])
    except (TypeError, AttributeError, UnicodeError, struct.error):
        # A flipped bit may turn a number into text or NULL.
        return False
    return found == list(columns[num])


def _checksums(
    columns: Sequence[Sequence[Any]], gallery_id: str, owners: Sequence[str | None]
) -> list[bytes]:
    """Return sha256 over everything that each row says, as it lies on disk (sealed).

    Args:
        columns: of `CHECKED_FIELDS`, with the times as `datetime.isoformat` writes them.
        gallery_id: public id of their gallery.
        owners: public ids of their subjects.
    """
    *names, image_hashes, landmarks, sealed, times = columns[:8]
    *figures, spaces = columns[8:]
    # None of these texts can hold a NUL. Rows that are older than spaces have none.
    ends = [
        time if space is None else f"{time}\0{space}"
        for time, space in zip(times, spaces, strict=True)
    ]
    subject_ids = [owner or "" for owner in owners]
    texts = [
        "\0".join(each).encode()
        for each in zip(repeat(gallery_id, len(ends)), subject_ids, *names, ends, strict=True)
    ]
    blobs = (texts, image_hashes, landmarks, sealed)
    heads = map(_FIGURES.pack, *figures, *(map(len, each) for each in blobs))
    return [sha256(b"".join(parts)).digest() for parts in zip(heads, *blobs, strict=True)]


def _iso(time: datetime | str) -> str:
    """Return a time in UTC as `datetime.isoformat` writes it; SQLite's text is spared the way."""
    if isinstance(time, str):
        return time.replace(" ", "T").removesuffix(".000000") + "+00:00"
    return time.isoformat()
