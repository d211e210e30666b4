"""Identity folders: one subfolder a person, aligned 112x112 crops inside.

Shape legend: H, W height and width; C colours (RGB); B batch.
"""

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch.utils.data import Dataset, Sampler

from embedding.errors import DataInvalid
from training.augment import augment
from training.config import AugmentConfig, DataConfig

logger = logging.getLogger(__name__)

CROP_PX = 112
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")

# Up-sampled low-resolution faces compress to small files. Over the crops at hand the median file
# size of an identity has two humps, at 2.7 and 3.6 kB, with its valley at 3.05 kB.
SHARP_BYTES = 3050


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One person's images; `is_sharp` is false for an identity of soft, up-sampled images."""

    name: str
    paths: tuple[Path, ...]
    is_sharp: bool


def scan_identities(folder: Path, *, min_images: int = 1) -> list[Identity]:
    """The identities of a folder, sorted by name.

    Raises:
        DataInvalid: no such folder, or no identity with enough images in it.
    """
    if not folder.is_dir():
        raise DataInvalid(f"{folder} is not a folder; give one with a subfolder for each person")
    identities = []
    for person in sorted(entry for entry in folder.iterdir() if entry.is_dir()):
        paths = tuple(
            sorted(path for path in person.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        )
        if len(paths) >= max(1, min_images):
            median = float(np.median([path.stat().st_size for path in paths]))
            identities.append(
                Identity(name=person.name, paths=paths, is_sharp=median >= SHARP_BYTES)
            )
    if not identities:
        raise DataInvalid(
            f"{folder} holds no subfolder with at least {min_images} images "
            f"({', '.join(IMAGE_SUFFIXES)})"
        )
    return identities


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Identities that train, and identities that only choose settings and set thresholds."""

    train: tuple[Identity, ...]
    holdout: tuple[Identity, ...]


def split_identities(config: DataConfig) -> Split:
    """Splits by identity, by a hash of the name: the same people are held out in every run.

    Held-out people have at least three images, so that they can be enrolled and searched.
    """
    every = scan_identities(config.folder)
    by_hash = sorted(every, key=lambda one: hashlib.sha256(one.name.encode()).digest())
    usable = [one for one in by_hash if len(one.paths) >= 3]
    sharp = [one for one in usable if one.is_sharp][: config.num_holdout_sharp]
    soft = [one for one in usable if not one.is_sharp][: config.num_holdout_soft]
    if len(sharp) < config.num_holdout_sharp or len(soft) < config.num_holdout_soft:
        raise DataInvalid(
            f"asked to hold out {config.num_holdout_sharp} sharp and {config.num_holdout_soft} "
            f"soft identities with three images; {config.folder} has {len(sharp)} and {len(soft)}"
        )
    out = {one.name for one in [*sharp, *soft]}
    train = tuple(
        one for one in every if one.name not in out and len(one.paths) >= config.min_images
    )
    if len(train) < 2:
        raise DataInvalid(
            f"{len(train)} identities are left to train on in {config.folder}; at least 2 are "
            f"needed, each with {config.min_images} images"
        )
    return Split(train=train, holdout=(*sharp, *soft))


def load_crops(paths: tuple[Path, ...]) -> NDArray[np.uint8]:
    """Reads crops of 112x112 pixels into one (B, 112, 112, 3) RGB uint8 array.

    Raises:
        DataInvalid: a file that is no image or has another size, with its path.
    """
    crops_BHWC = np.empty((len(paths), CROP_PX, CROP_PX, 3), np.uint8)
    for row, path in enumerate(paths):
        try:
            with Image.open(path) as image:
                crop = np.asarray(image.convert("RGB"))
        except (OSError, UnidentifiedImageError, ValueError, SyntaxError) as error:
            raise DataInvalid(f"{path} cannot be read as an image: {error}") from error
        if crop.shape != (CROP_PX, CROP_PX, 3):
            raise DataInvalid(
                f"{path} is {crop.shape[1]}x{crop.shape[0]} pixels; aligned crops are "
                f"{CROP_PX}x{CROP_PX}"
            )
        crops_BHWC[row] = crop
    return crops_BHWC


class CropSet(Dataset[dict[str, Any]]):
    """Augmented training crops with their class; decoded once and kept in memory.

    29,000 crops take 1.1 GB; worker processes share it.
    """

    def __init__(
        self, identities: tuple[Identity, ...], *, augmentation: AugmentConfig, seed: int
    ) -> None:
        self.paths = tuple(path for one in identities for path in one.paths)
        self.labels = np.repeat(np.arange(len(identities)), [len(one.paths) for one in identities])
        self.names = [one.name for one in identities]
        self.num_classes = len(identities)
        self.crops_BHWC = load_crops(self.paths)
        self._augmentation = augmentation
        self._seed = seed

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, key: int) -> dict[str, Any]:
        # A key carries epoch and image, so workers need not be told when an epoch begins.
        epoch, index = divmod(int(key), len(self.paths))
        rng = np.random.default_rng((self._seed, epoch, index))
        crop = augment(self.crops_BHWC[index], rng, self._augmentation)
        return {"crop": torch.from_numpy(crop), "label": int(self.labels[index]), "index": index}


class ResumableSampler(Sampler[int]):
    """Shuffled keys of one epoch, starting at any step: the order depends on seed and epoch only.

    The last, incomplete batch of an epoch is dropped (batch normalisation wants full batches).
    """

    def __init__(
        self, num_images: int, *, batch_size: int, seed: int, epoch: int, first_step: int = 0
    ) -> None:
        order = np.random.default_rng((seed, epoch)).permutation(num_images)
        num_steps = num_images // batch_size
        self._keys = epoch * num_images + order[first_step * batch_size : num_steps * batch_size]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys.tolist())
