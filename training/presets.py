"""Named runs, as functions: a preset plus ``--set field=value`` is a whole configuration."""

from collections.abc import Callable
from pathlib import Path

from embedding.errors import DataInvalid
from training.config import (
    AugmentConfig,
    BackboneConfig,
    DataConfig,
    DistillConfig,
    HeadConfig,
    OptimConfig,
    StartConfig,
    TrainConfig,
)


def smoke(data: Path, run_folder: Path) -> TrainConfig:
    """A few minutes on two cores: shows that the whole way works, not what it can reach."""
    return TrainConfig(
        run_folder=run_folder,
        data=DataConfig(source=data, max_identities=400, num_holdout_sharp=20),
        backbone=BackboneConfig(name="resnet18", channels=(16, 32, 64, 128)),
        head=HeadConfig(scale=32.0, margin_rad=0.3),
        epochs=4,
        batch_size=64,
    )


def few(data: Path, run_folder: Path) -> TrainConfig:
    """A hundred to a few thousand identities: gentle scale, margin warmed up over a third."""
    return TrainConfig(
        run_folder=run_folder,
        data=DataConfig(source=data, num_holdout_sharp=20),
        backbone=BackboneConfig(name="resnet18", channels=(32, 64, 128, 256)),
        head=HeadConfig(scale=40.0, margin_rad=0.4),
        epochs=24,
    )


def fine_tune(data: Path, run_folder: Path) -> TrainConfig:
    """From the weights of another run or file (set start.weights): the body learns slowly.

    Batch normalisation keeps its statistics, so that a few hundred images do no harm to them.
    """
    return TrainConfig(
        run_folder=run_folder,
        data=DataConfig(source=data, num_holdout_sharp=20),
        backbone=BackboneConfig(name="resnet18", channels=(32, 64, 128, 256)),
        start=StartConfig(body_lr=0.1, freeze_norm=True),
        head=HeadConfig(scale=40.0, margin_rad=0.3),
        optim=OptimConfig(lr=0.02, warmup=0.1),
        epochs=8,
    )


def mobilefacenet(data: Path, run_folder: Path) -> TrainConfig:
    """A million parameters for phones and cameras, for large sets (arXiv 1804.07573)."""
    return TrainConfig(
        run_folder=run_folder,
        data=DataConfig(source=data, num_holdout_sharp=100),
        backbone=BackboneConfig(name="mobilefacenet", head="gdc"),
        head=HeadConfig(scale=64.0, margin_rad=0.5, margin_warmup=0.0),
        optim=OptimConfig(lr=0.1, schedule="polynomial", nesterov=False),
        epochs=20,
        batch_size=512,
    )


def casia_r50(data: Path, run_folder: Path) -> TrainConfig:
    """The paper's run on CASIA-WebFace (arXiv 1801.07698, section 3.1): 10,575 identities.

    32,000 steps of 512 images are 33.4 passes over its 490,623 images; the rate falls to a tenth
    at 20,000 and 28,000. The paper augments by mirroring alone.
    """
    return TrainConfig(
        run_folder=run_folder,
        data=DataConfig(source=data, num_holdout_sharp=100),
        augment=AugmentConfig.mirror_only(),
        backbone=BackboneConfig(name="iresnet50", head="e", dropout=0.4),
        head=HeadConfig(scale=64.0, margin_rad=0.5, margin_warmup=0.0),
        optim=OptimConfig(
            schedule="steps",
            milestones=(20 / 32, 28 / 32),
            nesterov=False,
            warmup=0.0,
        ),
        epochs=34,
        batch_size=512,
    )


def ms1mv3_r100(data: Path, run_folder: Path) -> TrainConfig:
    """IResNet-100 on a set of tens of thousands of identities and millions of images.

    The recipe for large sets: 20 passes, polynomial decay, mirroring alone.
    """
    return TrainConfig(
        run_folder=run_folder,
        data=DataConfig(source=data, num_holdout_sharp=100),
        augment=AugmentConfig.mirror_only(),
        backbone=BackboneConfig(name="iresnet100", head="e"),
        head=HeadConfig(scale=64.0, margin_rad=0.5, margin_warmup=0.0),
        optim=OptimConfig(schedule="polynomial", nesterov=False, warmup=0.0),
        epochs=20,
        batch_size=512,
    )


def distilled(data: Path, run_folder: Path) -> TrainConfig:
    """From nothing, ArcFace beside a teacher, half-width ResNet-18: the run behind r18s.

    450 identities never train. Set ``distill.teacher`` to the file of
    ``python -m training teacher``.
    """
    return TrainConfig(
        run_folder=run_folder,
        data=DataConfig(source=data, min_images=1, num_holdout_sharp=150, num_holdout_soft=300),
        backbone=BackboneConfig(name="resnet18", channels=(32, 64, 128, 256)),
        head=HeadConfig(scale=40.0, margin_rad=0.3, weight=0.6),
        distill=DistillConfig(direction_weight=16.0, relation_weight=1.0),
        epochs=16,
        evaluate_every=4,
    )


def shipped(data: Path, run_folder: Path) -> TrainConfig:
    """The run behind the shipped model: dlib's network learns on, with ArcFace and its teacher.

    450 identities never train. Set ``start.weights`` to dlib's file of weights and
    ``distill.teacher`` to the file of ``python -m training teacher``, which keeps the network
    from forgetting what a few thousand people cannot teach it.
    """
    return TrainConfig(
        run_folder=run_folder,
        data=DataConfig(source=data, min_images=1, num_holdout_sharp=150, num_holdout_soft=300),
        backbone=BackboneConfig(name="dlib_resnet29", head="mean"),
        start=StartConfig(body_lr=0.1),
        head=HeadConfig(scale=32.0, margin_rad=0.3),
        distill=DistillConfig(direction_weight=4.0, relation_weight=1.0),
        optim=OptimConfig(lr=0.1, ema=0.995),
        epochs=4,
        batch_size=128,
    )


PRESETS: dict[str, Callable[[Path, Path], TrainConfig]] = {
    "smoke": smoke,
    "few": few,
    "fine-tune": fine_tune,
    "mobilefacenet": mobilefacenet,
    "casia-r50": casia_r50,
    "ms1mv3-r100": ms1mv3_r100,
    "distilled": distilled,
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
