"""The margin family on one cosine, against angles in float64."""

import math
from functools import partial

import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from embedding.errors import DataInvalid
from tests.training import oracles
from training.config import HeadConfig
from training.heads import Margin, head_kind, margin_of, with_adaptive_margin, with_margin

MARGINS: dict[str, tuple[Margin, oracles.Head]] = {
    "norm-softmax": (Margin(), oracles.norm_softmax),
    "sphereface": (Margin(multiplier=1.35), oracles.sphereface),
    "sphereface-original": (Margin(multiplier=4.0), oracles.sphereface_original),
    "cosface": (Margin(cosine=0.35), oracles.cosface),
    "arcface": (Margin(angle_rad=0.5), oracles.arcface),
    "arcface-wide": (Margin(angle_rad=2.0), partial(oracles.arcface, m2=2.0)),
    "arcface-easy": (Margin(angle_rad=0.5, easy=True), oracles.arcface_easy),
    "combined-1": (
        Margin(multiplier=1.0, angle_rad=0.3, cosine=0.2),
        partial(oracles.combined, m1=1.0, m2=0.3, m3=0.2),
    ),
    "combined-0.9": (
        Margin(multiplier=0.9, angle_rad=0.4, cosine=0.15),
        partial(oracles.combined, m1=0.9, m2=0.4, m3=0.15),
    ),
}
QUALITIES = [-1.0, -0.3, 0.0, 0.6, 1.0]
ENDS = [1.0, -1.0, 1.0000004, -1.0000004]
DTYPES = [torch.float32, torch.bfloat16]
cosines_f32 = st.floats(-1.0, 1.0, width=32)
of_each = pytest.mark.parametrize("name", MARGINS)
at_each_end = pytest.mark.parametrize("end", ENDS)
of_each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def slope_of(value: Tensor, leaf: Tensor) -> float:
    """The gradient of one number towards another."""
    (slope,) = torch.autograd.grad(value.sum(), leaf)
    return float(slope)


def assert_as_by_angles(value: Tensor, leaf: Tensor, head: oracles.Head) -> None:
    """Value and slope equal the oracle's, up to what float32 resolves at this cosine."""
    cosine = float(leaf.detach())
    expected, expected_slope = oracles.value_and_slope(head, cosine)
    squared_sine = 1.0 - min(abs(cosine), oracles.EDGE) ** 2
    assert float(value.detach()) == pytest.approx(
        expected, abs=2e-6 + 2e-7 / math.sqrt(squared_sine)
    )
    rounding = 2e-7 / squared_sine
    assert slope_of(value, leaf) == pytest.approx(
        expected_slope, rel=1e-5 + rounding, abs=1e-5 + rounding
    )


@of_each
@settings(max_examples=60, deadline=None)
@given(cosine=cosines_f32)
@example(cosine=1.0)
@example(cosine=-1.0)
@example(cosine=0.0)
def test_value_and_slope_equal_those_by_angles(name: str, cosine: float) -> None:
    """A margin acts on the angle and is differentiated, on both sides of every turning point."""
    margin, head = MARGINS[name]
    assume(cosine == 0.0 or abs(cosine) > 1e-8 or not margin.easy)  # a jump, and acos rounds
    leaf = torch.tensor([cosine], requires_grad=True)
    assert_as_by_angles(with_margin(leaf, margin), leaf, head)


@settings(max_examples=60, deadline=None)
@given(
    cosine=cosines_f32,
    multiplier=st.floats(0.5, 5.0),
    angle_rad=st.floats(0.0, 3.0),
    reduction=st.floats(0.0, 1.0),
)
def test_any_combination_equals_that_by_angles(
    cosine: float, multiplier: float, angle_rad: float, reduction: float
) -> None:
    """The three margins together are cos(m1 theta + m2) - m3, unfolded past pi."""
    margin = Margin(multiplier=multiplier, angle_rad=angle_rad, cosine=reduction)
    leaf = torch.tensor([cosine], requires_grad=True)
    head = partial(oracles.combined, m1=multiplier, m2=angle_rad, m3=reduction)
    assert_as_by_angles(with_margin(leaf, margin), leaf, head)


@settings(max_examples=100, deadline=None)
@given(cosine=cosines_f32, quality=st.floats(-1.0, 1.0, width=32), margin=st.floats(0.0, 0.8))
@example(cosine=1.0, quality=1.0, margin=0.4)
@example(cosine=-1.0, quality=-1.0, margin=0.4)
def test_the_adaptive_margin_equals_that_by_angles(
    cosine: float, quality: float, margin: float
) -> None:
    """AdaFace turns and reduces by quality; an angle below 0 is 0, one past pi goes on falling."""
    leaf = torch.tensor([cosine], requires_grad=True)
    value = with_adaptive_margin(leaf, torch.tensor([quality]), margin)
    assert_as_by_angles(value, leaf, partial(oracles.adaface, quality=quality, m=margin))


