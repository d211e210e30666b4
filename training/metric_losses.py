"""Losses on distances between embeddings and centres: centre, triplet, intra, inter.

Shape legend: B batch over all ranks, D embedding dimension, C all classes.
"""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from embedding.errors import DataInvalid
from training.classifier import HeadOutput, MarginClassifier
from training.config import MetricConfig
from training.heads import angles, head_kind

# Angles between the batch's centres and so many others are in memory at a time.
INTER_CHUNK = 4096


class MetricLosses(nn.Module):
    """The configured losses of one batch, each with its weight already in it.

    Args:
        config: weights and margins.
        dimension: D.
        num_classes: C; the centre loss keeps (C, D) centres of its own, on every rank.
        classifier: whose centres intra and inter speak of, or None without a classifier.

    Raises:
        DataInvalid: intra or inter without a head on cosines, or with sub-centres.
    """

    def __init__(
        self,
        config: MetricConfig,
        dimension: int,
        num_classes: int,
        *,
        classifier: MarginClassifier | None,
    ) -> None:
        super().__init__()
        self.config = config
        if config.intra or config.inter:
            _check_centres(classifier)
        self.centres_CD: Tensor | None
        self.register_buffer(
            "centres_CD", torch.zeros(num_classes, dimension) if config.centre else None
        )

    @property
    def is_empty(self) -> bool:
        """Whether no loss is switched on."""
        config = self.config
        return not any((config.centre, config.triplet, config.intra, config.inter))

    def forward(
        self,
        embeddings_BD: Tensor,
        labels_B: Tensor,
        *,
        output: HeadOutput | None = None,
        classifier: MarginClassifier | None = None,
    ) -> dict[str, Tensor]:
        """Each loss by its name, a scalar times its weight.

        Args:
            embeddings_BD: raw embeddings of the whole batch.
            labels_B: int64 classes.
            output: what the classifier said of the batch; intra needs it.
            classifier: whose centres inter pushes apart.
        """
        with torch.autocast(embeddings_BD.device.type, enabled=False):
            return dict(self._losses(embeddings_BD.float(), labels_B, output, classifier))

    def _losses(
        self,
        embeddings_BD: Tensor,
        labels_B: Tensor,
        output: HeadOutput | None,
        classifier: MarginClassifier | None,
    ) -> Iterator[tuple[str, Tensor]]:
        config = self.config
        if self.centres_CD is not None:
            yield "centre", config.centre * centre_loss(embeddings_BD, labels_B, self.centres_CD)
            if self.training:
                move_centres(self.centres_CD, embeddings_BD, labels_B, rate=config.centre_rate)
        if config.triplet:
            loss = triplet_loss(embeddings_BD, labels_B, margin_rad=config.triplet_margin_rad)
            yield "triplet", config.triplet * loss
        if (config.intra and output is None) or (config.inter and classifier is None):
            raise AssertionError("intra and inter need what the classifier says")
        if config.intra and output is not None:
            yield "intra", config.intra * intra_loss(output.target_cosines_B)
        if config.inter and classifier is not None:
            yield "inter", config.inter * inter_loss(classifier, labels_B)


def _check_centres(classifier: MarginClassifier | None) -> None:
    kind = None if classifier is None else head_kind(classifier.config.name)
    if classifier is None or kind is None or not kind.unit_centres:
        raise DataInvalid(
            "the losses intra and inter need a head on cosines, such as norm-softmax"
        )
    if classifier.config.num_subcentres > 1:
        raise DataInvalid("the losses intra and inter need head.num_subcentres=1")


def centre_loss(embeddings_BD: Tensor, labels_B: Tensor, centres_CD: Tensor) -> Tensor:
    """Mean of half the squared distance to the own centre (ECCV 2016, Wen et al., eq. 2).

    Embeddings are taken as they are, not normalised. Centres get no gradient.
    """
    gaps_BD = embeddings_BD - centres_CD.detach()[labels_B]
    return 0.5 * gaps_BD.square().sum(dim=1).mean()


