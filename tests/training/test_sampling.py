"""The order of images: the same for any number of ranks and parts, and anew in each epoch."""

from collections import Counter
from itertools import chain, cycle, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from training.data.sampling import RunPlan, RunSampler, epoch_order
from training.ranks import Ranks

BOTH = pytest.mark.parametrize("images_per_identity", [1, 3], ids=["shuffled", "balanced"])
COUNTS = st.lists(st.integers(1, 9), min_size=1, max_size=12)


def labels_of(counts: list[int]) -> NDArray[np.int64]:
    """Classes with so many images each."""
    return np.repeat(np.arange(len(counts)), counts)


LABELS = labels_of([7, 1, 20, 3, 12, 5, 2, 6])  # 56 images


def micro_batches(
    plan: RunPlan, *, first_step: int = 0, num_steps: int = 9, rank: int = 0, world_size: int = 1
) -> list[list[int]]:
    """The keys of every micro-batch that a rank takes."""
    sampler = RunSampler(
        LABELS,
        plan,
        first_step=first_step,
        num_steps=num_steps,
        ranks=Ranks(rank=rank, world_size=world_size),
    )
    batches = list(sampler)
    assert len(sampler) == len(batches)
    return batches


@given(num_images=st.integers(1, 60), batch_size=st.integers(1, 60), epoch=st.integers(0, 10**6))
def test_an_epoch_shows_images_once_in_full_batches(
    num_images: int, batch_size: int, epoch: int
) -> None:
    """The last, incomplete batch is dropped; no image comes twice."""
    order = epoch_order(labels_of([num_images]), epoch, RunPlan(batch_size=batch_size))
    assert len(order) == num_images - num_images % batch_size
    assert len(set(order.tolist())) == len(order)
    assert set(order.tolist()) <= set(range(num_images))


@BOTH
def test_order_depends_on_seed_and_epoch_alone(images_per_identity: int) -> None:
    """Equal ones repeat, others differ."""

    def order(seed: int, epoch: int) -> list[int]:
        plan = RunPlan(batch_size=8, seed=seed, images_per_identity=images_per_identity)
        return list(epoch_order(LABELS, epoch, plan))

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)
    assert order(1, 2) != order(2, 1)


def test_dropped_images_have_their_turn_in_other_epochs() -> None:
    """Nobody is left out for good."""
    plan = RunPlan(batch_size=50)
    seen = {image for epoch in range(20) for image in epoch_order(LABELS, epoch, plan).tolist()}
    assert seen == set(range(56))


@BOTH
def test_a_run_is_its_epochs_one_behind_the_other(images_per_identity: int) -> None:
    """Keys are epoch * N + position, batch by batch."""
    plan = RunPlan(batch_size=12, seed=3, images_per_identity=images_per_identity)
    keys = [56 * epoch + epoch_order(LABELS, epoch, plan) for epoch in range(3)]
    expected = np.concatenate(keys).reshape(12, 12)
    assert micro_batches(plan, num_steps=11) == expected[:11].tolist()


