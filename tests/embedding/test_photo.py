"""Decoding: every accepted kind of photo, and every kind of bad input."""

import io
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageOps

from embedding.errors import PhotoError, PhotoTooLarge, PhotoTooManyPixels, PhotoUnreadable
from embedding.photo import PhotoLimits, decode_photo, quarter_turn
from tests.fakes import photo_bytes


def gradient(width: int = 40, height: int = 24) -> NDArray[np.uint8]:
    """A photo in which every corner differs."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 6, y * 10, 255 - x * 3 - y * 3], axis=2).clip(0, 255).astype(np.uint8)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """One chunk of a PNG file."""
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png_header(width: int, height: int) -> bytes:
    """A PNG file that announces a size and ends."""
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_accepted_formats(kind: str) -> None:
    """JPEG, PNG and WebP give the pixels that were saved."""
    pixels = gradient()
    options: dict[str, dict[str, Any]] = {
        "PNG": {},
        "JPEG": {"quality": 98, "subsampling": 0},
        "WEBP": {"lossless": True},
    }
    photo = decode_photo(photo_bytes(Image.fromarray(pixels), kind=kind, **options[kind]))
    assert photo.shape == (24, 40, 3)
    assert photo.dtype == np.uint8
    assert np.abs(photo.astype(int) - pixels).max() <= (6 if kind == "JPEG" else 0)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(kind: str, orientation: int) -> None:
    """All eight EXIF orientations give what Pillow's own transposition gives."""
    data = photo_bytes(
        Image.fromarray(gradient()), kind=kind, exif_orientation=orientation, quality=95
    )
    stored = Image.open(io.BytesIO(data))
    expected = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"))
    assert np.array_equal(decode_photo(data), expected)


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\x00\x00",
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
        b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff",
        b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x63\x00",
        b"Exif\x00\x00nonsense",
    ],
)
def test_broken_exif_is_ignored(exif: bytes) -> None:
    """A photo with broken EXIF decodes as if it had none, without a warning."""
    pixels = Image.fromarray(gradient())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photo = decode_photo(photo_bytes(pixels, kind="JPEG", exif=exif))
    assert np.array_equal(photo, decode_photo(photo_bytes(pixels, kind="JPEG")))


def test_sixteen_bit_grey_is_scaled() -> None:
    """16-bit grey keeps its gradation: it is scaled to 8 bits, not clipped."""
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(1, 256)
    photo = decode_photo(photo_bytes(Image.fromarray(values)))
    assert np.array_equal(photo[0, :, 0], np.arange(256))
    assert np.array_equal(photo[..., 0], photo[..., 2])


def test_sixteen_bit_color() -> None:
    """A 16-bit RGB PNG gives its high bytes."""
    row = b"\x00" + struct.pack(">6H", 0xFFFF, 0x8000, 0, 0x1234, 0, 0xFF00)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
        + png_chunk(b"IDAT", zlib.compress(row))
        + png_chunk(b"IEND", b"")
    )
    assert decode_photo(data).tolist() == [[[255, 128, 0], [0x12, 0, 255]]]


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA"])
def test_other_modes(mode: str) -> None:
    """Grey, black and white, palette and grey with alpha give three channels."""
    photo = decode_photo(photo_bytes(Image.fromarray(gradient()).convert(mode)))
    expected = np.asarray(Image.fromarray(gradient()).convert(mode).convert("RGB"))
    assert np.array_equal(photo, expected)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_transparency_lies_on_white(kind: str) -> None:
    """Transparent pixels become white, half transparent ones half white."""
    pixels = np.zeros((2, 3, 4), np.uint8)
    pixels[:, 0, 3], pixels[:, 1, 3], pixels[:, 2, 3] = 0, 128, 255
    photo = decode_photo(photo_bytes(Image.fromarray(pixels), kind=kind, lossless=True))
    assert np.abs(photo[0, :, 0].astype(int) - [255, 127, 0]).max() <= 1


def test_palette_with_transparency() -> None:
    """The transparent entry of a palette becomes white."""
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60])
    photo = decode_photo(photo_bytes(image, transparency=0))
    assert photo.tolist() == [[[255, 255, 255], [40, 50, 60]]]


