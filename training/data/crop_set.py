"""Augmented training crops with their class, for PyTorch's loader.

Shape legend: N images, H, W height and width, C colours.
"""

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from embedding.align import CROP_SIZE_PX
from embedding.errors import DataInvalid
from training.augment import augment
from training.config import AugmentConfig
from training.data.split import NUM_NAMED, Selection

logger = logging.getLogger(__name__)

CROP_BYTES = CROP_SIZE_PX * CROP_SIZE_PX * 3


class CropSet(Dataset[dict[str, Any]]):
    """The images of a selection, each changed anew in each epoch.

    They are decoded once and kept in memory where they fit into the budget, and shared with the
    worker processes; else each is decoded when its turn comes. An image that cannot be read is
    replaced by the next one that can, with that one's class, and named by `BadImages`.

    Args:
        selection: which images.
        augmentation: probabilities and ranges.
        seed: of the run.
        cache_mb: budget for decoded crops; 38 kB each.
    """

    def __init__(
        self, selection: Selection, *, augmentation: AugmentConfig, seed: int, cache_mb: int
    ) -> None:
        self.selection = selection
        self._augmentation, self._seed = augmentation, seed
        self._cache_NHWC: NDArray[np.uint8] | None = None
        self.bad_images: set[int] = set()
        if len(selection) * CROP_BYTES <= cache_mb * 2**20:
            self._cache_NHWC = np.zeros((len(selection), CROP_SIZE_PX, CROP_SIZE_PX, 3), np.uint8)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                readable = list(pool.map(self._fill, range(len(selection))))
            self.bad_images = {image for image, good in enumerate(readable) if not good}

    def __len__(self) -> int:
        return len(self.selection)

    def __getitem__(self, key: int) -> dict[str, Any]:
        # A key carries epoch and image, so workers need not be told when an epoch begins.
        epoch, wanted = divmod(int(key), len(self))
        image, crop_HWC = wanted, self._crop(wanted)
        while crop_HWC is None:
            image = (image + 1) % len(self)
            if image == wanted:
                raise DataInvalid("not one training image can be read")
            crop_HWC = self._crop(image)
        rng = np.random.default_rng((self._seed, epoch, image))
        return {
            "crop": torch.from_numpy(augment(crop_HWC, rng, self._augmentation)),
            "label": int(self.selection.labels_N[image]),
            "index": image,
            "bad": wanted if image != wanted else -1,
        }

    def _crop(self, image: int) -> NDArray[np.uint8] | None:
        """The decoded crop, or None for one that cannot be read."""
        if self._cache_NHWC is not None:
            return None if image in self.bad_images else self._cache_NHWC[image]
        try:
            return self.selection.crop(image)
        except DataInvalid:
            return None  # counted and named by the run, which may stop over it

    def _fill(self, image: int) -> bool:
        """Decodes into the cache; false for an image that cannot be read."""
        if self._cache_NHWC is None:
            raise AssertionError("there is a cache to fill")
        try:
            self._cache_NHWC[image] = self.selection.crop(image)
        except DataInvalid:
            return False
        return True


class BadImages:
    """Names the images that cannot be read, once each, and stops a run that has too many.

    Args:
        selection: whose images.
        limit: how many are put up with.
    """

    def __init__(self, selection: Selection, *, limit: int) -> None:
        self._selection, self._limit = selection, limit
        self._found: set[int] = set()

    def __len__(self) -> int:
        return len(self._found)

    def add(self, images: set[int]) -> None:
        """Takes notice of images.

        Raises:
            DataInvalid: more than the limit, with some names and the reason of one.
        """
        new = sorted(images - self._found)
        self._found |= images
        for image in new[: self._limit]:
            logger.warning("left out: %s", self._reason(image))
        if len(self._found) > self._limit:
            names = ", ".join(self._selection.key(one) for one in sorted(self._found)[:NUM_NAMED])
            raise DataInvalid(
                f"{len(self._found)} training images cannot be read, more than data.max_bad="
                f"{self._limit}: {names} ...; mend them, or list them in data.exclude"
            )

    def _reason(self, image: int) -> str:
        try:
            self._selection.crop(image)
        except DataInvalid as error:
            return str(error)
        return f"{self._selection.key(image)} could not be read before and can now"
