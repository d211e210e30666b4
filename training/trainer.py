"""The training loop: crops -> backbone -> embeddings -> ArcFace head -> step.

Shape legend: B batch, H, W height and width, C colours or classes, D embedding dimension.
"""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from embedding.errors import CheckpointInvalid, DataInvalid, LossNotFinite
from training.backbone import FaceBackbone
from training.checkpoint import LATEST, load_checkpoint, save_checkpoint
from training.config import TrainConfig
from training.data import CropSet, ResumableSampler, Split
from training.distill import Distillation, teacher_targets
from training.heads import ArcFaceHead
from training.optim import WeightAverage, build_optimizer, learning_rate, margin_rad

logger = logging.getLogger(__name__)

Evaluate = Callable[[nn.Module], dict[str, float]]


def choose_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is a GPU if there is one, else the CPU."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def normalize_crops(crops_BHWC: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W) in [-1, 1], channels-last in memory."""
    return ((crops_BHWC.float() - 127.5) / 127.5).permute(0, 3, 1, 2)


class Trainer:
    """One run, from its configuration or from its last checkpoint.

    Args:
        config: the resolved configuration; it is written beside the checkpoints.
        split: which identities train and which are held out.
        evaluate: gives figures on held-out people for the averaged weights; None skips it.

    Raises:
        DataInvalid: fewer images than a batch holds.
    """

    def __init__(
        self, config: TrainConfig, split: Split, *, evaluate: Evaluate | None = None
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.evaluate = config, evaluate
        self.device = choose_device(config.device)
        self.data = CropSet(split.train, augmentation=config.augment, seed=config.seed)
        self.steps_per_epoch = len(self.data) // config.batch_size
        if not self.steps_per_epoch:
            raise DataInvalid(
                f"{len(self.data)} training images do not fill one batch of {config.batch_size}; "
                "lower batch_size or add images"
            )
        self.num_steps = self.steps_per_epoch * config.epochs
        self.backbone = FaceBackbone(config.backbone)
        self.head = ArcFaceHead(
            config.backbone.dimension, self.data.num_classes, scale=config.head.scale
        )
        self.targets_NT: Tensor | None = None
        self.distillation: Distillation | None = None
        modules: list[nn.Module] = [self.backbone, self.head]
        if config.distill.teacher is not None:
            self.targets_NT = teacher_targets(
                config.distill.teacher, self.data.paths, config.data.folder
            ).to(self.device)
            self.distillation = Distillation(config.backbone.dimension, self.targets_NT.shape[1])
            modules.append(self.distillation)
        for module in modules:
            module.to(self.device).to(memory_format=torch.channels_last)
        self._modules = modules
        self.optimizer = build_optimizer(modules, config.optim)
        self.average = WeightAverage(self.backbone, decay=config.optim.ema)
        self.step_number = 0

    def step(self, crops_BHWC: Tensor, labels_B: Tensor, indices_B: Tensor) -> dict[str, float]:
        """One optimizer step on one batch.

        Returns:
            The losses and what belongs to them, as plain numbers.

        Raises:
            LossNotFinite: before anything was changed.
        """
        config = self.config
        rate = learning_rate(self.step_number, num_steps=self.num_steps, config=config.optim)
        margin = margin_rad(self.step_number, num_steps=self.num_steps, config=config.head)
        crops_BCHW = normalize_crops(crops_BHWC.to(self.device, non_blocking=True))
        enabled = config.precision == "bfloat16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled):
            embeddings_BD = self.backbone(crops_BCHW)
        output = self.head(embeddings_BD, labels_B.to(self.device), margin_rad=margin)
        loss = config.head.weight * output.loss
        figures = {"loss/arcface": output.loss.detach(), "lr": rate, "margin_rad": margin}
        if self.distillation is not None and self.targets_NT is not None:
            direction, relation = self.distillation(
                embeddings_BD, self.targets_NT[indices_B.to(self.device)]
            )
            weights = config.distill
            loss = loss + weights.direction_weight * direction
            loss = loss + weights.relation_weight * relation
            figures |= {"loss/direction": direction.detach(), "loss/relation": relation.detach()}
        if not math.isfinite(loss.item()):
            raise LossNotFinite(
                f"the loss became {loss.item()} at step {self.step_number}; the last checkpoint "
                "is good: resume with a lower optim.lr or a longer optim.warmup"
            )
        self._update(loss, rate)
        figures["cosine/target"] = output.target_cosines_B.mean()
        return {"loss": loss.item(), **{name: float(value) for name, value in figures.items()}}

    def _update(self, loss: Tensor, rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        nn.utils.clip_grad_norm_(parameters, self.config.optim.clip_norm)
        self.optimizer.step()
        self.average.update(self.backbone)
        self.step_number += 1

    def run(self) -> dict[str, float]:
        """Trains to the end, resuming from the run folder's checkpoint if there is one.

        Returns:
            The last evaluation's figures; empty without an evaluation.
        """
        folder = self.config.run_folder
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / LATEST).exists():
            self.load(folder / LATEST)
        (folder / "config.json").write_text(self.config.to_json() + "\n")
        figures: dict[str, float] = {}
        with SummaryWriter(folder / "tensorboard") as writer:
            while self.step_number < self.num_steps:
                epoch = self.step_number // self.steps_per_epoch
                self._run_epoch(epoch, writer)
                last = self.step_number >= self.num_steps
                if self.evaluate and (last or (epoch + 1) % self.config.evaluate_every == 0):
                    figures = self.evaluate(self.average.module)
                    for name, value in figures.items():
                        writer.add_scalar(name, value, self.step_number)
                    logger.info("epoch %d %s", epoch + 1, figures)
                self.save()
        return figures

    def _run_epoch(self, epoch: int, writer: SummaryWriter) -> None:
        loader = self._loader(epoch)
        saved_at, self._waited_s, started = time.monotonic(), 0.0, time.monotonic()
        for module in self._modules:
            module.train()
        with tqdm(total=len(loader), unit="step", desc=f"epoch {epoch + 1}") as bar:
            for batch in loader:
                figures = self.step(batch["crop"], batch["label"], batch["index"])
                bar.update()
                images_per_s = bar.n * self.config.batch_size / (time.monotonic() - started)
                bar.set_postfix(loss=f"{figures['loss']:.3f}", img_s=f"{images_per_s:.0f}")
                if self.step_number % 10 == 0:
                    for name, value in {**figures, "images_per_s": images_per_s}.items():
                        writer.add_scalar(name, value, self.step_number)
                if time.monotonic() - saved_at > 60 * self.config.checkpoint_minutes:
                    self.save()
                    saved_at = time.monotonic()
        logger.info("epoch %d done: %s", epoch + 1, figures)

    def _loader(self, epoch: int) -> DataLoader[dict[str, Any]]:
        config = self.config
        sampler = ResumableSampler(
            len(self.data),
            batch_size=config.batch_size,
            seed=config.seed,
            epoch=epoch,
            first_step=self.step_number % self.steps_per_epoch,
        )
        return DataLoader(
            self.data,
            batch_size=config.batch_size,
            sampler=sampler,
            num_workers=config.data.num_workers,
            pin_memory=self.device.type == "cuda",
        )

    def save(self) -> Path:
        """Writes everything that `load` needs to go on as if nothing had happened."""
        state = {
            "config": self.config.to_json(),
            "identities": self.data.names,
            "step": self.step_number,
            "modules": [module.state_dict() for module in self._modules],
            "average": self.average.module.state_dict(),
            "num_updates": self.average.num_updates,
            "optimizer": self.optimizer.state_dict(),
        }
        return save_checkpoint(state, self.config.run_folder)

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint of the same network and the same identities.

        Rates, weights of losses and the number of epochs may differ: from here on they are
        those of this configuration.

        Raises:
            CheckpointInvalid: of another network or another set of identities.
        """
        state = load_checkpoint(path)
        if state["identities"] != self.data.names:
            raise CheckpointInvalid(
                f"{path} was trained on {len(state['identities'])} other identities than the "
                f"{len(self.data.names)} of this run; give another run folder or the same data"
            )
        try:
            for module, stored in zip(self._modules, state["modules"], strict=True):
                module.load_state_dict(stored)
            self.average.module.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointInvalid(
                f"{path} belongs to another network or set of identities; give another run "
                f"folder or the configuration it was made with: {error}"
            ) from error
        self.average.num_updates = state["num_updates"]
        self.step_number = state["step"]
        logger.info("resumed from %s at step %d", path, self.step_number)
