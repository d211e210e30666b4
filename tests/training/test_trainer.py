"""The loop: it learns, resumes as if nothing had happened, and stops before harm is done."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from embedding.errors import CheckpointInvalid, DataInvalid, LossNotFinite
from training.checkpoint import LATEST, load_checkpoint, save_checkpoint
from training.config import BackboneConfig, DistillConfig, TrainConfig
from training.data import scan_identities, split_identities
from training.distill import Distillation, teacher_targets
from training.evaluate import holdout_evaluator
from training.trainer import Trainer


def losses_of(trainer: Trainer, num_steps: int) -> list[float]:
    """The next losses of a run, epoch by epoch as `run` goes through them."""
    losses: list[float] = []
    while len(losses) < num_steps:
        epoch = trainer.step_number // trainer.steps_per_epoch
        for batch in trainer._loader(epoch):
            losses.append(trainer.step(batch["crop"], batch["label"], batch["index"])["loss"])
            if len(losses) == num_steps:
                break
    return losses


def new_trainer(config: TrainConfig) -> Trainer:
    """A trainer on the configuration's own split."""
    return Trainer(config, split_identities(config.data))


# A gentle rate: at 0.05 the rounding of another number of threads grows to 10 % in ten steps.
GOLDEN_LR = 0.004
GOLDEN_LOSSES = [2.588, 3.2429, 4.2253, 4.7251, 5.3389, 5.1919, 4.4897, 5.0343, 4.3676, 4.5815]


def test_ten_steps_give_the_golden_losses(config: TrainConfig) -> None:
    """The same run as ever: a change of these numbers is a change of what training does."""
    config = replace(config, optim=replace(config.optim, lr=GOLDEN_LR))
    losses = losses_of(new_trainer(config), 10)
    assert losses == pytest.approx(GOLDEN_LOSSES, rel=0.03)


def test_a_resumed_run_has_the_losses_of_an_unbroken_one(config: TrainConfig) -> None:
    """Stopped in the middle of an epoch, the rest is the same to the last bits."""
    unbroken = losses_of(new_trainer(config), 6)
    first = new_trainer(config)
    config.run_folder.mkdir()
    before = losses_of(first, 4)
    first.save()
    second = new_trainer(config)
    second.load(config.run_folder / LATEST)
    assert before + losses_of(second, 2) == pytest.approx(unbroken, rel=1e-5)


def test_a_run_learns_and_measures_people_it_never_saw(config: TrainConfig) -> None:
    """The loss falls, the held-out figures are there, and the log can be read."""
    config = replace(config, epochs=8, augment=type(config.augment).none())
    split = split_identities(config.data)
    trainer = Trainer(config, split, evaluate=holdout_evaluator(split.holdout))
    first = losses_of(new_trainer(config), 1)[0]
    figures = trainer.run()
    batch = next(iter(trainer._loader(0)))
    assert trainer.step(batch["crop"], batch["label"], batch["index"])["loss"] < 0.7 * first
    assert figures["sharp/rank1"] > 0.5
    assert (config.run_folder / LATEST).exists()
    assert TrainConfig.from_json((config.run_folder / "config.json").read_text()) == config


def test_a_finished_run_is_not_trained_again(config: TrainConfig) -> None:
    """Starting it once more loads the checkpoint and leaves the weights alone."""
    config = replace(config, epochs=1)
    new_trainer(config).run()
    before = load_checkpoint(config.run_folder / LATEST)
    new_trainer(config).run()
    after = load_checkpoint(config.run_folder / LATEST)
    assert before["step"] == after["step"] == 3
    for name, value in before["average"].items():
        torch.testing.assert_close(value, after["average"][name])


def test_a_loss_that_is_not_finite_stops_before_the_step(config: TrainConfig) -> None:
    """The weights stay as they were."""
    trainer = new_trainer(config)
    batch = next(iter(trainer._loader(0)))
    with torch.no_grad():
        trainer.head.centres_CD[0, 0] = float("nan")
    before = trainer.backbone.state_dict()["body.conv1.weight"].clone()
    with pytest.raises(LossNotFinite, match="step 0"):
        trainer.step(batch["crop"], batch["label"], batch["index"])
    torch.testing.assert_close(before, trainer.backbone.state_dict()["body.conv1.weight"])
    assert trainer.step_number == 0


def test_bfloat16_gives_nearly_the_loss_of_float32(config: TrainConfig) -> None:
    """Autocast changes rounding, not the loss."""
    exact = losses_of(new_trainer(config), 2)
    rounded = losses_of(new_trainer(replace(config, precision="bfloat16")), 2)
    assert rounded == pytest.approx(exact, rel=0.05)


def test_a_batch_larger_than_the_set_is_refused(config: TrainConfig) -> None:
    """The message names both numbers."""
    with pytest.raises(DataInvalid, match="60 training images do not fill one batch of 100"):
        new_trainer(replace(config, batch_size=100))


