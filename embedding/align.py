"""Five landmarks -> the 112x112 crop that the embedding net sees.

Coordinates are continuous: pixel (0, 0) covers [0, 1) x [0, 1), its centre is (0.5, 0.5), in
the photo as in the crop.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embedding.errors import RequestInvalid

CROP_SIZE_PX: Final = 112

# ArcFace (arXiv 1801.07698): left eye, right eye, nose, left and right mouth corner.
ARCFACE_TEMPLATE: Final[NDArray[np.float32]] = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ],
    dtype=np.float32,
)
ARCFACE_TEMPLATE.setflags(write=False)


def similarity_transform(
    source_P2: NDArray[np.floating], target_P2: NDArray[np.floating]
) -> NDArray[np.float64]:
    """The rotation, scale and shift that bring source points closest to target points.

    The least-squares solution of Umeyama (1991, eq. 40-42) without reflection. In the plane a
    rotation with scale is one complex factor, and the best one has a closed form.

    Args:
        source_P2: (P, 2), (x, y), at least two points that differ.
        target_P2: (P, 2), the points where they should go.

    Returns:
        float64 (2, 3): target = matrix[:, :2] @ source + matrix[:, 2].

    Raises:
        RequestInvalid: shapes that do not fit, values that are not finite, or points that fix
            no transform.
    """
    source = np.asarray(source_P2, np.float64)
    target = np.asarray(target_P2, np.float64)
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2:
        raise RequestInvalid(
            f"expected two equal sets of points (P, 2), not {source.shape} and {target.shape}"
        )
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise RequestInvalid("points must be finite")
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    from_P = (source - source_mean) @ np.array([1.0, 1.0j])
    to_P = (target - target_mean) @ np.array([1.0, 1.0j])
    spread = float(np.vdot(from_P, from_P).real)
    factor = complex(np.vdot(from_P, to_P)) / spread if spread > 0.0 else 0.0j
    if not math.isfinite(abs(factor)) or abs(factor) < 1e-9:
        raise RequestInvalid("these points fix no similarity transform")
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.column_stack([turn, target_mean - turn @ source_mean])


def align_face(photo_HWC: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The face as an upright crop in the ArcFace template.

    A face that is at least twice as large as the crop is first averaged over whole pixel
    blocks, so that no pixel is left out; the rest is bilinear.

    Args:
        photo_HWC: uint8 (H, W, 3), RGB.
        landmarks: (5, 2), (x, y), pixels of the photo, in the template's order.

    Returns:
        uint8 (112, 112, 3), RGB; black beyond the photo's edge.

    Raises:
        RequestInvalid: landmarks that fix no transform.
    """
    to_crop = similarity_transform(landmarks, ARCFACE_TEMPLATE)
    turn = np.asarray(np.linalg.inv(to_crop[:, :2]), np.float64)
    origin = -turn @ to_crop[:, 2]
    block = max(1, int(math.hypot(*turn[0])))
    left, top, right, bottom = _region(turn, origin, margin=block + 1, photo_HWC=photo_HWC)
    if left >= right or top >= bottom:
        return np.zeros((CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
    image = Image.fromarray(np.ascontiguousarray(photo_HWC[top:bottom, left:right]))
    if block > 1:
        image = image.reduce(block)
    shift = (origin - (left, top)) / block
    matrix = np.column_stack([turn / block, shift]).reshape(-1).tolist()
    crop = image.transform(
        (CROP_SIZE_PX, CROP_SIZE_PX),
        Image.Transform.AFFINE,
        matrix,
        resample=Image.Resampling.BILINEAR,
        fillcolor=(0, 0, 0),
    )
    return np.array(crop)


def _region(
    turn: NDArray[np.float64],
    origin: NDArray[np.float64],
    *,
    margin: int,
    photo_HWC: NDArray[np.uint8],
) -> tuple[int, int, int, int]:
    """The part of the photo (left, top, right, bottom) that the crop can show."""
    height, width = photo_HWC.shape[:2]
    corners = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float64) * CROP_SIZE_PX
    places = corners @ turn.T + origin
    low = np.clip(np.floor(places.min(axis=0)) - margin, 0, (width, height))
    high = np.clip(np.ceil(places.max(axis=0)) + margin, 0, (width, height))
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])
