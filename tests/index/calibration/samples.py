"""Model cards and non-mated searches for the tests of calibration."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from embedding.model import ModelCard
from embedding.thresholds import Threshold
from index.calibration.searches import NonMated
from index.calibration.strangers import Strangers
from tests.index.samples import FINGERPRINT

STEPS: Mapping[float, float] = {0.05: 0.5, 0.01: 0.6, 0.001: 0.7}
"""Each rate's threshold for ten people; a hundred have 0.1 more, and the interval is 0.02 wide."""


def new_card(steps: Mapping[float, float] = STEPS, *, fingerprint: str = FINGERPRINT) -> ModelCard:
    """Return a card with thresholds for ten and a hundred people."""
    return ModelCard(
        name="made-up",
        model_sha256="c" * 64,
        fingerprint=fingerprint,
        mirrored=True,
        licence="none",
        thresholds=tuple(
            Threshold(
                value=value + more,
                low=value + more - 0.01,
                high=value + more + 0.01,
                fpir=fpir,
                num_subjects=num_subjects,
                num_probes=3000,
                extrapolated=False,
            )
            for fpir, value in steps.items()
            for num_subjects, more in ((10, 0.0), (100, 0.1))
        ),
    )


NO_FLOOR = new_card(dict.fromkeys(STEPS, -0.9))
"""A card whose thresholds raise nothing."""


def searches(
    best_P: NDArray[np.float64], person_P: NDArray[np.int64] | None = None, *, size: int = 10
) -> NonMated:
    """Return strangers' searches, each by a person of its own unless told otherwise."""
    return NonMated(
        best_P=best_P,
        person_P=np.arange(len(best_P)) if person_P is None else person_P,
        quarters_PQ=None,
        num_subjects=size,
    )


def alike_probes(
    num_people: int, probes_each: int, *, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return similarities of people whose searches resemble each other, and the people."""
    own = rng.standard_normal(num_people).repeat(probes_each)
    noise = rng.standard_normal(num_people * probes_each)
    best_P = 0.4 + 0.08 * (np.sqrt(0.7) * own + np.sqrt(0.3) * noise)
    return best_P, np.arange(num_people).repeat(probes_each)


def soft_people(
    num_people: int, num_images: int, *, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return images of people of whom some are soft, and so like all other soft images.

    Returns:
        vectors (num_people * num_images, 512), unit length, and whose each is.
    """
    rng = np.random.default_rng(seed)
    softness_1D = np.random.default_rng(0).standard_normal((1, 512))
    person_P = np.arange(num_people).repeat(num_images)
    own_PD = rng.standard_normal((num_people, 512))[person_P]
    own_PD = own_PD + 0.9 * rng.standard_normal(own_PD.shape)
    share_P1 = rng.uniform(0.0, 0.85, (len(person_P), 1))
    mixed_PD = share_P1 * softness_1D / np.linalg.norm(softness_1D)
    mixed_PD = mixed_PD + np.sqrt(1 - share_P1**2) * (
        own_PD / np.linalg.norm(own_PD, axis=1, keepdims=True)
    )
    mixed_PD /= np.linalg.norm(mixed_PD, axis=1, keepdims=True)
    return mixed_PD.astype(np.float32), person_P


def soft_strangers(num_people: int, *, seed: int = 41) -> Strangers:
    """Return one image each of people of whom some are soft."""
    vectors_PD, person_P = soft_people(num_people, 1, seed=seed)
    return Strangers(vectors_PD=vectors_PD, person_P=person_P)
