"""Which values settings may have, told before a run begins and not when it is hours old."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from embedding.errors import DataInvalid
from training.config import TrainConfig
from training.device import PRECISIONS
from training.heads import HEADS
from training.optim import SCHEDULES


@dataclass(frozen=True, slots=True)
class Range:
    """The values from low to high.

    Attributes:
        low: smallest value.
        high: largest value.
        without_low: low itself is not one of them.
        without_high: high itself is not one of them.
    """

    low: float
    high: float = math.inf
    without_low: bool = False
    without_high: bool = False

    def holds(self, value: float) -> bool:
        """Whether a value is one of them; what is no number is not."""
        above = value > self.low if self.without_low else value >= self.low
        below = value < self.high if self.without_high else value <= self.high
        return above and below and math.isfinite(value)

    def __str__(self) -> str:
        first = f"above {self.low:g}" if self.without_low else f"at least {self.low:g}"
        if math.isinf(self.high):
            return first
        return f"{first} and {'below' if self.without_high else 'at most'} {self.high:g}"


POSITIVE, FROM_ZERO, FROM_ONE = Range(0.0, without_low=True), Range(0.0), Range(1.0)
SHARE = Range(0.0, 1.0)

RANGES: dict[str, Range] = {
    "epochs": FROM_ONE,
    "batch_size": FROM_ONE,
    "accumulate": FROM_ONE,
    "seed": Range(0.0, 2.0**31),
    "checkpoint_minutes": FROM_ZERO,
    "evaluate_every": FROM_ONE,
    "data.min_images": FROM_ONE,
    "data.max_identities": Range(2.0),
    "data.num_holdout_sharp": FROM_ZERO,
    "data.num_holdout_soft": FROM_ZERO,
    "data.images_per_identity": FROM_ONE,
    "data.num_workers": Range(-1.0),
    "data.cache_mb": FROM_ZERO,
    "data.max_bad": FROM_ZERO,
    "backbone.dimension": FROM_ONE,
    "start.body_lr": FROM_ZERO,
    "head.scale": POSITIVE,
    "head.margin_rad": Range(0.0, math.pi, without_high=True),
    "head.margin_cosine": FROM_ZERO,
    "head.margin_multiplier": POSITIVE,
    "head.margin_integer": FROM_ONE,
    "head.margin_adaptive": Range(0.0, math.pi, without_high=True),
    "head.margin_warmup": SHARE,
    "head.adaface_spread": POSITIVE,
    "head.num_subcentres": FROM_ONE,
    "head.sample_share": Range(0.0, 1.0, without_low=True),
    "head.keep_mb": FROM_ZERO,
    "head.weight": FROM_ZERO,
    "metric.centre": FROM_ZERO,
    "metric.centre_rate": SHARE,
    "metric.triplet": FROM_ZERO,
    "metric.triplet_margin_rad": FROM_ZERO,
    "metric.intra": FROM_ZERO,
    "metric.inter": FROM_ZERO,
    "distill.direction_weight": FROM_ZERO,
    "distill.relation_weight": FROM_ZERO,
    "optim.lr": POSITIVE,
    "optim.momentum": Range(0.0, 1.0, without_high=True),
    "optim.weight_decay": FROM_ZERO,
    "optim.warmup": SHARE,
    "optim.clip_norm": POSITIVE,
    "optim.ema": Range(0.0, 1.0, without_high=True),
    "augment.mirror": SHARE,
    "augment.geometry": SHARE,
    "augment.max_rotation_deg": Range(0.0, 180.0),
    "augment.max_zoom": Range(0.0, 1.0, without_high=True),
    "augment.max_shift_px": FROM_ZERO,
    "augment.low_resolution": SHARE,
    "augment.min_resolution_px": Range(1.0, 84.0),
    "augment.jpeg": SHARE,
    "augment.blur": SHARE,
    "augment.colour": SHARE,
    "augment.grey": SHARE,
    "augment.erase": SHARE,
}


def check_values(config: TrainConfig) -> None:
    """Returns if every setting has a value that it may have.

    Raises:
        DataInvalid: names the setting, its value and what it may be.
    """
    values = dataclasses.asdict(config)
    for path, allowed in RANGES.items():
        value: Any = values
        for name in path.split("."):
            value = value[name]
        if value is not None and not allowed.holds(value):
            raise DataInvalid(f"{path} is {value}; it must be {allowed}")
    _check_name("head.name", config.head.name, (*HEADS, "none"))
    _check_name("head.precision", config.head.precision, ("auto", *PRECISIONS))
    _check_name("precision", config.precision, ("auto", *PRECISIONS))
    _check_name("optim.schedule", config.optim.schedule, SCHEDULES)
    if config.compile and config.recompute:
        raise DataInvalid("compile and recompute do not go together; set one of them to false")
    if config.optim.schedule == "steps" and not config.optim.milestones:
        raise DataInvalid("optim.schedule=steps needs optim.milestones, such as [0.6,0.9]")
    if config.optim.nesterov and not config.optim.momentum:
        raise DataInvalid("optim.nesterov needs optim.momentum above 0; set optim.nesterov=false")
    milestones = config.optim.milestones
    if any(not SHARE.holds(one) for one in milestones) or list(milestones) != sorted(milestones):
        raise DataInvalid(
            f"optim.milestones is {milestones}; it must be rising shares from 0 to 1"
        )


def _check_name(path: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise DataInvalid(f"{path} is {value!r}; known: {', '.join(known)}")
