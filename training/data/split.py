"""Which identities of a store train, and which never do.

Shape legend: I identities of a selection, N its images, B images of a chunk.
"""

import hashlib
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedding.align import CROP_SIZE_PX
from embedding.errors import DataInvalid
from training.config import DataConfig
from training.data.crop_store import CropStore, is_sharp
from training.data.decoding import decode_crop

logger = logging.getLogger(__name__)

MIN_HOLDOUT_IMAGES = 3  # to be enrolled and searched
NUM_NAMED = 5
CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Some identities of a store, with some of their images.

    Attributes:
        store: where the images lie.
        names: of the identities; the position of a name is its class.
        rows_N: (N,) rows of the store; those of one identity are neighbours.
        labels_N: (N,) class of each image, rising.
        sharp: whether each identity has sharp images; empty where nobody asked.
    """

    store: CropStore
    names: tuple[str, ...]
    rows_N: NDArray[np.int64]
    labels_N: NDArray[np.int64]
    sharp: tuple[bool, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.rows_N)

    @property
    def num_identities(self) -> int:
        """I, the number of classes."""
        return len(self.names)

    def key(self, image: int) -> str:
        """The store's name of the image at a position."""
        return self.store.key(int(self.rows_N[image]))

    def crop(self, image: int) -> NDArray[np.uint8]:
        """One decoded crop (112, 112, 3) RGB uint8.

        Raises:
            DataInvalid: it cannot be read; the message names it.
        """
        row = int(self.rows_N[image])
        return decode_crop(self.store.read(row), self.store.key(row))

    def crops(self, images: Sequence[int] | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decoded crops (B, 112, 112, 3) RGB uint8 at some positions.

        Raises:
            DataInvalid: one of them cannot be read.
        """
        crops_BHWC = np.empty((len(images), CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
        for place, image in enumerate(images):
            crops_BHWC[place] = self.crop(int(image))
        return crops_BHWC

    def chunks(self, size: int = CHUNK) -> Iterator[NDArray[np.uint8]]:
        """All crops in their order, some at a time."""
        for start in range(0, len(self), size):
            yield self.crops(range(start, min(start + size, len(self))))

    def without_unreadable(self) -> "Selection":
        """Without the images that cannot be read; each is named in the log."""
        readable = np.ones(len(self), bool)
        for image in range(len(self)):
            try:
                self.crop(image)
            except DataInvalid as error:
                readable[image] = False
                logger.warning("left out: %s", error)
        return self if readable.all() else self._keep(readable)

    def _keep(self, kept_N: NDArray[np.bool_]) -> "Selection":
        """Some of the images; identities that lose all of theirs go."""
        present, labels_N = np.unique(self.labels_N[kept_N], return_inverse=True)
        if len(present) < self.num_identities:
            logger.warning("%d identities lose all images", self.num_identities - len(present))
        return Selection(
            store=self.store,
            names=tuple(self.names[one] for one in present),
            rows_N=self.rows_N[kept_N],
            labels_N=labels_N,
            sharp=tuple(self.sharp[one] for one in present) if self.sharp else (),
        )

    def of_identities(self, identities: Sequence[int]) -> "Selection":
        """The same images of fewer identities, in the order that is given."""
        bounds = np.searchsorted(self.labels_N, np.arange(self.num_identities + 1))
        counts = [int(bounds[one + 1] - bounds[one]) for one in identities]
        images = [np.arange(bounds[one], bounds[one + 1]) for one in identities]
        places = np.concatenate(images) if images else np.empty(0, np.int64)
        return Selection(
            store=self.store,
            names=tuple(self.names[one] for one in identities),
            rows_N=self.rows_N[places],
            labels_N=np.repeat(np.arange(len(counts)), counts),
            sharp=tuple(self.sharp[one] for one in identities) if self.sharp else (),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Identities that train, and identities that only choose settings and set thresholds."""

    train: Selection
    holdout: Selection


def select_all(store: CropStore) -> Selection:
    """Every image of a store."""
    return Selection(
        store=store,
        names=tuple(store.names),
        rows_N=np.arange(store.first_rows[-1]),
        labels_N=np.repeat(np.arange(len(store.names)), np.diff(store.first_rows)),
    )


def split_store(store: CropStore, config: DataConfig) -> Split:
    """Splits by identity, by a hash of the name: the same people are held out in every run.

    Held-out people have at least three images, so that they can be enrolled and searched.

    Raises:
        DataInvalid: fewer people to hold out than asked for, or fewer than two left to train.
    """
    everybody = _without_excluded(select_all(store), config.exclude)
    counts_I = np.bincount(everybody.labels_N, minlength=everybody.num_identities)
    by_hash = sorted(
        range(everybody.num_identities),
        key=lambda one: hashlib.sha256(os.fsencode(everybody.names[one])).digest(),
    )
    sharp, soft = _held_out(everybody, config, by_hash, counts_I)
    out = {*sharp, *soft}
    few = [one for one in by_hash if one not in out and counts_I[one] < config.min_images]
    if few:
        logger.warning(
            "%d identities have fewer than %d images and are left out, such as %s",
            len(few),
            config.min_images,
            ", ".join(sorted(everybody.names[one] for one in few[:NUM_NAMED])),
        )
    out_of_training = out | set(few)
    train = [one for one in by_hash if one not in out_of_training][: config.max_identities]
    if len(train) < 2:
        raise DataInvalid(
            f"{len(train)} identities are left to train on in {config.source}; at least 2 are "
            f"needed, each with {config.min_images} images"
        )
    holdout = everybody.of_identities([*sharp, *soft])
    is_sharp_I = (*[True] * len(sharp), *[False] * len(soft))
    return Split(
        train=everybody.of_identities(sorted(train)),
        holdout=Selection(
            store=store,
            names=holdout.names,
            rows_N=holdout.rows_N,
            labels_N=holdout.labels_N,
            sharp=is_sharp_I,
        ),
    )


def _held_out(
    everybody: Selection, config: DataConfig, by_hash: list[int], counts_I: NDArray[np.int64]
) -> tuple[list[int], list[int]]:
    """The first sharp and the first soft identities in the order of their hashes."""
    sharp: list[int] = []
    soft: list[int] = []
    first_I = np.append(0, np.cumsum(counts_I))
    for one in by_hash:
        if len(sharp) == config.num_holdout_sharp and len(soft) == config.num_holdout_soft:
            break
        if counts_I[one] >= MIN_HOLDOUT_IMAGES:
            rows = everybody.rows_N[first_I[one] : first_I[one + 1]]
            try:
                chosen = sharp if is_sharp(everybody.store, rows) else soft
            except DataInvalid as error:
                logger.warning("not held out: %s", error)
                continue
            chosen.append(one)
            del sharp[config.num_holdout_sharp :], soft[config.num_holdout_soft :]
    if len(sharp) < config.num_holdout_sharp or len(soft) < config.num_holdout_soft:
        raise DataInvalid(
            f"asked to hold out {config.num_holdout_sharp} sharp and {config.num_holdout_soft} "
            f"soft identities with three images; {config.source} has {len(sharp)} and {len(soft)}"
        )
    return sharp, soft


def _without_excluded(everybody: Selection, exclude: Path | None) -> Selection:
    """Without the images whose keys stand in a file, one a line."""
    if exclude is None:
        return everybody
    try:
        lines = exclude.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataInvalid(f"no list of images to exclude at {exclude}: {error}") from error
    keys = {line.strip() for line in lines if line.strip()}
    kept = np.array([everybody.key(image) not in keys for image in range(len(everybody))])
    num_found = int((~kept).sum())
    if num_found < len(keys):
        logger.warning(
            "%d of %d keys in %s name no image here", len(keys) - num_found, len(keys), exclude
        )
    logger.info("%d images are excluded by %s", num_found, exclude)
    return everybody._keep(kept)