def test_slopes_are_those_that_the_definition_gives() -> None:
    """At s = 64 and m = 0.5 the logit's slope is 119.5 at cos 0.9; a frozen margin gives 64."""
    leaf = torch.tensor([0.9], requires_grad=True)
    slope = slope_of(64 * with_margin(leaf, Margin(angle_rad=0.5)), leaf)
    by_hand = 64 * math.sin(math.acos(0.9) + 0.5) / math.sin(math.acos(0.9))
    assert slope == pytest.approx(by_hand, rel=1e-4)
    assert slope == pytest.approx(119.5, abs=0.1)


@pytest.mark.parametrize("name", [name for name in MARGINS if name != "arcface-easy"])
def test_the_shifted_cosine_rises_with_the_cosine_everywhere(name: str) -> None:
    """No jump and no turning back at any turning point."""
    shifted = with_margin(torch.linspace(-1, 1, 20001), MARGINS[name][0])
    assert (shifted.diff() >= -3e-7).all()  # rounding at values of up to 8
    assert shifted.diff().max() < 0.02


@pytest.mark.parametrize("quality", QUALITIES)
def test_the_adaptive_logit_rises_with_the_cosine_everywhere(quality: float) -> None:
    """No jump and no turning back past pi or below 0."""
    cosines = torch.linspace(-1, 1, 20001)
    shifted = with_adaptive_margin(cosines, torch.full_like(cosines, quality), 0.4)
    assert (shifted.diff() >= -3e-7).all()
    assert shifted.diff().max() < 0.02


@of_each
@at_each_end
@of_each_dtype
def test_the_ends_of_the_cosine_stay_finite(name: str, end: float, dtype: torch.dtype) -> None:
    """Rounding to 1 and beyond gives neither NaN nor an infinite slope."""
    leaf = torch.tensor([end], dtype=dtype, requires_grad=True)
    shifted = with_margin(leaf, MARGINS[name][0])
    assert torch.isfinite(shifted).all()
    assert math.isfinite(slope_of(shifted, leaf))


@pytest.mark.parametrize("quality", QUALITIES)
@at_each_end
@of_each_dtype
def test_the_ends_stay_finite_with_the_adaptive_margin(
    quality: float, end: float, dtype: torch.dtype
) -> None:
    """Rounding to 1 and beyond gives neither NaN nor an infinite slope, at any quality."""
    leaf = torch.tensor([end], dtype=dtype, requires_grad=True)
    shifted = with_adaptive_margin(leaf, torch.tensor([quality]), 0.4)
    assert torch.isfinite(shifted).all()
    assert math.isfinite(slope_of(shifted, leaf))


@pytest.mark.parametrize("name", ["norm-softmax", "cosface"])
@at_each_end
@of_each_dtype
def test_the_slope_without_an_angle_is_one_at_the_ends(
    name: str, end: float, dtype: torch.dtype
) -> None:
    """Where no angle is changed nothing is clamped: the slope is exactly 1."""
    leaf = torch.tensor([end], dtype=dtype, requires_grad=True)
    assert slope_of(with_margin(leaf, MARGINS[name][0]), leaf) == 1.0


@of_each
@settings(max_examples=20, deadline=None)
@given(cosine=cosines_f32)
def test_bfloat16_cosines_are_judged_in_float32(name: str, cosine: float) -> None:
    """Of a bfloat16 cosine the value is that of the rounded cosine to float32's precision."""
    rounded = torch.tensor([cosine]).bfloat16()
    margin, _ = MARGINS[name]
    shifted = with_margin(rounded, margin)
    assert shifted.dtype == torch.float32
    assert torch.equal(shifted, with_margin(rounded.float(), margin))


@of_each
def test_at_no_strength_there_is_no_margin(name: str) -> None:
    """A warm-up begins at the cosine itself."""
    cosines = torch.linspace(-1, 1, 101)
    assert torch.equal(with_margin(cosines, MARGINS[name][0].at_strength(0.0)), cosines)


@of_each
def test_at_full_strength_the_margin_is_its_own(name: str) -> None:
    """A warm-up ends at the configured margin."""
    margin, _ = MARGINS[name]
    assert margin.at_strength(1.0) == margin


def test_each_name_reads_its_own_settings() -> None:
    """A head takes the margins that belong to it from a configuration that has them all."""
    own = {
        "norm-softmax": Margin(),
        "softmax": Margin(),
        "hinge": Margin(),
        "adaface": Margin(),
        "sphereface": Margin(multiplier=1.2),
        "sphereface-original": Margin(multiplier=3.0),
        "cosface": Margin(cosine=0.1),
        "arcface": Margin(angle_rad=0.3),
        "combined": Margin(multiplier=1.2, angle_rad=0.3, cosine=0.1),
    }
    for name, margin in own.items():
        config = HeadConfig(
            name=name,
            margin_multiplier=1.2,
            margin_integer=3,
            margin_cosine=0.1,
            margin_rad=0.3,
        )
        assert margin_of(config) == margin, name


def test_an_unknown_head_is_refused() -> None:
    """The message names what is known."""
    with pytest.raises(DataInvalid, match=r"no head 'arcfase'.*arcface"):
        head_kind("arcfase")
