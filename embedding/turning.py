"""Photos that lie on their side: found in quarter turns, told in the frame of the photo."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from embedding.detect import Box, DetectedFace, Detector
from embedding.photo import quarter_turn
from embedding.quality import estimate_pose

# Counter-clockwise quarter turns to try: 90, 270, 180 degrees.
_TURNS: Final = (1, 3, 2)

# Confidence times cos(roll) from which on a face says that its photo is upright. Sideways
# faces are found too, but with a wrong roll and poor landmarks: 0.98 sends nearly all of them,
# and about a fifth of the upright ones, to the other turns, where the best one wins.
_SURELY_UPRIGHT: Final = 0.98


def detect_turned(
    detector: Detector, photo_HWC: NDArray[np.uint8], *, turns: bool
) -> tuple[int, NDArray[np.uint8], list[DetectedFace]]:
    """Quarter turns, the photo turned so, and its faces in the turned frame.

    Args:
        detector: looks for faces.
        photo_HWC: uint8 (H, W, 3), RGB.
        turns: see ``FaceEmbedder.analyze``.
    """
    best = (0, photo_HWC, detector.detect(photo_HWC))
    if not turns or _uprightness(best[2]) >= _SURELY_UPRIGHT:
        return best
    for num_turns in _TURNS:
        turned_HWC = quarter_turn(photo_HWC, num_turns)
        found = detector.detect(turned_HWC)
        if _uprightness(found) > _uprightness(best[2]):
            best = (num_turns, turned_HWC, found)
    return best


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


def _uprightness(faces: list[DetectedFace]) -> float:
    """Confidence times cos(roll) of the best face, at least 0; -1 without a face."""
    return max(
        (
            face.confidence * max(0.0, math.cos(math.radians(estimate_pose(face.landmarks)[2])))
            for face in faces
        ),
        default=-1.0,
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
