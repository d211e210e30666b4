"""What an exchange file says: its header, and one row a template.

Shapes: D embedding dimension.
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from index.times import to_microseconds

FORMAT_VERSION = 1

_FIGURES = struct.Struct("<7d2qI")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeHeader:
    """What holds for all rows of a file.

    Attributes:
        fingerprint: of the model that made every embedding, 64 hexadecimal digits.
        gallery: the gallery's name; None where another tool did not say it.
        exported_at: when, with a time zone; None where another tool did not say it.
        count: how many rows; None before they are written.
    """

    fingerprint: str
    gallery: str | None = None
    exported_at: datetime | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExchangeRow:
    """One template, with the subject that it belongs to.

    A hash of the photo does not travel: it is keyed by its data folder and means nothing outside.

    Attributes:
        subject_id: a UUID; None for a template that belongs to nobody.
        name: of the subject, the same in all its rows.
        external_id: of the subject, the same in all its rows.
        template_id: a UUID, once in a file.
        embedding: (D,) float32, unit length, in the model's own space: a gallery's secret turn
            is undone first.
        norm: the embedding's length before normalisation, positive.
        quality: in [0, 1]; higher is better.
        confidence: of the detector, in [0, 1].
        box: left, top, right, bottom in pixels of the upright photo, xyxy from the top-left.
        photo_size: width and height of the upright photo in pixels.
        landmarks: (5, 2) float32, pixels of the upright photo; left eye, right eye, nose, left
            and right corner of the mouth, as seen in the image.
        face_id: the caller's opaque id of this face, 1 to 255 characters.
        image_id: the caller's opaque id of the photo, 1 to 255 characters.
        fingerprint: of the model that made the embedding.
        created_at: when the template was enrolled; None where another tool did not say it.
    """

    subject_id: str | None
    name: str | None
    external_id: str | None
    template_id: str
    embedding: NDArray[np.float32]
    norm: float
    quality: float
    confidence: float
    box: tuple[float, float, float, float]
    photo_size: tuple[int, int]
    landmarks: NDArray[np.float32]
    face_id: str
    image_id: str
    fingerprint: str
    created_at: datetime | None


class ContentDigest:
    """A sha256 over header and rows, whatever the file makes of them.

    It tells damage that Parquet's own checksums do not cover. It proves nothing about who wrote
    the file.
    """

    def __init__(self, header: ExchangeHeader) -> None:
        exported_at = None if header.exported_at is None else to_microseconds(header.exported_at)
        start = (FORMAT_VERSION, header.fingerprint, header.gallery, exported_at)
        self._sha256 = hashlib.sha256(json.dumps(start).encode())

    def add(self, row: ExchangeRow) -> None:
        """Take the next row in."""
        texts = (
            row.subject_id,
            row.name,
            row.external_id,
            row.template_id,
            row.face_id,
            row.image_id,
            row.fingerprint,
            None if row.created_at is None else to_microseconds(row.created_at),
        )
        text = json.dumps(texts).encode()
        figures = (row.norm, row.quality, row.confidence, *row.box, *row.photo_size)
        self._sha256.update(_FIGURES.pack(*figures, len(text)))
        self._sha256.update(text)
        self._sha256.update(np.asarray(row.embedding, dtype="<f4").tobytes())
        self._sha256.update(np.asarray(row.landmarks, dtype="<f4").tobytes())

    def hexdigest(self) -> str:
        """Return the digest of all rows so far, 64 hexadecimal digits."""
        return self._sha256.hexdigest()
