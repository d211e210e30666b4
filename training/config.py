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

    @classmethod
    def mirror_only(cls) -> "AugmentConfig":
        """Left-right flips and nothing else, as in the papers."""
        return dataclasses.replace(cls.none(), mirror=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """Which images train.

    Attributes:
        source: a folder with one subfolder an identity, aligned 112x112 crops inside; or an
            InsightFace ``.rec``; or a folder of ``.tar`` shards.
        exclude: a file with the keys of images that are left out, one a line.
        min_images: identities with fewer images are left out.
        max_identities: at most so many identities train, chosen by a hash of their names.
        num_holdout_sharp: sharp identities that never train (see `split_store`).
        num_holdout_soft: soft, up-sampled identities that never train.
        images_per_identity: 1 shuffles all images; more make batches of whole groups, each
            identity as often as any other.
        num_workers: processes that read and augment; 0 does it in the main process, -1 takes
            the cores that are free.
        cache_mb: decoded crops are kept in memory up to so much in each process that trains;
            beyond, they are decoded anew in every epoch.
        max_bad: images that cannot be read are named and replaced by a neighbour; more than so
            many, on one rank, stop the run.
    """

    source: Path
    exclude: Path | None = None
    min_images: int = 2
    max_identities: int | None = None
    num_holdout_sharp: int = 0
    num_holdout_soft: int = 0
    images_per_identity: int = 1
    num_workers: int = -1
    cache_mb: int = 4096
    max_bad: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class BackboneConfig:
    """The network that turns a crop into an embedding.

    Attributes:
        name: a timm model, such as ``resnet18`` or ``mobilenetv4_conv_small``.
        channels: widths of the four stages of a ResNet or IResNet; None keeps the model's own.
        head: ``gdc`` (1x1 convolution, global depth-wise convolution, linear), ``e``
            (BN, flatten, linear: 13 times as many parameters on a 7x7 map) or ``mean`` (mean
            over the map, linear).
        dimension: length of the embedding; the service asks for 512.
        dropout: share of the map's numbers that head ``e`` drops between its BN and flatten, as
            in the paper (BN, dropout, flatten, linear, BN); 0 leaves the layer out.
    """

    name: str = "resnet18"
    channels: tuple[int, int, int, int] | None = None
    head: str = "gdc"
    dimension: int = 512
    dropout: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadConfig:
    """The classifier over all identities and its margin.

    Attributes:
        name: ``softmax``, ``norm-softmax``, ``sphereface``, ``sphereface-original``,
            ``cosface``, ``arcface``, ``combined``, ``adaface``, ``hinge``; or ``none`` for
            metric losses alone.
        scale: s, by which cosines are multiplied before the softmax.
        margin_rad: m2, added to the angle of the true class (arcface; combined, whose three
            margins are smaller than alone: 0.3 with 0.2 and 1, or 0.4 with 0.15 and 0.9).
        margin_cosine: m3, taken off its cosine (cosface, combined).
        margin_multiplier: m1, by which its angle is multiplied (sphereface, combined).
        margin_integer: the whole m of sphereface-original.
        margin_adaptive: m of adaface.
        easy_margin: margin only where the angle is below a right angle (sphereface, arcface,
            combined).
        margin_warmup: share of all steps over which the margin grows linearly from none.
        adaface_spread: h of adaface, the share of the deviation of lengths that counts.
        num_subcentres: K, centres a class (sub-centre ArcFace).
        sample_share: share of the other classes that a step uses (Partial FC); 1 is exact.
            Weight decay and momentum go on for all classes, drawn or not.
        keep_mb: logits kept from forward to backward instead of computed twice.
        precision: of the products with the centres; ``auto`` is bfloat16 on a GPU if the
            run's precision is, else float32.
        weight: factor of this loss in the sum of the losses.
    """

    name: str = "arcface"
    scale: float = 48.0
    margin_rad: float = 0.4
    margin_cosine: float = 0.35
    margin_multiplier: float = 1.35
    margin_integer: int = 4
    margin_adaptive: float = 0.4
    easy_margin: bool = False
    margin_warmup: float = 0.33
    adaface_spread: float = 0.333
    num_subcentres: int = 1
    sample_share: float = 1.0
    keep_mb: int = 64
    precision: str = "auto"
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricConfig:
    """Losses on distances, beside a classifier or alone; a weight of 0 switches one off.

    Attributes:
        centre: weight of the centre loss, on embeddings as they are (0.003 is usual).
        centre_rate: share of the way that a centre moves to its samples in a step.
        triplet: weight of the triplet loss on angles, with semi-hard mining in the batch. It
            needs several images an identity: set data.images_per_identity.
        triplet_margin_rad: by how much an angle to another identity must be larger.
        intra: weight of the mean angle to the true centre.
        inter: weight of the mean angle between centres, which is to grow.
    """

    centre: float = 0.0
    centre_rate: float = 0.5
    triplet: float = 0.0
    triplet_margin_rad: float = 0.35
    intra: float = 0.0
    inter: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillConfig:
    """What is learned from a teacher's embeddings of the same training images.

    Attributes:
        teacher: file made by ``python -m training teacher`` (``.npz``), or an ``.onnx`` model
            that embeds every batch as it is augmented; None trains without.
        direction_weight: factor of 1 - cos(embedding, teacher's direction); a linear projection
            comes between them where the dimensions differ.
        relation_weight: factor of the squared differences between pairwise cosines.
    """

    teacher: Path | None = None
    direction_weight: float = 16.0
    relation_weight: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimConfig:
    """SGD with momentum, linear warm-up, then a decay.

    Attributes:
        lr: learning rate at its peak, for the batch size of the run.
        schedule: ``cosine``, ``linear``, ``polynomial`` (power 2), each to zero, or ``steps``.
        milestones: shares of all steps at which ``steps`` divides the rate by ten.
        momentum: of SGD.
        nesterov: look ahead along the momentum.
        weight_decay: on weights of convolutions and linear layers and on class centres.
        warmup: share of all steps in which the rate grows from 0.
        clip_norm: largest norm of all gradients together.
        ema: decay of the exponential moving average of the weights; 0 switches it off.
    """

    lr: float = 0.1
    schedule: str = "cosine"
    milestones: tuple[float, ...] = ()
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4
    warmup: float = 0.05
    clip_norm: float = 5.0
    ema: float = 0.999


@dataclass(frozen=True, slots=True, kw_only=True)
class StartConfig:
    """What a run begins with, and which parts of the network learn.

    Attributes:
        weights: folder of another run, or a file of weights (ours, arcface_torch's IResNet, or
            timm's for the same body); None begins at random.
        body_lr: factor of the learning rate for the body (all but the embedding head).
        freeze_body: the body stays as it is, its batch normalisation too.
        freeze_norm: batch normalisation everywhere uses its running statistics.
    """

    weights: Path | None = None
    body_lr: float = 1.0
    freeze_body: bool = False
    freeze_norm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One whole run.

    Attributes:
        run_folder: checkpoints, TensorBoard events, the log and the resolved configuration.
        epochs: passes over the training images.
        batch_size: images a step, over all ranks and micro-batches.
        accumulate: micro-batches that a step is divided into, to fit into memory.
        seed: of weights, order and augmentation.
        precision: ``bfloat16`` (autocast), ``float32``, or ``auto``: bfloat16 where the
            hardware computes it.
        device: ``auto`` takes a GPU if there is one.
        channels_last: memory order of activations that convolutions like.
        recompute: keep only the edges of blocks for the backward pass and compute their inside
            again (gradient checkpointing): less memory, a third more time.
        compile: let torch.compile fuse the network; the first steps take minutes.
        checkpoint_minutes: time between checkpoints, besides one at the end of each epoch.
        evaluate_every: epochs between evaluations on the held-out identities.
    """

    run_folder: Path
    data: DataConfig
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    start: StartConfig = field(default_factory=StartConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    metric: MetricConfig = field(default_factory=MetricConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    epochs: int = 18
    batch_size: int = 256
    accumulate: int = 1
    seed: int = 0
    precision: str = "auto"
    device: str = "auto"
    channels_last: bool = True
    recompute: bool = False
    compile: bool = False
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
