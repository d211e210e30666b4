"""What is compared with: a dense ArcFace head and a training step, as PyTorch suggests them.

The head keeps normalised copies of features and centres and the whole batch x classes matrix, as
the public implementations do; its margin is differentiated. Shape legend: B batch, C classes,
D embedding dimension.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def dense_arcface_loss(
    embeddings_BD: Tensor,
    centres_CD: Tensor,
    labels_B: Tensor,
    *,
    scale: float,
    margin_rad: float,
) -> Tensor:
    """Cross-entropy over scale * cos(theta + margin) for the true class, scale * cos elsewhere."""
    cosines_BC = F.linear(F.normalize(embeddings_BD), F.normalize(centres_CD))
    rows_B = torch.arange(len(labels_B), device=labels_B.device)
    target_B = cosines_BC[rows_B, labels_B].float().clamp(-1 + 1e-6, 1 - 1e-6)
    shifted_B = torch.cos(torch.acos(target_B) + margin_rad)
    past_pi_B = target_B < -math.cos(margin_rad)
    shifted_B = torch.where(past_pi_B, -shifted_B - 2.0, shifted_B)
    logits_BC = cosines_BC.index_put((rows_B, labels_B), shifted_B.to(cosines_BC.dtype))
    return F.cross_entropy(scale * logits_BC, labels_B)


class PlainStep:
    """A training step without any of our means: SGD's defaults, dense head, float32.

    Args:
        network: the backbone.
        num_classes: C.
        dimension: D.
        scale: s.
        margin_rad: m.
    """

    def __init__(
        self,
        network: nn.Module,
        num_classes: int,
        *,
        dimension: int = 512,
        scale: float = 64.0,
        margin_rad: float = 0.5,
    ) -> None:
        self.network, self.scale, self.margin_rad = network.train(), scale, margin_rad
        device = next(network.parameters()).device
        self.centres_CD = nn.Parameter(torch.randn(num_classes, dimension, device=device) * 0.01)
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._parameters.append(self.centres_CD)
        self.optimizer = torch.optim.SGD(
            self._parameters, lr=0.01, momentum=0.9, weight_decay=5e-4
        )

    def __call__(self, crops_BHWC: Tensor, labels_B: Tensor) -> float:
        """One step on uint8 crops; gives the loss."""
        crops_BCHW = ((crops_BHWC.float() - 127.5) / 127.5).permute(0, 3, 1, 2).contiguous()
        self.optimizer.zero_grad()
        loss = dense_arcface_loss(
            self.network(crops_BCHW).float(),
            self.centres_CD,
            labels_B,
            scale=self.scale,
            margin_rad=self.margin_rad,
        )
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 5.0)
        self.optimizer.step()
        return loss.item()
