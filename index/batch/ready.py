"""The one stage that embeddings made elsewhere need: they are looked up, not worked on."""

from embedding.align import ARCFACE_TEMPLATE, CROP_SIZE_PX
from embedding.detect import Box
from embedding.faces import Face, PhotoFaces
from embedding.quality import FaceQuality
from index.batch.flow import Channel, Flow
from index.batch.hashing import Hashing
from index.batch.sources.embeddings import ReadyEmbedding, decoded
from index.batch.stages import known_results
from index.batch.work import Job, LotEnd, Outcome
from index.store.batch_state import BatchState

_MAX_BYTES = 1 << 16
_TOGETHER = 32


class ReadyStage:
    """Takes the place of `Stages` for a source of embeddings."""

    num_ends = 1
    """See `Stages.num_ends`."""

    def __init__(self, *, hashing: Hashing, state: BatchState | None = None) -> None:
        """Take what tells a row that is done already; None gives all of them."""
        self._hashing = hashing
        self._state = state

    def start(self, flow: Flow, jobs: Channel[Job], outcomes: Channel[Outcome | LotEnd]) -> None:
        """Start the thread, the outcomes' only producer."""
        flow.start("embeddings", lambda: self._run(jobs, outcomes), ends=outcomes)

    def _run(self, jobs: Channel[Job], outcomes: Channel[Outcome | LotEnd]) -> None:
        while some := jobs.take(_TOGETHER):
            contents = [job.photo.read(_MAX_BYTES) for job in some]
            hashes = [self._hashing.content(each) for each in contents]
            known = known_results(list(zip(some, hashes, strict=True)), self._state)
            for job, content, content_hash, reason in zip(
                some, contents, hashes, known, strict=True
            ):
                result = reason or _faces(decoded(content))
                outcomes.put(Outcome(job=job, content_hash=content_hash, result=result))


def _faces(ready: ReadyEmbedding) -> PhotoFaces:
    """As of a photo that is the aligned crop; what was not measured there is 0."""
    quality = FaceQuality(
        figure=ready.quality,
        size_px=CROP_SIZE_PX,
        sharpness=0.0,
        brightness=0.0,
        yaw_deg=0.0,
        pitch_deg=0.0,
        roll_deg=0.0,
        norm=ready.norm,
        reasons=(),
    )
    face = Face(
        box=Box(left=0.0, top=0.0, right=float(CROP_SIZE_PX), bottom=float(CROP_SIZE_PX)),
        landmarks=ARCFACE_TEMPLATE.copy(),
        confidence=1.0,
        quality=quality,
        embedding=ready.embedding,
        norm=ready.norm,
        num_quarter_turns=0,
    )
    return PhotoFaces(
        width=CROP_SIZE_PX,
        height=CROP_SIZE_PX,
        num_quarter_turns=0,
        faces=(face,),
        timings_ms={},
    )
