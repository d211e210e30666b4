"""``FaceEmbedder``: the bytes of a photo -> faces with embeddings and quality.

Legend: B faces, H height, W width, C channels.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedding.align import ARCFACE_TEMPLATE, CROP_SIZE_PX, align_face
from embedding.batching import MAX_WAIT_S, SharedBatches
from embedding.detect import Box, DetectedFace, Detector, MtcnnDetector
from embedding.errors import ModelInvalid, RequestInvalid
from embedding.faces import Face, FoundFaces, PhotoFaces
from embedding.model import ModelCard, ModelDirectory, find_model, model_fingerprint
from embedding.photo import PhotoLimits, decode_photo
from embedding.quality import QualityLimits, assess
from embedding.runtime import MAX_BATCH, EmbeddingNet, Embeddings
from embedding.turning import detect_turned, turn_back

logger = logging.getLogger(__name__)


class FaceEmbedder:
    """A detector and an embedding net, opened once and shared by all threads."""

    def __init__(
        self,
        directory: ModelDirectory,
        *,
        detector: Detector,
        limits: PhotoLimits | None = None,
        quality_limits: QualityLimits | None = None,
        num_threads: int | None = None,
        num_streams: int = 1,
        batch_wait_s: float = MAX_WAIT_S,
        keep_crops: bool = False,
    ) -> None:
        """Put the parts together; ``open`` is the usual way.

        Raises:
            ModelInvalid: the card's fingerprint is not that of model and detector.
        """
        _check_fingerprint(directory.card, detector)
        self._card = directory.card
        self._keep_crops = keep_crops
        self._detector = detector
        self._limits = limits or PhotoLimits()
        self._quality_limits = quality_limits or QualityLimits(min_norm=self._card.norm_floor)
        net = EmbeddingNet(directory, num_threads=num_threads, num_streams=num_streams)
        self._batches = SharedBatches(
            net.embed,
            max_wait_s=batch_wait_s,
            # Who has a stream of its own has nothing to wait for.
            max_crops=MAX_BATCH if num_streams == 1 else 1,
        )

    @classmethod
    def open(
        cls,
        path_or_name: Path | str | None = None,
        *,
        detector: Detector | None = None,
        limits: PhotoLimits | None = None,
        quality_limits: QualityLimits | None = None,
        num_threads: int | None = None,
        num_streams: int = 1,
        batch_wait_s: float = MAX_WAIT_S,
        keep_crops: bool = False,
    ) -> "FaceEmbedder":
        """An embedder for a model directory, or for a shipped model by its name.

        Args:
            path_or_name: a folder, a shipped model's name, or None for the default model.
            detector: None for the built-in MTCNN.
            limits: of photos.
            quality_limits: None for the defaults with the card's norm floor.
            num_threads: processor threads of one net; None leaves it to the library.
            num_streams: runs of each net at the same time: for many photos, whose batches are
                full without waiting for those of others.
            batch_wait_s: how long faces wait for those of other photos that are worked on at
                the same time; alone they never wait.
            keep_crops: give faces their crops along.

        Raises:
            ModelNotFound: no such model.
            ModelInvalid: a model directory that is incomplete, was changed, or was made with
                another detector.
        """
        directory = ModelDirectory.open(find_model(path_or_name))
        embedder = cls(
            directory,
            detector=detector or MtcnnDetector(num_threads=num_threads, num_streams=num_streams),
            limits=limits,
            quality_limits=quality_limits,
            num_threads=num_threads,
            num_streams=num_streams,
            batch_wait_s=batch_wait_s,
            keep_crops=keep_crops,
        )
        logger.info("model %s opened, fingerprint %s", directory.card.name, embedder.fingerprint)
        return embedder

    @property
    def card(self) -> ModelCard:
        """The card of the model that makes the embeddings."""
        return self._card

    @property
    def fingerprint(self) -> str:
        """Of the model; goes wherever an embedding goes."""
        return self._card.fingerprint

    @property
    def batch_counts(self) -> tuple[int, int]:
        """Runs of the embedding net so far, and crops in them."""
        return self._batches.counts

    @property
    def limits(self) -> PhotoLimits:
        """Of the photos that are accepted."""
        return self._limits

    def analyze(self, photo: bytes, *, turns: bool = False) -> PhotoFaces:
        """All faces of a photo with their embeddings.

        Args:
            photo: the bytes of a JPEG, PNG or WebP file.
            turns: when no face is found, or none that is surely upright, look again in the
                photo turned by 90, 270 and 180 degrees, and take the turn whose best face is
                the most confident and upright one.

        Raises:
            PhotoError: the bytes are not a photo that is accepted.
        """
        with self._batches.announced() as embed:
            return self._embed([self.find(photo, turns=turns)], embed)[0]

    def find(self, photo: bytes, *, turns: bool = False) -> FoundFaces:
        """The faces of a photo, cut out, before they are embedded; see ``analyze``.

        Raises:
            PhotoError: the bytes are not a photo that is accepted.
        """
        clock = _Clock()
        photo_HWC = decode_photo(photo, limits=self._limits)
        clock.lap("decode")
        num_turns, turned_HWC, detected = detect_turned(self._detector, photo_HWC, turns=turns)
        clock.lap("detect")
        crops_BHWC = np.empty((len(detected), CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
        for crop_HWC, face in zip(crops_BHWC, detected, strict=True):
            crop_HWC[:] = align_face(turned_HWC, face.landmarks)
        clock.lap("align")
        height, width = photo_HWC.shape[:2]
        return FoundFaces(
            width=width,
            height=height,
            num_quarter_turns=num_turns,
            detected=tuple(detected),
            crops_BHWC=crops_BHWC,
            timings_ms=clock.laps_ms,
        )

    def aligned(self, photo: bytes) -> FoundFaces:
        """The face of a photo that is an aligned crop already; nothing is detected.

        Raises:
            PhotoError: the bytes are not a photo that is accepted.
            RequestInvalid: it has not 112 x 112 pixels.
        """
        clock = _Clock()
        photo_HWC = decode_photo(photo, limits=self._limits)
        height, width = photo_HWC.shape[:2]
        if (width, height) != (CROP_SIZE_PX, CROP_SIZE_PX):
            raise RequestInvalid(
                f"an aligned crop has {CROP_SIZE_PX} x {CROP_SIZE_PX} pixels, but this photo has "
                f"{width} x {height}"
            )
        clock.lap("decode")
        side = float(CROP_SIZE_PX)
        face = DetectedFace(
            box=Box(left=0.0, top=0.0, right=side, bottom=side),
            landmarks=ARCFACE_TEMPLATE.copy(),
            confidence=1.0,
        )
        return FoundFaces(
            width=width,
            height=height,
            num_quarter_turns=0,
            detected=(face,),
            crops_BHWC=photo_HWC[np.newaxis],
            timings_ms=clock.laps_ms,
        )

    def embed(self, photos: Sequence[FoundFaces]) -> tuple[PhotoFaces, ...]:
        """The faces of each photo with embeddings; all of them are embedded together.

        Args:
            photos: from this embedder; their order stays. Each one's time to embed is that of
                all together.
        """
        return self._embed(photos, self._batches.embed)

    def _embed(
        self,
        photos: Sequence[FoundFaces],
        embed: Callable[[NDArray[np.uint8]], Embeddings],
    ) -> tuple[PhotoFaces, ...]:
        clock = _Clock()
        crops = [each.crops_BHWC for each in photos]
        embeddings = embed(np.concatenate(crops) if len(crops) != 1 else crops[0])
        clock.lap("embed")
        results, start = [], 0
        for photo in photos:
            end = start + len(photo.detected)
            part = Embeddings(
                vectors=embeddings.vectors[start:end], norms=embeddings.norms[start:end]
            )
            results.append(self._embedded(photo, part, clock.laps_ms))
            start = end
        return tuple(results)

    def embed_crops(self, crops_BHWC: NDArray[np.uint8]) -> Embeddings:
        """Embeddings of aligned crops, uint8 (B, 112, 112, 3) RGB.

        Raises:
            RequestInvalid: another shape or dtype.
        """
        return self._batches.embed(crops_BHWC)

    def _embedded(
        self, photo: FoundFaces, embeddings: Embeddings, timings_ms: Mapping[str, float]
    ) -> PhotoFaces:
        faces = tuple(
            self._face(photo, detected, crop_HWC, vector, float(norm))
            for detected, crop_HWC, vector, norm in zip(
                photo.detected, photo.crops_BHWC, embeddings.vectors, embeddings.norms, strict=True
            )
        )
        return PhotoFaces(
            width=photo.width,
            height=photo.height,
            num_quarter_turns=photo.num_quarter_turns,
            faces=faces,
            timings_ms={**photo.timings_ms, **timings_ms},
        )

    def _face(
        self,
        photo: FoundFaces,
        detected: DetectedFace,
        crop_HWC: NDArray[np.uint8],
        vector: NDArray[np.float32],
        norm: float,
    ) -> Face:
        quality = assess(detected, crop_HWC, norm, limits=self._quality_limits)
        upright = turn_back(detected, photo.num_quarter_turns, size=(photo.width, photo.height))
        return Face(
            box=upright.box,
            landmarks=upright.landmarks,
            confidence=detected.confidence,
            quality=quality,
            embedding=vector.copy(),
            norm=norm,
            num_quarter_turns=photo.num_quarter_turns,
            # A copy, or it would hold those of the whole photo.
            crop_HWC=crop_HWC.copy() if self._keep_crops else None,
        )


def _check_fingerprint(card: ModelCard, detector: Detector) -> None:
    expected = model_fingerprint(
        model_sha256=card.model_sha256,
        input_spec=card.input,
        mirrored=card.mirrored,
        precision=card.precision,
        detector_fingerprint=detector.fingerprint,
        dimension=card.dimension,
    )
    if card.fingerprint != expected:
        raise ModelInvalid(
            f"the card of model {card.name!r} has fingerprint {card.fingerprint}, but its parts "
            f"and the detector in use give {expected}: the card was changed, or the model was "
            f"made with another detector than {detector.fingerprint}"
        )


class _Clock:
    """Milliseconds between laps."""

    def __init__(self) -> None:
        self.laps_ms: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps_ms[name] = (now - self._last) * 1000.0
        self._last = now