@torch.no_grad()
def move_centres(
    centres_CD: Tensor, embeddings_BD: Tensor, labels_B: Tensor, *, rate: float
) -> None:
    """Moves each centre towards its samples, in place (Wen et al., eq. 4).

    c_j -= rate * sum of (c_j - x) over the samples of j, divided by 1 + their number.
    """
    classes, places_B = torch.unique(labels_B, return_inverse=True)
    counts = torch.ones(len(classes), device=labels_B.device)
    counts.index_add_(0, places_B, torch.ones_like(places_B, dtype=counts.dtype))
    gaps_BD = centres_CD[labels_B] - embeddings_BD
    sums_XD = torch.zeros(len(classes), centres_CD.shape[1], device=centres_CD.device)
    sums_XD.index_add_(0, places_B, gaps_BD)
    centres_CD[classes] -= rate * sums_XD / counts[:, None]


def triplet_loss(embeddings_BD: Tensor, labels_B: Tensor, *, margin_rad: float) -> Tensor:
    """Mean over all pairs of one identity of max(0, angle + margin - angle to a negative).

    The negative of a pair is semi-hard (FaceNet, arXiv 1503.03832, section 3.2): the nearest one
    that is farther from the anchor than the positive; where there is none, the farthest of all.
    Angles are those between embeddings, as in ArcFace's comparison (arXiv 1801.07698, eq. 7).

    Returns:
        A scalar; 0 without gradient where the batch holds no pair or no negative.
    """
    unit_BD = F.normalize(embeddings_BD)
    angles_BB = angles(unit_BD @ unit_BD.T)
    same_BB = labels_B[:, None] == labels_B[None, :]
    pairs_BB = same_BB & ~torch.eye(len(labels_B), dtype=torch.bool, device=labels_B.device)
    num_negatives_B = (~same_BB).sum(dim=1)
    pairs_BB &= (num_negatives_B > 0)[:, None]
    if not pairs_BB.any():
        return embeddings_BD.sum() * 0.0
    negatives_BB, _ = torch.where(same_BB, torch.inf, angles_BB).sort(dim=1)
    places_BB = torch.searchsorted(negatives_BB.detach(), angles_BB.detach(), right=True)
    last_B = (num_negatives_B - 1).clamp(min=0)
    chosen_BB = negatives_BB.gather(1, torch.minimum(places_BB, last_B[:, None]))
    return F.relu(angles_BB + margin_rad - chosen_BB)[pairs_BB].mean()


def intra_loss(target_cosines_B: Tensor) -> Tensor:
    """Mean angle to the true centre in units of pi (arXiv 1801.07698, eq. 5)."""
    return angles(target_cosines_B).mean() / math.pi


def inter_loss(classifier: MarginClassifier, labels_B: Tensor) -> Tensor:
    """Minus the mean angle between the batch's centres and all others, in units of pi (eq. 6).

    The minus drives centres apart. Angles are made chunk by chunk and computed anew for the
    backward pass.
    """
    ranks, first = classifier.ranks, classifier.first
    own_B = (labels_B >= first) & (labels_B < classifier.stop)
    places_B = torch.where(own_B, labels_B - first, -1)
    centres_BD = F.normalize(classifier.centres_RD[places_B.clamp(min=0)])
    centres_BD = torch.where(own_B[:, None], centres_BD, 0.0)
    centres_BD = ranks.enter_shards(ranks.sum_over_shards(centres_BD))
    total = centres_BD.new_zeros(())
    begin = 0
    for part_XD in torch.split(classifier.centres_RD, INTER_CHUNK):
        total = total + checkpoint(
            _sum_of_angles, centres_BD, part_XD, places_B - begin, use_reentrant=False
        )
        begin += len(part_XD)
    count = len(labels_B) * (classifier.num_classes - 1)
    return -ranks.sum_over_shards(total) / (math.pi * count)


def _sum_of_angles(centres_BD: Tensor, others_XD: Tensor, own_columns_B: Tensor) -> Tensor:
    """Sum of the angles between unit centres and others, each row's own column left out."""
    angles_BX = angles(centres_BD @ F.normalize(others_XD).T)
    columns = torch.arange(len(others_XD), device=others_XD.device)
    return angles_BX.masked_fill(own_columns_B[:, None] == columns, 0.0).sum()