@BOTH
@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_ranks_and_parts_share_the_batch_of_a_single_process(
    images_per_identity: int, world_size: int, accumulate: int
) -> None:
    """Parts one behind the other, ranks one behind the other within each: the same batch."""
    whole = micro_batches(RunPlan(batch_size=12, seed=1, images_per_identity=images_per_identity))
    plan = RunPlan(
        batch_size=12, accumulate=accumulate, seed=1, images_per_identity=images_per_identity
    )
    ranks = [micro_batches(plan, rank=r, world_size=world_size) for r in range(world_size)]
    parts = [list(chain(*locals_)) for locals_ in zip(*ranks, strict=True)]
    starts = range(0, len(parts), accumulate)
    shared = [list(chain(*parts[start : start + accumulate])) for start in starts]
    assert shared == whole
    assert {len(batch) for rank in ranks for batch in rank} == {12 // accumulate // world_size}


@BOTH
@pytest.mark.parametrize("first_step", range(10))
def test_a_run_resumed_anywhere_goes_on_where_it_was(
    images_per_identity: int, first_step: int
) -> None:
    """The rest of a run is the tail of the whole one, at and between the ends of epochs."""
    plan = RunPlan(batch_size=16, accumulate=2, images_per_identity=images_per_identity)
    whole = micro_batches(plan, rank=1, world_size=2)
    rest = micro_batches(plan, rank=1, world_size=2, first_step=first_step)
    assert rest == whole[2 * first_step :]


def test_a_sampler_can_be_gone_through_twice() -> None:
    """Both times the same."""
    sampler = RunSampler(LABELS, RunPlan(batch_size=8), first_step=3, num_steps=9, ranks=Ranks())
    assert list(sampler) == list(sampler)


@st.composite
def balanced(draw: st.DrawFn) -> tuple[NDArray[np.int64], RunPlan, int]:
    """Classes of any sizes, a plan with groups of any size, and an epoch."""
    labels_N = labels_of(draw(COUNTS))
    plan = RunPlan(
        batch_size=draw(st.integers(1, len(labels_N))),
        seed=draw(st.integers(0, 99)),
        images_per_identity=draw(st.integers(2, 6)),
    )
    return labels_N, plan, draw(st.integers(0, 99))


@given(case=balanced())
def test_the_balanced_order_equals_a_slow_loop(
    case: tuple[NDArray[np.int64], RunPlan, int],
) -> None:
    """Everybody's shuffled images go round; each round has everybody once, K images at a time."""
    labels_N, plan, epoch = case
    rng = np.random.default_rng((plan.seed, epoch))
    draws = rng.random(len(labels_N))
    num_identities = int(labels_N.max()) + 1
    wheels = []
    for identity in range(num_identities):
        own = [image for image, label in enumerate(labels_N) if label == identity]
        wheels.append(cycle(sorted(own, key=lambda image: draws[image])))
    num_used = len(labels_N) - len(labels_N) % plan.batch_size
    expected: list[int] = []
    while len(expected) < num_used:
        for identity in rng.permutation(num_identities):
            expected += islice(wheels[identity], plan.images_per_identity)
    assert epoch_order(labels_N, epoch, plan).tolist() == expected[:num_used]


@given(case=balanced())
def test_groups_are_of_one_identity(case: tuple[NDArray[np.int64], RunPlan, int]) -> None:
    """K neighbours each; an epoch is as long as a shuffled one, and may cut the last group."""
    labels_N, plan, epoch = case
    order = epoch_order(labels_N, epoch, plan)
    size = plan.images_per_identity
    assert len(order) == len(labels_N) - len(labels_N) % plan.batch_size
    for start in range(0, len(order), size):
        assert len(set(labels_N[order[start : start + size]])) == 1


@given(case=balanced())
def test_every_identity_comes_as_often_as_any_other(
    case: tuple[NDArray[np.int64], RunPlan, int],
) -> None:
    """The numbers of their groups differ by one at most, however many images they have."""
    labels_N, plan, epoch = case
    firsts = labels_N[epoch_order(labels_N, epoch, plan)[:: plan.images_per_identity]]
    num_groups = np.bincount(firsts, minlength=int(labels_N.max()) + 1)
    assert num_groups.max() - num_groups.min() <= 1


@given(case=balanced())
def test_the_images_of_an_identity_take_turns(
    case: tuple[NDArray[np.int64], RunPlan, int],
) -> None:
    """None comes again before the others have come; so none is twice in a group that can help."""
    labels_N, plan, epoch = case
    order = epoch_order(labels_N, epoch, plan)
    for identity in range(int(labels_N.max()) + 1):
        own = np.flatnonzero(labels_N == identity)
        times = Counter({int(image): 0 for image in own})
        for image in order[labels_N[order] == identity]:
            assert times[int(image)] == min(times.values())
            times[int(image)] += 1
