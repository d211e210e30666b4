"""What an exchange file says: its header, and one row a template.

Shapes: N rows, D embedding dimension.
"""

import hashlib
import json
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from index.details import Details, read_metadata
from index.rules import GalleryRules
from index.times import to_microseconds

FORMAT_VERSION = 3
"""That is written."""

VERSIONS = (1, 2, 3)
"""That are read: 1 knows nothing of people beside their names, 2 nothing of the gallery beside its
look-alikes."""

_WITHOUT_DETAILS = 1
_WITHOUT_GALLERY = 2

Source = Path | bytes | bytearray
"""A file, or all that would stand in it."""

_FIGURES = struct.Struct("<7d2qI")
# `json.dumps` looks at its options anew each time.
_ENCODER = json.JSONEncoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeHeader:
    """What holds for all rows of a file.

    Attributes:
        fingerprint: of the model that made every embedding, 64 hexadecimal digits.
        gallery: the gallery's name; None where another tool did not say it.
        exported_at: when, with a time zone; None where another tool did not say it.
        count: how many rows; None before they are written.
        look_alikes: pairs of the file's subject ids that a photo may not tell apart.
        merged: pairs of the id of a subject that was merged into another, and that one's id.
        rules: how the gallery decides; None where another tool did not say it.
        version: of the format.
    """

    fingerprint: str
    gallery: str | None = None
    exported_at: datetime | None = None
    count: int | None = None
    look_alikes: tuple[tuple[str, str], ...] = ()
    merged: tuple[tuple[str, str], ...] = ()
    rules: GalleryRules | None = None
    version: int = FORMAT_VERSION

    @property
    def has_details(self) -> bool:
        """Whether a file of this version says more of people than their names."""
        return self.version > _WITHOUT_DETAILS

    @property
    def has_gallery(self) -> bool:
        """Whether a file of this version can say who was merged, and how the gallery decides."""
        return self.version > _WITHOUT_GALLERY


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
        metadata: of the subject, as JSON text, the same in all its rows; so are the next three.
        purpose: see `index.details`.
        consent: see `index.details`.
        expires_at: see `index.details`.
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
    metadata: str | None = None
    purpose: str | None = None
    consent: str | None = None
    expires_at: datetime | None = None

    @property
    def details(self) -> Details:
        """Of the subject."""
        return Details(
            metadata=read_metadata(self.metadata),
            purpose=self.purpose,
            consent=self.consent,
            expires_at=self.expires_at,
        )


FIELDS = ExchangeRow.__slots__
"""Of a row, in their order; they are those of `ExchangeColumns` too."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExchangeColumns:
    """N rows by column, which are checked and written without an object for each.

    The fields are those of `ExchangeRow`, a value for each row.

    Attributes:
        embedding: N vectors; (N, D) float32 once they are checked.
        landmarks: N arrays, or (N, 5, 2) float32.
    """

    subject_id: Sequence[str | None]
    name: Sequence[str | None]
    external_id: Sequence[str | None]
    template_id: Sequence[str]
    embedding: Sequence[NDArray[np.float32]] | NDArray[np.float32]
    norm: Sequence[float]
    quality: Sequence[float]
    confidence: Sequence[float]
    box: Sequence[tuple[float, float, float, float]]
    photo_size: Sequence[tuple[int, int]]
    landmarks: Sequence[NDArray[np.float32]] | NDArray[np.float32]
    face_id: Sequence[str]
    image_id: Sequence[str]
    fingerprint: Sequence[str]
    created_at: Sequence[datetime | None]
    metadata: Sequence[str | None]
    purpose: Sequence[str | None]
    consent: Sequence[str | None]
    expires_at: Sequence[datetime | None]

    @classmethod
    def of(cls, rows: Sequence[ExchangeRow]) -> Self:
        """Return the columns of rows."""
        return cls(**{name: list(map(attrgetter(name), rows)) for name in FIELDS})

    def __len__(self) -> int:
        """N."""
        return len(self.template_id)

    def rows(self) -> tuple[ExchangeRow, ...]:
        """Return the rows."""
        columns = (getattr(self, name) for name in FIELDS)
        return tuple(
            [
                ExchangeRow(**dict(zip(FIELDS, values, strict=True)))
                for values in zip(*columns, strict=True)
            ]
        )


class ContentDigest:
    """A sha256 over header and rows, whatever the file makes of them.

    It tells damage that Parquet's own checksums do not cover. It proves nothing about who wrote
    the file.
    """

    def __init__(self, header: ExchangeHeader) -> None:
        exported_at = None if header.exported_at is None else to_microseconds(header.exported_at)
        self._with_details = header.has_details
        start = (header.version, header.fingerprint, header.gallery, exported_at)
        self._sha256 = hashlib.sha256(_json(start))
        for pair in header.look_alikes:
            self._sha256.update(_json(pair))
        if header.has_gallery:
            rules = header.rules
            chosen = None if rules is None else (rules.fusion, rules.max_templates)
            lead = None if rules is None else rules.smallest_lead
            # With their numbers: else the end of one list could be the beginning of the next.
            counts = (len(header.look_alikes), len(header.merged))
            self._sha256.update(_json((*counts, *(chosen or ()), lead)))
            for pair in header.merged:
                self._sha256.update(_json(pair))

    def add(self, columns: ExchangeColumns) -> None:
        """Take the next rows in, checked."""
        given = _texts(columns, with_details=self._with_details)
        texts = map(_json, zip(*given, strict=True))
        figures = zip(
            columns.norm,
            columns.quality,
            columns.confidence,
            columns.box,
            columns.photo_size,
            strict=True,
        )
        vectors = zip(columns.embedding, columns.landmarks, strict=True)
        parts: list[bytes] = []
        for text, (norm, quality, confidence, box, photo_size), (embedding, landmarks) in zip(
            texts, figures, vectors, strict=True
        ):
            parts += (
                _FIGURES.pack(norm, quality, confidence, *box, *photo_size, len(text)),
                text,
                np.asarray(embedding, dtype="<f4").tobytes(),
                np.asarray(landmarks, dtype="<f4").tobytes(),
            )
        self._sha256.update(b"".join(parts))

    def hexdigest(self) -> str:
        """Return the digest of all rows so far, 64 hexadecimal digits."""
        return self._sha256.hexdigest()


def _texts(
    columns: ExchangeColumns, *, with_details: bool
) -> Iterator[Iterable[str | int | None]]:
    """What the digest takes as text."""
    yield columns.subject_id
    yield columns.name
    yield columns.external_id
    yield columns.template_id
    yield columns.face_id
    yield columns.image_id
    yield columns.fingerprint
    yield (None if at is None else to_microseconds(at) for at in columns.created_at)
    if with_details:
        yield columns.metadata
        yield columns.purpose
        yield columns.consent
        yield (None if at is None else to_microseconds(at) for at in columns.expires_at)


def _json(values: tuple[str | float | None, ...]) -> bytes:
    return _ENCODER.encode(values).encode()
