"""The faces of one photo, before and after they are embedded.

Legend: B faces, H height, W width, C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from embedding.detect import Box, DetectedFace
from embedding.quality import FaceQuality


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
        crop_HWC: uint8 (112, 112, 3), RGB: what was embedded; None where it is not at hand.
    """

    box: Box
    landmarks: NDArray[np.float32]
    confidence: float
    quality: FaceQuality
    embedding: NDArray[np.float32]
    norm: float
    num_quarter_turns: int
    crop_HWC: NDArray[np.uint8] | None = None


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FoundFaces:
    """The faces of one photo, found and cut out, not embedded yet.

    Attributes:
        width: of the upright photo, in pixels.
        height: of the upright photo, in pixels.
        num_quarter_turns: counter-clockwise, after which faces were found.
        detected: in the frame of the photo turned so, largest box first.
        crops_BHWC: uint8 (B, 112, 112, 3), RGB, one a face.
        timings_ms: milliseconds spent, by stage.
    """

    width: int
    height: int
    num_quarter_turns: int
    detected: tuple[DetectedFace, ...]
    crops_BHWC: NDArray[np.uint8]
    timings_ms: Mapping[str, float]

    def without_others(self, position: int) -> "FoundFaces":
        """The same photo with one of its faces alone, so that no other is embedded."""
        return replace(
            self,
            detected=(self.detected[position],),
            crops_BHWC=self.crops_BHWC[position : position + 1].copy(),
        )
