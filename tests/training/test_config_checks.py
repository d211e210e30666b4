"""Values that no run can use are refused before it begins."""

from pathlib import Path

import pytest

from embedding.errors import DataInvalid
from training.config import TrainConfig, with_field
from training.config_checks import RANGES, check_values
from training.presets import PRESETS, preset

SMOKE = preset("smoke", data=Path("faces"), run_folder=Path("run"))


@pytest.mark.parametrize("name", PRESETS)
def test_presets_have_values_that_they_may_have(name: str) -> None:
    """Every named run passes."""
    check_values(preset(name, data=Path("faces"), run_folder=Path("run")))


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("epochs=0", "epochs is 0; it must be at least 1"),
        ("batch_size=0", "batch_size is 0"),
        ("accumulate=-2", "accumulate is -2"),
        ("optim.lr=-0.1", "optim.lr is -0.1; it must be above 0"),
        ("optim.momentum=2", "optim.momentum is 2.0; it must be at least 0 and below 1"),
        ("optim.warmup=2", "optim.warmup is 2.0; it must be at least 0 and at most 1"),
        ("optim.ema=1", "optim.ema is 1.0"),
        ("optim.schedule=foo", "optim.schedule is 'foo'; known: cosine"),
        ("optim.milestones=[0.5,0.2]", "rising shares"),
        ("head.name=foo", "head.name is 'foo'; known: softmax"),
        ("head.scale=0", "head.scale is 0"),
        ("head.margin_rad=4", "head.margin_rad is 4"),
        ("head.sample_share=0", "head.sample_share is 0"),
        ("precision=float16", "precision is 'float16'; known: auto, float32, bfloat16"),
        ("data.num_workers=-5", "data.num_workers is -5"),
        ("data.max_identities=1", "data.max_identities is 1"),
        ("augment.mirror=1.5", "augment.mirror is 1.5"),
    ],
)
def test_absurd_values_are_refused(assignment: str, words: str) -> None:
    """The message names the setting, the value and what it may be."""
    with pytest.raises(DataInvalid, match=words.replace("(", r"\(")):
        check_values(with_field(SMOKE, assignment))


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["compile=true", "recompute=true"], "do not go together"),
        (["optim.schedule=steps"], "needs optim.milestones"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(assignments: list[str], words: str) -> None:
    """Neither is chosen for the user."""
    config = SMOKE
    for assignment in assignments:
        config = with_field(config, assignment)
    with pytest.raises(DataInvalid, match=words):
        check_values(config)


def test_nesterov_without_momentum_is_refused() -> None:
    """PyTorch's own refusal does not say which setting to change."""
    with pytest.raises(DataInvalid, match=r"set optim\.nesterov=false"):
        check_values(with_field(SMOKE, "optim.momentum=0"))


def test_every_number_has_its_range() -> None:
    """A new setting cannot be forgotten."""

    def numbers(values: object, prefix: str = "") -> set[str]:
        found = set()
        for name in getattr(values, "__dataclass_fields__", {}):
            value, path = getattr(values, name), f"{prefix}{name}"
            found |= numbers(value, f"{path}.")
            if isinstance(value, int | float) and not isinstance(value, bool):
                found.add(path)
        return found

    config: TrainConfig = SMOKE
    assert numbers(config) - {"backbone.dropout"} <= set(RANGES)
