"""Crops that nobody's face is on, with planted mistakes, and a store that holds them in memory.

A person is a random pattern of 7 x 7 coloured squares; an image of the person is that pattern
mixed with one of its own. The tiny net of ``tests/fakes.py`` sees the squares alone, so two
images of one person have a similarity near 0.8 and two of two people near 0.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.data.split import select_all
from training.inspecting.findings import Finding, Limits
from training.inspecting.gathered import Features, Gathered, NamedSet, small_greys

_OWN_SHARE = 0.8  # of an image's variance that is its person's
_SPREAD = 36.0  # grey levels

LIMITS = Limits(threshold=0.65, pair_threshold=0.5)


def crop(person: int, image: int) -> NDArray[np.uint8]:
    """(112, 112, 3) RGB uint8: an image of a person; the same numbers give the same pixels."""
    pattern = np.random.default_rng(person).normal(size=(7, 7, 3))
    own = np.random.default_rng((person + 1) * 1000 + image).normal(size=(7, 7, 3))
    mixed = _OWN_SHARE**0.5 * pattern + (1 - _OWN_SHARE) ** 0.5 * own
    squares = np.clip(127.5 + _SPREAD * mixed, 0, 255).astype(np.uint8)
    return np.repeat(np.repeat(squares, 16, axis=0), 16, axis=1)


def encode(crop_HWC: NDArray[np.uint8]) -> bytes:
    """As PNG."""
    stream = io.BytesIO()
    Image.fromarray(crop_HWC).save(stream, "PNG")
    return stream.getvalue()


def write(folder: Path, people: Mapping[str, Sequence[NDArray[np.uint8]]]) -> Path:
    """Identity folders with images 0.png, 1.png and so on."""
    for name, crops in people.items():
        (folder / name).mkdir(parents=True)
        for number, crop_HWC in enumerate(crops):
            (folder / name / f"{number}.png").write_bytes(encode(crop_HWC))
    return folder


class MemoryStore:
    """A `CropStore` of images in memory; image n of a person has the key ``<name>/<n>``."""

    def __init__(self, people: Mapping[str, Sequence[NDArray[np.uint8]]]) -> None:
        self.names = list(people)
        self.first_rows = np.cumsum([0, *(len(crops) for crops in people.values())])
        self._images = [encode(crop_HWC) for crops in people.values() for crop_HWC in crops]
        self._keys = [f"{name}/{n}" for name, crops in people.items() for n in range(len(crops))]

    def read(self, row: int) -> bytes:
        """The PNG."""
        return self._images[row]

    def key(self, row: int) -> str:
        """Unique."""
        return self._keys[row]

    def num_bytes(self, row: int) -> int:
        """Of the PNG."""
        return len(self._images[row])


def gather(
    sets: Mapping[str, Mapping[str, Sequence[NDArray[np.uint8]]]],
    unit_ND: NDArray[np.float32],
    norms_N: NDArray[np.float32] | None = None,
) -> Gathered:
    """Sets in memory, the first one DATA, with embeddings that a test chose."""
    named = [
        NamedSet(name=name, images=select_all(MemoryStore(people)))
        for name, people in sets.items()
    ]
    crops_BHWC = np.stack(
        [c for people in sets.values() for each in people.values() for c in each]
    )
    digests = [hash(crop_HWC.tobytes()) & (2**64 - 1) for crop_HWC in crops_BHWC]
    features = Features(
        unit_ND=unit_ND,
        norms_N=np.ones(len(unit_ND), np.float32) if norms_N is None else norms_N,
        greys_NG=small_greys(crops_BHWC),
        digests_N=np.array(digests, np.uint64),
    )
    return Gathered(named, features)


def unit(vectors: Sequence[Sequence[float]]) -> NDArray[np.float32]:
    """Rows of unit length."""
    array = np.array(vectors, np.float64)
    scaled: NDArray[np.float32] = (array / np.linalg.norm(array, axis=1, keepdims=True)).astype(
        np.float32
    )
    return scaled


def people(first: int, number: int, images: int = 5) -> dict[str, list[NDArray[np.uint8]]]:
    """Some people without a mistake."""
    return {
        f"p{person:02d}": [crop(person, image) for image in range(images)]
        for person in range(first, first + number)
    }


def random_units(num_images: int, dimension: int = 8, seed: int = 0) -> NDArray[np.float32]:
    """Directions at random."""
    rng = np.random.default_rng(seed)
    return unit(rng.normal(size=(num_images, dimension)).tolist())


def kinds(findings: Sequence[Finding], gathered: Gathered) -> list[tuple[str, str]]:
    """Kind and key of each finding."""
    return [(str(one.kind), gathered.key(one.row_a)) for one in findings]


def different(numbers: Sequence[int]) -> list[NDArray[np.uint8]]:
    """Pictures that are no copies, whatever the embeddings."""
    return [crop(100 + number, number) for number in numbers]
