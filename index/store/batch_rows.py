"""What is kept of each photo of a batch."""

from dataclasses import dataclass
from typing import Literal

PhotoState = Literal["pending", "writing", "done", "duplicate", "failed", "removed"]
"""``pending`` is to be indexed; ``writing`` was about to be committed to the gallery; ``done`` is
in it; ``duplicate`` has the bytes of another photo of the same subject; ``failed`` has a reason;
``removed`` was in the gallery and was taken out by somebody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectDigest:
    """Keyed digests of what a subject is called, so that the state holds no names.

    Attributes:
        name: 16 bytes; None without a name.
        external_id: 16 bytes; None without one.
    """

    name: bytes | None
    external_id: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownPhoto:
    """A photo that an earlier run met.

    Attributes:
        state: what became of it.
        size_bytes: of its file then.
        mtime_ns: of its file then.
        content_hash: keyed hash of its bytes; None where it was never read.
        subject: whom it showed.
        run: the last run that met it.
        metadata_digest: keyed digest of the metadata that were written for it; None for none.
    """

    state: PhotoState
    size_bytes: int
    mtime_ns: int
    content_hash: bytes | None
    subject: SubjectDigest
    run: int
    metadata_digest: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoRecord:
    """What is to be kept of a photo; the fields are those of `KnownPhoto`.

    Attributes:
        key: what names it in its source.
        image_id: of its template; None without one.
        error: code of what failed; None where nothing did.
        message: the same as a sentence.
    """

    key: str
    state: PhotoState
    size_bytes: int
    mtime_ns: int
    subject: SubjectDigest
    content_hash: bytes | None = None
    image_id: str | None = None
    error: str | None = None
    message: str | None = None
    metadata_digest: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedPhoto:
    """A photo that is not in the gallery, and why.

    Attributes:
        key: what names it in its source.
        error: code.
        message: a sentence.
    """

    key: str
    error: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """Photos that were to be committed together and of which that is not known.

    Attributes:
        number: of the lot.
        sequence: where the gallery's change log stood before.
        num_photos: whose state is still ``writing``.
        num_committed: of the lot, known to have been committed.
    """

    number: int
    sequence: int
    num_photos: int
    num_committed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedChange:
    """A template that came into the gallery or went, for the state to follow.

    Attributes:
        template_id: public id.
        added: False where it was removed.
        image_id: of an added template that is still there; None otherwise.
        content_hash: likewise; empty where it is not known.
        subject: whom it shows.
    """

    template_id: str
    added: bool
    image_id: str | None
    content_hash: bytes
    subject: SubjectDigest
