"""Files for hostile uploads: photos of every accepted kind, and what is none."""

import io
import struct
import time
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np
from PIL import Image

_LONG_AGO = time.gmtime(0)
"""Where a file holds a time: the same in every run."""


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """An image as a file's bytes."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def variants(portrait: Image.Image) -> Mapping[str, bytes]:
    """The portrait in every kind of file that is accepted, a plain JPEG first."""
    rgb = portrait.convert("RGB")
    dark = rgb.point(lambda value: value // 2)
    deep = Image.fromarray(np.asarray(rgb.convert("L")).astype(np.uint16) * 257)
    see_through = rgb.copy()
    see_through.putalpha(rgb.convert("L"))
    frames = {"save_all": True, "append_images": [dark, rgb], "duration": 40}
    return {
        "JPEG": saved(rgb, "JPEG", quality=90),
        "JPEG progressive": saved(rgb, "JPEG", progressive=True),
        "JPEG grey": saved(rgb.convert("L"), "JPEG"),
        "JPEG CMYK": saved(rgb.convert("CMYK"), "JPEG"),
        "JPEG of several pictures": saved(rgb, "MPO", save_all=True, append_images=[dark]),
        "PNG": saved(rgb, "PNG"),
        "PNG with alpha": saved(see_through, "PNG"),
        "PNG palette": saved(rgb.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
        "PNG 16 bit": saved(deep, "PNG"),
        "PNG one bit": saved(rgb.convert("1"), "PNG"),
        "PNG grey with alpha": saved(see_through.convert("LA"), "PNG"),
        "PNG animated": saved(rgb, "PNG", **frames),
        "WebP": saved(rgb, "WEBP"),
        "WebP lossless": saved(rgb, "WEBP", lossless=True),
        "WebP with alpha": saved(see_through, "WEBP"),
        "WebP animated": saved(rgb, "WEBP", **frames),
    }


def other_formats(portrait: Image.Image) -> Mapping[str, bytes]:
    """Files that are no JPEG, PNG or WebP, whatever they are called."""
    rgb = portrait.convert("RGB").resize((160, 160))
    svg = (
        b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
        b'<svg xmlns="http://www.w3.org/2000/svg"><text>&a;</text></svg>'
    )
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(zipfile.ZipInfo("zeros"), bytes(10_000_000), zipfile.ZIP_DEFLATED)
        zipped.writestr(zipfile.ZipInfo("../../a.jpg"), saved(rgb, "JPEG"))
    return {
        "GIF": saved(rgb, "GIF"),
        "GIF animated": saved(rgb, "GIF", save_all=True, append_images=[rgb.rotate(9)]),
        "BMP": saved(rgb, "BMP"),
        "TIFF": saved(rgb, "TIFF"),
        "ICO": saved(rgb, "ICO"),
        "PPM": saved(rgb, "PPM"),
        "JPEG 2000": saved(rgb, "JPEG2000"),
        "PDF": saved(rgb, "PDF", creationDate=_LONG_AGO, modDate=_LONG_AGO),
        "EPS": saved(rgb, "EPS"),
        "SVG": svg,
        "ZIP": archive.getvalue(),
        "gzip": zlib.compress(bytes(1_000_000), wbits=31),
        "text": b"This is no photo, whatever its name says.\n" * 100,
        "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(1000),
        "AVIF": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(1000),
    }


def with_exif(jpeg: bytes, *, orientation: int) -> bytes:
    """The JPEG with an EXIF block that holds this orientation, sensible or not."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    block = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + bytes(4)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + jpeg[2:]


def chunk(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG with its checksum."""
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png_of(header: bytes, data: bytes) -> bytes:
    """A PNG of a header's fields and packed rows."""
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks)
