"""The margin family as one formula on the cosine of the true class.

Softmax, norm-softmax, SphereFace, CosFace, ArcFace, their combinations and AdaFace differ only in
what they do to that one cosine, and in whether features and centres are normalised. Shape legend:
B batch.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from embedding.errors import DataInvalid
from training.config import HeadConfig

# acos and sqrt(1 - c^2) have infinite slope at |c| = 1; float32 resolves 1 - 6e-8 there.
MAX_COSINE = 1.0 - 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Margin:
    """cos(multiplier * theta + angle_rad) - cosine, on the true class (arXiv 1801.07698, eq. 4).

    Attributes:
        multiplier: m1, above 0; from 1 on it is a margin (SphereFace).
        angle_rad: m2, from 0 to below pi (ArcFace).
        cosine: m3, at least 0 (CosFace).
        easy: apply the margin only where cos(theta) > 0, and leave the cosine alone elsewhere.
    """

    multiplier: float = 1.0
    angle_rad: float = 0.0
    cosine: float = 0.0
    easy: bool = False

    def at_strength(self, strength: float) -> "Margin":
        """The margin on its way from none (0) to full (1)."""
        return Margin(
            multiplier=1.0 + (self.multiplier - 1.0) * strength,
            angle_rad=self.angle_rad * strength,
            cosine=self.cosine * strength,
            easy=self.easy,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadKind:
    """What a named head normalises, and how it judges.

    Attributes:
        unit_features: embeddings are divided by their length, logits are multiplied by s.
        unit_centres: class centres are divided by their length.
        has_bias: each class has a bias.
        is_adaptive: the margin depends on the length of each embedding (AdaFace).
        is_hinge: multiclass hinge instead of cross-entropy.
    """

    unit_features: bool = True
    unit_centres: bool = True
    has_bias: bool = False
    is_adaptive: bool = False
    is_hinge: bool = False


HEADS: dict[str, HeadKind] = {
    "softmax": HeadKind(unit_features=False, unit_centres=False, has_bias=True),
    "norm-softmax": HeadKind(),
    "sphereface": HeadKind(),
    "sphereface-original": HeadKind(unit_features=False),
    "cosface": HeadKind(),
    "arcface": HeadKind(),
    "combined": HeadKind(),
    "adaface": HeadKind(is_adaptive=True),
    "hinge": HeadKind(unit_features=False, unit_centres=False, has_bias=True, is_hinge=True),
}


def head_kind(name: str) -> HeadKind:
    """The head of that name.

    Raises:
        DataInvalid: for a name that is not known.
    """
    if name not in HEADS:
        raise DataInvalid(f"no head {name!r}; known: {', '.join(HEADS)}, none")
    return HEADS[name]


def margin_of(config: HeadConfig) -> Margin:
    """The full margin of a configured head; each name reads the settings that are its own."""
    easy = config.easy_margin
    match config.name:
        case "sphereface":
            return Margin(multiplier=config.margin_multiplier, easy=easy)
        case "sphereface-original":
            return Margin(multiplier=float(config.margin_integer))
        case "cosface":
            return Margin(cosine=config.margin_cosine)
        case "arcface":
            return Margin(angle_rad=config.margin_rad, easy=easy)
        case "combined":
            return Margin(
                multiplier=config.margin_multiplier,
                angle_rad=config.margin_rad,
                cosine=config.margin_cosine,
                easy=easy,
            )
    return Margin()


def with_margin(cosines_B: Tensor, margin: Margin) -> Tensor:
    """cos(m1 * theta + m2) - m3, continued monotonically past every turning point.

    With phi = m1 * theta + m2 and k = floor(phi / pi) the value is (-1)^k cos(phi) - 2k - m3,
    which falls steadily as theta grows, so that a sample beyond the turning point is still pulled
    back. The margin is differentiated: the slope is m1 (-1)^k sin(phi) / sin(theta). Within 1e-6
    of the ends, where it may be infinite, it is that of the cosine 1 - 1e-6.

    Args:
        cosines_B: cos(theta) of the true class, in [-1, 1] up to rounding.
        margin: m1, m2 and m3.

    Returns:
        (B,) float32; gradients flow through it.
    """
    cosines_B = cosines_B.float()
    if margin.multiplier == 1.0:
        shifted_B = cosines_B
        if margin.angle_rad:
            shifted_B = _add_angle(
                cosines_B, math.cos(margin.angle_rad), math.sin(margin.angle_rad)
            )
    else:
        phi_B = margin.multiplier * angles(cosines_B) + margin.angle_rad
        turns_B = torch.floor(phi_B.detach() / math.pi)
        shifted_B = (1.0 - 2.0 * (turns_B % 2.0)) * torch.cos(phi_B) - 2.0 * turns_B
    shifted_B = shifted_B - margin.cosine
    return torch.where(cosines_B > 0, shifted_B, cosines_B) if margin.easy else shifted_B


def with_adaptive_margin(cosines_B: Tensor, quality_B: Tensor, margin: float) -> Tensor:
    """AdaFace (arXiv 2204.00964, eq. 10): cos(theta - m q) - m q - m.

    An angle below 0 counts as 0, as in the authors' code; past pi the value goes on falling as in
    `with_margin`.

    Args:
        cosines_B: cos(theta) of the true class.
        quality_B: q in [-1, 1], from the length of the embeddings, without gradient.
        margin: m.
    """
    angles_B = -margin * quality_B
    shifted_B = _add_angle(cosines_B.float(), torch.cos(angles_B), torch.sin(angles_B))
    return shifted_B - (margin * quality_B + margin)


def _add_angle(cosines_B: Tensor, cos: float | Tensor, sin: float | Tensor) -> Tensor:
    """cos(theta + angle) for an angle in (-pi, pi) of which cosine and sine are given.

    The addition theorem needs no acos. An angle above 0 can lead past pi, one below 0 below 0.
    """
    cosines_B = inside(cosines_B)
    sines_B = torch.sqrt(1.0 - cosines_B * cosines_B)
    shifted_B = cosines_B * cos - sines_B * sin
    past_pi_B = (cosines_B < -cos) & (sin > 0)
    below_zero_B = (cosines_B > cos) & (sin < 0)
    shifted_B = torch.where(past_pi_B, -shifted_B - 2.0, shifted_B)
    return torch.where(below_zero_B, torch.ones_like(shifted_B), shifted_B)


def angles(cosines: Tensor) -> Tensor:
    """Angles in radians, in [0, pi]; near the ends the slope is large and finite."""
    return torch.acos(inside(cosines))


def inside(cosines_B: Tensor) -> Tensor:
    """Cosines kept off the ends in value; slopes are taken there and do not become zero."""
    clamped_B = cosines_B.detach().clamp(-MAX_COSINE, MAX_COSINE)
    return cosines_B + (clamped_B - cosines_B.detach())
