"""How good a face is for recognition: a figure in [0, 1] and machine-readable reasons.

The limits refuse clear garbage only: of 397 ordinary photos (CelebA in the wild) the largest
face gets a reason in four, all of them extreme poses. Brightness is reported
and is never a reason: it would refuse dark skin.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embedding.detect import DetectedFace

# How far the tip of the nose stands out from the plane of eyes and mouth, as a share of the
# distance between the eyes, and the height of that plane (eyes to mouth) in the same unit:
# rough anatomy, good for some 10 degrees.
_NOSE_DEPTH: Final = 0.5
_FACE_HEIGHT: Final = 1.07

# Where the nose of a face that looks straight ahead stands between eyes (0) and mouth (1);
# median over 397 photos with the built-in detector.
_NOSE_LEVEL: Final = 0.58

# White noise has sharpness 1: its 4-neighbour Laplacian has 20 times its variance.
_NOISE_GAIN: Final = 20.0
# Variance of rounding to whole grey levels and a little more: a crop too dark to tell is not
# called blurred.
_GREY_VARIANCE: Final = 1.0

# From these on a face is as good as it gets; median of ordinary photos, and the crop's size.
_GOOD_SHARPNESS: Final = 0.15
_GOOD_SIZE_PX: Final = 112.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceQuality:
    """What was measured on one face.

    Attributes:
        figure: in [0, 1], higher is better; the product of these parts, each in [0, 1]:
            sqrt(size / 112 px), sharpness / 0.15, cos(yaw) * cos(pitch), the detector's
            confidence, and norm / (2 * floor) where the model has a norm floor.
        size_px: shorter side of the face's box, in pixels of the photo.
        sharpness: root of the Laplacian's share in the variance of the crop at 56x56 pixels,
            1 for white noise, about 0.17 for an ordinary photo, 0.03 for one blurred with
            sigma 3 px in the crop. Does not change with brightness or contrast. At 56 pixels
            a small face that was enlarged is not yet called blurred.
        brightness: mean luma of the crop in [0, 255]; reported, never a reason.
        yaw_deg: positive when the nose points to the right of the image.
        pitch_deg: positive when the face looks up.
        roll_deg: positive when the face is turned clockwise in the image; the crop is upright
            whatever the roll, so it counts for nothing.
        norm: of the raw embedding before normalisation.
        reasons: why the face is poor, of "too_small", "too_blurred", "extreme_pose",
            "low_confidence" and "low_norm"; empty for a face that is good enough.
    """

    figure: float
    size_px: float
    sharpness: float
    brightness: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    norm: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityLimits:
    """Strictly below (or beyond, for angles) which a face gets a reason.

    Attributes:
        min_size_px: shorter side of the box; below 28 px less than a sixteenth of the crop's
            pixels are real.
        min_sharpness: see ``FaceQuality.sharpness``; 0.035 is a blur of about 3 px in the
            crop, where eyes and mouth are smears.
        max_yaw_deg: absolute; beyond 50 degrees one eye is nearly hidden.
        max_pitch_deg: absolute; the estimate is coarser than that of yaw.
        min_confidence: of the detector; the built-in one reports nothing below 0.9, and a
            higher limit would refuse faces for being dark.
        min_norm: of the raw embedding; 0 switches it off.
    """

    min_size_px: float = 28.0
    min_sharpness: float = 0.035
    max_yaw_deg: float = 50.0
    max_pitch_deg: float = 45.0
    min_confidence: float = 0.9
    min_norm: float = 0.0


def assess(
    face: DetectedFace,
    crop_HWC: NDArray[np.uint8],
    norm: float,
    *,
    limits: QualityLimits | None = None,
) -> FaceQuality:
    """Size, sharpness, brightness and pose of a face, and what is wrong with it.

    Args:
        face: as detected, in the frame of the photo that the crop was cut from.
        crop_HWC: uint8 (112, 112, 3), RGB, aligned.
        norm: of the raw embedding.
        limits: None for the defaults.
    """
    limits = limits or QualityLimits()
    size_px = min(face.box.width, face.box.height)
    luma = Image.fromarray(crop_HWC).convert("L")
    sharpness = measure_sharpness(luma)
    yaw_deg, pitch_deg, roll_deg = estimate_pose(face.landmarks)
    findings = {
        "too_small": size_px < limits.min_size_px,
        "too_blurred": sharpness < limits.min_sharpness,
        "extreme_pose": abs(yaw_deg) > limits.max_yaw_deg or abs(pitch_deg) > limits.max_pitch_deg,
        "low_confidence": face.confidence < limits.min_confidence,
        "low_norm": norm < limits.min_norm,
    }
    parts = (
        math.sqrt(size_px / _GOOD_SIZE_PX),
        sharpness / _GOOD_SHARPNESS,
        math.cos(math.radians(yaw_deg)) * math.cos(math.radians(pitch_deg)),
        face.confidence,
        norm / (2.0 * limits.min_norm) if limits.min_norm > 0.0 else 1.0,
    )
    return FaceQuality(
        figure=math.prod(min(1.0, max(0.0, part)) for part in parts),
        size_px=size_px,
        sharpness=sharpness,
        brightness=float(np.asarray(luma).mean()),
        yaw_deg=yaw_deg,
        pitch_deg=pitch_deg,
        roll_deg=roll_deg,
        norm=norm,
        reasons=tuple(reason for reason, found in findings.items() if found),
    )


def measure_sharpness(luma: Image.Image) -> float:
    """Sharpness of an aligned 112x112 grey crop; see ``FaceQuality.sharpness``.

    Looks at the face only (the middle 40 x 40 of 56 x 56 pixels), not at hair and background.
    """
    grey_HW = np.asarray(luma.reduce(2), np.float64)[10:50, 8:48]
    around_HW = grey_HW[1:-1, :-2] + grey_HW[1:-1, 2:] + grey_HW[:-2, 1:-1] + grey_HW[2:, 1:-1]
    laplacian_HW = around_HW - 4.0 * grey_HW[1:-1, 1:-1]
    share = (laplacian_HW.var() + _GREY_VARIANCE) / (grey_HW.var() + _GREY_VARIANCE)
    return math.sqrt(float(share) / _NOISE_GAIN)


def estimate_pose(landmarks: NDArray[np.floating]) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees, from where the nose stands between eyes and mouth.

    An approximation for a distant camera and an average head: with the face turned upright,
    the tip of the nose moves sideways by depth * sin(yaw) while the distance of the eyes
    shrinks by cos(yaw), and in the same way up and down with pitch.

    Args:
        landmarks: (5, 2), (x, y) in pixels, in the order of ``DetectedFace``.
    """
    points = np.asarray(landmarks, np.float64)
    across = points[1] - points[0]
    roll_rad = math.atan2(across[1], across[0])
    cos, sin = math.cos(roll_rad), math.sin(roll_rad)
    upright = (points - points[:2].mean(axis=0)) @ np.array([[cos, -sin], [sin, cos]])
    eyes_px = max(float(np.hypot(*across)), 1e-6)
    nose_x, nose_y = upright[2]
    mouth_x, mouth_y = upright[3:].mean(axis=0)
    if mouth_y <= 0.0:
        return 0.0, math.copysign(90.0, -mouth_y - nose_y), math.degrees(roll_rad)
    level = nose_y / mouth_y
    yaw_rad = math.atan2(nose_x - mouth_x * level, _NOSE_DEPTH * eyes_px)
    pitch_rad = math.atan((_NOSE_LEVEL - level) * _FACE_HEIGHT / _NOSE_DEPTH)
    return math.degrees(yaw_rad), math.degrees(pitch_rad), math.degrees(roll_rad)
