"""The values that cross the border of this package: what goes into a gallery and what comes out.

Shapes: D is the embedding dimension.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from index.details import NO_DETAILS, DetailChange, Details

EMBEDDING_DIMENSION = 512
"""D of every gallery; an embedding is float32, (512,), unit length."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NewTemplate:
    """One face that is to be stored as a reference of a subject.

    Attributes:
        embedding: (D,) float32, unit length.
        norm: the embedding's length before normalisation, positive.
        fingerprint: of the model that made the embedding.
        box: left, top, right, bottom in pixels of the upright photo, xyxy from the top-left.
        photo_size: width and height of the upright photo in pixels; photos are not kept, and
            without it box and landmarks could never be given as shares of it.
        landmarks: (5, 2) float32, pixels of the upright photo; left eye, right eye, nose, left
            and right corner of the mouth, as seen in the image.
        confidence: of the detector, in [0, 1].
        quality: the quality figure, in [0, 1]; higher is better.
        face_id: the caller's opaque id of this face, 1 to 255 characters.
        image_id: the caller's opaque id of the photo, 1 to 255 characters.
        image_hash: keyed hash (HMAC) of the photo's bytes, 1 to 64 bytes; never a plain hash.
        created_at: when the photo was enrolled first, aware; None for now.
        crop: what was embedded, as a PNG file, kept beside the template by a sealer that
            encrypts; None to keep none.
    """

    embedding: NDArray[np.float32]
    norm: float
    fingerprint: str
    box: tuple[float, float, float, float]
    photo_size: tuple[int, int]
    landmarks: NDArray[np.float32]
    confidence: float
    quality: float
    face_id: str
    image_id: str
    image_hash: bytes
    created_at: datetime | None = None
    crop: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NewSubject:
    """Templates that are to be enrolled, and whose they are.

    Attributes:
        subject_id: an existing subject; excludes name and external_id.
        name: found or created under this name.
        external_id: found or created under this id. With both, they must belong to one subject,
            or both be new. With none of the three, a new subject without a name.
        templates: at least one.
        details: a change of those that the subject has; None leaves them.
    """

    templates: tuple[NewTemplate, ...]
    subject_id: str | None = None
    name: str | None = None
    external_id: str | None = None
    details: DetailChange | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Template:
    """A stored template without its embedding; the fields are those of `NewTemplate`.

    Attributes:
        image_hash: as enrolled; empty for a template that was imported.
        id: opaque, the only id that leaves the store.
        subject_id: None for a template that belongs to nobody.
        sequence: place in the gallery's change log; orders enrollments whatever the clock says.
        created_at: UTC.
    """

    id: str
    subject_id: str | None
    face_id: str
    image_id: str
    image_hash: bytes
    box: tuple[float, float, float, float]
    photo_size: tuple[int, int]
    landmarks: NDArray[np.float32]
    confidence: float
    quality: float
    norm: float
    fingerprint: str
    sequence: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedTemplate:
    """A stored template of a subject as a search needs it.

    Attributes:
        row_id: of its vector in memory; never leaves this package.
        template_id: opaque.
        subject_id: whose it is.
        quality: its quality figure in [0, 1].
        sequence: place of its enrollment in the gallery's change log.
        created_at: UTC.
    """

    row_id: int
    template_id: str
    subject_id: str
    quality: float
    sequence: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A person in a gallery.

    Attributes:
        id: opaque; the only one for paths, logs and audit.
        name: erasable, unique in the gallery where given.
        external_id: the caller's id, erasable, unique in the gallery where given.
        num_templates: may be 0 after the last template was removed.
        created_at: UTC.
        details: metadata, purpose, consent and expiry, erasable.
        version: another one after each change of the subject or its templates, and never one of
            before again.
    """

    id: str
    name: str | None
    external_id: str | None
    num_templates: int
    created_at: datetime
    details: Details = NO_DETAILS
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What an acknowledged enroll did.

    Attributes:
        subject_id: whom the templates belong to.
        template_ids: in the order in which the templates were given.
        created: True when the subject is new.
        dropped_ids: of the subject's templates, old or new, that went because the gallery keeps
            no more of one subject (`index.rules`).
    """

    subject_id: str
    template_ids: tuple[str, ...]
    created: bool
    dropped_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A part of a gallery's subjects, in the order of their enrollment.

    Attributes:
        subjects: at most as many as were asked for.
        next_cursor: for the next page; None on the last one.
    """

    subjects: tuple[Subject, ...]
    next_cursor: str | None
