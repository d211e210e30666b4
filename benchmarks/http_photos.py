"""Requests as a service meets them: photos of many sizes, and a share of bad ones."""

import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

from benchmarks.http_callers import Prepared, prepare

SIZES = ((160, 120), (320, 240), (500, 375), (640, 480), (800, 600), (1024, 768), (1600, 1200))


def photo_on_canvas(photo: Path, size: tuple[int, int], *, kind: str = "JPEG") -> bytes:
    """A portrait, as high as a grey canvas of this size, as a file's bytes."""
    with Image.open(photo) as image:
        canvas = Image.new("RGB", size, (96, 96, 96))
        portrait = image.convert("RGB")
        portrait = portrait.resize((portrait.width * size[1] // portrait.height, size[1]))
        canvas.paste(portrait, ((size[0] - portrait.width) // 2, 0))
    buffer = io.BytesIO()
    canvas.save(buffer, kind, quality=90)
    return buffer.getvalue()


def mixed_requests(
    url: str, samples: Mapping[str, Path], *, headers: Mapping[str, str]
) -> list[Prepared]:
    """Identifications of photos of seven sizes, a group, an empty scene, and ten bad requests."""
    portraits = [
        photo_on_canvas(samples[name], size, kind=kind)
        for name in ("astronaut", "hopper")
        for size, kind in zip(SIZES, ("PNG", "WEBP", *["JPEG"] * 5), strict=True)
    ]
    photos = [*portraits, samples["t1"].read_bytes(), _empty_scene()]
    good = [_identify(url, photo, headers=headers) for photo in photos]
    return [*good, *good, *_bad(url, portraits[3], headers=headers)]


def _identify(
    url: str, photo: bytes, *, headers: Mapping[str, str], status: int = 200, **data: str
) -> Prepared:
    return prepare(
        url,
        "/v1/identify",
        headers=headers,
        files=[("photo", ("photo", photo))],
        data=data,
        status=status,
    )


def _empty_scene() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (640, 480), (90, 140, 90)).save(buffer, "JPEG")
    return buffer.getvalue()


def _bad(url: str, photo: bytes, *, headers: Mapping[str, str]) -> list[Prepared]:
    key = {"Authorization": "Bearer fg_000000000000_" + "0" * 43}
    too_wide = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + (30_000).to_bytes(4, "big") * 2 + b"\x08\2\0\0\0"
    return [
        _identify(url, photo[: len(photo) // 2], headers=headers, status=422),
        _identify(url, b"", headers=headers, status=422),
        _identify(url, b"no photo at all" * 1000, headers=headers, status=422),
        _identify(url, too_wide + bytes(4), headers=headers, status=413),
        _identify(url, photo, headers=key, status=401),
        _identify(url, photo, headers=headers, status=404, gallery="absent"),
        _identify(url, photo, headers=headers, status=422, num_candidates="1e309"),
        _identify(url, photo, headers=headers, status=422, unknown="field"),
        prepare(url, "/v1/identify", headers=headers, json={"photo": "no base64!"}, status=422),
        prepare(url, "/v1/identify", headers=headers, json=[[[]]], status=422),
    ]