def test_cmyk_jpeg() -> None:
    """A CMYK JPEG, stored inverted as Adobe does, shows its colours."""
    red = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    photo = decode_photo(photo_bytes(red, kind="JPEG", quality=95))
    assert np.abs(photo[4, 4].astype(int) - [255, 0, 0]).max() < 8


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animation_gives_first_frame(kind: str) -> None:
    """Of an animation the first frame counts."""
    red, blue = (Image.new("RGB", (8, 8), color) for color in ("#ff0000", "#0000ff"))
    data = photo_bytes(red, kind=kind, save_all=True, append_images=[blue], lossless=True)
    assert np.array_equal(decode_photo(data), np.asarray(red))


def test_multi_picture_jpeg_gives_first_picture() -> None:
    """Of a multi-picture JPEG the first picture counts."""
    red, blue = (Image.new("RGB", (16, 16), color) for color in ("#ff0000", "#0000ff"))
    photo = decode_photo(photo_bytes(red, kind="MPO", save_all=True, append_images=[blue]))
    assert photo[8, 8, 0] > 240


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_narrow_photos(size: tuple[int, int]) -> None:
    """A photo of one pixel's width or height is a photo."""
    assert decode_photo(photo_bytes(Image.new("RGB", size))).shape == (size[1], size[0], 3)


