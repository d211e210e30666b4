"""The classifier over all identities: margin and softmax in one, each rank with its own classes.

Shape legend: B batch over all ranks, D embedding dimension, C all classes, S classes of this rank
(a shard), K centres a class.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from embedding.errors import DataInvalid
from training.class_logits import LogitOptions, class_logits
from training.config import HeadConfig
from training.heads import head_kind, margin_of, with_adaptive_margin, with_margin
from training.ranks import Ranks

# Centres begin as blocks of classes, each with a generator of its own, so that they are the same
# whatever the number of ranks.
INIT_BLOCK = 4096
INIT_STD = 0.01

# AdaFace's running statistics (arXiv 2204.00964, section 3.2 and its code): lengths are clipped,
# and mean and deviation move by a hundredth a step.
MIN_LENGTH, MAX_LENGTH = 1e-3, 100.0
STATISTICS_RATE = 0.01
DEVIATION_FLOOR = 1e-3


@dataclass(frozen=True, slots=True)
class HeadOutput:
    """What the classifier says of a batch.

    Attributes:
        loss: scalar, mean over the whole batch, the same on every rank.
        target_cosines_B: cosine to the true centre, without margin; with gradient where the
            head works on cosines.
    """

    loss: Tensor
    target_cosines_B: Tensor


class MarginClassifier(nn.Module):
    """Class centres of this rank and the exact loss of the whole batch over all classes.

    Args:
        config: head, margin, scale.
        dimension: D.
        num_classes: C.
        seed: of the centres' start and of the classes that Partial FC draws.
        ranks: who shares the classes.
        dtype: of the operands of products with the centres.

    Raises:
        DataInvalid: fewer than two classes, an unknown head, or sub-centres without cosines.
    """

    def __init__(
        self,
        config: HeadConfig,
        dimension: int,
        num_classes: int,
        *,
        seed: int = 0,
        ranks: Ranks | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.kind, self.margin = head_kind(config.name), margin_of(config)
        self.ranks = ranks or Ranks()
        _check(config, num_classes, self.ranks)
        self.config, self.num_classes, self.seed = config, num_classes, seed
        self.first, self.stop = self.ranks.shard(num_classes)
        k = config.num_subcentres
        self.centres_RD = nn.Parameter(
            initial_centres(self.first * k, self.stop * k, dimension, seed)
        )
        self.bias_S = nn.Parameter(torch.zeros(self.num_own)) if self.kind.has_bias else None
        self.options = LogitOptions(
            scale=config.scale if self.kind.unit_features else 1.0,
            unit_centres=self.kind.unit_centres,
            num_subcentres=k,
            keep_bytes=config.keep_mb * 2**20,
            dtype=dtype,
        )
        self.length_mean: Tensor
        self.length_deviation: Tensor
        self.register_buffer("length_mean", torch.tensor(20.0))
        self.register_buffer("length_deviation", torch.tensor(100.0))

    @property
    def num_own(self) -> int:
        """S, the classes of this rank."""
        return self.stop - self.first

    def class_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters with a row for each class or centre of this rank, by name."""
        yield "centres_RD", self.centres_RD
        if self.bias_S is not None:
            yield "bias_S", self.bias_S

    def forward(
        self, embeddings_BD: Tensor, labels_B: Tensor, *, strength: float = 1.0, step: int = 0
    ) -> HeadOutput:
        """The loss of the whole batch; every rank gives the same batch and gets the same loss.

        Args:
            embeddings_BD: raw embeddings of any length and float type.
            labels_B: int64, classes 0..C-1.
            strength: of the margin, from none (0) to full (1).
            step: which classes Partial FC draws.
        """
        with torch.autocast(embeddings_BD.device.type, enabled=False):
            embeddings_BD = self.ranks.enter_shards(embeddings_BD.float())
            lengths_B = embeddings_BD.norm(dim=1)
            features_BD = embeddings_BD
            if self.kind.unit_features:
                features_BD = F.normalize(embeddings_BD)
            own_B = (labels_B >= self.first) & (labels_B < self.stop)
            own_labels_B = torch.where(own_B, labels_B - self.first, -1)
            if self.kind.is_hinge:
                return self._hinge(features_BD, own_labels_B)
            products_B, others_B = class_logits(
                features_BD,
                self.centres_RD,
                self.bias_S,
                own_labels_B,
                options=self.options,
                classes=self._drawn(labels_B, step),
            )
            products_B = self.ranks.sum_over_shards(products_B)
            others_B = self.ranks.logsumexp_over_shards(others_B)
            if not self.kind.unit_centres:
                loss = F.softplus(others_B - products_B).mean()
                return HeadOutput(loss, self._cosines(features_BD, own_labels_B))
            cosines_B = products_B
            if not self.kind.unit_features:
                cosines_B = products_B / lengths_B.clamp(min=1e-12)
            shifted_B = self._with_margin(cosines_B, lengths_B, strength)
            scale = self.config.scale if self.kind.unit_features else lengths_B
            # Cross-entropy with the true class apart: log(1 + exp(others - own)).
            loss = F.softplus(others_B - scale * shifted_B).mean()
        return HeadOutput(loss, cosines_B)

    def _with_margin(self, cosines_B: Tensor, lengths_B: Tensor, strength: float) -> Tensor:
        if not self.kind.is_adaptive:
            return with_margin(cosines_B, self.margin.at_strength(strength))
        quality_B = self._quality(lengths_B.detach())
        return with_adaptive_margin(cosines_B, quality_B, self.config.margin_adaptive * strength)

    @torch.no_grad()
    def _quality(self, lengths_B: Tensor) -> Tensor:
        """(B,) how far each length lies from the mean of recent ones, in [-1, 1]."""
        lengths_B = lengths_B.clamp(MIN_LENGTH, MAX_LENGTH)
        if self.training and len(lengths_B) > 1:
            self.length_mean.lerp_(lengths_B.mean(), STATISTICS_RATE)
            self.length_deviation.lerp_(lengths_B.std(), STATISTICS_RATE)
        spread = (self.length_deviation + DEVIATION_FLOOR) / self.config.adaface_spread
        return ((lengths_B - self.length_mean) / spread).clamp(-1.0, 1.0)

    def _drawn(self, labels_B: Tensor, step: int) -> Tensor | None:
        """The classes of this rank that take part in a step, sorted; None for all.

        Every rank draws for all classes from the same generator and keeps its own, so the draw
        does not depend on the number of ranks (Partial FC, arXiv 2203.15565).
        """
        if self.config.sample_share >= 1.0:
            return None
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + step)
        drawn_C = torch.rand(self.num_classes, generator=generator) < self.config.sample_share
        drawn_C[labels_B.cpu()] = True
        return drawn_C[self.first : self.stop].nonzero()[:, 0].to(labels_B.device)

    @torch.no_grad()
    def _cosines(self, features_BD: Tensor, own_labels_B: Tensor) -> Tensor:
        """(B,) cosines to the true centres, for the log of heads that do not use them."""
        centres_BD = self.centres_RD[own_labels_B.clamp(min=0)]
        cosines_B = F.cosine_similarity(features_BD, centres_BD)
        return self.ranks.sum(torch.where(own_labels_B >= 0, cosines_B, 0.0))

    def _hinge(self, features_BD: Tensor, own_labels_B: Tensor) -> HeadOutput:
        """max(0, 1 + largest other logit - own logit) (Crammer and Singer, JMLR 2001).

        Only two rows of weights a sample get a gradient; which ones is found chunk by chunk.
        """
        best_B, rivals_B = self._best_others(features_BD.detach(), own_labels_B)
        wins_B = self.ranks.holds_largest(best_B)
        rows_2B = torch.cat([own_labels_B.clamp(min=0), rivals_B])
        logits_2B = (features_BD.repeat(2, 1) * self.centres_RD[rows_2B]).sum(dim=1)
        if self.bias_S is not None:
            logits_2B = logits_2B + self.bias_S[rows_2B]
        is_own_2B = torch.cat([own_labels_B >= 0, wins_B])
        logits_2B = torch.where(is_own_2B, logits_2B, 0.0)
        target_B, rival_B = self.ranks.sum_over_shards(logits_2B).chunk(2)
        loss = F.relu(1.0 + rival_B - target_B).mean()
        return HeadOutput(loss, self._cosines(features_BD, own_labels_B))

    @torch.no_grad()
    def _best_others(self, features_BD: Tensor, own_labels_B: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) largest logit of another class on this rank, and (B,) which class it is."""
        size = max(1, 2**21 // len(features_BD))
        best_B = torch.full((len(features_BD),), float("-inf"), device=features_BD.device)
        rivals_B = torch.zeros_like(own_labels_B)
        for first in range(0, self.num_own, size):
            stop = min(first + size, self.num_own)
            logits_Bc = features_BD @ self.centres_RD[first:stop].T
            if self.bias_S is not None:
                logits_Bc += self.bias_S[first:stop]
            here_B = (own_labels_B >= first) & (own_labels_B < stop)
            logits_Bc[here_B, own_labels_B[here_B] - first] = float("-inf")
            chunk_best_B, columns_B = logits_Bc.max(dim=1)
            better_B = chunk_best_B > best_B
            best_B = torch.where(better_B, chunk_best_B, best_B)
            rivals_B = torch.where(better_B, columns_B + first, rivals_B)
        return best_B, rivals_B


def initial_centres(first: int, stop: int, dimension: int, seed: int) -> Tensor:
    """Rows first..stop-1 of the start of all centres: normal, deviation 0.01, float32 (R, D)."""
    rows_RD = torch.empty(stop - first, dimension)
    for block in range(first // INIT_BLOCK, -(-stop // INIT_BLOCK)):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + block)
        begin = block * INIT_BLOCK
        drawn = torch.randn(INIT_BLOCK, dimension, generator=generator)
        low, high = max(first, begin), min(stop, begin + INIT_BLOCK)
        rows_RD[low - first : high - first] = drawn[low - begin : high - begin]
    return rows_RD.mul_(INIT_STD)


def _check(config: HeadConfig, num_classes: int, ranks: Ranks) -> None:
    if num_classes < 2:
        raise DataInvalid(f"a classifier needs at least 2 identities, not {num_classes}")
    if num_classes < ranks.world_size:
        raise DataInvalid(f"{num_classes} identities cannot be shared by {ranks.world_size} ranks")
    kind = head_kind(config.name)
    if config.num_subcentres < 1:
        raise DataInvalid(f"head.num_subcentres is at least 1, not {config.num_subcentres}")
    if config.num_subcentres > 1 and not (kind.unit_features and kind.unit_centres):
        raise DataInvalid(
            f"head.num_subcentres goes with heads on cosines, not with {config.name}"
        )
    if not 0.0 < config.sample_share <= 1.0:
        raise DataInvalid(f"head.sample_share is above 0 and at most 1, not {config.sample_share}")
    if kind.is_hinge and config.sample_share < 1.0:
        raise DataInvalid("the hinge head uses all classes; set head.sample_share=1")
