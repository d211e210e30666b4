"""Synthetic vectors and templates for the tests of index."""

import errno
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.decision import Candidate, Identification
from index.gallery import Gallery
from index.records import EMBEDDING_DIMENSION, NewTemplate, Subject

FINGERPRINT = "a" * 64
OTHER_FINGERPRINT = "b" * 64

TemplateMaker = Callable[..., NewTemplate]


def unit_vectors(
    num: int, *, seed: int = 0, dimension: int = EMBEDDING_DIMENSION
) -> NDArray[np.float32]:
    """Return (num, dimension) float32 random directions, unit length."""
    vectors = np.random.default_rng(seed).standard_normal((num, dimension))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float32)


def at_similarity(
    anchor: NDArray[np.float32], similarity: float, *, seed: int = 99
) -> NDArray[np.float32]:
    """Return a unit vector whose cosine with a unit vector is the given one."""
    other = unit_vectors(1, seed=seed, dimension=len(anchor))[0]
    other -= (other @ anchor) * anchor
    other /= np.linalg.norm(other)
    mixed = similarity * anchor + np.sqrt(1.0 - similarity**2) * other
    unit: NDArray[np.float32] = (mixed / np.linalg.norm(mixed)).astype(np.float32)
    return unit


def new_template(embedding: NDArray[np.float32], **changes: Any) -> NewTemplate:
    """Return a template of good quality, with some fields changed."""
    fields: dict[str, Any] = {
        "embedding": embedding,
        "norm": 21.5,
        "fingerprint": FINGERPRINT,
        "box": (10.0, 20.0, 110.5, 140.25),
        "photo_size": (640, 480),
        "landmarks": np.arange(10, dtype=np.float32).reshape(5, 2),
        "confidence": 0.99,
        "quality": 0.75,
        "face_id": "face-1",
        "image_id": "image-1",
        "image_hash": b"\x01" * 32,
    }
    return NewTemplate(**(fields | changes))


def candidate(subject_id: str, similarity: float) -> Candidate:
    """Return a candidate without a name."""
    subject = Subject(
        id=subject_id,
        name=None,
        external_id=None,
        num_templates=1,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    return Candidate(subject=subject, similarity=similarity, template_id="template")


def identify(
    gallery: Gallery, embedding: NDArray[np.float32], *, num_candidates: int = 5
) -> Identification:
    """Return who it is at the thresholds 0.5 and 0.4."""
    return gallery.identify(
        embedding,
        fingerprint=FINGERPRINT,
        match_threshold=0.5,
        review_threshold=0.4,
        num_candidates=num_candidates,
    )


_UNIT = unit_vectors(1)[0]
BAD_EMBEDDINGS: dict[str, NDArray[np.generic]] = {
    "NaN": np.where(np.arange(512) == 3, np.nan, _UNIT).astype(np.float32),
    "infinite": np.where(np.arange(512) == 3, np.inf, _UNIT).astype(np.float32),
    "zero": np.zeros(512, dtype=np.float32),
    "too long": (_UNIT * 1.01).astype(np.float32),
    "too short": (_UNIT * 0.99).astype(np.float32),
    "huge": (_UNIT * 1e30).astype(np.float32),
    "other dimension": unit_vectors(1, dimension=128)[0],
    "other type": _UNIT.astype(np.float64),
    "two of them": unit_vectors(2),
}


def no_hard_links(*_: object) -> None:
    """Refuse a hard link as the FAT file system does."""
    raise OSError(errno.EPERM, "Operation not permitted")
