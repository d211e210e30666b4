"""Schedules as pure functions, weight decay, and the average of the weights."""

import copy
import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from embedding.errors import DataInvalid
from training.config import HeadConfig, OptimConfig
from training.optim import WeightAverage, build_optimizer, learning_rate, margin_strength

SCHEDULES = ["cosine", "linear", "polynomial", "steps"]


def rates(config: OptimConfig, *, num_steps: int = 100) -> list[float]:
    """The learning rate at every step, and at the end."""
    return [learning_rate(step, num_steps=num_steps, config=config) for step in range(101)]


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    """Linear to the peak over the warm-up, half the peak in the middle of the decay."""
    found = rates(OptimConfig(lr=0.2, warmup=0.1))
    assert found[0] == pytest.approx(0.02)
    assert max(found) == found[9] == pytest.approx(0.2)
    assert found[55] == pytest.approx(0.1)
    assert found[100] == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("schedule", "at"),
    [
        ("cosine", lambda share: (1 + math.cos(math.pi * share)) / 2),
        ("linear", lambda share: 1 - share),
        ("polynomial", lambda share: 1 - 2 * share + share**2),
    ],
    ids=["cosine", "linear", "polynomial"],
)
def test_a_rate_decays_by_its_formula(schedule: str, at: object) -> None:
    """At the share of the way from the end of the warm-up to the end of the run."""
    found = rates(OptimConfig(lr=0.3, warmup=0.2, schedule=schedule))
    expected = [0.3 * at((step - 20) / 80) for step in range(20, 101)]  # type: ignore[operator]
    assert found[20:] == pytest.approx(expected, abs=1e-12)


def test_a_rate_in_steps_falls_to_a_tenth_at_each_milestone() -> None:
    """From the very step on that a milestone names; warm-up or not."""
    config = OptimConfig(lr=0.1, warmup=0.1, schedule="steps", milestones=(0.5, 0.75))
    found = rates(config)
    assert found[10:50] == pytest.approx([0.1] * 40)
    assert found[50:75] == pytest.approx([0.01] * 25)
    assert found[75:101] == pytest.approx([0.001] * 26)


def test_a_rate_in_steps_without_milestones_stays() -> None:
    """Nothing to pass."""
    assert set(rates(OptimConfig(lr=0.1, warmup=0.0, schedule="steps"))) == {0.1}


@given(
    schedule=st.sampled_from(SCHEDULES),
    warmup=st.floats(0, 1),
    num_steps=st.integers(1, 1000),
    milestones=st.lists(st.floats(0, 1), max_size=3),
    data=st.data(),
)
def test_any_rate_lies_between_zero_and_its_peak(
    schedule: str, warmup: float, num_steps: int, milestones: list[float], data: st.DataObject
) -> None:
    """And never rises again behind the warm-up."""
    config = OptimConfig(
        lr=0.1, schedule=schedule, warmup=warmup, milestones=tuple(sorted(milestones))
    )
    step = data.draw(st.integers(0, num_steps - 1))
    now, later = (learning_rate(n, num_steps=num_steps, config=config) for n in (step, step + 1))
    assert 0 <= now <= 0.1 + 1e-12
    if step >= warmup * num_steps:
        assert later <= now + 1e-12


@pytest.mark.parametrize("step", [0, 50], ids=["in the warm-up", "behind it"])
def test_an_unknown_schedule_is_refused(step: int) -> None:
    """At the first step, not when the warm-up of hours has passed; the known ones are named."""
    with pytest.raises(DataInvalid, match="no schedule 'cosin'; known: cosine, linear"):
        learning_rate(step, num_steps=100, config=OptimConfig(schedule="cosin", warmup=0.1))


def test_the_margin_grows_to_its_full_size_and_stays() -> None:
    """None at the first step, full from the end of its warm-up."""
    config = HeadConfig(margin_warmup=0.5)
    found = [margin_strength(step, num_steps=10, config=config) for step in range(10)]
    assert found == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1, 1, 1, 1, 1])


def test_a_margin_without_warm_up_is_full_at_once() -> None:
    """No division by zero."""
    assert margin_strength(0, num_steps=10, config=HeadConfig(margin_warmup=0.0)) == 1.0


