"""The ArcFace head against a slow per-sample oracle."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.heads import ArcFaceHead, arcface_target_cosine


def oracle_target(cosine: float, margin: float) -> tuple[float, float]:
    """Value and slope of the shifted cosine, by angles, in float64."""
    theta = math.acos(cosine)
    phi = theta + margin
    k = math.floor(phi / math.pi)
    value = (-1) ** k * math.cos(phi) - 2 * k
    return value, (-1) ** k * math.sin(phi) / math.sin(theta)


@given(cosine=st.floats(-0.9999, 0.9999), margin=st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_value_and_slope_equal_those_by_angles(cosine: float, margin: float) -> None:
    """The margin acts on the angle and is differentiated, on both sides of the turning point."""
    value, slope = oracle_target(cosine, margin)
    if abs(math.acos(cosine) + margin - math.pi) < 1e-3:
        return  # rounding decides on which branch a cosine at the very turning point falls
    leaf = torch.tensor([cosine], requires_grad=True)
    shifted = arcface_target_cosine(leaf, margin)
    shifted.sum().backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    assert shifted.item() == pytest.approx(value, abs=2e-4)
    assert leaf.grad.item() == pytest.approx(slope, rel=2e-2, abs=1e-3)


def test_slopes_are_those_that_the_definition_gives() -> None:
    """At s = 64 and m = 0.5 the logit's slope is 119.5 at cos 0.9; a frozen margin gives 64."""
    leaf = torch.tensor([0.9], requires_grad=True)
    (64 * arcface_target_cosine(leaf, 0.5)).sum().backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    assert leaf.grad.item() == pytest.approx(
        64 * math.sin(math.acos(0.9) + 0.5) / math.sin(math.acos(0.9)), rel=1e-4
    )
    assert leaf.grad.item() == pytest.approx(119.5, abs=0.1)


def test_the_shifted_cosine_rises_with_the_cosine_everywhere() -> None:
    """No jump and no turning back at pi - m."""
    cosines = torch.linspace(-1, 1, 20001)
    shifted = arcface_target_cosine(cosines, 0.5)
    assert (shifted.diff() >= 0).all()
    assert shifted.diff().max() < 0.02


@pytest.mark.parametrize("end", [1.0, -1.0, 1.0000004, -1.0000004])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_ends_of_the_cosine_stay_finite(end: float, dtype: torch.dtype) -> None:
    """Rounding beyond 1 gives neither NaN nor an infinite slope."""
    leaf = torch.tensor([end], dtype=dtype, requires_grad=True)
    shifted = arcface_target_cosine(leaf, 0.5)
    shifted.sum().backward()  # type: ignore[no-untyped-call]
    assert leaf.grad is not None
    assert torch.isfinite(shifted).all()
    assert torch.isfinite(leaf.grad).all()


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), margin=st.sampled_from([0.0, 0.4]))
def test_loss_and_gradients_equal_a_per_sample_loop(seed: int, margin: float) -> None:
    """Equation 3 of the paper, sample by sample in float64, and its gradient by autograd."""
    torch.manual_seed(seed)
    head = ArcFaceHead(6, 5, scale=20.0)
    embeddings = torch.randn(4, 6, requires_grad=True)
    labels = torch.randint(5, (4,))
    head(embeddings, labels, margin_rad=margin).loss.backward()

    slow = embeddings.detach().double().requires_grad_()
    centres = head.centres_CD.detach().double().requires_grad_()
    total = torch.zeros((), dtype=torch.float64)
    for row, label in enumerate(labels.tolist()):
        cosines = [
            torch.dot(slow[row] / slow[row].norm(), centre / centre.norm()) for centre in centres
        ]
        theta = torch.acos(cosines[label])
        phi = theta + margin
        k = math.floor(phi.item() / math.pi)
        logits = torch.stack(cosines) * 20.0
        target = 20.0 * ((-1) ** k * torch.cos(phi) - 2 * k)
        others = torch.cat([logits[:label], logits[label + 1 :], target[None]])
        total = total + torch.logsumexp(others, dim=0) - target
    (total / 4).backward()  # type: ignore[no-untyped-call]
    assert embeddings.grad is not None
    assert slow.grad is not None
    assert centres.grad is not None
    assert head.centres_CD.grad is not None
    torch.testing.assert_close(embeddings.grad.double(), slow.grad, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(head.centres_CD.grad.double(), centres.grad, rtol=1e-3, atol=1e-2)
