"""The sets that are inspected, as rows of one table: embeddings, small grey pictures, digests.

Shape legend: N images, D embedding dimension, G grey values of a small picture, I identities,
B images of a chunk, H, W height and width, C colours.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from embedding.align import CROP_SIZE_PX
from embedding.errors import DataInvalid
from embedding.model import EMBEDDING_DIMENSION
from embedding.runtime import Embeddings
from training.data.opening import open_store
from training.data.split import CHUNK, Selection, select_all

logger = logging.getLogger(__name__)

# A crop of 112 pixels becomes 16 x 16 grey squares of 7 pixels: enough to tell pictures apart,
# and 256 bytes an image.
GREY_SIDE: Final = 16
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


class CropEmbedder(Protocol):
    """What makes embeddings of crops; `EmbeddingNet` is the one that ships."""

    def embed(self, crops_BHWC: NDArray[np.uint8]) -> Embeddings:
        """Unit embeddings of (B, 112, 112, 3) uint8 crops, and the raw lengths."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSet:
    """A set and how it is called in lists.

    Attributes:
        name: unique among the sets of an inspection.
        images: those that can be read.
    """

    name: str
    images: Selection


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """What is known of each image without looking at it again; N rows.

    Attributes:
        unit_ND: float32 unit embeddings.
        norms_N: float32 lengths of the raw embeddings.
        greys_NG: uint8 grey picture of 16 x 16, row by row from the top left.
        digests_N: uint64, equal for crops that are equal to the pixel.
    """

    unit_ND: NDArray[np.float32]
    norms_N: NDArray[np.float32]
    greys_NG: NDArray[np.uint8]
    digests_N: NDArray[np.uint64]


class Gathered:
    """All images of some sets as rows 0..N-1, the set to be cleaned first.

    Attributes:
        sets: the first one is DATA, the one to be cleaned.
        features: of each row.
        first_rows: (I + 1,) identity i owns the rows first_rows[i] to first_rows[i + 1] - 1;
            the last entry is N. Identities of two sets differ even if their names do not.
        num_data: how many of the first rows are DATA's.
        num_data_identities: how many of the first identities are DATA's.
    """

    def __init__(self, sets: Sequence[NamedSet], features: Features) -> None:
        self.sets = tuple(sets)
        self.features = features
        self._row_ends = np.cumsum([len(one.images) for one in sets])
        self._identity_ends = np.cumsum([one.images.num_identities for one in sets])
        counts = [
            np.bincount(one.images.labels_N, minlength=one.images.num_identities) for one in sets
        ]
        self.first_rows: NDArray[np.int64] = np.append(0, np.cumsum(np.concatenate(counts)))
        self.labels_N = np.repeat(np.arange(self.num_identities), np.diff(self.first_rows))
        self.num_data = int(self._row_ends[0])
        self.num_data_identities = int(self._identity_ends[0])

    def __len__(self) -> int:
        return int(self.first_rows[-1])

    @property
    def num_identities(self) -> int:
        """I, of all sets together."""
        return len(self.first_rows) - 1

    def rows(self, identity: int) -> NDArray[np.int64]:
        """The rows of an identity's images."""
        return np.arange(self.first_rows[identity], self.first_rows[identity + 1])

    def set_name(self, row: int) -> str:
        """Of the set that a row belongs to."""
        return self.sets[self._set(row)].name

    def identity_name(self, row: int) -> str:
        """The name that the set gives to the person on an image."""
        one = self._set(row)
        first = int(self._identity_ends[one - 1]) if one else 0
        return self.sets[one].images.names[int(self.labels_N[row]) - first]

    def key(self, row: int) -> str:
        """The store's name of an image, unique in its set."""
        one = self._set(row)
        return self.sets[one].images.key(self._place(row, one))

    def crop(self, row: int) -> NDArray[np.uint8]:
        """One decoded crop (112, 112, 3) RGB uint8."""
        one = self._set(row)
        return self.sets[one].images.crop(self._place(row, one))

    def _set(self, row: int) -> int:
        return int(np.searchsorted(self._row_ends, row, side="right"))

    def _place(self, row: int, one: int) -> int:
        return row - (int(self._row_ends[one - 1]) if one else 0)


def open_sets(data: Path, against: Sequence[Path]) -> list[NamedSet]:
    """DATA and the sets that it is compared with, without the images that cannot be read.

    Raises:
        DataInvalid: nothing there, one place twice, or not one image that can be used, as in
            a folder of photographs that nobody aligned.
    """
    paths = [data, *against]
    if len({path.resolve() for path in paths}) < len(paths):
        raise DataInvalid("one set was given twice; --against takes other sets than DATA")
    return [
        NamedSet(name=name, images=_readable(select_all(open_store(path)), path))
        for name, path in zip(_names(paths), paths, strict=True)
    ]


def _names(paths: Sequence[Path]) -> list[str]:
    """The last two parts of each path, or the whole paths where those are not unique."""
    short = ["/".join(path.resolve().parts[-2:]) for path in paths]
    return short if len(set(short)) == len(short) else [str(path.resolve()) for path in paths]


def _readable(images: Selection, path: Path) -> Selection:
    first_error: DataInvalid | None = None
    for image in range(len(images)):
        try:
            images.crop(image)
        except DataInvalid as error:
            first_error = first_error or error
            continue
        return images.without_unreadable()
    raise DataInvalid(f"not one of the {len(images)} images in {path} can be used: {first_error}")


def measure(sets: Sequence[NamedSet], embedder: CropEmbedder) -> Features:
    """Embeds every image and keeps its small grey picture; a bar shows how far it is.

    Args:
        sets: DATA first.
        embedder: called with at most 256 crops.
    """
    num_images = sum(len(one.images) for one in sets)
    features = Features(
        unit_ND=np.empty((num_images, EMBEDDING_DIMENSION), np.float32),
        norms_N=np.empty(num_images, np.float32),
        greys_NG=np.empty((num_images, GREY_SIDE**2), np.uint8),
        digests_N=np.empty(num_images, np.uint64),
    )
    start = 0
    with tqdm(total=num_images, desc="embedding", unit="image", disable=None) as bar:
        for one in sets:
            for crops_BHWC in one.images.chunks(CHUNK):
                part = slice(start, start + len(crops_BHWC))
                embeddings = embedder.embed(crops_BHWC)
                features.unit_ND[part] = embeddings.vectors
                features.norms_N[part] = embeddings.norms
                features.greys_NG[part] = small_greys(crops_BHWC)
                features.digests_N[part] = [_digest(crop_HWC) for crop_HWC in crops_BHWC]
                start = part.stop
                bar.update(len(crops_BHWC))
    return features


def small_greys(crops_BHWC: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(B, 256) uint8: the mean luma of each of 16 x 16 squares."""
    luma_BHW = crops_BHWC.astype(np.float32) @ _LUMA
    side_px = CROP_SIZE_PX // GREY_SIDE
    tiles = luma_BHW.reshape(-1, GREY_SIDE, side_px, GREY_SIDE, side_px)
    greys_BG = tiles.mean(axis=(2, 4)).reshape(-1, GREY_SIDE**2)
    small_BG: NDArray[np.uint8] = np.rint(greys_BG).astype(np.uint8)
    return small_BG


def _digest(crop_HWC: NDArray[np.uint8]) -> int:
    """64 bits: among a million crops two different ones agree with a chance of 3e-8."""
    digest = hashlib.blake2b(crop_HWC.tobytes(), digest_size=8).digest()
    return int.from_bytes(digest, "little")
