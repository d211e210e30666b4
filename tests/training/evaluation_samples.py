"""Simulated people for the evaluation: embeddings around centres, and toy models of crops."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation.images import EmbeddedImages, ModelInfo

MODEL = ModelInfo(
    name="toy", fingerprint=None, mirrored=False, licence="none stated", norm_floor=0.0
)


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    """Images of people who are not there.

    Attributes:
        labels_B: identity of each image.
        embedded: their embeddings.
    """

    labels_B: NDArray[np.int64]
    embedded: EmbeddedImages


def simulate(
    counts: list[int],
    *,
    seed: int = 0,
    spread: float = 1.0,
    spread_of_people: float = 0.0,
    dimension: int = 16,
) -> People:
    """Each identity is a random centre, its images lie around it.

    Args:
        counts: images of each identity.
        seed: of all.
        spread: of images around their centre; a centre's numbers have deviation 1.
        spread_of_people: how far the spread of one person may be from that of another.
        dimension: of an embedding.
    """
    rng = np.random.default_rng(seed)
    labels_B = np.repeat(np.arange(len(counts)), counts)
    raw_BD = rng.normal(size=(len(counts), dimension))[labels_B]
    spread_I = spread + spread_of_people * rng.uniform(-1, 1, len(counts))
    raw_BD = raw_BD + rng.normal(size=raw_BD.shape) * spread_I[labels_B][:, None]
    norms_B = np.linalg.norm(raw_BD, axis=1)
    return People(
        labels_B=labels_B,
        embedded=EmbeddedImages(
            unit_BD=(raw_BD / norms_B[:, None]).astype(np.float32),
            norms_B=norms_B.astype(np.float32),
            images_B=np.arange(len(labels_B)),
            unreadable=(),
        ),
    )


def mean_colours(
    crops_BHWC: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A toy model: the mean colours of a 4x4 grid, centred, and their length."""
    grid = crops_BHWC.reshape(-1, 4, 28, 4, 28, 3).mean(axis=(2, 4)).reshape(len(crops_BHWC), -1)
    grid = grid - grid.mean(axis=1, keepdims=True)
    norms_B = np.linalg.norm(grid, axis=1)
    unit_BD = grid / norms_B[:, None]
    return unit_BD.astype(np.float32), norms_B.astype(np.float32)


def no_numbers(
    crops_BHWC: NDArray[np.uint8],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A broken model: NaN for every crop."""
    return np.full((len(crops_BHWC), 8), np.nan, np.float32), np.ones(len(crops_BHWC), np.float32)
