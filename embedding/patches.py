"""Pixels of a photo at the sizes that the detector's nets take."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from embedding.boxes import Boxes


def pyramid(
    image: Image.Image, *, first_scale: float, factor: float, min_side_px: int
) -> Iterator[Image.Image]:
    """The photo at falling sizes, as long as its shorter side has ``min_side_px``.

    All later levels are made from the first one: resizing the whole photo for each would cost
    more than the net that looks at them.
    """
    scale = first_scale
    source = image
    while round(min(image.size) * scale) >= min_side_px:
        width, height = (round(side * scale) for side in image.size)
        level = source.resize((width, height), Image.Resampling.BILINEAR)
        yield level
        if source is image and scale < 1.0:
            source = level
        scale *= factor


def cut_patches(image: Image.Image, boxes_N4: Boxes, *, side_px: int) -> NDArray[np.uint8]:
    """Squares of a photo at one size, uint8 (N, side_px, side_px, 3); black beyond the edge."""
    patches = np.empty((len(boxes_N4), side_px, side_px, 3), np.uint8)
    for patch, box in zip(patches, boxes_N4.tolist(), strict=True):
        patch[:] = np.asarray(_cut(image, box, side_px))
    return patches


def _cut(image: Image.Image, box: list[float], side_px: int) -> Image.Image:
    left, top, right, bottom = box
    if left < 0 or top < 0 or right > image.width or bottom > image.height:
        outer_left, outer_top = int(np.floor(left)), int(np.floor(top))
        image = image.crop((outer_left, outer_top, int(np.ceil(right)), int(np.ceil(bottom))))
        left, right = left - outer_left, right - outer_left
        top, bottom = top - outer_top, bottom - outer_top
    return image.resize(
        (side_px, side_px),
        Image.Resampling.BILINEAR,
        box=(left, top, min(right, image.width), min(bottom, image.height)),
        reducing_gap=2.0,
    )


def cut_upright_patches(
    image: Image.Image, boxes_N4: Boxes, rolls_rad_N: NDArray[np.floating], *, side_px: int
) -> NDArray[np.uint8]:
    """Like ``cut_patches``, each square turned about its centre so that a tilted face is upright.

    Args:
        image: the photo.
        boxes_N4: squares.
        rolls_rad_N: clockwise tilt of each face, as seen in the photo.
        side_px: of a patch.
    """
    # A square half as large again holds the turned one; twice the resolution survives turning.
    margin, oversampling = 1.5, 2
    wide_px = round(margin * oversampling * side_px)
    border = (wide_px - oversampling * side_px) // 2
    centres_N2 = (boxes_N4[:, :2] + boxes_N4[:, 2:]) / 2
    halves_N1 = margin * (boxes_N4[:, 2:] - boxes_N4[:, :2]).max(axis=1, keepdims=True) / 2
    wide_N4 = np.concatenate([centres_N2 - halves_N1, centres_N2 + halves_N1], axis=1)
    patches = np.empty((len(boxes_N4), side_px, side_px, 3), np.uint8)
    for patch, box, roll in zip(patches, wide_N4.tolist(), rolls_rad_N.tolist(), strict=True):
        wide = _cut(image, box, wide_px)
        upright = wide.rotate(np.degrees(roll), resample=Image.Resampling.BILINEAR)
        inner = upright.crop((border, border, wide_px - border, wide_px - border))
        patch[:] = np.asarray(inner.reduce(oversampling))
    return patches
