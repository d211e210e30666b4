"""The loop: it learns, resumes as if nothing had happened, and stops before harm is done."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from embedding.errors import CheckpointInvalid, DataInvalid, LossNotFinite
from training.checkpoint import latest_checkpoint, load_state
from training.config import (
    BackboneConfig,
    DistillConfig,
    HeadConfig,
    MetricConfig,
    StartConfig,
    TrainConfig,
)
from training.data.opening import open_store
from training.data.split import Split, split_store
from training.evaluate import holdout_evaluator
from training.trainer import Batch, Trainer


def split_of(config: TrainConfig) -> Split:
    """The configuration's own split."""
    return split_store(open_store(config.data.source), config.data)


def new_trainer(config: TrainConfig) -> Trainer:
    """A trainer on the configuration's own split."""
    return Trainer(config, split_of(config))


def steps(trainer: Trainer, num_steps: int) -> Iterator[dict[str, float]]:
    """The figures of the next steps of a run."""
    for (micro_batches, _), _ in zip(trainer.batches(), range(num_steps), strict=False):
        yield trainer.step(micro_batches)


def losses_of(trainer: Trainer, num_steps: int) -> list[float]:
    """The next losses of a run."""
    return [figures["loss"] for figures in steps(trainer, num_steps)]


def first_batch(trainer: Trainer) -> list[Batch]:
    """What the next step would learn from."""
    return next(trainer.batches())[0]


# A gentle rate: at 0.05 the rounding of another number of threads grows to 10 % in ten steps.
GOLDEN_LR = 0.004
GOLDEN_LOSSES = [2.561, 3.4091, 4.3469, 4.6464, 5.6823, 5.2249, 4.4387, 4.9401, 4.3192, 4.5704]


@pytest.fixture
def golden(config: TrainConfig) -> TrainConfig:
    """The golden run."""
    return replace(config, optim=replace(config.optim, lr=GOLDEN_LR))


def test_ten_steps_give_the_golden_losses(golden: TrainConfig) -> None:
    """The same run as ever: a change of these numbers is a change of what training does."""
    assert losses_of(new_trainer(golden), 10) == pytest.approx(GOLDEN_LOSSES, rel=0.03)


def test_a_resumed_run_has_the_losses_of_an_unbroken_one(golden: TrainConfig) -> None:
    """Stopped in the middle of an epoch, the rest is the same to the last bits."""
    unbroken = losses_of(new_trainer(golden), 10)
    first = new_trainer(golden)
    before = losses_of(first, 4)
    path = first.save()
    second = new_trainer(golden)
    second.load(path)
    assert before + losses_of(second, 6) == pytest.approx(unbroken, rel=1e-6)


def test_a_run_learns_and_measures_people_it_never_saw(config: TrainConfig) -> None:
    """The loss falls, the held-out figures are there, and the log can be read."""
    config = replace(config, epochs=8, augment=type(config.augment).none())
    split = split_of(config)
    trainer = Trainer(config, split, evaluate=holdout_evaluator(split.holdout))
    figures = trainer.run()
    logged = [
        json.loads(line) for line in (config.run_folder / "log.jsonl").read_text().splitlines()
    ]
    assert [one["step"] for one in logged] == list(range(24))
    assert logged[-1]["loss"] < 0.7 * logged[0]["loss"]
    assert figures["sharp/rank1"] > 0.5
    assert trainer.is_finished
    assert TrainConfig.from_json((config.run_folder / "config.json").read_text()) == config
    with np.load(config.run_folder / "angles.npz") as angles:
        assert angles["end"].mean() < angles["start"].mean()


def test_a_finished_run_is_not_trained_again(config: TrainConfig) -> None:
    """Starting it once more loads the checkpoint and leaves the weights alone."""
    config = replace(config, epochs=1)
    new_trainer(config).run()
    before = load_state(config.run_folder)
    new_trainer(config).run()
    after = load_state(config.run_folder)
    assert before["step"] == after["step"] == 3
    for name, value in before["average"].items():
        torch.testing.assert_close(value, after["average"][name])


