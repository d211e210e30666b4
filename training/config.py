"""What a training run is made of: frozen dataclasses, stored beside every checkpoint."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from embedding.errors import DataInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentConfig:
    """Probabilities and ranges of the augmentations; every probability is per image.

    Attributes:
        mirror: left-right flip.
        geometry: small rotation, zoom and shift together.
        max_rotation_deg: largest rotation either way.
        max_zoom: largest relative change of size either way.
        max_shift_px: largest shift either way, on each axis.
        low_resolution: shrink and enlarge again, which cures trust in softness.
        min_resolution_px: smallest size that an image is shrunk to.
        jpeg: re-encode at a quality of 20 to 80.
        blur: Gaussian blur of 0.4 to 1.6 px.
        colour: brightness, contrast and saturation.
        grey: colour removed.
        erase: a rectangle of 2 to 15 % of the area replaced by one colour.
    """

    mirror: float = 0.5
    geometry: float = 0.5
    max_rotation_deg: float = 8.0
    max_zoom: float = 0.08
    max_shift_px: float = 4.0
    low_resolution: float = 0.3
    min_resolution_px: int = 18
    jpeg: float = 0.15
    blur: float = 0.1
    colour: float = 0.5
    grey: float = 0.1
    erase: float = 0.25

    @classmethod
    def none(cls) -> "AugmentConfig":
        """No augmentation at all, for tests of the data path."""
        names = ("mirror", "geometry", "low_resolution", "jpeg", "blur", "colour", "grey", "erase")
        return cls(**dict.fromkeys(names, 0.0))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which images train.

    Attributes:
        folder: one subfolder an identity, aligned 112x112 crops inside.
        min_images: identities with fewer images are left out.
        num_holdout_sharp: sharp identities that never train (see `holdout`).
        num_holdout_soft: soft, up-sampled identities that never train.
        num_workers: processes that read and augment; 0 does it in the main process.
    """

    folder: Path
    min_images: int = 2
    num_holdout_sharp: int = 0
    num_holdout_soft: int = 0
    num_workers: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneConfig:
    """The network that turns a crop into an embedding.

    Attributes:
        name: a timm model, such as ``resnet18`` or ``mobilenetv4_conv_small``.
        channels: widths of the four stages of a timm ResNet; None keeps the model's own.
        head: ``gdc`` (1x1 convolution, global depth-wise convolution, linear) or ``e``
            (BN, flatten, linear: 13 times as many parameters on a 7x7 map).
        dimension: length of the embedding; the service asks for 512.
    """

    name: str = "resnet18"
    channels: tuple[int, int, int, int] | None = None
    head: str = "gdc"
    dimension: int = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadConfig:
    """The ArcFace head (arXiv 1801.07698, equation 3).

    Attributes:
        scale: s, by which cosines are multiplied before the softmax.
        margin_rad: m, added to the angle of the true class at full strength.
        margin_warmup: share of all steps over which m grows linearly from 0.
        weight: factor of this loss in the sum of the losses.
    """

    scale: float = 48.0
    margin_rad: float = 0.4
    margin_warmup: float = 0.33
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillConfig:
    """What is learned from a teacher's embeddings of the same training images.

    Attributes:
        teacher: file made by ``python -m training teacher``; None trains without.
        direction_weight: factor of 1 - cos(projected embedding, teacher's direction).
        relation_weight: factor of the squared differences between pairwise cosines.
    """

    teacher: Path | None = None
    direction_weight: float = 16.0
    relation_weight: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimConfig:
    """SGD with momentum, linear warm-up, cosine decay to zero.

    Attributes:
        lr: learning rate at its peak, for the batch size of the run.
        momentum: of SGD (Nesterov).
        weight_decay: on weights of convolutions and linear layers and on class centres.
        warmup: share of all steps in which the rate grows from 0.
        clip_norm: largest norm of all gradients together.
        ema: decay of the exponential moving average of the weights; 0 switches it off.
    """

    lr: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.05
    clip_norm: float = 5.0
    ema: float = 0.999


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One whole run.

    Attributes:
        run_folder: checkpoints, TensorBoard events and the resolved configuration.
        epochs: passes over the training images.
        batch_size: images a step.
        seed: of weights, order and augmentation.
        precision: ``bfloat16`` (autocast) or ``float32``.
        device: ``auto`` takes a GPU if there is one.
        checkpoint_minutes: time between checkpoints, besides one at the end of each epoch.
        evaluate_every: epochs between evaluations on the held-out identities.
    """

    run_folder: Path
    data: DataConfig
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    epochs: int = 18
    batch_size: int = 256
    seed: int = 0
    precision: str = "bfloat16"
    device: str = "auto"
    checkpoint_minutes: float = 5.0
    evaluate_every: int = 1

    def to_json(self) -> str:
        """The configuration as readable JSON, from which `from_json` makes an equal one."""
        return json.dumps(dataclasses.asdict(self), indent=2, default=str)

    @classmethod
    def from_json(cls, text: str) -> "TrainConfig":
        """Reads what `to_json` wrote.

        Raises:
            DataInvalid: a missing field, or a value of another type.
        """
        try:
            return _ADAPTER.validate_json(text, strict=True)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            raise DataInvalid(
                f"the configuration is not valid at {place}: {first['msg']}"
            ) from error


_ADAPTER = TypeAdapter(TrainConfig)


def with_field(config: TrainConfig, assignment: str) -> TrainConfig:
    """The configuration with one field replaced, as ``--set optim.lr=0.05`` asks.

    Raises:
        DataInvalid: for an unknown field or a value of another type.
    """
    path, separator, text = assignment.partition("=")
    if not separator:
        raise DataInvalid(f"--set wants field=value, such as optim.lr=0.05; got {assignment!r}")
    values = json.loads(config.to_json())
    *parents, name = path.split(".")
    target = values
    for parent in parents:
        target = target.get(parent) if isinstance(target, dict) else None
    if not isinstance(target, dict) or name not in target:
        raise DataInvalid(f"no setting {path!r}; known here: {', '.join(_leaves(values))}")
    try:
        target[name] = json.loads(text)
    except json.JSONDecodeError:
        target[name] = text
    return TrainConfig.from_json(json.dumps(values))


def _leaves(values: dict[str, Any], prefix: str = "") -> list[str]:
    names: list[str] = []
    for key, value in values.items():
        names += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [prefix + key]
    return names
