"""``FaceEmbedder``: the bytes of a photo -> faces with embeddings and quality."""

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedding.align import CROP_SIZE_PX, align_face
from embedding.batching import MAX_WAIT_S, SharedBatches
from embedding.detect import Box, DetectedFace, Detector, MtcnnDetector
from embedding.errors import ModelInvalid
from embedding.model import ModelCard, ModelDirectory, find_model, model_fingerprint
from embedding.photo import PhotoLimits, decode_photo, quarter_turn
from embedding.quality import FaceQuality, QualityLimits, assess, estimate_pose
from embedding.runtime import EmbeddingNet, Embeddings

logger = logging.getLogger(__name__)

# Counter-clockwise quarter turns to try: 90, 270, 180 degrees.
_TURNS: Final = (1, 3, 2)

# Confidence times cos(roll) from which on a face says that its photo is upright. Sideways
# faces are found too, but with a wrong roll and poor landmarks: 0.98 sends nearly all of them,
# and about a fifth of the upright ones, to the other turns, where the best one wins.
_SURELY_UPRIGHT: Final = 0.98


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Face:
    """One face of a photo, ready to be enrolled or identified.

    Attributes:
        box: in pixels of the upright photo as decoded.
        landmarks: float32 (5, 2), pixels, the same frame.
        confidence: of the detector, in [0, 1].
        quality: figure and reasons.
        embedding: float32 (512,), unit length.
        norm: of the raw embedding before normalisation.
        num_quarter_turns: counter-clockwise quarter turns of the photo after which the face
            was found.
    """

    box: Box
    landmarks: NDArray[np.float32]
    confidence: float
    quality: FaceQuality
    embedding: NDArray[np.float32]
    norm: float
    num_quarter_turns: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhotoFaces:
    """All faces of one photo.

    Attributes:
        width: of the upright photo, in pixels.
        height: of the upright photo, in pixels.
        num_quarter_turns: after which faces were found; 0 when there are none.
        faces: largest box first.
        timings_ms: milliseconds spent, by stage: decode, detect, align, embed.
    """

    width: int
    height: int
    num_quarter_turns: int
    faces: tuple[Face, ...]
    timings_ms: Mapping[str, float]


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
        batch_wait_s: float = MAX_WAIT_S,
    ) -> None:
        """Put the parts together; ``open`` is the usual way.

        Raises:
            ModelInvalid: the card's fingerprint is not that of model and detector.
        """
        _check_fingerprint(directory.card, detector)
        self._card = directory.card
        self._detector = detector
        self._limits = limits or PhotoLimits()
        self._quality_limits = quality_limits or QualityLimits(min_norm=self._card.norm_floor)
        net = EmbeddingNet(directory, num_threads=num_threads)
        self._batches = SharedBatches(net.embed, max_wait_s=batch_wait_s)

    @classmethod
    def open(
        cls,
        path_or_name: Path | str | None = None,
        *,
        detector: Detector | None = None,
        limits: PhotoLimits | None = None,
        quality_limits: QualityLimits | None = None,
        num_threads: int | None = None,
        batch_wait_s: float = MAX_WAIT_S,
    ) -> "FaceEmbedder":
        """An embedder for a model directory, or for a shipped model by its name.

        Args:
            path_or_name: a folder, a shipped model's name, or None for the default model.
            detector: None for the built-in MTCNN.
            limits: of photos.
            quality_limits: None for the defaults with the card's norm floor.
            num_threads: processor threads of one net; None leaves it to the library.
            batch_wait_s: how long faces wait for those of other photos that are worked on at
                the same time; alone they never wait.

        Raises:
            ModelNotFound: no such model.
            ModelInvalid: a model directory that is incomplete, was changed, or was made with
                another detector.
        """
        directory = ModelDirectory.open(find_model(path_or_name))
        embedder = cls(
            directory,
            detector=detector or MtcnnDetector(num_threads=num_threads),
            limits=limits,
            quality_limits=quality_limits,
            num_threads=num_threads,
            batch_wait_s=batch_wait_s,
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
        clock = _Clock()
        with self._batches.announced() as embed:
            photo_HWC = decode_photo(photo, limits=self._limits)
            clock.lap("decode")
            num_turns, turned_HWC, detected = self._detect(photo_HWC, turns=turns)
            clock.lap("detect")
            crops_BHWC = np.empty((len(detected), CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
            for crop_HWC, face in zip(crops_BHWC, detected, strict=True):
                crop_HWC[:] = align_face(turned_HWC, face.landmarks)
            clock.lap("align")
            embeddings = embed(crops_BHWC)
            clock.lap("embed")
        height, width = photo_HWC.shape[:2]
        faces = tuple(
            self._face(face, crop_HWC, vector, float(norm), num_turns, (width, height))
            for face, crop_HWC, vector, norm in zip(
                detected, crops_BHWC, embeddings.vectors, embeddings.norms, strict=True
            )
        )
        return PhotoFaces(
            width=width,
            height=height,
            num_quarter_turns=num_turns,
            faces=faces,
            timings_ms=clock.laps_ms,
        )

    def embed_crops(self, crops_BHWC: NDArray[np.uint8]) -> Embeddings:
        """Embeddings of aligned crops, uint8 (B, 112, 112, 3) RGB.

        Raises:
            RequestInvalid: another shape or dtype.
        """
        return self._batches.embed(crops_BHWC)

    def _detect(
        self, photo_HWC: NDArray[np.uint8], *, turns: bool
    ) -> tuple[int, NDArray[np.uint8], list[DetectedFace]]:
        """Quarter turns, the photo turned so, and its faces in the turned frame."""
        best = (0, photo_HWC, self._detector.detect(photo_HWC))
        if not turns or _uprightness(best[2]) >= _SURELY_UPRIGHT:
            return best
        for num_turns in _TURNS:
            turned_HWC = quarter_turn(photo_HWC, num_turns)
            found = self._detector.detect(turned_HWC)
            if _uprightness(found) > _uprightness(best[2]):
                best = (num_turns, turned_HWC, found)
        return best

    def _face(
        self,
        detected: DetectedFace,
        crop_HWC: NDArray[np.uint8],
        vector: NDArray[np.float32],
        norm: float,
        num_turns: int,
        size: tuple[int, int],
    ) -> Face:
        quality = assess(detected, crop_HWC, norm, limits=self._quality_limits)
        upright = turn_back(detected, num_turns, size=size)
        return Face(
            box=upright.box,
            landmarks=upright.landmarks,
            confidence=detected.confidence,
            quality=quality,
            embedding=vector.copy(),
            norm=norm,
            num_quarter_turns=num_turns,
        )


def _uprightness(faces: list[DetectedFace]) -> float:
    """Confidence times cos(roll) of the best face, at least 0; -1 without a face."""
    return max(
        (
            face.confidence * max(0.0, math.cos(math.radians(estimate_pose(face.landmarks)[2])))
            for face in faces
        ),
        default=-1.0,
    )


def turn_back(face: DetectedFace, num_turns: int, *, size: tuple[int, int]) -> DetectedFace:
    """A face found in a turned photo, in the frame of the photo before it was turned.

    Args:
        face: in the frame of the turned photo.
        num_turns: counter-clockwise quarter turns that were made.
        size: (width, height) of the photo before it was turned.
    """
    width, height = size
    corners_22 = np.array([[face.box.left, face.box.top], [face.box.right, face.box.bottom]])
    corners_22 = _points_back(corners_22, num_turns, width, height)
    low, high = corners_22.min(axis=0), corners_22.max(axis=0)
    return DetectedFace(
        box=Box(
            left=float(low[0]), top=float(low[1]), right=float(high[0]), bottom=float(high[1])
        ),
        landmarks=_points_back(face.landmarks, num_turns, width, height).astype(np.float32),
        confidence=face.confidence,
    )


def _points_back(
    points_P2: NDArray[np.floating], num_turns: int, width: int, height: int
) -> NDArray[np.floating]:
    """Points of the turned photo in the frame before; (width, height) is the size before."""
    x, y = points_P2[:, 0], points_P2[:, 1]
    match num_turns % 4:
        case 1:
            return np.stack([width - y, x], axis=1)
        case 2:
            return np.stack([width - x, height - y], axis=1)
        case 3:
            return np.stack([y, height - x], axis=1)
        case _:
            return points_P2


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
