"""Named runs, as functions: a preset plus ``--set field=value`` is a whole configuration."""

from collections.abc import Callable
from pathlib import Path

from embedding.errors import DataInvalid
from training.config import (
    BackboneConfig,
    DataConfig,
    DistillConfig,
    HeadConfig,
    TrainConfig,
)


def smoke(data: Path, run_folder: Path) -> TrainConfig:
    """A few minutes on two cores: shows that the whole way works, not what it can reach."""
    return TrainConfig(
        run_folder=run_folder,
        data=DataConfig(folder=data, min_images=2, num_holdout_sharp=20, num_workers=0),
        backbone=BackboneConfig(name="resnet18", channels=(16, 32, 64, 128)),
        head=HeadConfig(scale=32.0, margin_rad=0.3),
        epochs=2,
        batch_size=64,
    )


def few(data: Path, run_folder: Path) -> TrainConfig:
    """A hundred to a few thousand identities: gentle scale, margin warmed up over a third."""
    return TrainConfig(
        run_folder=run_folder,
        data=DataConfig(folder=data, min_images=2, num_holdout_sharp=20),
        backbone=BackboneConfig(name="resnet18", channels=(32, 64, 128, 256)),
        head=HeadConfig(scale=40.0, margin_rad=0.4),
        epochs=24,
    )


def shipped(data: Path, run_folder: Path) -> TrainConfig:
    """The run behind the shipped model: ArcFace beside a teacher, half-width ResNet-18.

    450 identities never train. Set ``distill.teacher`` to the file of
    ``python -m training teacher``.
    """
    return TrainConfig(
        run_folder=run_folder,
        data=DataConfig(folder=data, min_images=1, num_holdout_sharp=150, num_holdout_soft=300),
        backbone=BackboneConfig(name="resnet18", channels=(32, 64, 128, 256)),
        head=HeadConfig(scale=40.0, margin_rad=0.3, weight=0.6),
        distill=DistillConfig(direction_weight=16.0, relation_weight=1.0),
        epochs=16,
        evaluate_every=4,
    )


PRESETS: dict[str, Callable[[Path, Path], TrainConfig]] = {
    "smoke": smoke,
    "few": few,
    "shipped": shipped,
}


def preset(name: str, *, data: Path, run_folder: Path) -> TrainConfig:
    """The configuration of a named run.

    Raises:
        DataInvalid: for a name that is not known.
    """
    if name not in PRESETS:
        raise DataInvalid(f"no preset {name!r}; known: {', '.join(PRESETS)}")
    return PRESETS[name](data, run_folder)
