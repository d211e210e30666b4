"""Schedules as pure functions, weight decay, and the average of the weights."""

import pytest
import torch
from torch import nn

from training.config import HeadConfig, OptimConfig
from training.optim import WeightAverage, build_optimizer, learning_rate, margin_rad


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    """Linear to the peak over the warm-up, half the peak in the middle of the decay."""
    config = OptimConfig(lr=0.2, warmup=0.1)
    rates = [learning_rate(step, num_steps=100, config=config) for step in range(101)]
    assert rates[0] == pytest.approx(0.02)
    assert max(rates) == rates[9] == pytest.approx(0.2)
    assert rates[55] == pytest.approx(0.1)
    assert rates[100] == pytest.approx(0.0)


def test_the_margin_grows_to_its_full_size_and_stays() -> None:
    """Zero at the first step, full from the end of its warm-up."""
    config = HeadConfig(margin_rad=0.4, margin_warmup=0.5)
    margins = [margin_rad(step, num_steps=10, config=config) for step in range(10)]
    assert margins == pytest.approx([0, 0.08, 0.16, 0.24, 0.32, 0.4, 0.4, 0.4, 0.4, 0.4])


def test_a_margin_without_warm_up_is_full_at_once() -> None:
    """No division by zero."""
    config = HeadConfig(margin_rad=0.5, margin_warmup=0.0)
    assert margin_rad(0, num_steps=10, config=config) == 0.5


def test_only_matrices_decay() -> None:
    """Biases and normalisation layers keep their size."""
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    decayed, spared = build_optimizer([network], OptimConfig()).param_groups
    assert [tuple(p.shape) for p in decayed["params"]] == [(4, 3)]
    assert len(spared["params"]) == 3
    assert spared["weight_decay"] == 0.0


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
