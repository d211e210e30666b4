"""What happens to a photo on its way: read, found, embedded.

Each stage runs in threads of its own; queues between them are bounded, so memory is.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from embedding.choosing import check_quality, choose_position
from embedding.cores import num_cores
from embedding.detect import Box
from embedding.embedder import FaceEmbedder
from embedding.errors import FaceError, FaceGalleryError, ModelError
from embedding.faces import FoundFaces, PhotoFaces
from index.batch.flow import Channel, Flow
from index.batch.hashing import Hashing
from index.batch.work import Failure, FoundPhoto, Job, LotEnd, Outcome, ReadPhoto
from index.faults import log_fault
from index.store.batch_state import BatchState

_In = TypeVar("_In")
_Out = TypeVar("_Out")

logger = logging.getLogger(__name__)

_NUM_READERS = 4
"""Enough to have several reads under way on a disk or a network; they mostly wait."""

_READ_TOGETHER = 4
"""Photos whose bytes are looked up in one transaction, which takes longer than a look-up."""

_MORE_EMBEDDERS = 1
"""Besides one a core, that prepares its crops while the net runs for the others."""

_EMBED_TOGETHER = 16
"""Faces in one run of the net: with mirroring they are the 32 rows from which on a processor gains
nothing."""

_EMBED_WAIT_S = 0.25
"""How long faces wait for others; some ten times what one of them takes."""

_QUEUE = 32
"""Photos between two stages: encoded 3 MB each, or crops of 38 kB a face."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceRules:
    """How a photo's faces are found and taken.

    Attributes:
        aligned: photos are crops already; nothing is detected.
        turns: look again in the quarter turns of a photo that is not surely upright.
        choice: which face of several is taken; None for all of them.
        force: take poor faces too; they count where one is chosen.
    """

    aligned: bool = False
    turns: bool = True
    choice: Literal["only", "largest"] | None = "only"
    force: bool = False


