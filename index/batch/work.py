"""What goes through the stages of a batch, and what comes out."""

from dataclasses import dataclass
from typing import Literal

from embedding.faces import FoundFaces, PhotoFaces
from index.batch.sources.source import SourcePhoto
from index.store.batch_rows import KnownPhoto, SubjectDigest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Job:
    """A photo that is to be worked on.

    Attributes:
        lot: number of the commit that it goes into.
        position: in the lot.
        photo: where it comes from.
        digest: of whom it shows.
        known: what an earlier run kept of it.
    """

    lot: int
    position: int
    photo: SourcePhoto
    digest: SubjectDigest
    known: KnownPhoto | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a photo is left out.

    Attributes:
        error: code.
        message: a sentence.
    """

    error: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadPhoto:
    """A photo in memory, in its encoded form."""

    job: Job
    content: bytes
    content_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundPhoto:
    """A photo whose faces are cut out; its bytes are forgotten."""

    job: Job
    content_hash: bytes
    found: FoundFaces


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome:
    """What became of a photo.

    Attributes:
        job: what was to be done.
        content_hash: keyed hash of its bytes; None where they could not be read.
        result: its faces, why it failed, or that nothing had to be done: its bytes are as they
            were, or another photo of the same subject has them.
    """

    job: Job
    content_hash: bytes | None
    result: PhotoFaces | Failure | Literal["unchanged", "duplicate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LotEnd:
    """Says how many photos a lot has, once the last is on its way."""

    lot: int
    num_photos: int
