"""A crop of a face as the bytes of a file, and nothing of the photo around it."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def crop_png(crop_HWC: NDArray[np.uint8]) -> bytes:
    """Return a crop, uint8 (H, W, 3) RGB, as a PNG file without metadata; no pixel is changed."""
    stream = io.BytesIO()
    Image.fromarray(crop_HWC).save(stream, "PNG")
    return stream.getvalue()
