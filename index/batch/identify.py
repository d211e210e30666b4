"""Who is in the photos of a source; stopped at any moment, it goes on where it was."""

import itertools
import json
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from embedding.embedder import FaceEmbedder
from embedding.errors import RequestInvalid
from embedding.faces import Face, PhotoFaces
from index.batch.answers import COLUMNS, NO_FACE, packed, row_of_failure, rows_of_photo, unpacked
from index.batch.build import MAX_LOT_SIZE, check_model
from index.batch.flow import Channel, Flow
from index.batch.hashing import Hashing
from index.batch.lots import lots_in_order
from index.batch.ready import ReadyStage
from index.batch.sources.embeddings import ReadyEmbeddings
from index.batch.sources.source import Skip, Source, SourcePhoto
from index.batch.stages import FaceRules, Stages
from index.batch.tally import Tally
from index.batch.work import Failure, Job, LotEnd, Outcome
from index.calibration.in_force import ThresholdsInForce
from index.decision import check_thresholds, name_each_subject_once
from index.exchange.tables import check_table_file, write_table
from index.fusion import fusion_rule
from index.gallery import Gallery
from index.store.batch_rows import SubjectDigest
from index.store.identified import IdentifiedPhoto, IdentifiedPhotos, remove_identified

logger = logging.getLogger(__name__)

LOT_SIZE = 200
"""Photos kept in one commit: some ten seconds of work."""

WORK_SUFFIX = ".unfinished"
"""Of the file beside the result that holds what was found so far."""

