"""Embeds crops with a torch network or a model directory, for the protocols.

Shape legend: B batch, H, W height and width, C colours, D embedding dimension.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from training.data.split import Selection
from training.evaluation.images import Embed
from training.protocols import EmbedCrops, holdout_figures
from training.trainer import normalize_crops


def torch_embedder(network: nn.Module, *, mirrored: bool) -> EmbedCrops:
    """A function from (B, 112, 112, 3) uint8 crops to (B, D) float32 unit embeddings.

    Args:
        network: a `FaceBackbone`; it is put into evaluation mode.
        mirrored: add the embedding of the mirror image before normalising.
    """
    embed = torch_embedder_with_lengths(network, mirrored=mirrored)
    return lambda crops_BHWC: embed(crops_BHWC)[0]


def torch_embedder_with_lengths(network: nn.Module, *, mirrored: bool) -> Embed:
    """The same, with (B,) lengths of the raw embeddings, on the scale of a model directory.

    The length is that of the mean of both embeddings where the mirror image is added, as
    `EmbeddingNet` gives it, so that a norm floor means the same here.
    """
    network.eval()
    device = next(network.parameters()).device

    @torch.inference_mode()
    def embed(crops_BHWC: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        units, lengths = [], []
        for chunk in torch.split(torch.from_numpy(crops_BHWC), 64):
            crops_BCHW = normalize_crops(chunk.to(device))
            raw_BD = network(crops_BCHW)
            if mirrored:
                raw_BD = (raw_BD + network(crops_BCHW.flip(-1))) / 2.0
            raw_BD = raw_BD.float()
            units.append(F.normalize(raw_BD).cpu().numpy())
            lengths.append(torch.linalg.vector_norm(raw_BD, dim=1).cpu().numpy())
        return np.concatenate(units), np.concatenate(lengths)

    return embed


def holdout_evaluator(
    holdout: Selection, *, mirrored: bool = False
) -> Callable[[nn.Module], dict[str, float]]:
    """What `Trainer` calls between epochs: figures of a network on held-out people."""

    def evaluate(network: nn.Module) -> dict[str, float]:
        return holdout_figures(torch_embedder(network, mirrored=mirrored), holdout)

    return evaluate
