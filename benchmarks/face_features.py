"""Embeddings, norms and quality figures of a folder of aligned crops, made once and kept.

They lie under ``runs/features``, which is never committed: they are faces. A crop has no photo
around it, so for the quality figure the detector looks at the crop in a black frame; the face's
size is then that of the crop and says nothing of the photo's.

Shape legend: B images, D embedding dimension.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedding.detect import MtcnnDetector
from embedding.model import ModelDirectory, default_model, find_model
from embedding.quality import QualityLimits, assess
from embedding.runtime import EmbeddingNet
from training.data.split import Selection
from training.protocols import CHUNK

CACHE = Path(__file__).parents[1] / "runs" / "features"
# Around the crop: the detector wants a face with surroundings.
FRAME_PX = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """What is known of each image.

    Attributes:
        unit_BD: (B, D) float32 embeddings, unit length.
        norm_B: (B,) float32, of the raw embeddings.
        quality_B: (B,) float32 figures in [0, 1]; 0 where the detector found no face.
        found_B: (B,) bool, whether it found one.
    """

    unit_BD: NDArray[np.float32]
    norm_B: NDArray[np.float32]
    quality_B: NDArray[np.float32]
    found_B: NDArray[np.bool_]


def features_of(people: Selection, *, name: str) -> Features:
    """The features of all images by the shipped default model, from the cache where they are.

    Args:
        people: whose images.
        name: of the set, for the file.
    """
    directory = ModelDirectory.open(find_model(None))
    file = CACHE / f"{name}-{default_model()}-{directory.card.fingerprint[:12]}-{len(people)}.npz"
    if not file.is_file():
        made = _made(people, directory)
        CACHE.mkdir(parents=True, exist_ok=True)
        parts = {field: getattr(made, field) for field in Features.__slots__}
        unfinished = file.with_suffix(".part.npz")
        np.savez(unfinished, **parts)
        unfinished.replace(file)
    with np.load(file) as kept:
        return Features(**{field: kept[field] for field in Features.__slots__})


def _made(people: Selection, directory: ModelDirectory) -> Features:
    net, detector = EmbeddingNet(directory), MtcnnDetector()
    units, norms = [], []
    quality_B = np.zeros(len(people), np.float32)
    found_B = np.zeros(len(people), np.bool_)
    for start in range(0, len(people), CHUNK):
        crops_BHWC = people.crops(np.arange(start, min(start + CHUNK, len(people))))
        embedded = net.embed(crops_BHWC)
        units.append(embedded.vectors.copy())
        norms.append(embedded.norms.copy())
        for place, (crop_HWC, norm) in enumerate(zip(crops_BHWC, embedded.norms, strict=True)):
            figure = _quality(detector, crop_HWC, float(norm), directory.card.norm_floor)
            found_B[start + place] = figure is not None
            quality_B[start + place] = figure or 0.0
    return Features(
        unit_BD=np.concatenate(units),
        norm_B=np.concatenate(norms).astype(np.float32),
        quality_B=quality_B,
        found_B=found_B,
    )


def _quality(
    detector: MtcnnDetector, crop_HWC: NDArray[np.uint8], norm: float, norm_floor: float
) -> float | None:
    """The figure of the face in the middle; None where no face is found there."""
    framed_HWC = np.pad(crop_HWC, ((FRAME_PX, FRAME_PX), (FRAME_PX, FRAME_PX), (0, 0)))
    middle = framed_HWC.shape[0] / 2
    faces = [
        face
        for face in detector.detect(framed_HWC)
        if face.box.left < middle < face.box.right and face.box.top < middle < face.box.bottom
    ]
    if not faces:
        return None
    largest = max(faces, key=lambda face: face.box.area)
    return assess(largest, crop_HWC, norm, limits=QualityLimits(min_norm=norm_floor)).figure
