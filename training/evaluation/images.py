"""Crops become embeddings with the lengths they had, in bounded memory.

Shape legend: B embedded images, N images of a set, D embedding dimension.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from embedding.model import ModelCard
from embedding.runtime import EmbeddingNet

logger = logging.getLogger(__name__)

# (B, 112, 112, 3) RGB uint8 crops -> (B, D) unit embeddings and (B,) lengths before normalising.
Embed = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]

CHUNK = 256
NUM_NAMED = 3  # names in a message that speaks of many
# float32 vectors of 512 numbers are normalised to within about 1e-6.
_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What a report says of the model that it measures.

    Attributes:
        name: on its card, or of a run's folder.
        fingerprint: of a model directory; None for a run's checkpoint.
        mirrored: whether the mirror image's embedding is added.
        licence: of the weights.
        norm_floor: raw embeddings shorter than this are refused; 0 where none was calibrated.
    """

    name: str
    fingerprint: str | None
    mirrored: bool
    licence: str
    norm_floor: float

    @classmethod
    def of_card(cls, card: ModelCard) -> "ModelInfo":
        """What a model directory's card says."""
        return cls(
            name=card.name,
            fingerprint=card.fingerprint,
            mirrored=card.mirrored,
            licence=card.licence,
            norm_floor=card.norm_floor,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddedImages:
    """The readable images of a set.

    Attributes:
        unit_BD: unit embeddings.
        norms_B: lengths before normalising: the quality.
        images_B: position of each in its set, rising.
        unreadable: why each of the others was left out; the texts name them.
    """

    unit_BD: NDArray[np.float32]
    norms_B: NDArray[np.float32]
    images_B: NDArray[np.int64]
    unreadable: tuple[str, ...]


def net_embedder(net: EmbeddingNet) -> Embed:
    """Embeds with a model directory's net, as it is served."""

    def embed(crops_BHWC: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        found = net.embed(crops_BHWC)
        return found.vectors, found.norms

    return embed


def embed_images(
    embed: Embed, crop: Callable[[int], NDArray[np.uint8]], num_images: int
) -> EmbeddedImages:
    """Embeds what can be read of a set, some images at a time.

    Args:
        embed: the model.
        crop: the (112, 112, 3) RGB uint8 crop at a position; raises `DataInvalid` where it
            cannot be read.
        num_images: N.

    Raises:
        DataInvalid: not one image can be read, or the model gives what is no unit embedding.
    """
    parts: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
    images: list[int] = []
    unreadable: list[str] = []
    for start in range(0, num_images, CHUNK):
        crops = []
        for image in range(start, min(start + CHUNK, num_images)):
            try:
                crops.append(crop(image))
            except DataInvalid as error:
                unreadable.append(str(error))
                logger.warning("left out: %s", error)
                continue
            images.append(image)
        if crops:
            parts.append(_checked(*embed(np.stack(crops)), num_crops=len(crops)))
    if not parts:
        named = "; ".join(unreadable[:NUM_NAMED])
        raise DataInvalid(
            f"not one of {num_images} images can be read: {named or 'there is none'}"
        )
    return EmbeddedImages(
        unit_BD=np.concatenate([unit_BD for unit_BD, _ in parts]),
        norms_B=np.concatenate([norms_B for _, norms_B in parts]),
        images_B=np.array(images, np.int64),
        unreadable=tuple(unreadable),
    )


def _checked(
    unit_BD: NDArray[np.float32], norms_B: NDArray[np.float32], *, num_crops: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The same, once they are known to be unit embeddings with finite lengths."""
    if unit_BD.ndim != 2 or len(unit_BD) != num_crops or norms_B.shape != (num_crops,):
        raise DataInvalid(
            f"for {num_crops} crops the model gives embeddings of shape {unit_BD.shape} and "
            f"lengths of shape {norms_B.shape}; expected ({num_crops}, D) and ({num_crops},)"
        )
    lengths_B = np.linalg.norm(unit_BD.astype(np.float64), axis=1)
    # A NaN fails every comparison, so the good ones are counted, not the bad ones.
    is_good_B = (np.abs(lengths_B - 1.0) <= _UNIT_TOLERANCE) & np.isfinite(norms_B)
    if not is_good_B.all():
        raise DataInvalid(
            f"the model gives {int((~is_good_B).sum())} of {num_crops} embeddings that are NaN, "
            "infinite or not of unit length; its weights are damaged or it was trained to "
            "nothing: export it again, or measure an earlier checkpoint"
        )
    return unit_BD, norms_B
