"""Everything of a run that changes: weights, momenta, averages, angles; what a checkpoint holds.

Shape legend: D embedding dimension, C classes, T teacher dimension.
"""

import hashlib
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from embedding.errors import CheckpointInvalid
from training.backbone import FaceBackbone, synchronise_norm
from training.checkpoint import load_class_rows, load_state, save_checkpoint
from training.config import TrainConfig
from training.device import head_precision
from training.losses import TrainingLosses
from training.optim import WeightAverage, build_optimizer
from training.ranks import Ranks
from training.recompute import checkpoint_blocks
from training.run_log import PHASES, AngleRecord
from training.starting import freeze, start_from


class RunState:
    """The network, its losses, their optimizer and average, and how far they are.

    Args:
        backbone: on its device.
        losses: with the classes of this rank.
        average: of the backbone's weights.
        optimizer: of all that learns; its groups carry ``lr_factor``.
        angles: between faces and centres, at the start, middle and end.
        ranks: who runs with us.
    """

    def __init__(
        self,
        backbone: FaceBackbone,
        losses: TrainingLosses,
        average: WeightAverage,
        optimizer: torch.optim.Optimizer,
        angles: AngleRecord,
        ranks: Ranks,
    ) -> None:
        self.backbone, self.losses, self.average = backbone, losses, average
        self.optimizer, self.angles, self.ranks = optimizer, angles, ranks
        self.step = 0
        classifier = losses.classifier
        own = [] if classifier is None else list(classifier.class_parameters())
        self._class_parameters = {f"classifier.{name}": one for name, one in own}

    @classmethod
    def build(
        cls,
        config: TrainConfig,
        *,
        num_classes: int,
        teacher_dimension: int | None,
        num_steps: int,
        ranks: Ranks,
        device: torch.device,
        dtype: torch.dtype,
    ) -> "RunState":
        """The state at the first step.

        Args:
            config: the run.
            num_classes: C.
            teacher_dimension: T, or None without a teacher.
            num_steps: of the whole run.
            ranks: who shares the classes.
            device: where to compute.
            dtype: of the network's products.
        """
        backbone = FaceBackbone(config.backbone)
        start_from(backbone, config.start)
        freeze(backbone, config.start)
        losses = TrainingLosses(
            config,
            num_classes,
            teacher_dimension=teacher_dimension,
            ranks=ranks,
            head_dtype=head_precision(config.head.precision, dtype, device),
        ).to(device)
        memory_format = torch.channels_last if config.channels_last else torch.contiguous_format
        backbone = backbone.to(device).to(memory_format=memory_format)
        # The copy for the average comes before whatever changes how the network is called.
        average = WeightAverage(backbone, decay=config.optim.ema)
        if ranks.world_size > 1 and device.type == "cuda":
            synchronise_norm(backbone)
        if config.recompute:
            checkpoint_blocks(backbone)
        parts = [(backbone.body, config.start.body_lr), (backbone.head, 1.0), (losses, 1.0)]
        optimizer = build_optimizer(parts, config.optim)
        return cls(backbone, losses, average, optimizer, AngleRecord(num_steps), ranks)

    def update(self, rate: float, *, clip_norm: float) -> float:
        """Clips the gradients of all ranks together and takes one step.

        Args:
            rate: learning rate, before the factors of groups.
            clip_norm: largest norm of all gradients together.

        Returns:
            Their norm before clipping. No step is taken where that is not finite.
        """
        own = set(self._class_parameters.values())
        sharded: list[Tensor] = []
        shared: list[Tensor] = []
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_factor"]
            for parameter in group["params"]:
                if parameter.grad is not None:
                    (sharded if parameter in own else shared).append(parameter.grad)
        squares = nn.utils.get_total_norm(shared).square()
        sharded_squares = nn.utils.get_total_norm(sharded).square().to(squares.device)
        norm = (squares + self.ranks.sum(sharded_squares)).sqrt().item()
        if not math.isfinite(norm):
            return norm
        if norm > clip_norm:
            for gradient in (*shared, *sharded):
                gradient.mul_(clip_norm / (norm + 1e-6))
        self.optimizer.step()
        self.average.update(self.backbone)
        self.step += 1
        return norm

    def save(self, config: TrainConfig, names: Sequence[str], num_images: int) -> Path:
        """Writes a checkpoint into the run's folder; every rank calls it.

        Args:
            config: stored with it, and its run folder is where it goes.
            names: of the classes.
            num_images: that train.

        Raises:
            CheckpointInvalid: it could not be written.
        """
        own = self._class_parameters
        phases = {name: torch.from_numpy(values) for name, values in self.angles.phases().items()}
        momenta = {
            name: self.optimizer.state[one]["momentum_buffer"]
            for name, one in self._named_parameters()
            if "momentum_buffer" in self.optimizer.state[one]
        }
        state = {
            "config": config.to_json(),
            "identities": identities_of(names),
            "order": _order(config, num_images),
            "backbone": self.backbone.state_dict(),
            "losses": {k: v for k, v in self.losses.state_dict().items() if k not in own},
            "average": self.average.module.state_dict(),
            "num_updates": self.average.num_updates,
            "momenta": {name: one for name, one in momenta.items() if name not in own},
            "angles": phases,
        }
        class_rows = {name: one.detach() for name, one in own.items()}
        class_rows |= {f"{n}.momentum": one for n, one in momenta.items() if n in own}
        classifier = self.losses.classifier
        return save_checkpoint(
            state,
            class_rows,
            run_folder=config.run_folder,
            step=self.step,
            first_class=0 if classifier is None else classifier.first,
            num_classes=0 if classifier is None else classifier.num_own,
            ranks=self.ranks,
        )

    def load(self, path: Path, config: TrainConfig, names: Sequence[str], num_images: int) -> None:
        """Takes over a checkpoint of the same network, the same classes and the same order.

        Args:
            path: folder of the checkpoint.
            config: of this run.
            names: of the classes.
            num_images: that train.

        Raises:
            CheckpointInvalid: damaged, of another network or of another set of images.
        """
        state = load_state(path)
        if state["identities"] != identities_of(names):
            raise CheckpointInvalid(
                f"{path} was trained on other identities ({state['identities']}) than those of "
                f"this run ({identities_of(names)}); give another run folder or the same data"
            )
        if state["order"] != _order(config, num_images):
            raise CheckpointInvalid(
                f"{path} goes through its images in another order ({state['order']}) than this "
                f"run ({_order(config, num_images)}); set these as before, or give another run "
                "folder"
            )
        try:
            self._restore(state, path)
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointInvalid(
                f"{path} belongs to another network or to other losses; give another run folder "
                "or the configuration it was made with, which stands in config.json"
            ) from error
        self.step = state["step"]

    def _restore(self, state: dict[str, Any], path: Path) -> None:
        own, classifier = self._class_parameters, self.losses.classifier
        rows: dict[str, Tensor] = {}
        if classifier is not None:
            rows = load_class_rows(path, classifier.first, classifier.stop)
        self.backbone.load_state_dict(state["backbone"])
        self.losses.load_state_dict({**state["losses"], **{name: rows[name] for name in own}})
        self.average.module.load_state_dict(state["average"])
        self.average.num_updates = state["num_updates"]
        momenta = {**state["momenta"], **{n: rows.get(f"{n}.momentum") for n in own}}
        for name, parameter in self._named_parameters():
            momentum = momenta.get(name)
            if momentum is None:
                continue
            if momentum.shape != parameter.shape:
                raise ValueError(f"the momentum of {name} has another shape")
            # Like the parameter in memory order, too: the fused update wants both alike.
            kept = torch.empty_like(parameter).copy_(momentum)
            self.optimizer.state[parameter]["momentum_buffer"] = kept
        self.angles.restore({name: state["angles"][name].numpy().copy() for name in PHASES})

    def _named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        for name, parameter in self.backbone.named_parameters():
            yield f"backbone.{name}", parameter
        yield from self.losses.named_parameters()


def _order(config: TrainConfig, num_images: int) -> str:
    """What decides which images a step sees."""
    return (
        f"{num_images} images, batch_size={config.batch_size}, seed={config.seed}, "
        f"data.images_per_identity={config.data.images_per_identity}"
    )


def identities_of(names: Sequence[str]) -> str:
    """What tells these classes from others: their number and a hash of their names."""
    digest = hashlib.sha256(os.fsencode("\n".join(names))).hexdigest()
    return f"{len(names)} identities {digest[:16]}"
