"""Encoded crops -> pixels. Shape legend: B images, H, W height and width, C colours."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedding.align import CROP_SIZE_PX
from embedding.errors import DataInvalid, PhotoError
from embedding.photo import decode_photo
from embedding.photo_header import read_header

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def decode_crop(encoded: bytes, name: str) -> NDArray[np.uint8]:
    """An encoded aligned crop as (112, 112, 3) RGB uint8, read-only.

    Args:
        encoded: JPEG, PNG or WebP.
        name: what to call it in a message.

    Raises:
        DataInvalid: no image, a damaged one, or one of another size; the message names it.
    """
    try:
        header = read_header(encoded)
        if (header.width, header.height) == (CROP_SIZE_PX, CROP_SIZE_PX):
            return decode_photo(encoded)
    except PhotoError as error:
        raise DataInvalid(f"{name} cannot be read as an image: {error}") from error
    raise DataInvalid(
        f"{name} is {header.width}x{header.height} pixels; aligned crops are "
        f"{CROP_SIZE_PX}x{CROP_SIZE_PX}: make them with python -m training align"
    )


def load_crops(paths: tuple[Path, ...]) -> NDArray[np.uint8]:
    """Reads files of aligned crops into one (B, 112, 112, 3) RGB uint8 array.

    Raises:
        DataInvalid: a file that is missing, no image, or of another size, with its path.
    """
    crops_BHWC = np.empty((len(paths), CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
    for row, path in enumerate(paths):
        try:
            encoded = path.read_bytes()
        except OSError as error:
            raise DataInvalid(f"{path} cannot be read: {error}") from error
        crops_BHWC[row] = decode_crop(encoded, str(path))
    return crops_BHWC
