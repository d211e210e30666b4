"""Optimizer, learning rate and margin as pure functions of the step, and the weight average."""

import copy
import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from embedding.errors import DataInvalid
from training.config import HeadConfig, OptimConfig

SCHEDULES = ("cosine", "linear", "polynomial", "steps")


def learning_rate(step: int, *, num_steps: int, config: OptimConfig) -> float:
    """Linear from 0 over the warm-up, then down as the schedule says, to 0 or in steps of ten.

    Raises:
        DataInvalid: for a schedule that is not known.
    """
    if config.schedule not in SCHEDULES:
        raise DataInvalid(f"no schedule {config.schedule!r}; known: {', '.join(SCHEDULES)}")
    warmup_steps = config.warmup * num_steps
    if step < warmup_steps:
        return config.lr * min(1.0, (step + 1) / warmup_steps)
    progress = min(1.0, (step - warmup_steps) / max(1.0, num_steps - warmup_steps))
    match config.schedule:
        case "cosine":
            return config.lr * 0.5 * (1.0 + math.cos(math.pi * progress))
        case "linear":
            return config.lr * (1.0 - progress)
        case "polynomial":
            return config.lr * (1.0 - progress) ** 2
        case _:
            num_passed = sum(step >= share * num_steps for share in config.milestones)
            return config.lr * 0.1**num_passed


def margin_strength(step: int, *, num_steps: int, config: HeadConfig) -> float:
    """From 0 to 1, linear over the margin's warm-up, constant from there."""
    warmup_steps = config.margin_warmup * num_steps
    return min(1.0, step / warmup_steps if warmup_steps else 1.0)


def build_optimizer(
    modules: Iterable[tuple[nn.Module, float]], config: OptimConfig
) -> torch.optim.SGD:
    """SGD with momentum; weight decay spares biases and normalisation layers.

    Args:
        modules: each with the factor of its learning rate, which its groups carry as
            ``lr_factor``.
        config: rate, momentum, weight decay.
    """
    groups: list[dict[str, Any]] = []
    for module, factor in modules:
        learning = [one for one in module.parameters() if one.requires_grad]
        for is_matrix in (True, False):
            chosen = [one for one in learning if (one.dim() > 1) == is_matrix]
            decay = config.weight_decay if is_matrix else 0.0
            if chosen:
                groups.append({"params": chosen, "weight_decay": decay, "lr_factor": factor})
    # The fused update makes no copy of a gradient: the centres of millions are gigabytes.
    return torch.optim.SGD(
        groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=True
    )


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
