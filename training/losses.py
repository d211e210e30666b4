"""All losses of a run as one module: the classifier, distances, and the teacher.

Shape legend: B batch over all ranks, D embedding dimension, T teacher dimension.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from embedding.errors import DataInvalid
from training.classifier import HeadOutput, MarginClassifier
from training.config import TrainConfig
from training.distill import Distillation
from training.metric_losses import MetricLosses
from training.ranks import Ranks


@dataclass(frozen=True, slots=True)
class LossOutput:
    """The loss of a batch and what belongs to it.

    Attributes:
        loss: the weighted sum, a scalar with gradient, the same on every rank.
        figures: each loss by its name, without gradient: head, direction and relation before
            their weights, losses on distances after.
        target_cosines_B: cosine to the true centre, without gradient; None without a classifier.
    """

    loss: Tensor
    figures: dict[str, Tensor]
    target_cosines_B: Tensor | None


class TrainingLosses(nn.Module):
    """What a configuration asks for, from the whole batch's raw embeddings.

    Args:
        config: the run.
        num_classes: identities.
        teacher_dimension: T, or None without a teacher.
        ranks: who shares the classes.
        head_dtype: of the operands of products with class centres.

    Raises:
        DataInvalid: no loss at all, or losses that do not go together.
    """

    def __init__(
        self,
        config: TrainConfig,
        num_classes: int,
        *,
        teacher_dimension: int | None,
        ranks: Ranks,
        head_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.config = config
        dimension = config.backbone.dimension
        self.classifier: MarginClassifier | None = None
        if config.head.name != "none":
            self.classifier = MarginClassifier(
                config.head,
                dimension,
                num_classes,
                seed=config.seed,
                ranks=ranks,
                dtype=head_dtype,
            )
        self.metric = MetricLosses(
            config.metric, dimension, num_classes, classifier=self.classifier
        )
        self.distillation: Distillation | None = None
        if teacher_dimension is not None:
            self.distillation = Distillation(dimension, teacher_dimension)
        distill = config.distill
        learns_head = self.classifier is not None and config.head.weight > 0
        learns_teacher = self.distillation is not None and (
            distill.direction_weight > 0 or distill.relation_weight > 0
        )
        if not learns_head and self.metric.is_empty and not learns_teacher:
            raise DataInvalid("nothing to learn from: set head.name, a metric loss or a teacher")

    def forward(
        self,
        embeddings_BD: Tensor,
        labels_B: Tensor,
        *,
        strength: float,
        step: int,
        targets_BT: Tensor | None = None,
    ) -> LossOutput:
        """The weighted sum of all losses.

        Args:
            embeddings_BD: raw embeddings of the whole batch, any float type.
            labels_B: int64 classes.
            strength: of the margin, from 0 to 1.
            step: number of the optimizer step.
            targets_BT: the teacher's vectors, of unit length.
        """
        config = self.config
        output: HeadOutput | None = None
        figures: dict[str, Tensor] = {}
        loss = torch.zeros((), device=embeddings_BD.device)
        with torch.autocast(embeddings_BD.device.type, enabled=False):
            embeddings_BD = embeddings_BD.float()
            if self.classifier is not None:
                output = self.classifier(embeddings_BD, labels_B, strength=strength, step=step)
                loss = loss + config.head.weight * output.loss
                figures["loss/head"] = output.loss.detach()
                figures["cosine/target"] = output.target_cosines_B.detach().mean()
            parts = self.metric(embeddings_BD, labels_B, output=output, classifier=self.classifier)
            for name, part in parts.items():
                loss = loss + part
                figures[f"loss/{name}"] = part.detach()
            if self.distillation is not None and targets_BT is not None:
                direction, relation = self.distillation(embeddings_BD, targets_BT)
                loss = loss + config.distill.direction_weight * direction
                loss = loss + config.distill.relation_weight * relation
                figures["loss/direction"] = direction.detach()
                figures["loss/relation"] = relation.detach()
        cosines_B = None if output is None else output.target_cosines_B.detach()
        return LossOutput(loss, figures, cosines_B)
