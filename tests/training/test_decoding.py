"""Encoded crops become pixels, or a message that names them."""

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from embedding.errors import DataInvalid
from training.data.decoding import decode_crop, load_crops


def smooth_crop() -> NDArray[np.uint8]:
    """A crop of gentle gradients, which every format keeps nearly as they are."""
    rows, columns = np.mgrid[0:112, 0:112]
    return np.stack([rows * 2, columns * 2, rows + columns], axis=2).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of a file."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


CROP = Image.fromarray(smooth_crop())
FILES = [encoded(CROP, kind) for kind in ("JPEG", "PNG", "WEBP")]


@pytest.mark.parametrize("file", FILES, ids=["jpeg", "png", "webp"])
def test_every_format_gives_rgb_pixels(file: bytes) -> None:
    """Red, green and blue in this order, close to what was encoded."""
    pixels = decode_crop(file, "x")
    assert pixels.shape == (112, 112, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - smooth_crop()).mean() < 4


def test_lossless_files_give_their_very_pixels() -> None:
    """PNG comes back exactly."""
    np.testing.assert_array_equal(decode_crop(FILES[1], "x"), smooth_crop())


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK"])
def test_every_kind_of_pixel_becomes_rgb(mode: str) -> None:
    """Grey, transparent, palette and printing colours."""
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert decode_crop(encoded(CROP.convert(mode), kind), "x").shape == (112, 112, 3)


def test_a_palette_with_transparency_is_read_without_a_warning() -> None:
    """A warning for each of a million images would drown all others."""
    file = encoded(CROP.quantize(16), "PNG", transparency=bytes([0, 128]))
    assert decode_crop(file, "x").shape == (112, 112, 3)


def test_grey_of_sixteen_bits_is_scaled() -> None:
    """A crop whose shades lie above 255 is not white."""
    shades = smooth_crop()[..., 0].astype(np.uint16) * 257
    pixels = decode_crop(encoded(Image.fromarray(shades), "PNG"), "x")
    assert np.abs(pixels[..., 0].astype(int) - smooth_crop()[..., 0]).max() <= 1


@pytest.mark.parametrize(
    "kind",
    ["GIF", "BMP", "TIFF", "PPM"],
)
def test_other_formats_are_refused(kind: str) -> None:
    """The reader of each further format is a risk of its own; EPS even starts a program."""
    with pytest.raises(DataInvalid, match="photo of ann"):
        decode_crop(encoded(CROP, kind), "photo of ann")


def test_a_crop_of_another_size_is_refused() -> None:
    """Photographs must be aligned first; the message names both sizes and the command."""
    file = encoded(Image.new("RGB", (200, 150)), "PNG")
    with pytest.raises(DataInvalid, match=r"ann/1\.png is 200x150 .* 112x112: .* align"):
        decode_crop(file, "ann/1.png")


def giant_png(width: int, height: int) -> bytes:
    """A PNG whose header promises more than the file holds."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [head, b"IDAT" + zlib.compress(b""), b"IEND"]
    body = b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_giants_are_refused_by_their_header(side: int) -> None:
    """No memory is asked for, and no warning of the library's own comes first."""
    with pytest.raises(DataInvalid, match="bomb"):
        decode_crop(giant_png(side, side), "bomb")


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image_is_named(content: bytes) -> None:
    """The name stands in the message."""
    with pytest.raises(DataInvalid, match=r"broken\.jpg cannot be read as an image"):
        decode_crop(content, "broken.jpg")


@pytest.mark.parametrize("file", FILES, ids=["jpeg", "png", "webp"])
def test_a_file_that_breaks_off_is_refused(file: bytes) -> None:
    """Half a crop is not padded with grey."""
    with pytest.raises(DataInvalid, match="half"):
        decode_crop(file[: len(file) // 2], "half")


@given(data=st.data(), file=st.sampled_from(FILES))
def test_any_damage_gives_data_invalid_or_a_crop(data: st.DataObject, file: bytes) -> None:
    """Bytes changed anywhere, cut off anywhere: our own error or pixels of the right shape."""
    damaged = bytearray(file)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(1, len(file))) :]
    with suppress(DataInvalid):
        assert decode_crop(bytes(damaged), "x").shape == (112, 112, 3)


def test_files_are_loaded_in_their_order(tmp_path: Path) -> None:
    """One row a file, as asked for."""
    for shade in (10, 200):
        Image.new("RGB", (112, 112), (shade, 0, 0)).save(tmp_path / f"{shade}.png")
    crops = load_crops((tmp_path / "200.png", tmp_path / "10.png", tmp_path / "200.png"))
    assert crops.shape == (3, 112, 112, 3)
    assert crops[:, 0, 0, 0].tolist() == [200, 10, 200]


def test_no_files_give_no_crops() -> None:
    """The shape is right even then."""
    assert load_crops(()).shape == (0, 112, 112, 3)


def test_a_file_that_is_no_image_is_named(tmp_path: Path) -> None:
    """The path stands in the message."""
    file = tmp_path / "broken.jpg"
    file.write_bytes(b"not an image")
    with pytest.raises(DataInvalid, match=r"broken\.jpg"):
        load_crops((file,))


def test_a_file_that_is_missing_is_named(tmp_path: Path) -> None:
    """So does the path of one that is not there."""
    with pytest.raises(DataInvalid, match=r"missing\.jpg cannot be read"):
        load_crops((tmp_path / "missing.jpg",))
