"""Puts the photos of a source into a gallery; stopped at any moment, it goes on where it was."""

import time
from dataclasses import dataclass, field
from pathlib import Path

from embedding.embedder import FaceEmbedder
from embedding.errors import ModelMismatch, RequestInvalid
from index.batch.flow import Channel, Flow
from index.batch.following import catch_up
from index.batch.hashing import Hashing
from index.batch.lots import lots_in_order
from index.batch.planning import Planner
from index.batch.ready import ReadyStage
from index.batch.sources.embeddings import ReadyEmbeddings
from index.batch.sources.source import Source
from index.batch.stages import FaceRules, Stages
from index.batch.tally import Tally
from index.batch.work import Job, LotEnd, Outcome
from index.batch.writing import Writer
from index.gallery import Gallery
from index.store.batch_files import state_file
from index.store.batch_state import BatchState

LOT_SIZE = 1000
"""Photos in one commit: a kill costs at most the work on two of them, which is minutes."""

MAX_LOT_SIZE = 5000
_MIN_UNDERWAY = 256
_LOTS_UNDERWAY = 2
_QUEUE = 64


def state_path(data_folder: Path, gallery: Gallery) -> Path:
    """Return where the state of a gallery's batches lies unless it is told otherwise."""
    return state_file(data_folder, gallery.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How a source is indexed.

    Attributes:
        faces: how faces are found and taken.
        lot_size: photos in one commit, 1 to 5000.
        retry_failed: work on photos that failed before, and on no others.
        num_workers: threads that decode and detect; None for one a processor.
    """

    faces: FaceRules = field(default_factory=FaceRules)
    lot_size: int = LOT_SIZE
    retry_failed: bool = False
    num_workers: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build did.

    Attributes:
        tally: in photos.
        source_id: of the source in the state.
        run: number of the run in the state; with it, `BatchState.failed` lists what failed.
        seconds: it took.
    """

    tally: Tally
    source_id: int
    run: int
    seconds: float


def build(
    source: Source,
    gallery: Gallery,
    *,
    embedder: FaceEmbedder | None,
    state: BatchState,
    secret: bytes,
    options: BuildOptions | None = None,
    tally: Tally | None = None,
) -> Built:
    """Index what is new or changed of a source; returns once all of it is on disk.

    Args:
        source: of the photos.
        gallery: to put them into.
        embedder: of the gallery's model; None for a source of embeddings.
        state: of the batches into this gallery.
        secret: of the data folder (`Galleries.secret`), under which photos are hashed.
        options: how.
        tally: counts while the build goes on; None for a new one.

    Raises:
        ModelMismatch: the embedder, or the source's embeddings, are of another model than the
            gallery's.
        RequestInvalid: the lot's size is out of range, or photos come without an embedder.
        StoreError: the gallery or the state cannot be written.
    """
    options = options or BuildOptions()
    if not 1 <= options.lot_size <= MAX_LOT_SIZE:
        raise RequestInvalid(f"a lot has 1 to {MAX_LOT_SIZE} photos, not {options.lot_size}")
    check_model(source, gallery, embedder)
    start = time.monotonic()
    tally, hashing = tally or Tally(), Hashing(secret)
    catch_up(state, gallery, hashing=hashing)
    if isinstance(source, ReadyEmbeddings):
        embedder = None
    run = _Run(source, gallery, embedder=embedder, state=state, hashing=hashing, tally=tally)
    source_id, number = run.once(options)
    if state.revive_duplicates():
        # Photos that were left out as copies of one that has changed since.
        tally.forget_known()
        _, number = run.once(options)
    catch_up(state, gallery, hashing=hashing)
    return Built(tally=tally, source_id=source_id, run=number, seconds=time.monotonic() - start)


def check_model(source: Source, gallery: Gallery, embedder: FaceEmbedder | None) -> None:
    """Pass a source whose embeddings are, or will be, of the gallery's model.

    Raises:
        ModelMismatch: they are of another one.
        RequestInvalid: photos come without an embedder.
    """
    if isinstance(source, ReadyEmbeddings):
        fingerprint = source.fingerprint
    elif embedder is None:
        raise RequestInvalid("photos need the gallery's model")
    else:
        fingerprint = embedder.fingerprint
    if fingerprint != gallery.fingerprint:
        raise ModelMismatch(
            f"the gallery holds embeddings of model {gallery.fingerprint[:12]}, not of model "
            f"{fingerprint[:12]}"
        )


class _Run:
    def __init__(
        self,
        source: Source,
        gallery: Gallery,
        *,
        embedder: FaceEmbedder | None,
        state: BatchState,
        hashing: Hashing,
        tally: Tally,
    ) -> None:
        self._source = source
        self._gallery = gallery
        self._embedder = embedder
        self._state = state
        self._hashing = hashing
        self._tally = tally

    def once(self, options: BuildOptions) -> tuple[int, int]:
        """Go through the source once; returns its id and the number of the run."""
        planner = Planner(
            self._source,
            state=self._state,
            hashing=self._hashing,
            tally=self._tally,
            lot_size=options.lot_size,
            retry_failed=options.retry_failed,
        )
        writer = Writer(
            self._gallery,
            state=self._state,
            hashing=self._hashing,
            tally=self._tally,
            address=self._source.address,
            source_id=planner.source_id,
            run=planner.run,
        )
        writer.remove_replaced()
        stages = self._stages(options)
        with Flow() as flow:
            jobs = flow.channel(Channel[Job](_QUEUE))
            outcomes = flow.channel(
                Channel[Outcome | LotEnd](_QUEUE, num_producers=stages.num_ends)
            )
            num_underway = max(_MIN_UNDERWAY, _LOTS_UNDERWAY * options.lot_size)
            tickets = flow.channel(Channel[None](num_underway))
            flow.start("planner", lambda: planner.send(jobs, outcomes, tickets), ends=jobs)
            stages.start(flow, jobs, outcomes)
            for lot in lots_in_order(outcomes, tally=self._tally):
                writer.write(lot)
                planner.underway.remove([each.job.photo.key for each in lot])
                for _ in lot:
                    tickets.take(1)
        return planner.source_id, planner.run

    def _stages(self, options: BuildOptions) -> Stages | ReadyStage:
        if self._embedder is None:
            return ReadyStage(hashing=self._hashing, state=self._state)
        return Stages(
            self._embedder,
            hashing=self._hashing,
            rules=options.faces,
            state=self._state,
            num_workers=options.num_workers,
        )