def test_a_checkpoint_of_another_network_is_refused(config: TrainConfig) -> None:
    """No half-loaded weights."""
    config.run_folder.mkdir()
    new_trainer(config).save()
    other = replace(config, backbone=BackboneConfig(channels=(16, 16, 16, 24)))
    with pytest.raises(CheckpointInvalid, match="another network"):
        new_trainer(other).load(config.run_folder / LATEST)


def test_a_checkpoint_of_other_people_is_refused(config: TrainConfig) -> None:
    """As many classes with other names are not the same run."""
    config.run_folder.mkdir()
    trainer = new_trainer(config)
    trainer.data.names[0] = "somebody else"
    trainer.save()
    with pytest.raises(CheckpointInvalid, match="other identities"):
        new_trainer(config).load(config.run_folder / LATEST)


@pytest.mark.parametrize("damage", [b"", b"not a checkpoint", None])
def test_a_damaged_checkpoint_is_refused(damage: bytes | None, tmp_path: Path) -> None:
    """Empty, foreign and truncated files give one clear error."""
    path = save_checkpoint({"step": 1, "weights": torch.zeros(1000)}, tmp_path)
    path.write_bytes(path.read_bytes()[:700] if damage is None else damage)
    with pytest.raises(CheckpointInvalid, match=r"checkpoint\.pt"):
        load_checkpoint(path)


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(tmp_path: Path) -> None:
    """On a full disk the error names the file and the checkpoint before stays good."""
    path = save_checkpoint({"step": 1}, tmp_path)
    (tmp_path / "checkpoint.tmp").symlink_to("/dev/full")
    with pytest.raises(CheckpointInvalid, match="untouched"):
        save_checkpoint({"step": 2, "weights": torch.zeros(100_000)}, tmp_path)
    assert load_checkpoint(path)["step"] == 1


def write_targets(identities: Path, file: Path, *, dimension: int = 5) -> Path:
    """A teacher's file with random vectors for every image."""
    paths = [path for one in scan_identities(identities) for path in one.paths]
    names = np.array([path.relative_to(identities).as_posix() for path in paths])
    vectors = np.random.default_rng(0).normal(size=(len(paths), dimension)).astype(np.float32)
    np.savez(file, names=names, vectors=vectors)
    return file


def test_a_teacher_pulls_the_student_towards_its_relations(
    config: TrainConfig, identities: Path, tmp_path: Path
) -> None:
    """Both distillation losses fall during a run."""
    file = write_targets(identities, tmp_path / "teacher.npz")
    config = replace(config, distill=DistillConfig(teacher=file), augment=config.augment.none())
    trainer = new_trainer(config)
    batch = next(iter(trainer._loader(0)))
    figures = [trainer.step(batch["crop"], batch["label"], batch["index"]) for _ in range(12)]
    for name in ("loss/direction", "loss/relation"):
        assert figures[-1][name] < 0.9 * figures[0][name]


def test_distillation_equals_a_loop_over_pairs() -> None:
    """Both losses, written down slowly in float64."""
    torch.manual_seed(0)
    module = Distillation(6, 3)
    embeddings, targets = torch.randn(4, 6), torch.nn.functional.normalize(torch.randn(4, 3))
    direction, relation = module(embeddings, targets)
    unit = [row.double() / row.double().norm() for row in embeddings]
    weight = module.projection.weight.double()
    slow_direction, slow_relation = 0.0, 0.0
    for i in range(4):
        projected = weight @ unit[i]
        slow_direction += 1 - (projected / projected.norm() @ targets[i].double()).item()
        for j in range(4):
            gap = unit[i] @ unit[j] - targets[i].double() @ targets[j].double()
            slow_relation += gap.item() ** 2
    assert direction.item() == pytest.approx(slow_direction / 4, rel=1e-5)
    assert relation.item() == pytest.approx(slow_relation / 4, rel=1e-5)


def test_targets_are_centred_directions_in_the_order_asked_for(
    identities: Path, tmp_path: Path
) -> None:
    """The common part of all vectors is gone and rows follow the paths."""
    file = write_targets(identities, tmp_path / "teacher.npz")
    paths = tuple(path for one in scan_identities(identities) for path in one.paths)
    targets = teacher_targets(file, paths, identities)
    torch.testing.assert_close(targets.norm(dim=1), torch.ones(len(paths)))
    assert targets.mean(dim=0).norm() < 0.1
    torch.testing.assert_close(teacher_targets(file, paths[::-1], identities), targets.flip(0))


def test_an_image_that_the_teacher_has_not_seen_is_named(identities: Path, tmp_path: Path) -> None:
    """Targets of other data are refused."""
    file = write_targets(identities, tmp_path / "teacher.npz")
    with pytest.raises(DataInvalid, match=r"lacks 1 images, the first is new/0\.jpg"):
        teacher_targets(file, (identities / "new" / "0.jpg",), identities)
