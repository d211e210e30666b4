"""The order of images over a whole run, the same whatever the number of ranks and workers.

Shape legend: N images, I identities.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from training.ranks import Ranks


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """How many images make a step and how many steps an epoch.

    Attributes:
        batch_size: images a step, over all ranks and micro-batches.
        accumulate: micro-batches a step.
        seed: of the run.
        images_per_identity: 1 shuffles all images; more make groups (see `epoch_order`).
    """

    batch_size: int
    accumulate: int = 1
    seed: int = 0
    images_per_identity: int = 1


def epoch_order(labels_N: NDArray[np.int64], epoch: int, plan: RunPlan) -> NDArray[np.int64]:
    """Positions of images in the order of one epoch; it depends on seed and epoch only.

    With `images_per_identity` K above 1, identities follow each other in random order, each as
    often as any other, and bring K of their images at a time: the next ones of their own shuffled
    order, which begins again where it ends. The last, incomplete batch of an epoch is dropped
    (batch normalisation wants full batches).

    Returns:
        A multiple of the batch size of positions in 0..N-1.
    """
    num_images = len(labels_N)
    num_used = num_images // plan.batch_size * plan.batch_size
    rng = np.random.default_rng((plan.seed, epoch))
    if plan.images_per_identity == 1:
        return rng.permutation(num_images)[:num_used]
    size = plan.images_per_identity
    num_identities = int(labels_N[-1]) + 1
    shuffled_N = np.lexsort((rng.random(num_images), labels_N))
    first_I = np.searchsorted(labels_N, np.arange(num_identities))
    counts_I = np.diff(np.append(first_I, num_images))
    num_groups = -(-num_used // size)
    num_rounds = -(-num_groups // num_identities)
    identities = np.concatenate([rng.permutation(num_identities) for _ in range(num_rounds)])
    rounds = np.repeat(np.arange(num_rounds), num_identities)
    # The group of round r takes the images r * K, r * K + 1, ... of its identity, cyclically.
    offsets = (rounds[:, None] * size + np.arange(size)) % counts_I[identities][:, None]
    order: NDArray[np.int64] = shuffled_N[(first_I[identities][:, None] + offsets).ravel()]
    return order[:num_used]


class RunSampler(Sampler[list[int]]):
    """Keys (epoch * N + position) of this rank's micro-batches, from a step of the run onwards.

    A global micro-batch is divided among the ranks in order, so that all ranks together see what
    a single process would see.

    Args:
        labels_N: class of each image, rising.
        plan: sizes and seed.
        first_step: where to begin.
        num_steps: where the run ends.
        ranks: who shares each micro-batch.
    """

    def __init__(
        self,
        labels_N: NDArray[np.int64],
        plan: RunPlan,
        *,
        first_step: int,
        num_steps: int,
        ranks: Ranks,
    ) -> None:
        self._labels_N, self._plan, self._ranks = labels_N, plan, ranks
        self._first_step, self._num_steps = first_step, num_steps

    def __len__(self) -> int:
        return (self._num_steps - self._first_step) * self._plan.accumulate

    def __iter__(self) -> Iterator[list[int]]:
        plan, ranks = self._plan, self._ranks
        num_images = len(self._labels_N)
        steps_per_epoch = num_images // plan.batch_size
        micro_size = plan.batch_size // plan.accumulate
        local_size = micro_size // ranks.world_size
        order = lru_cache(maxsize=1)(lambda epoch: epoch_order(self._labels_N, epoch, plan))
        for step in range(self._first_step, self._num_steps):
            epoch, place = divmod(step, steps_per_epoch)
            for micro in range(plan.accumulate):
                begin = place * plan.batch_size + micro * micro_size + ranks.rank * local_size
                positions = order(epoch)[begin : begin + local_size]
                yield (epoch * num_images + positions).tolist()