class Stages:
    """Reads, finds and embeds; what comes out goes to one queue."""

    def __init__(
        self,
        embedder: FaceEmbedder,
        *,
        hashing: Hashing,
        rules: FaceRules,
        state: BatchState | None = None,
        num_workers: int | None = None,
    ) -> None:
        """Put the stages together.

        Args:
            embedder: of the gallery's model.
            hashing: of the data folder.
            rules: for faces.
            state: knows the photos whose work is done already; None works on all.
            num_workers: threads that decode and detect; None for one a processor.
        """
        self._embedder = embedder
        self._hashing = hashing
        self._rules = rules
        self._state = state
        self._num_workers = num_workers or num_cores()
        self._num_embedders = num_cores() + _MORE_EMBEDDERS

    @property
    def num_ends(self) -> int:
        """Producers of the outcomes: when all have ended, no photo is on its way any more."""
        return self._num_embedders

    def start(self, flow: Flow, jobs: Channel[Job], outcomes: Channel[Outcome | LotEnd]) -> None:
        """Start the threads; the outcomes have `num_ends` producers."""
        read = flow.channel(Channel[ReadPhoto](_QUEUE, num_producers=_NUM_READERS))
        found = flow.channel(Channel[FoundPhoto](_QUEUE, num_producers=self._num_workers))
        for number in range(_NUM_READERS):
            flow.start(f"reader {number}", lambda: self._read_all(jobs, read, outcomes), ends=read)
        for number in range(self._num_workers):
            flow.start(
                f"finder {number}", self._stage(self._find, read, found, outcomes), ends=found
            )
        for number in range(self._num_embedders):
            flow.start(
                f"embedder {number}", lambda: self._embed_all(found, outcomes), ends=outcomes
            )

    def _stage(
        self,
        work: Callable[[_In], _Out | Outcome],
        source: Channel[_In],
        target: Channel[_Out],
        outcomes: Channel[Outcome | LotEnd],
    ) -> Callable[[], None]:
        """Work on what comes until there is no more; what ends here goes to the outcomes."""

        def run() -> None:
            for item in source:
                done = work(item)
                if isinstance(done, Outcome):
                    outcomes.put(done)
                else:
                    target.put(done)

        return run

    def _read_all(
        self,
        jobs: Channel[Job],
        target: Channel[ReadPhoto],
        outcomes: Channel[Outcome | LotEnd],
    ) -> None:
        """Read photos; nothing more has to be done where their bytes are known."""
        while some := jobs.take(_READ_TOGETHER):
            done = [self._read(job) for job in some]
            photos = [each for each in done if isinstance(each, ReadPhoto)]
            for each in done:
                if isinstance(each, Outcome):
                    outcomes.put(each)
            pairs = [(each.job, each.content_hash) for each in photos]
            for photo, known in zip(photos, known_results(pairs, self._state), strict=True):
                if known is None:
                    target.put(photo)
                else:
                    outcomes.put(
                        Outcome(job=photo.job, content_hash=photo.content_hash, result=known)
                    )

    def _read(self, job: Job) -> ReadPhoto | Outcome:
        try:
            # One more than allowed is enough to refuse it.
            content = job.photo.read(self._embedder.limits.max_bytes + 1)
        except FileNotFoundError:
            return _failed(job, "missing", "there is no such file")
        except OSError as error:
            return _failed(job, "unreadable", f"it could not be read: {error.strerror}")
        return ReadPhoto(job=job, content=content, content_hash=self._hashing.content(content))

    def _find(self, photo: ReadPhoto) -> FoundPhoto | Outcome:
        """The faces of a photo that are to be embedded."""
        try:
            found = self._found(photo.content, photo.job.photo.box)
        except ModelError:
            raise
        except FaceGalleryError as error:
            return _failed(photo.job, error.code, str(error), photo.content_hash)
        except Exception as error:
            # One photo in a million must not stop the others, nor go unnoticed.
            log_fault(logger, "a photo is left to be tried again", error)
            return _failed(photo.job, "unexpected", "see the log", photo.content_hash)
        return FoundPhoto(job=photo.job, content_hash=photo.content_hash, found=found)

    def _found(self, content: bytes, box: Box | None) -> FoundFaces:
        if self._rules.aligned:
            return self._embedder.aligned(content)
        found = self._embedder.find(content, turns=self._rules.turns)
        if self._rules.choice is None:
            return found
        boxes = [each.box for each in found.detected]
        return found.without_others(choose_position(boxes, box or self._rules.choice))

    def _embed_all(self, found: Channel[FoundPhoto], outcomes: Channel[Outcome | LotEnd]) -> None:
        while some := found.take(_EMBED_TOGETHER, wait_s=_EMBED_WAIT_S):
            photos = self._embedder.embed([each.found for each in some])
            for each, faces in zip(some, photos, strict=True):
                outcomes.put(
                    Outcome(
                        job=each.job, content_hash=each.content_hash, result=self._judged(faces)
                    )
                )

    def _judged(self, faces: PhotoFaces) -> PhotoFaces | Failure:
        if self._rules.choice is not None and not self._rules.force:
            try:
                check_quality(faces.faces[0])
            except FaceError as error:
                return Failure(error=error.code, message=str(error))
        return faces


def known_results(
    photos: Sequence[tuple[Job, bytes]], state: BatchState | None
) -> list[Literal["unchanged", "duplicate"] | None]:
    """Return for photos, each with the hash of its bytes, why it needs no work, or None."""
    if state is None:
        return [None] * len(photos)
    unchanged = [_is_unchanged(job, content_hash) for job, content_hash in photos]
    copies = state.contained(
        (content_hash, job.digest)
        for (job, content_hash), is_known in zip(photos, unchanged, strict=True)
        if not is_known
    )
    return [
        "unchanged" if is_known else "duplicate" if (content_hash, job.digest) in copies else None
        for (job, content_hash), is_known in zip(photos, unchanged, strict=True)
    ]


def _is_unchanged(job: Job, content_hash: bytes) -> bool:
    known = job.known
    return (
        known is not None
        and known.state in ("done", "duplicate", "removed")
        and known.content_hash == content_hash
        and known.subject == job.digest
    )


def _failed(job: Job, error: str, message: str, content_hash: bytes | None = None) -> Outcome:
    return Outcome(
        job=job, content_hash=content_hash, result=Failure(error=error, message=message)
    )