_QUEUE = 64
_LOTS_UNDERWAY = 2
_LOOK_UP = 1000
_NUM_CANDIDATES = 2
_NOBODY = SubjectDigest(name=None, external_id=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifyOptions:
    """How photos are identified.

    Attributes:
        match_threshold: smallest similarity of a ``match``.
        review_threshold: smallest similarity of a ``review``.
        faces: how they are found; every face of a photo is identified.
        lot_size: photos in one commit, 1 to 5000.
        num_workers: threads that decode and detect; None for one a processor.
    """

    match_threshold: float
    review_threshold: float
    faces: FaceRules = field(default_factory=lambda: FaceRules(choice=None))
    lot_size: int = LOT_SIZE
    num_workers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """What an identification of many photos found.

    Attributes:
        num_photos: in the file.
        num_faces: in them.
        decisions: faces by decision.
        failures: photos that could not be worked on, by code.
        num_without_face: photos without a face, which are no failures.
        seconds: it took, this run alone.
    """

    num_photos: int
    num_faces: int
    decisions: Counter[str]
    failures: Counter[str]
    num_without_face: int
    seconds: float


def identify(
    source: Source,
    gallery: Gallery,
    *,
    embedder: FaceEmbedder | None,
    secret: bytes,
    target: Path,
    options: IdentifyOptions,
    thresholds: ThresholdsInForce | None = None,
    tally: Tally | None = None,
) -> Identified:
    """Write who is in the photos of a source to a new file.

    What is found is kept in a file beside it until the end, so that another call goes on. If the
    gallery or the options are not as they were, it begins anew.

    Args:
        source: of the photos; their subjects do not matter.
        gallery: to look in.
        embedder: of the gallery's model; None for a source of embeddings.
        secret: of the data folder (`Galleries.secret`).
        target: ``.csv`` or ``.parquet``.
        options: how.
        thresholds: of a calibration that gives each face its own, instead of the options'; those
            hold the calibration's figures then, which tell whether it is still the same.
        tally: counts while it goes on; None for a new one.

    Raises:
        ModelMismatch: the embedder is of another model than the gallery's.
        RequestInvalid: the target exists or is of another kind, or an option is out of range.
        StoreError: the gallery cannot be read, or a file not written.
    """
    start = time.monotonic()
    check_thresholds(
        match_threshold=options.match_threshold, review_threshold=options.review_threshold
    )
    if not 1 <= options.lot_size <= MAX_LOT_SIZE:
        raise RequestInvalid(f"a lot has 1 to {MAX_LOT_SIZE} photos, not {options.lot_size}")
    check_model(source, gallery, embedder)
    work = target.with_name(target.name + WORK_SUFFIX)
    if target.exists() and work.exists():
        # A kill between the result and the end left it; the result is whole.
        remove_identified(work)
    check_table_file(target)
    if isinstance(source, ReadyEmbeddings):
        embedder = None
    with IdentifiedPhotos(work) as kept:
        run = _Run(
            source,
            gallery,
            kept=kept,
            options=options,
            thresholds=thresholds,
            tally=tally or Tally(),
        )
        run.go(embedder, Hashing(secret))
        counts = _Counts()
        write_table(target, counts.counted(kept.answers()), COLUMNS)
        kept.delete()
    return Identified(
        num_photos=counts.num_photos,
        num_faces=sum(counts.decisions.values()),
        decisions=counts.decisions,
        failures=counts.failures,
        num_without_face=counts.num_without_face,
        seconds=time.monotonic() - start,
    )


class _Counts:
    """Counts what passes on its way to the file."""

    def __init__(self) -> None:
        self.num_photos = self.num_without_face = 0
        self.decisions: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def counted(self, answers: Iterator[str]) -> Iterator[dict[str, Any]]:
        for text in answers:
            self.num_photos += 1
            for row in unpacked(text):
                if "decision" in row:
                    self.decisions[row["decision"]] += 1
                elif row["error"] == NO_FACE:
                    self.num_without_face += 1
                else:
                    self.failures[row["error"]] += 1
                yield row


class _Run:
    def __init__(
        self,
        source: Source,
        gallery: Gallery,
        *,
        kept: IdentifiedPhotos,
        options: IdentifyOptions,
        thresholds: ThresholdsInForce | None,
        tally: Tally,
    ) -> None:
        self._source = source
        self._gallery = gallery
        self._kept = kept
        self._options = options
        self._thresholds = thresholds
        self._tally = tally

    def go(self, embedder: FaceEmbedder | None, hashing: Hashing) -> None:
        """Work on every photo that was not worked on before."""
        if self._kept.begin(self._conditions()):
            logger.warning("gallery or options changed meanwhile; all photos are identified anew")
        stages: Stages | ReadyStage
        if embedder is None:
            stages = ReadyStage(hashing=hashing)
        else:
            stages = Stages(
                embedder,
                hashing=hashing,
                rules=self._options.faces,
                num_workers=self._options.num_workers,
            )
        with Flow() as flow:
            jobs = flow.channel(Channel[Job](_QUEUE))
            outcomes = flow.channel(
                Channel[Outcome | LotEnd](_QUEUE, num_producers=stages.num_ends)
            )
            num_underway = _LOTS_UNDERWAY * max(self._options.lot_size, _QUEUE)
            tickets = flow.channel(Channel[None](num_underway))
            flow.start("planner", lambda: self._send(jobs, outcomes, tickets), ends=jobs)
            stages.start(flow, jobs, outcomes)
            for lot in lots_in_order(outcomes, tally=self._tally):
                self._kept.record([self._photo(each) for each in lot])
                tickets.take(len(lot))

    def _conditions(self) -> str:
        options = asdict(self._options)
        for name in ("lot_size", "num_workers"):
            del options[name]
        gallery = self._gallery
        return json.dumps(
            [gallery.id, gallery.sequence, gallery.fingerprint, self._source.address, options]
        )

    def _send(
        self,
        jobs: Channel[Job],
        ends: Channel[Outcome | LotEnd],
        tickets: Channel[None],
    ) -> None:
        """Send every photo that is to be worked on, and where each lot ends."""
        lot, position = 0, 0
        for photo in self._pending():
            tickets.put(None)
            jobs.put(Job(lot=lot, position=position, photo=photo, digest=_NOBODY))
            position += 1
            if position == self._options.lot_size:
                ends.put(LotEnd(lot=lot, num_photos=position))
                lot, position = lot + 1, 0
        if position:
            ends.put(LotEnd(lot=lot, num_photos=position))

    def _pending(self) -> Iterator[SourcePhoto]:
        entries = iter(self._source.photos())
        while some := list(itertools.islice(entries, _LOOK_UP)):
            known = self._kept.known([each.key for each in some])
            met: list[str] = []
            skips: list[Skip] = []
            for each in some:
                if isinstance(each, Skip):
                    skips.append(each)
                elif known.get(each.key) == (each.size_bytes, each.mtime_ns):
                    met.append(each.key)
                else:
                    yield each
            self._kept.met(met)
            self._kept.record(list(map(_skipped, skips)))
            self._tally.add(num_met=len(some), num_known=len(met))
            self._tally.add(num_passed=len(met) + len(skips))
            self._tally.add_failures([each.error for each in skips])

    def _photo(self, outcome: Outcome) -> IdentifiedPhoto:
        photo = outcome.job.photo
        size_bytes = photo.size_bytes
        match outcome.result:
            case PhotoFaces() as found:
                rows = rows_of_photo(photo, found, self._answers(found))
            case Failure() as failure:
                self._tally.add_failures([failure.error])
                size_bytes = -1  # Of no file: another run tries it again.
                rows = row_of_failure(
                    photo.key, failure.error, failure.message, metadata=photo.metadata
                )
            case _:
                raise AssertionError("a stage without a state knows no photo")
        return IdentifiedPhoto(
            key=photo.key,
            size_bytes=size_bytes,
            mtime_ns=photo.mtime_ns,
            answers=packed(rows),
        )

    def _answers(self, found: PhotoFaces) -> Sequence[Any]:
        rule = None if self._thresholds is None else fusion_rule(self._thresholds.rule)
        return name_each_subject_once(
            [
                self._gallery.identify(
                    face.embedding,
                    fingerprint=self._gallery.fingerprint,
                    match_threshold=match,
                    review_threshold=review,
                    num_candidates=_NUM_CANDIDATES,
                    fusion=rule,
                )
                for face in found.faces
                for match, review in [self._limits(face)]
            ]
        )

    def _limits(self, face: Face) -> tuple[float, float]:
        if self._thresholds is None:
            return self._options.match_threshold, self._options.review_threshold
        return self._thresholds.for_probe(face.embedding)


def _skipped(skip: Skip) -> IdentifiedPhoto:
    rows = row_of_failure(skip.key, skip.error, skip.message)
    return IdentifiedPhoto(key=skip.key, size_bytes=-1, mtime_ns=-1, answers=packed(rows))