def small_network() -> nn.Sequential:
    """Two linear layers around a normalisation."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def test_only_matrices_decay() -> None:
    """Biases and normalisation layers keep their size."""
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    decayed, spared = build_optimizer([(network, 1.0)], OptimConfig()).param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(4, 3)]
    assert decayed["weight_decay"] == 5e-4
    assert len(spared["params"]) == 3
    assert spared["weight_decay"] == 0.0


def test_each_module_carries_the_factor_of_its_rate() -> None:
    """All groups of a body that learns slowly say so."""
    body, head = nn.Linear(2, 2), nn.Linear(2, 3, bias=False)
    groups = build_optimizer([(body, 0.1), (head, 1.0)], OptimConfig()).param_groups
    assert [(group["lr_factor"], len(group["params"])) for group in groups] == [
        (0.1, 1),
        (0.1, 1),
        (1.0, 1),
    ]


def test_what_is_frozen_is_left_alone() -> None:
    """Weights that do not learn are in no group, so that no decay eats them."""
    network = small_network()
    network[0].requires_grad_(False)
    groups = build_optimizer([(network, 1.0)], OptimConfig()).param_groups
    chosen = {parameter for group in groups for parameter in group["params"]}
    assert chosen == {*network[1].parameters(), *network[2].parameters()}


@pytest.mark.parametrize("nesterov", [True, False])
def test_fused_updates_equal_plain_ones(nesterov: bool) -> None:
    """Several steps with momentum, decay and a changing rate end in the same weights."""
    config = OptimConfig(lr=0.02, momentum=0.8, weight_decay=0.05, nesterov=nesterov)
    network = small_network()
    plain = copy.deepcopy(network)
    fused = build_optimizer([(network, 1.0)], config)
    matrices = [one for one in plain.parameters() if one.dim() > 1]
    vectors = [one for one in plain.parameters() if one.dim() == 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": 0.05},
        {"params": vectors, "weight_decay": 0.0},
    ]
    slow = torch.optim.SGD(
        groups,
        lr=0.02,
        momentum=0.8,
        nesterov=nesterov,
        foreach=False,
        fused=False,
    )
    for step in range(5):
        crops = torch.randn(6, 3)
        for module, optimizer in ((network, fused), (plain, slow)):
            for group in optimizer.param_groups:
                group["lr"] = 0.02 / (step + 1)
            optimizer.zero_grad()
            module(crops).square().sum().backward()
            optimizer.step()
    for left, right in zip(network.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(left, right)


def test_the_update_is_a_fused_one() -> None:
    """No copy of the gradients of millions of centres is made."""
    groups = build_optimizer([(small_network(), 1.0)], OptimConfig()).param_groups
    assert all(group["fused"] for group in groups)


def test_the_average_follows_the_weights() -> None:
    """It approaches constant weights, and early steps count more than the final decay says."""
    network = nn.Linear(2, 2)
    average = WeightAverage(network, decay=0.999)
    with torch.no_grad():
        network.weight.fill_(1.0)
    for _ in range(200):
        average.update(network)
    torch.testing.assert_close(average.module.weight, network.weight, atol=1e-3, rtol=0)
    assert not average.module.weight.requires_grad


def test_the_average_equals_its_formula() -> None:
    """Its decay grows as (1 + n) / (10 + n), up to the final one."""
    network = nn.Linear(1, 1, bias=False)
    average = WeightAverage(network, decay=0.6)
    expected = float(network.weight.detach())
    for number in range(1, 21):
        with torch.no_grad():
            network.weight.fill_(float(number))
        average.update(network)
        decay = min(0.6, (1 + number) / (10 + number))
        expected = decay * expected + (1 - decay) * number
    assert float(average.module.state_dict()["weight"]) == pytest.approx(expected, rel=1e-5)


def test_the_average_of_a_normalisation_is_its_statistics() -> None:
    """Running means are averaged like weights; counters are taken as they are."""
    network = small_network()
    average = WeightAverage(network, decay=0.999)
    network(torch.randn(8, 3) + 5)
    network(torch.randn(8, 3) + 5)
    average.update(network)
    state, present = average.module.state_dict(), network.state_dict()
    assert state["1.num_batches_tracked"] == 2
    torch.testing.assert_close(state["1.running_mean"], present["1.running_mean"] * (1 - 2 / 11))


def test_the_average_leaves_the_network_as_it_is() -> None:
    """It is a copy that never trains, made for evaluation."""
    network = small_network().train()
    average = WeightAverage(network, decay=0.0)
    before = network.state_dict()["0.weight"].clone()
    average.module.state_dict()["0.weight"].fill_(9.0)
    torch.testing.assert_close(network.state_dict()["0.weight"], before)
    assert network.training
    assert not average.module.training
