"""A configuration survives the way through JSON and takes ``--set``."""

from pathlib import Path

import pytest

from embedding.errors import DataInvalid
from training.config import TrainConfig, with_field
from training.presets import PRESETS, preset


@pytest.mark.parametrize("name", PRESETS)
def test_json_gives_the_same_configuration_back(name: str) -> None:
    """What is stored beside a checkpoint is enough to make the run again."""
    config = preset(name, data=Path("faces"), run_folder=Path("runs/one"))
    assert TrainConfig.from_json(config.to_json()) == config


def test_a_setting_replaces_one_field() -> None:
    """Nested fields go by their dotted path; all others stay."""
    config = preset("few", data=Path("faces"), run_folder=Path("run"))
    changed = with_field(config, "optim.lr=0.02")
    assert changed.optim.lr == 0.02
    assert with_field(changed, f"optim.lr={config.optim.lr}") == config


@pytest.mark.parametrize(
    "assignment", ["lr=0.1", "optim.lr", "optim.lr=fast", "optim.lr.x=1", "epochs=true"]
)
def test_a_setting_that_does_not_exist_or_fit_is_refused(assignment: str) -> None:
    """Typing mistakes end in a message, not in a run with other settings."""
    config = preset("few", data=Path("faces"), run_folder=Path("run"))
    with pytest.raises(DataInvalid):
        with_field(config, assignment)


def test_an_unknown_preset_names_the_known_ones() -> None:
    """The message lists what there is."""
    with pytest.raises(DataInvalid, match="known: smoke, few, shipped"):
        preset("huge", data=Path("faces"), run_folder=Path("run"))
