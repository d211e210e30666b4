"""Changes a training crop the way cameras, crops and archives change faces.

Every change draws from one generator that is seeded by run, epoch and image, so that a resumed
run sees the same images as an unbroken one, whatever the number of worker processes.
"""

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from training.config import AugmentConfig

_SHRINK = (Image.Resampling.BOX, Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
_ENLARGE = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)


def augment(
    crop_HWC: NDArray[np.uint8], rng: np.random.Generator, config: AugmentConfig
) -> NDArray[np.uint8]:
    """A changed copy of a crop.

    Args:
        crop_HWC: RGB, uint8, any size; stays as it is.
        rng: source of every draw.
        config: probabilities and ranges.

    Returns:
        RGB, uint8, of the same shape.
    """
    image = Image.fromarray(crop_HWC)
    if rng.random() < config.mirror:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < config.geometry:
        image = _shift_turn_zoom(image, rng, config)
    if rng.random() < config.low_resolution:
        image = _lower_resolution(image, rng, config.min_resolution_px)
    if rng.random() < config.blur:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.4, 1.6)))
    if rng.random() < config.jpeg:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=int(rng.integers(20, 81)))
        image = Image.open(buffer)
    pixels = np.array(image)
    if rng.random() < config.colour:
        pixels = _shift_colour(pixels, rng)
    if rng.random() < config.grey:
        pixels[:] = (pixels @ np.array([0.299, 0.587, 0.114]))[..., None].astype(np.uint8)
    if rng.random() < config.erase:
        _erase(pixels, rng)
    return pixels


def _shift_turn_zoom(
    image: Image.Image, rng: np.random.Generator, config: AugmentConfig
) -> Image.Image:
    angle = math.radians(rng.uniform(-config.max_rotation_deg, config.max_rotation_deg))
    zoom = 1 + rng.uniform(-config.max_zoom, config.max_zoom)
    dx, dy = rng.uniform(-config.max_shift_px, config.max_shift_px, 2)
    cx, cy = image.width / 2, image.height / 2
    cos, sin = math.cos(angle) / zoom, math.sin(angle) / zoom
    inverse = (
        cos, -sin, cx - cos * (cx + dx) + sin * (cy + dy),
        sin, cos, cy - sin * (cx + dx) - cos * (cy + dy),
    )  # fmt: skip
    return image.transform(
        image.size, Image.Transform.AFFINE, inverse, resample=Image.Resampling.BILINEAR
    )


def _lower_resolution(
    image: Image.Image, rng: np.random.Generator, min_resolution_px: int
) -> Image.Image:
    # Log-uniform: a halving is as likely from 80 to 40 px as from 40 to 20 px.
    low, high = math.log(min_resolution_px), math.log(0.75 * image.width)
    size = round(math.exp(rng.uniform(low, high)))
    small = image.resize((size, size), _SHRINK[rng.integers(len(_SHRINK))])
    return small.resize(image.size, _ENLARGE[rng.integers(len(_ENLARGE))])


def _shift_colour(pixels_HWC: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    values = pixels_HWC.astype(np.float32)
    grey = values.mean(axis=2, keepdims=True)
    values = grey + (values - grey) * np.float32(rng.uniform(0.6, 1.4))
    mean = np.float32(grey.mean())
    values = mean + (values - mean) * np.float32(rng.uniform(0.6, 1.4))
    values *= np.float32(rng.uniform(0.55, 1.4))
    changed_HWC: NDArray[np.uint8] = np.clip(values, 0, 255).astype(np.uint8)
    return changed_HWC


def _erase(pixels_HWC: NDArray[np.uint8], rng: np.random.Generator) -> None:
    height, width = pixels_HWC.shape[:2]
    area = rng.uniform(0.02, 0.15) * height * width
    ratio = math.exp(rng.uniform(math.log(0.4), math.log(2.5)))
    h = min(height, max(1, round(math.sqrt(area * ratio))))
    w = min(width, max(1, round(math.sqrt(area / ratio))))
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    pixels_HWC[top : top + h, left : left + w] = rng.integers(0, 256, 3)