def test_bytes_after_the_photo_are_ignored() -> None:
    """A photo with another file behind it decodes as the photo."""
    data = photo_bytes(Image.fromarray(gradient()))
    assert np.array_equal(decode_photo(data + b"<html>" * 100), gradient())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello, this is text with a .jpg name",
        b"GIF89a" + bytes(40),
        b"BM" + bytes(60),
        b"%PDF-1.4",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x00\x00\x00\x00WEBP",
        b"RIFF\x00\x00\x00\x00WEBPVP8 ",
    ],
)
def test_other_files_are_refused(data: bytes) -> None:
    """Empty files, other formats and bare signatures are no photos."""
    with pytest.raises(PhotoUnreadable):
        decode_photo(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_truncated_files_are_refused(kind: str, share: float) -> None:
    """A file that is cut off is refused, not padded with grey."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = photo_bytes(Image.fromarray(noise), kind=kind)
    with pytest.raises(PhotoUnreadable):
        decode_photo(data[: int(len(data) * share)])


def test_byte_limit() -> None:
    """The byte limit holds exactly and before the content is looked at."""
    data = photo_bytes(Image.fromarray(gradient()))
    decode_photo(data, limits=PhotoLimits(max_bytes=len(data)))
    with pytest.raises(PhotoTooLarge):
        decode_photo(b"x" * 101, limits=PhotoLimits(max_bytes=100))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_pixel_limit(kind: str) -> None:
    """The pixel limit holds exactly, for each format."""
    data = photo_bytes(Image.fromarray(gradient(40, 24)), kind=kind)
    decode_photo(data, limits=PhotoLimits(max_pixels=960))
    with pytest.raises(PhotoTooManyPixels):
        decode_photo(data, limits=PhotoLimits(max_pixels=959))


@pytest.mark.parametrize("side", [9_000, 12_000, 30_000, 2**31 - 1])
def test_pixel_bombs_are_refused_by_header(side: int) -> None:
    """A huge announced size is refused without a warning and without decoding."""
    with pytest.raises(PhotoTooManyPixels):
        decode_photo(png_header(side, side))


def test_webp_bomb_is_refused_by_header() -> None:
    """A WebP canvas of 16,777,216 pixels a side is refused before it is allocated."""
    content = b"\x00" * 4 + b"\xff" * 6
    data = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + content
    with pytest.raises(PhotoTooManyPixels):
        decode_photo(data)


def test_two_sizes_are_refused() -> None:
    """A JPEG with two frame headers is refused: the limit would hold for one of them."""
    data = photo_bytes(Image.fromarray(gradient()), kind="JPEG")
    place = data.index(b"\xff\xc0")
    frame = data[place : place + 19]
    with pytest.raises(PhotoUnreadable):
        decode_photo(data[:place] + frame + data[place:])


def test_compressed_text_is_not_unpacked() -> None:
    """A PNG text bomb in the metadata reaches no parser."""
    data = photo_bytes(Image.fromarray(gradient()))
    bomb = png_chunk(b"zTXt", b"a\x00\x00" + zlib.compress(bytes(100_000_000)))
    assert np.array_equal(decode_photo(data[:33] + bomb + data[33:]), gradient())


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_quarter_turn(turns: int) -> None:
    """Four quarter turns in all give the photo back; one brings the right edge to the top."""
    photo = gradient()
    turned = quarter_turn(photo, turns)
    assert turned.flags.c_contiguous
    assert np.array_equal(quarter_turn(turned, 4 - turns), photo)
    if turns == 1:
        assert np.array_equal(turned[0], photo[:, -1])


def test_missing_palette_is_refused() -> None:
    """A palette PNG without its palette is damaged."""
    data = photo_bytes(Image.fromarray(gradient()).convert("P"))
    place = data.index(b"PLTE") - 4
    (length,) = struct.unpack_from(">I", data, place)
    with pytest.raises(PhotoUnreadable):
        decode_photo(data[:place] + data[place + 12 + length :])


def test_metadata_in_an_unknown_segment_is_ignored() -> None:
    """EXIF hidden inside an unknown JPEG segment reaches no parser."""
    data = photo_bytes(Image.fromarray(gradient()), kind="JPEG")
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\xff\xff\xff\xff"
    inner = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    outer = b"\xff\xf3" + struct.pack(">H", len(inner) + 2) + inner
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photo = decode_photo(data[:2] + outer + data[2:])
    assert np.array_equal(photo, decode_photo(data))


SEEDS = [
    photo_bytes(Image.fromarray(gradient()), kind=kind, exif_orientation=6)
    for kind in ("PNG", "JPEG", "WEBP")
] + [
    photo_bytes(Image.fromarray(gradient()).convert("P"), transparency=3),
    photo_bytes(Image.fromarray(gradient()).convert("CMYK"), kind="JPEG", progressive=True),
    photo_bytes(Image.fromarray(np.full((9, 9), 40_000, np.uint16))),
    photo_bytes(Image.fromarray(gradient()).convert("RGBA"), kind="WEBP", lossless=True),
]


@settings(max_examples=400, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.builds(
            lambda seed, edits, cut: edited(seed, edits)[: len(seed) - cut],
            st.sampled_from(SEEDS),
            st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
            st.sampled_from([0, 0, 1, 7, 40]),
        ),
    )
)
def test_any_bytes_give_a_photo_or_a_photo_error(data: bytes) -> None:
    """Any bytes at all give a photo or a PhotoError, never another error or a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            photo = decode_photo(data, limits=PhotoLimits(max_pixels=1_000_000))
        except PhotoError:
            return
    assert photo.ndim == 3
    assert photo.shape[2] == 3
    assert photo.dtype == np.uint8


def edited(data: bytes, edits: list[tuple[float, int]]) -> bytes:
    """The file with some bytes replaced, most of them near the beginning."""
    changed = bytearray(data)
    for share, value in edits:
        changed[int(share**2 * (len(changed) - 1))] = value
    return bytes(changed)


def progressive(num_more: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times more."""
    photo = photo_bytes(Image.new("L", (64, 64), 90), kind="JPEG", progressive=True)
    last = photo[photo.rindex(b"\xff\xda") : -2]
    return photo[:-2] + last * num_more + photo[-2:]


def test_jpeg_of_many_scans_is_refused() -> None:
    """A few bytes a scan make the decoder go over all pixels again: their number is limited."""
    assert decode_photo(progressive(50)).shape == (64, 64, 3)
    with pytest.raises(PhotoUnreadable, match="scans"):
        decode_photo(progressive(101))


def test_what_follows_a_jpeg_does_not_count() -> None:
    """A video behind the picture, as some phones write, holds no scans."""
    photo = progressive(0) + b"\xff\xda\x00\x02" * 1000
    assert decode_photo(photo).shape == (64, 64, 3)
