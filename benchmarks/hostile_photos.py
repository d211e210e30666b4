"""Uploads as a hostile caller sends them, each made from a seed and its number alone.

What is a photo of its kind is told in `Upload.expected`; what a flipped bit makes of a photo
nobody knows beforehand, and any clear answer will do.
"""

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image

from benchmarks.hostile_files import chunk, other_formats, png_of, variants, with_exif

ACCEPTED: Final = "accepted"
"""Stands for a success, or for a photo that is fine and whose faces are not what was asked for."""

UNREADABLE: Final = frozenset({"photo_unreadable"})
TOO_MANY: Final = frozenset({"photo_too_many_pixels"})
ANY: Final = frozenset({ACCEPTED}) | UNREADABLE | TOO_MANY
_TYPES: Final = ("image/jpeg", "image/png", "image/webp", "text/plain", "application/pdf", "")
_NAMES: Final = (
    "a.jpg",
    "a.png",
    "../../etc/passwd",
    "a.jpg.exe",
    "\u202egpj.a",
    "x" * 200,
    "CON",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file to send.

    Attributes:
        number: with the seed it makes the same upload again.
        kind: how it was made.
        content: bytes.
        name: that it claims.
        content_type: that it claims; nothing goes by it.
        expected: codes of problems that it may get, `ACCEPTED` among them.
    """

    number: int
    kind: str
    content: bytes
    name: str
    content_type: str
    expected: frozenset[str]


Made = tuple[bytes, frozenset[str]]


class HostilePhotos:
    """Makes uploads.

    Args:
        portrait: a photo with one face.
        seed: another seed makes others.
        max_pixels: the service's limit.
    """

    def __init__(self, portrait: Image.Image, *, seed: int, max_pixels: int) -> None:
        self._seed = seed
        self._max_pixels = max_pixels
        self._good: Sequence[bytes] = list(variants(portrait).values())
        self._others: Sequence[bytes] = list(other_formats(portrait).values())
        self._plain = self._good[0]
        self._makers: Mapping[str, tuple[int, Callable[[random.Random], Made]]] = {
            "as it should be": (8, self._intact),
            "bit flips": (16, self._flips),
            "cut off": (10, self._cut),
            "spliced": (10, self._spliced),
            "moved blocks": (8, self._moved),
            "overwritten": (8, self._overwritten),
            "broken lengths": (8, self._lengths),
            "turned by EXIF": (6, self._exif),
            "another format": (6, self._another),
            "polyglot": (6, self._polyglot),
            "huge dimensions": (5, self._huge),
            "bomb": (2, self._bomb),
            "thin": (3, self._thin),
            "noise": (3, self._noise),
            "nothing": (1, self._nothing),
        }

    @property
    def kinds(self) -> list[str]:
        """Names of all ways in which uploads are made."""
        return list(self._makers)

    def upload(self, number: int) -> Upload:
        """The upload with this number."""
        dice = random.Random(f"{self._seed}:{number}")  # noqa: S311 - no secret
        weights = [weight for weight, _ in self._makers.values()]
        kind = dice.choices(self.kinds, weights)[0]
        content, expected = self._makers[kind][1](dice)
        return Upload(
            number=number,
            kind=kind,
            content=content,
            name=dice.choice(_NAMES),
            content_type=dice.choice(_TYPES),
            expected=expected,
        )

    def _intact(self, dice: random.Random) -> Made:
        return dice.choice(self._good), frozenset({ACCEPTED})

    def _flips(self, dice: random.Random) -> Made:
        content = bytearray(dice.choice(self._good))
        # Half of them where the header is, since most of a file are pixels.
        end = len(content) if dice.random() < 0.5 else min(len(content), 400)
        for _ in range(dice.choice((1, 1, 2, 8, 64))):
            content[dice.randrange(end)] ^= 1 << dice.randrange(8)
        return bytes(content), ANY

    def _cut(self, dice: random.Random) -> Made:
        content = dice.choice(self._good)
        end = dice.randrange(len(content))
        return content[: end if dice.random() < 0.7 else end % 200], ANY

    def _spliced(self, dice: random.Random) -> Made:
        one, other = dice.choice(self._good), dice.choice([*self._good, *self._others])
        return one[: dice.randrange(len(one))] + other[dice.randrange(len(other)) :], ANY

    def _moved(self, dice: random.Random) -> Made:
        content = dice.choice(self._good)
        start = dice.randrange(len(content))
        block = content[start : start + dice.choice((1, 4, 100, 5000))]
        rest = content[:start] + content[start + len(block) :]
        place = dice.randrange(len(rest) + 1)
        return rest[:place] + block * dice.choice((0, 1, 2, 50)) + rest[place:], ANY

    def _overwritten(self, dice: random.Random) -> Made:
        content = bytearray(dice.choice(self._good))
        start = dice.randrange(min(len(content), dice.choice((64, 1000, len(content)))))
        length = min(dice.choice((1, 2, 4, 200)), len(content) - start)
        fill = dice.choice((b"\0", b"\xff", b"\x7f", b"\x80", dice.randbytes(1)))
        content[start : start + length] = fill * length
        return bytes(content), ANY

    def _lengths(self, dice: random.Random) -> Made:
        content = bytearray(dice.choice(self._good))
        value = dice.choice((0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000))
        order = dice.choice((">", "<"))
        width = dice.choice(("H", "I"))
        packed = struct.pack(order + width, value & (0xFFFF if width == "H" else 0xFFFFFFFF))
        start = dice.randrange(2, min(300, len(content) - 4))
        content[start : start + len(packed)] = packed
        return bytes(content), ANY

    def _exif(self, dice: random.Random) -> Made:
        orientation = dice.choice((*range(1, 9), 0, 9, 255, 65_535))
        content = with_exif(self._plain, orientation=orientation)
        if dice.random() < 0.4:
            start = content.index(b"Exif") + 6
            changed = bytearray(content)
            for _ in range(dice.choice((1, 4, 16))):
                changed[start + dice.randrange(26)] = dice.randrange(256)
            content = bytes(changed)
        return content, frozenset({ACCEPTED})

    def _another(self, dice: random.Random) -> Made:
        return dice.choice(self._others), UNREADABLE

    def _polyglot(self, dice: random.Random) -> Made:
        photo, other = dice.choice(self._good), dice.choice(self._others)
        script = b"<script>alert(1)</script><?php system($_GET[0]); ?>"
        archive = io.BytesIO(photo)
        with zipfile.ZipFile(archive, "a") as zipped:
            zipped.writestr("../../a.txt", script)
        return dice.choice(
            (
                (photo + other, frozenset({ACCEPTED})),
                (photo + script, frozenset({ACCEPTED})),
                (archive.getvalue(), frozenset({ACCEPTED})),
                (other + photo, UNREADABLE),
                (script + photo, UNREADABLE),
                (other[:8] + photo[8:], UNREADABLE),
                (photo[:12] + other, ANY),
            )
        )

    def _huge(self, dice: random.Random) -> Made:
        side = dice.choice((7_072, 30_000, 65_535, 65_535, 1 << 20, (1 << 31) - 1, (1 << 32) - 1))
        if dice.random() < 0.5:
            header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
            content = png_of(header, zlib.compress(bytes(1000)))
            return content, TOO_MANY if side < 1 << 31 else TOO_MANY | UNREADABLE
        frame = self._plain.index(b"\xff\xc0") + 5
        size = struct.pack(">HH", min(side, 65_535), min(side, 65_535))
        return self._plain[:frame] + size + self._plain[frame + 4 :], TOO_MANY

    def _bomb(self, dice: random.Random) -> Made:
        if dice.random() < 0.5:
            # Small as a file, large as text: chunks that are not pixels are never unpacked.
            text = b"a\0\0" + zlib.compress(bytes(dice.choice((1, 50)) << 20), 9)
            kind = dice.choice((b"zTXt", b"iCCP", b"prVt"))
            return self._beside_pixels(kind, text), ANY
        # As many pixels as are accepted, in a few kilobytes, of the costliest kinds.
        depth, colours, channels = dice.choice(((8, 6, 4), (16, 0, 2), (8, 2, 3), (8, 0, 1)))
        width, height = 1_000, self._max_pixels // 1_000
        rows = zlib.compressobj(9)
        row = bytes(1 + width * channels)
        data = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
        header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
        return png_of(header, data), frozenset({ACCEPTED})

    def _beside_pixels(self, kind: bytes, content: bytes) -> bytes:
        photo = next(each for each in self._good if each.startswith(b"\x89PNG"))
        after_header = 8 + 25
        return photo[:after_header] + chunk(kind, content) + photo[after_header:]

    def _thin(self, dice: random.Random) -> Made:
        size = dice.choice(((1, 1), (1, 2), (1, 60_000), (60_000, 1), (3, 16_000), (16_000, 3)))
        kinds = ["PNG", "JPEG"] + (["WEBP"] if max(size) <= 16_383 else [])
        stream = io.BytesIO()
        Image.new("RGB", size, (200, 30, 30)).save(stream, dice.choice(kinds))
        return stream.getvalue(), frozenset({ACCEPTED})

    def _noise(self, dice: random.Random) -> Made:
        start = dice.choice(
            (b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\xff\0\0\0WEBPVP8 ")
        )
        return start + dice.randbytes(dice.choice((1, 10, 1000, 100_000))), UNREADABLE | TOO_MANY

    def _nothing(self, dice: random.Random) -> Made:
        return b"\0" * dice.choice((0, 0, 1, 100_000)), UNREADABLE
