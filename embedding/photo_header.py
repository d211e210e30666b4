"""What a photo file says about itself, read without decoding a pixel.

Size and orientation are read here, and metadata is left out of what the decoder gets: hostile
metadata (compressed text, broken EXIF, colour profiles) then reaches no parser but this one,
and the pixel limit holds before the decoder has allocated anything.
"""

import re
import struct
from dataclasses import dataclass
from typing import Final, Literal

from embedding.errors import PhotoUnreadable

Format = Literal["JPEG", "PNG", "WEBP"]

_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
# What decides about pixels; animation, text, EXIF and colour profiles are left out.
_PNG_PIXEL_CHUNKS: Final = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})

_JPEG_START_OF_SCAN: Final = 0xDA
_JPEG_STANDALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Huffman and arithmetic tables, quantisation tables, restart interval.
_JPEG_TABLES: Final = frozenset({0xC4, 0xCC, 0xDB, 0xDD})

_JPEG_END: Final = 0xD9
_JPEG_MARKER: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# A progressive JPEG has about ten scans. A scan may take 20 bytes and makes the decoder go over
# every pixel: 57 kB of 9 million pixels took two seconds, and 20 MB would take hours.
_MAX_JPEG_SCANS: Final = 100

_EXIF_PREFIX: Final = b"Exif\x00\x00"
_ORIENTATION_TAG: Final = 0x0112


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoHeader:
    """The header of a photo file.

    Attributes:
        format: of the file.
        width: in stored pixels, before the orientation is applied.
        height: in stored pixels.
        orientation: EXIF 1 to 8; 1 when there is none or it is broken.
        stripped: the file without metadata, for the decoder; a WebP file is left as it is, for
            its decoder looks at no metadata.
    """

    format: Format
    width: int
    height: int
    orientation: int
    stripped: bytes


def read_header(data: bytes) -> PhotoHeader:
    """The header of a JPEG, PNG or WebP file.

    Raises:
        PhotoUnreadable: another format, a damaged header, or a JPEG of very many scans.
    """
    try:
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data.startswith(_PNG_SIGNATURE):
            return _png(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError) as error:
        raise PhotoUnreadable("the photo's header is damaged or cut off") from error
    raise PhotoUnreadable(
        "the file is no JPEG, PNG or WebP photo" if data else "the file is empty (0 bytes)"
    )


def _jpeg(data: bytes) -> PhotoHeader:
    """Walk the segments up to the first scan; the rest is pixels."""
    kept = [data[:2]]
    place, size, orientation = 2, None, 1
    while True:
        marker_place = data.find(b"\xff", place)
        if marker_place < 0:
            raise PhotoUnreadable("the JPEG file ends before its pixels begin")
        marker = data[marker_place + 1]
        if marker in (0x00, 0xFF) or marker in _JPEG_STANDALONE:
            place = marker_place + (1 if marker == 0xFF else 2)
            continue
        if marker == _JPEG_START_OF_SCAN:
            break
        (length,) = struct.unpack_from(">H", data, marker_place + 2)
        if length < 2:
            raise PhotoUnreadable("the JPEG file's header is damaged")
        place = marker_place + 2 + length
        content = data[marker_place + 4 : place]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, 1)
            if size is not None:
                raise PhotoUnreadable("the JPEG file announces two sizes")
            size = (width, height)
        elif marker == 0xE1 and content.startswith(_EXIF_PREFIX) and orientation == 1:
            orientation = _orientation(content)
        if _decides_about_pixels(marker, content):
            kept.append(data[marker_place:place])
    if size is None:
        raise PhotoUnreadable("the JPEG file announces no size")
    _check_scans(data, marker_place)
    kept.append(data[marker_place:])
    return _header("JPEG", size, orientation, b"".join(kept))


def _check_scans(data: bytes, place: int) -> None:
    """Count the scans from the first one to the picture's end; what follows it does not count."""
    num_scans = 0
    while found := _JPEG_MARKER.search(data, place):
        marker = data[found.end() - 1]
        if marker == _JPEG_END:
            return
        num_scans += marker == _JPEG_START_OF_SCAN
        if num_scans > _MAX_JPEG_SCANS:
            raise PhotoUnreadable(
                f"the JPEG file has more than {_MAX_JPEG_SCANS} scans; save the photo again"
            )
        place = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")


def _decides_about_pixels(marker: int, content: bytes) -> bool:
    """Whether the decoder needs a segment: frames, tables, and the JFIF and Adobe marks.

    From these marks the decoder knows the colour space. Everything else is left out, unknown
    segments too: a decoder that does not skip them would find metadata inside.
    """
    if marker == 0xE0:
        return content.startswith(b"JFIF\x00")
    if marker == 0xEE:
        return content.startswith(b"Adobe")
    return marker in _JPEG_FRAMES or marker in _JPEG_TABLES


def _png(data: bytes) -> PhotoHeader:
    if data[12:16] != b"IHDR":
        raise PhotoUnreadable("the PNG file does not begin with its header")
    kept = [_PNG_SIGNATURE]
    place, orientation = len(_PNG_SIGNATURE), 1
    while place < len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if kind == b"IHDR" and len(kept) > 1:
            raise PhotoUnreadable("the PNG file has two headers")
        if kind in _PNG_PIXEL_CHUNKS:
            kept.append(data[place:end])
        elif kind == b"eXIf":
            orientation = _orientation(data[place + 8 : end - 4])
        if kind == b"IEND":
            break
        place = end
    size = struct.unpack_from(">II", data, 16)
    return _header("PNG", (size[0], size[1]), orientation, b"".join(kept))


def _webp(data: bytes) -> PhotoHeader:
    kind = data[12:16]
    if kind == b"VP8X":
        width = int.from_bytes(data[24:27], "little") + 1
        height = int.from_bytes(data[27:30], "little") + 1
    elif kind == b"VP8L" and data[20] == 0x2F:
        (bits,) = struct.unpack_from("<I", data, 21)
        width, height = (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1
    elif kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    else:
        raise PhotoUnreadable("the WebP file's header is damaged")
    if len(data) < 30:
        raise PhotoUnreadable("the WebP file ends within its header")
    return _header("WEBP", (width, height), _webp_orientation(data), data)


def _webp_orientation(data: bytes) -> int:
    place = 12
    while place + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, place)
        if kind == b"EXIF":
            return _orientation(data[place + 8 : place + 8 + length])
        place += 8 + length + length % 2
    return 1


def _header(kind: Format, size: tuple[int, int], orientation: int, stripped: bytes) -> PhotoHeader:
    width, height = size
    if width < 1 or height < 1:
        raise PhotoUnreadable(f"the photo announces {width} x {height} pixels")
    return PhotoHeader(
        format=kind, width=width, height=height, orientation=orientation, stripped=stripped
    )


def _orientation(exif: bytes) -> int:
    """The orientation tag of the first directory, 1 to 8; 1 for anything broken."""
    tiff = exif.removeprefix(_EXIF_PREFIX)
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", tiff, 4)
        (num_entries,) = struct.unpack_from(order + "H", tiff, directory)
        for entry in range(num_entries):
            place = directory + 2 + 12 * entry
            tag, kind, _, value = struct.unpack_from(order + "HHIH", tiff, place)
            if tag == _ORIENTATION_TAG:
                return value if kind == 3 and 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