def test_a_loss_that_is_not_finite_stops_before_the_step(config: TrainConfig) -> None:
    """The weights stay as they were."""
    trainer = new_trainer(config)
    assert trainer.losses.classifier is not None
    with torch.no_grad():
        trainer.losses.classifier.centres_RD[0, 0] = float("nan")
    before = trainer.backbone.state_dict()["body.conv1.weight"].clone()
    with pytest.raises(LossNotFinite, match="step 0"):
        trainer.step(first_batch(trainer))
    torch.testing.assert_close(before, trainer.backbone.state_dict()["body.conv1.weight"])
    assert trainer.step_number == 0


def test_bfloat16_gives_nearly_the_loss_of_float32(config: TrainConfig) -> None:
    """Autocast changes rounding, not the loss."""
    exact = losses_of(new_trainer(config), 2)
    rounded = losses_of(new_trainer(replace(config, precision="bfloat16")), 2)
    assert rounded == pytest.approx(exact, rel=0.05)


def test_micro_batches_give_the_step_of_the_whole_batch(golden: TrainConfig) -> None:
    """Gradient accumulation divides by the number of parts, neither more nor less.

    Batch normalisation uses its running statistics, as each part would have its own.
    """
    config = replace(golden, start=StartConfig(freeze_norm=True))
    whole, parts = new_trainer(config), new_trainer(replace(config, accumulate=4))
    for one, other in zip(steps(whole, 3), steps(parts, 3), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert one["gradient_norm"] == pytest.approx(other["gradient_norm"], rel=1e-4)
    for name, value in whole.backbone.state_dict().items():
        torch.testing.assert_close(value, parts.backbone.state_dict()[name], rtol=1e-3, atol=1e-5)


def test_recomputing_and_memory_order_change_no_step(golden: TrainConfig) -> None:
    """Gradient checkpointing and contiguous memory give the same losses."""
    plain = losses_of(new_trainer(golden), 3)
    changed = losses_of(new_trainer(replace(golden, recompute=True, channels_last=False)), 3)
    assert changed == pytest.approx(plain, rel=1e-3)


@pytest.mark.slow
def test_a_compiled_network_gives_the_same_losses(golden: TrainConfig) -> None:
    """torch.compile is an option that changes nothing but speed."""
    plain = losses_of(new_trainer(golden), 2)
    compiled = new_trainer(replace(golden, compile=True))
    assert losses_of(compiled, 2) == pytest.approx(plain, rel=1e-3)
    compiled.save()


@pytest.mark.parametrize(
    "changes",
    [
        {"head": HeadConfig(name="adaface", scale=16.0)},
        {"head": HeadConfig(scale=16.0, num_subcentres=3)},
        {"head": HeadConfig(scale=16.0, sample_share=0.5)},
        {"head": HeadConfig(name="softmax")},
        {"head": HeadConfig(name="hinge")},
        {"head": HeadConfig(name="none"), "metric": MetricConfig(triplet=1.0, centre=0.003)},
        {
            "head": HeadConfig(name="norm-softmax", scale=16.0),
            "metric": MetricConfig(intra=1.0, inter=1.0),
        },
    ],
    ids=["adaface", "subcentres", "partial", "softmax", "hinge", "triplet", "intra and inter"],
)
def test_a_run_with_other_losses_resumes_as_well(
    golden: TrainConfig, changes: dict[str, object]
) -> None:
    """What a head or a loss keeps of its own is in the checkpoint, too."""
    config = replace(
        golden,
        data=replace(golden.data, images_per_identity=2),
        **changes,  # type: ignore[arg-type]
    )
    unbroken = losses_of(new_trainer(config), 4)
    first = new_trainer(config)
    losses_of(first, 2)
    path = first.save()
    second = new_trainer(config)
    second.load(path)
    assert losses_of(second, 2) == pytest.approx(unbroken[2:], rel=1e-5)


def test_a_frozen_body_stays_as_it_is(config: TrainConfig) -> None:
    """Neither its weights nor its running statistics move; the head learns."""
    trainer = new_trainer(replace(config, start=StartConfig(freeze_body=True), epochs=1))
    before = {name: one.clone() for name, one in trainer.backbone.state_dict().items()}
    trainer.run()
    for name, value in trainer.backbone.state_dict().items():
        # The last BN's scale is fixed at 1 in every run.
        stays = name.startswith("body.") or name == "head.7.weight"
        assert torch.equal(value, before[name]) == stays, name


def test_a_body_with_a_lower_rate_moves_less(config: TrainConfig) -> None:
    """The first step of the body is the factor times the step that it would take."""
    whole, slow = new_trainer(config), new_trainer(replace(config, start=StartConfig(body_lr=0.1)))
    name = "body.conv1.weight"
    before = whole.backbone.state_dict()[name].clone()
    losses_of(whole, 1)
    losses_of(slow, 1)
    full, tenth = (one.backbone.state_dict()[name] - before for one in (whole, slow))
    torch.testing.assert_close(tenth, 0.1 * full, rtol=1e-2, atol=1e-7)


def test_a_run_begins_with_the_weights_of_another(config: TrainConfig, tmp_path: Path) -> None:
    """The averaged weights of its last checkpoint, without its classes."""
    new_trainer(replace(config, epochs=1)).run()
    start = StartConfig(weights=config.run_folder)
    second = new_trainer(replace(config, run_folder=tmp_path / "second", start=start))
    average = load_state(config.run_folder)["average"]
    for name, value in second.backbone.state_dict().items():
        torch.testing.assert_close(value, average[name], rtol=0, atol=0)


def test_weights_that_are_not_there_are_refused(config: TrainConfig) -> None:
    """The path is named."""
    with pytest.raises(DataInvalid, match="no weights at nowhere"):
        new_trainer(replace(config, start=StartConfig(weights=Path("nowhere"))))


def test_a_callable_teaches_at_equal_dimension(config: TrainConfig) -> None:
    """Any function from crops to vectors is a teacher; its directions are learned."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(48, 512)).astype(np.float32)

    def teacher(crops_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
        grid = crops_BHWC.reshape(-1, 4, 28, 4, 28, 3).mean(axis=(2, 4)).reshape(-1, 48)
        vectors: NDArray[np.float32] = ((grid - 127.5) / 64).astype(np.float32) @ mixing
        return vectors

    config = replace(config, distill=DistillConfig(relation_weight=0.5))
    trainer = Trainer(config, split_of(config), teacher=teacher)
    batch = first_batch(trainer)
    figures = [trainer.step(batch) for _ in range(12)]
    assert figures[-1]["loss/direction"] < 0.9 * figures[0]["loss/direction"]
    assert not list(trainer.losses.distillation.projection.parameters())  # type: ignore[union-attr]


def test_a_teacher_s_file_pulls_the_student(config: TrainConfig, tmp_path: Path) -> None:
    """Both distillation losses fall during a run, through a projection."""
    selection = split_of(config).train
    names = np.array([selection.key(image) for image in range(len(selection))])
    vectors = np.random.default_rng(0).normal(size=(len(names), 5)).astype(np.float32)
    file = tmp_path / "teacher.npz"
    np.savez(file, names=names, vectors=vectors, is_centred=np.array(True))
    config = replace(config, distill=DistillConfig(teacher=file), augment=config.augment.none())
    trainer = new_trainer(config)
    batch = first_batch(trainer)
    figures = [trainer.step(batch) for _ in range(12)]
    for name in ("loss/direction", "loss/relation"):
        assert figures[-1][name] < 0.9 * figures[0][name]


def test_a_batch_larger_than_the_set_is_refused(config: TrainConfig) -> None:
    """The message names both numbers."""
    with pytest.raises(DataInvalid, match="60 training images do not fill one batch of 100"):
        new_trainer(replace(config, batch_size=100))


def test_a_batch_that_does_not_divide_is_refused(config: TrainConfig) -> None:
    """Micro-batches of different sizes would weigh differently."""
    with pytest.raises(DataInvalid, match="16 is not divisible by 3 micro-batches on 1 ranks"):
        new_trainer(replace(config, accumulate=3))


def test_a_run_without_any_loss_is_refused(config: TrainConfig) -> None:
    """Nothing to learn from is a mistake."""
    with pytest.raises(DataInvalid, match="nothing to learn from"):
        new_trainer(replace(config, head=HeadConfig(name="none")))


def test_a_checkpoint_of_another_network_is_refused(config: TrainConfig) -> None:
    """No half-loaded weights."""
    path = new_trainer(config).save()
    other = replace(config, backbone=BackboneConfig(channels=(16, 16, 16, 24)))
    with pytest.raises(CheckpointInvalid, match="another network"):
        new_trainer(other).load(path)


def test_a_checkpoint_of_other_people_is_refused(config: TrainConfig) -> None:
    """As many classes with other names are not the same run."""
    path = new_trainer(config).save()
    other = replace(config, data=replace(config.data, num_holdout_sharp=0, max_identities=12))
    with pytest.raises(CheckpointInvalid, match="other identities"):
        new_trainer(other).load(path)


def test_a_broken_image_is_named_and_replaced(
    config: TrainConfig, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run goes on, says which file is bad, and stops where there are too many."""
    data = tmp_path / "data"
    for person in config.data.source.iterdir():
        (data / person.name).mkdir(parents=True)
        for image in person.iterdir():
            (data / person.name / image.name).symlink_to(image)
    config = replace(config, data=replace(config.data, source=data, cache_mb=0))
    victim = split_of(config).train.names[0]
    broken = data / victim / "0.jpg"
    broken.unlink()
    broken.write_bytes(b"no image")
    assert len(losses_of(new_trainer(config), 3)) == 3
    assert f"{victim}/0.jpg cannot be read" in caplog.text
    strict = replace(config, data=replace(config.data, max_bad=0))
    with pytest.raises(DataInvalid, match=r"more than data\.max_bad=0"):
        losses_of(new_trainer(strict), 3)


def test_a_run_keeps_one_checkpoint(config: TrainConfig) -> None:
    """Older ones go when a newer one stands."""
    new_trainer(replace(config, epochs=2)).run()
    folders = list((config.run_folder / "checkpoints").iterdir())
    assert folders == [latest_checkpoint(config.run_folder)]


@pytest.mark.parametrize(
    "changes",
    [
        {"head": HeadConfig(weight=0.0)},
        {"head": HeadConfig(name="none"), "distill": DistillConfig(direction_weight=0.0)},
    ],
    ids=["head of no weight", "no head and no teacher"],
)
def test_losses_without_weight_are_no_losses(
    config: TrainConfig, changes: dict[str, object]
) -> None:
    """A run that cannot learn does not begin."""
    with pytest.raises(DataInvalid, match="nothing to learn from"):
        new_trainer(replace(config, **changes))  # type: ignore[arg-type]


def test_a_finished_run_keeps_its_configuration(config: TrainConfig) -> None:
    """Starting it with other settings trains nothing and writes nothing."""
    config = replace(config, epochs=1)
    new_trainer(config).run()
    new_trainer(replace(config, head=replace(config.head, margin_rad=0.3))).run()
    assert TrainConfig.from_json((config.run_folder / "config.json").read_text()) == config


def test_a_checkpoint_of_another_order_is_refused(config: TrainConfig) -> None:
    """Another batch size would see other images in the steps to come."""
    path = new_trainer(config).save()
    with pytest.raises(CheckpointInvalid, match="batch_size=16"):
        new_trainer(replace(config, batch_size=8)).load(path)


def test_a_flipped_byte_in_a_checkpoint_is_noticed(config: TrainConfig) -> None:
    """Neither the file format nor torch would see it."""
    path = new_trainer(config).save()
    file = path / "state.pt"
    content = bytearray(file.read_bytes())
    for place in range(len(content) // 4, len(content) // 4 + 400):
        content[place] ^= 0x55
    file.write_bytes(content)
    with pytest.raises(CheckpointInvalid, match=r"state\.pt"):
        new_trainer(config).load(path)
