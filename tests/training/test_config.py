"""A configuration survives the way through JSON and takes ``--set``."""

import dataclasses
import re
from pathlib import Path

import pytest

from embedding.errors import DataInvalid
from training.config import (
    AugmentConfig,
    BackboneConfig,
    DataConfig,
    DistillConfig,
    HeadConfig,
    MetricConfig,
    OptimConfig,
    StartConfig,
    TrainConfig,
    with_field,
)
from training.optim import learning_rate
from training.presets import PRESETS, preset

# CASIA-WebFace as published (arXiv 1411.7923, cleaned), and the paper's steps on it.
CASIA_IMAGES = 490_623
PAPER_STEPS = 32_000


def few() -> TrainConfig:
    """A configuration to change."""
    return preset("few", data=Path("faces"), run_folder=Path("run"))


@pytest.mark.parametrize("name", PRESETS)
def test_json_gives_the_same_configuration_back(name: str) -> None:
    """What is stored beside a checkpoint is enough to make the run again."""
    config = preset(name, data=Path("faces"), run_folder=Path("runs/one"))
    assert TrainConfig.from_json(config.to_json()) == config


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_takes_its_folders_as_they_are(name: str) -> None:
    """And holds sharp people out, so that its run can be measured and calibrated."""
    config = preset(name, data=Path("faces"), run_folder=Path("runs/one"))
    assert config.data.source == Path("faces")
    assert config.run_folder == Path("runs/one")
    assert config.data.num_holdout_sharp >= 20


def test_an_unknown_preset_names_the_known_ones() -> None:
    """The message lists what there is."""
    known = "smoke, few, fine-tune, mobilefacenet, casia-r50, ms1mv3-r100, distilled, shipped"
    with pytest.raises(DataInvalid, match=f"no preset 'huge'; known: {known}"):
        preset("huge", data=Path("faces"), run_folder=Path("run"))


def casia() -> TrainConfig:
    """The paper's run."""
    return preset("casia-r50", data=Path("faces"), run_folder=Path("run"))


def test_the_casia_run_goes_over_its_images_as_often_as_the_paper() -> None:
    """32,000 steps of 512 are 33.4 passes; a run of whole epochs rounds up."""
    config = casia()
    passes = PAPER_STEPS * config.batch_size / CASIA_IMAGES
    assert passes == pytest.approx(33.4, abs=0.01)
    assert config.epochs == -int(-passes // 1)


@pytest.mark.parametrize(
    ("step", "rate"),
    [(0, 0.1), (19_999, 0.1), (20_000, 0.01), (27_999, 0.01), (28_000, 0.001), (31_999, 0.001)],
)
def test_the_casia_run_lowers_its_rate_where_the_paper_does(step: int, rate: float) -> None:
    """To a tenth at 20,000 and at 28,000 of 32,000 steps, without a warm-up."""
    found = learning_rate(step, num_steps=PAPER_STEPS, config=casia().optim)
    assert found == pytest.approx(rate)


def test_the_casia_run_has_the_settings_of_the_paper() -> None:
    """Scale 64, m 0.5, momentum 0.9, decay 5e-4, batch 512, head E, dropout, mirrors alone."""
    config = casia()
    assert (config.head.name, config.head.scale, config.head.margin_rad) == ("arcface", 64, 0.5)
    assert config.head.margin_warmup == 0.0
    assert (config.optim.momentum, config.optim.weight_decay) == (0.9, 5e-4)
    assert not config.optim.nesterov
    assert (config.backbone.name, config.backbone.head) == ("iresnet50", "e")
    assert (config.backbone.dropout, config.batch_size) == (0.4, 512)
    assert config.augment == AugmentConfig.mirror_only()


def test_mirroring_alone_is_no_other_change() -> None:
    """Half of the images are mirrored, and that is all."""
    none = AugmentConfig.none()
    assert AugmentConfig.mirror_only() == dataclasses.replace(none, mirror=0.5)
    probabilities = ("mirror", "geometry", "low_resolution", "jpeg", "blur", "colour", "grey")
    assert {getattr(none, name) for name in (*probabilities, "erase")} == {0.0}


def test_a_setting_replaces_one_field() -> None:
    """Nested fields go by their dotted path; all others stay."""
    changed = with_field(few(), "optim.lr=0.02")
    assert changed.optim.lr == 0.02
    assert with_field(changed, f"optim.lr={few().optim.lr}") == few()


@pytest.mark.parametrize(
    ("assignment", "expected"),
    [
        ("data.exclude=lists/bad.txt", Path("lists/bad.txt")),
        ("data.exclude=null", None),
        ("data.max_identities=12", 12),
        ("optim.lr=1", 1.0),
        ("optim.milestones=[0.5, 0.75]", (0.5, 0.75)),
        ("optim.schedule=steps", "steps"),
        ("head.name=none", "none"),
        ("head.easy_margin=true", True),
        ("backbone.channels=[8, 16, 32, 64]", (8, 16, 32, 64)),
        ("start.weights=runs/a=b", Path("runs/a=b")),
    ],
)
def test_a_setting_of_every_type_is_taken(assignment: str, expected: object) -> None:
    """Numbers, words, truth, lists, paths and nothing."""
    section, name = assignment.partition("=")[0].split(".")
    value = getattr(getattr(with_field(few(), assignment), section), name)
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    "assignment",
    [
        *("lr=0.1", "optim.lr", "optim.lr=fast", "optim.lr.x=1", "epochs=true", "epochs=1.5"),
        *("optim.lr=null", "optim.lr=", "=1", "optim=0.1", "backbone.channels=[1, 2]", ""),
        *("data.max_identities=many", "optim.schedule=3", "head.easy_margin=1"),
    ],
)
def test_a_setting_that_does_not_exist_or_fit_is_refused(assignment: str) -> None:
    """Typing mistakes end in a message, not in a run with other settings."""
    with pytest.raises(DataInvalid):
        with_field(few(), assignment)


def test_a_mistyped_setting_names_the_known_ones() -> None:
    """The message lists dotted paths."""
    with pytest.raises(DataInvalid, match=r"no setting 'optim\.rate'; .*optim\.lr, "):
        with_field(few(), "optim.rate=1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid"),
        ("{}", "run_folder"),
        ('{"run_folder": "run", "data": {"source": 3}}', r"data\.source"),
        ('{"run_folder": "run", "data": {"source": "x"}, "epochs": "8"}', "epochs"),
    ],
    ids=["no JSON", "incomplete", "a number for a path", "text for a number"],
)
def test_a_damaged_configuration_is_refused(text: str, words: str) -> None:
    """The message names the place."""
    with pytest.raises(DataInvalid, match=words):
        TrainConfig.from_json(text)


@pytest.mark.parametrize(
    "section",
    [
        *(AugmentConfig, BackboneConfig, DataConfig, DistillConfig, HeadConfig, MetricConfig),
        *(OptimConfig, StartConfig, TrainConfig),
    ],
)
def test_every_setting_is_documented(section: type) -> None:
    """Each field that holds a value has its line among the attributes."""
    told = set(re.findall(r"^ {8}(\w+): ", section.__doc__ or "", re.MULTILINE))
    fields = dataclasses.fields(section)
    values = {one.name for one in fields if not dataclasses.is_dataclass(one.type)}
    assert told == values
