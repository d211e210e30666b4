"""Optimizer, learning rate and margin as pure functions of the step, and the weight average."""

import copy
import math
from collections.abc import Iterable

import torch
from torch import nn

from training.config import HeadConfig, OptimConfig


def learning_rate(step: int, *, num_steps: int, config: OptimConfig) -> float:
    """Linear from 0 over the warm-up, then half a cosine down to 0 at `num_steps`."""
    warmup_steps = config.warmup * num_steps
    if step < warmup_steps:
        return config.lr * (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1.0, num_steps - warmup_steps)
    return config.lr * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


def margin_rad(step: int, *, num_steps: int, config: HeadConfig) -> float:
    """Linear from 0 to the full margin over its warm-up, constant from there."""
    warmup_steps = config.margin_warmup * num_steps
    return config.margin_rad * min(1.0, step / warmup_steps if warmup_steps else 1.0)


def build_optimizer(modules: Iterable[nn.Module], config: OptimConfig) -> torch.optim.SGD:
    """SGD with Nesterov momentum; weight decay spares biases and normalisation layers."""
    decayed: list[nn.Parameter] = []
    spared: list[nn.Parameter] = []
    for module in modules:
        for parameter in module.parameters():
            if parameter.requires_grad:
                (decayed if parameter.dim() > 1 else spared).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, nesterov=True)


class WeightAverage:
    """Exponential moving average of a module's weights and buffers, for evaluation and export.

    The decay grows as (1 + n) / (10 + n) up to its final value, so early averages are not stuck
    at the random start.
    """

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self.decay = decay
        self.num_updates = 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Takes one step towards the module's present state."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        present = module.state_dict()
        for name, average in self.module.state_dict().items():
            if average.dtype.is_floating_point:
                average.lerp_(present[name], 1.0 - decay)
            else:
                average.copy_(present[name])
