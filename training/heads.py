"""The ArcFace head: the margin is added to the angle of the true class and differentiated.

Shape legend: B batch, D embedding dimension, C classes.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# acos and sqrt(1 - c^2) have infinite slope at |c| = 1; float32 resolves 1 - 6e-8 there.
MAX_COSINE = 1.0 - 1e-6


def arcface_target_cosine(cosines_B: Tensor, margin_rad: float) -> Tensor:
    """cos(theta + m), continued monotonically past pi (arXiv 1801.07698, equation 3).

    With phi = theta + m and k = floor(phi / pi) the value is (-1)^k cos(phi) - 2k, which falls
    steadily as theta grows, so a sample beyond the turning point is still pulled back.

    Args:
        cosines_B: cos(theta) of the true class, in [-1, 1] up to rounding.
        margin_rad: m, from 0 to below pi.

    Returns:
        (B,) float32, at most cos(m) and at least -3; gradients flow through it.
    """
    cosines_B = cosines_B.float().clamp(-MAX_COSINE, MAX_COSINE)
    sines_B = torch.sqrt(1.0 - cosines_B * cosines_B)
    shifted_B = cosines_B * math.cos(margin_rad) - sines_B * math.sin(margin_rad)
    beyond_B = cosines_B < -math.cos(margin_rad)  # theta > pi - m
    return torch.where(beyond_B, -shifted_B - 2.0, shifted_B)


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """What one step of the head gives.

    Attributes:
        loss: scalar, mean cross-entropy over the batch.
        target_cosines_B: cosine to the true centre, without margin; detached.
    """

    loss: Tensor
    target_cosines_B: Tensor


class ArcFaceHead(nn.Module):
    """Class centres on the unit sphere and the softmax with an angular margin.

    Args:
        dimension: D.
        num_classes: C.
        scale: s.
    """

    def __init__(self, dimension: int, num_classes: int, *, scale: float) -> None:
        super().__init__()
        self.centres_CD = nn.Parameter(torch.randn(num_classes, dimension) * 0.01)
        self.scale = scale

    def forward(self, embeddings_BD: Tensor, labels_B: Tensor, *, margin_rad: float) -> HeadOutput:
        """Loss for embeddings of any length (they are normalised here) and their classes."""
        with torch.autocast(embeddings_BD.device.type, enabled=False):
            unit_BD = F.normalize(embeddings_BD.float())
            cosines_BC = unit_BD @ F.normalize(self.centres_CD.float()).T
            rows_B = torch.arange(len(labels_B), device=labels_B.device)
            target_B = cosines_BC[rows_B, labels_B]
            shifted_B = arcface_target_cosine(target_B, margin_rad)
            logits_BC = self.scale * cosines_BC.index_put((rows_B, labels_B), shifted_B)
            loss = F.cross_entropy(logits_BC, labels_B)
        return HeadOutput(loss=loss, target_cosines_B=target_B.detach())
