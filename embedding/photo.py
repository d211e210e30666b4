"""The bytes of a photo -> upright RGB pixels.

JPEG, PNG and WebP, told apart by their first bytes, never by a name. Of an animation the first
frame counts, of a multi-picture JPEG the first picture. Transparent pixels are laid on white,
as most viewers show them. 16-bit grey is scaled, not clipped. Embedded colour profiles are not
applied. Nothing is written to a file.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from embedding.errors import PhotoTooLarge, PhotoTooManyPixels, PhotoUnreadable
from embedding.photo_header import PhotoHeader, read_header

# The readers are called directly: Image.open would first warn about, or refuse, sizes by a
# limit of its own that is a global variable.
_READERS: Final[dict[str, type[ImageFile]]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
}

# What Pillow and its codecs raise on damaged input; found by fuzzing and by reading them.
_BROKEN: Final = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    MemoryError,
    AssertionError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)

# EXIF orientation -> what makes the photo upright (EXIF 2.32, tag 0x0112).
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoLimits:
    """What is refused before a pixel is decoded.

    Attributes:
        max_bytes: of the file; 20 MiB holds any camera's JPEG.
        max_pixels: width times height as the header announces it; 50 million is beyond common
            cameras, and decoding so many takes about half a second and 400 MB.
    """

    max_bytes: int = 20 * 1024 * 1024
    max_pixels: int = 50_000_000


def decode_photo(data: bytes, *, limits: PhotoLimits | None = None) -> NDArray[np.uint8]:
    """The photo as it is meant to be seen.

    Args:
        data: the bytes of a JPEG, PNG or WebP file.
        limits: checked in this order, before anything is decoded.

    Returns:
        uint8 (H, W, 3), RGB, EXIF orientation applied; read-only.

    Raises:
        PhotoTooLarge: more bytes than the limit.
        PhotoTooManyPixels: the header announces more pixels than the limit.
        PhotoUnreadable: another format, empty, damaged or cut off.
    """
    limits = limits or PhotoLimits()
    if len(data) > limits.max_bytes:
        raise PhotoTooLarge(f"the photo has {len(data)} bytes, at most {limits.max_bytes} allowed")
    header = read_header(data)
    if header.width * header.height > limits.max_pixels:
        raise PhotoTooManyPixels(
            f"the photo has {header.width} x {header.height} pixels, at most "
            f"{limits.max_pixels} allowed; make it smaller"
        )
    try:
        return _decode(header)
    except _BROKEN as error:
        raise PhotoUnreadable(
            f"the {header.format} file is damaged or cut off; save the photo again"
        ) from error


def quarter_turn(photo_HWC: NDArray[np.uint8], turns: int) -> NDArray[np.uint8]:
    """The photo rotated counter-clockwise by ``turns`` times 90 degrees, contiguous."""
    return np.ascontiguousarray(np.rot90(photo_HWC, turns))


def _decode(header: PhotoHeader) -> NDArray[np.uint8]:
    with _READERS[header.format](io.BytesIO(header.stripped)) as stored:
        if stored.size != (header.width, header.height):
            raise PhotoUnreadable(f"the {header.format} file announces two sizes")
        stored.load()
        image = _rgb(stored)
    upright = _UPRIGHT.get(header.orientation)
    return np.asarray(image if upright is None else image.transpose(upright))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.uint32).clip(0, 65535)
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and image.palette is None:
        raise PhotoUnreadable("the photo refers to a palette that it does not hold")
    if image.has_transparency_data:
        layered = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(layered, mask=layered.getchannel("A"))
        return white
    return image.convert("RGB")
