"""The training loop: crops -> backbone -> embeddings -> losses -> step.

With several ranks each embeds its part of the batch; embeddings are gathered, and every rank
computes the whole batch's loss over the classes that are its own (see `training.ranks`).

Shape legend: B batch over all ranks, L this rank's part of a micro-batch, H, W height and width,
C colours, D embedding dimension, T teacher dimension.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from embedding.errors import DataInvalid, LossNotFinite
from training.checkpoint import latest_checkpoint
from training.config import TrainConfig
from training.config_checks import check_values
from training.data.crop_set import BadImages, CropSet
from training.data.sampling import RunPlan, RunSampler
from training.data.split import Split
from training.device import choose_device, choose_precision
from training.distill import Teacher, onnx_teacher, teacher_targets
from training.interrupt import StopRequest, leave_signals_to_parent
from training.losses import LossOutput
from training.optim import learning_rate, margin_strength
from training.ranks import Ranks
from training.run_log import RunLog
from training.run_state import RunState
from training.starting import freeze

logger = logging.getLogger(__name__)

Evaluate = Callable[[nn.Module], dict[str, float]]
Batch = dict[str, Tensor]


def normalize_crops(crops_BHWC: Tensor) -> Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W) in [-1, 1], channels-last in memory."""
    return ((crops_BHWC.float() - 127.5) / 127.5).permute(0, 3, 1, 2)


class Trainer:
    """One run, from its configuration or from its last checkpoint.

    Args:
        config: the resolved configuration; it is written beside the checkpoints.
        split: which identities train and which are held out.
        evaluate: gives figures on held-out people for the averaged weights; None skips it.
        teacher: embeds every batch as it is augmented; None takes what the configuration names.
        ranks: who runs with us.

    Raises:
        DataInvalid: fewer images than a batch holds, a batch that cannot be divided, or settings
            that do not go together.
    """

    def __init__(
        self,
        config: TrainConfig,
        split: Split,
        *,
        evaluate: Evaluate | None = None,
        teacher: Teacher | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        check_values(config)
        self.ranks = ranks or Ranks()
        self.device = choose_device(config.device, local_rank=int(os.environ.get("LOCAL_RANK", 0)))
        self.dtype = choose_precision(config.precision, self.device)
        self.config, self.evaluate = replace(config, precision=_name(self.dtype)), evaluate
        self.steps_per_epoch = _steps_per_epoch(config, len(split.train), self.ranks)
        self.num_steps = self.steps_per_epoch * config.epochs
        torch.manual_seed(config.seed)
        self.data = CropSet(
            split.train,
            augmentation=config.augment,
            seed=config.seed,
            cache_mb=config.data.cache_mb,
        )
        self.bad_images = BadImages(split.train, limit=config.data.max_bad)
        self.bad_images.add(self.data.bad_images)
        self._set_teacher(teacher)
        self.state = RunState.build(
            self.config,
            num_classes=split.train.num_identities,
            teacher_dimension=self.teacher_dimension,
            num_steps=self.num_steps,
            ranks=self.ranks,
            device=self.device,
            dtype=self.dtype,
        )
        self.backbone, self.losses = self.state.backbone, self.state.losses
        self.network = self._network()

    @property
    def step_number(self) -> int:
        """Optimizer steps done."""
        return self.state.step

    def _set_teacher(self, teacher: Teacher | None) -> None:
        """The teacher's vectors of all images, or a teacher that sees every batch."""
        self.targets_NT: Tensor | None = None
        self.teacher, file = teacher, self.config.distill.teacher
        self.teacher_dimension: int | None = None
        if teacher is None and file is not None and file.suffix == ".onnx":
            self.teacher = onnx_teacher(file)
        elif teacher is None and file is not None:
            keys = [self.data.selection.key(image) for image in range(len(self.data))]
            self.targets_NT = teacher_targets(file, keys, max_missing=self.config.data.max_bad)
            self.teacher_dimension = self.targets_NT.shape[1]
        if self.teacher is not None:
            crop = self.data[0]["crop"][None].numpy()
            self.teacher_dimension = self.teacher(crop).shape[1]

    def _network(self) -> nn.Module:
        """The backbone as it is called in training: data parallel, compiled."""
        network: nn.Module = self.backbone
        if self.ranks.world_size > 1:
            on_gpu = self.device.type == "cuda"
            network = DistributedDataParallel(
                network, device_ids=[self.device] if on_gpu else None
            )
        if self.config.compile:
            network.compile()
        return network

    def step(self, micro_batches: Sequence[Batch]) -> dict[str, float]:
        """One optimizer step on one batch, which comes in parts of equal size.

        Returns:
            The losses and what belongs to them, as plain numbers.

        Raises:
            LossNotFinite: before any weight was changed.
        """
        config = self.config
        rate = learning_rate(self.step_number, num_steps=self.num_steps, config=config.optim)
        strength = margin_strength(self.step_number, num_steps=self.num_steps, config=config.head)
        # Dropout then draws the same after a resume as without one.
        seed = config.seed * 1_000_003 + self.step_number
        torch.manual_seed(seed * 1_009 + self.ranks.rank)
        self.state.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for number, micro_batch in enumerate(micro_batches):
            is_last = number == len(micro_batches) - 1
            with nullcontext() if is_last else self._without_exchange():
                output = self._losses_of(micro_batch, strength)
                if not math.isfinite(output.loss.item()):
                    raise LossNotFinite(self._stopped(f"the loss became {output.loss.item()}"))
                (output.loss / len(micro_batches)).backward()  # type: ignore[no-untyped-call]
            if output.target_cosines_B is not None:
                self.state.angles.add(self.step_number, output.target_cosines_B)
            for name, value in {"loss": output.loss, **output.figures}.items():
                sums[name] = sums.get(name, 0.0) + value.item() / len(micro_batches)
        norm = self.state.update(rate, clip_norm=config.optim.clip_norm)
        if not math.isfinite(norm):
            raise LossNotFinite(self._stopped("a gradient became infinite or no number"))
        return {**sums, "lr": rate, "margin_strength": strength, "gradient_norm": norm}

    def _without_exchange(self) -> AbstractContextManager[None]:
        """Gradients stay with this rank until the last micro-batch."""
        if isinstance(self.network, DistributedDataParallel):
            exchange: AbstractContextManager[None] = self.network.no_sync()
            return exchange
        return nullcontext()

    def _losses_of(self, batch: Batch, strength: float) -> LossOutput:
        crops_LHWC = batch["crop"].to(self.device, non_blocking=True)
        is_rounded = self.dtype != torch.float32
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=is_rounded):
            embeddings_LD = self.network(normalize_crops(crops_LHWC))
        embeddings_BD = self.ranks.gather_rows(embeddings_LD.float())
        labels_B = self.ranks.gather_rows(batch["label"].to(self.device))
        output: LossOutput = self.losses(
            embeddings_BD,
            labels_B,
            strength=strength,
            step=self.step_number,
            targets_BT=self._targets(batch),
        )
        return output

    def _targets(self, batch: Batch) -> Tensor | None:
        """(B, T) the teacher's directions for the whole micro-batch, of unit length."""
        if self.targets_NT is not None:
            targets_LT = self.targets_NT[batch["index"]]
        elif self.teacher is not None:
            targets_LT = F.normalize(torch.from_numpy(self.teacher(batch["crop"].numpy())))
        else:
            return None
        return self.ranks.gather_rows(targets_LT.to(self.device))

    def _stopped(self, reason: str) -> str:
        return (
            f"{reason} at step {self.step_number}; the last checkpoint, if there is one, is good: "
            "go on, or begin again, with a lower optim.lr, a longer optim.warmup or "
            "head.margin_warmup, or a smaller head.scale"
        )

    def run(self) -> dict[str, float]:
        """Trains to the end, resuming from the run folder's checkpoint if there is one.

        After Ctrl-C or SIGTERM it finishes the step, writes a checkpoint and returns early;
        `is_finished` tells.

        Returns:
            The last evaluation's figures; empty without an evaluation.
        """
        folder = self.config.run_folder
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint = latest_checkpoint(folder)
        if checkpoint is not None:
            self.load(checkpoint)
        log = None
        if self.is_finished:
            logger.info("all %d steps are done; nothing is trained", self.num_steps)
        elif self.ranks.is_first:
            (folder / "config.json").write_text(self.config.to_json() + "\n")
            log = RunLog(
                folder,
                first_step=self.step_number,
                num_steps=self.num_steps,
                images_per_step=self.config.batch_size,
            )
        try:
            with StopRequest() as stop:
                return self._run_steps(stop, log)
        finally:
            if log is not None:
                log.close()

    @property
    def is_finished(self) -> bool:
        """Whether all steps are done."""
        return self.step_number >= self.num_steps

    def _run_steps(self, stop: StopRequest, log: RunLog | None) -> dict[str, float]:
        if self.is_finished:
            return self._evaluate(log)
        figures: dict[str, float] = {}
        saved_at = time.monotonic()
        self._set_training()
        for micro_batches, waited_s in self.batches():
            step_figures = self.step(micro_batches)
            if log is not None:
                log.add(self.step_number - 1, step_figures, waited_s=waited_s)
            is_epoch_end = self.step_number % self.steps_per_epoch == 0
            minutes = (time.monotonic() - saved_at) / 60
            should_stop = self.ranks.any(stop.is_set, self.device)
            is_due = self.ranks.any(minutes > self.config.checkpoint_minutes, self.device)
            if should_stop or is_epoch_end or is_due:
                self.save()
                saved_at = time.monotonic()
            if is_epoch_end and not should_stop:
                figures = self._evaluate(log) or figures
            if should_stop:
                logger.info("stopped at step %d; a checkpoint is written", self.step_number)
                break
        if self.is_finished and self.ranks.is_first:
            self.state.angles.save(self.config.run_folder)
        return figures

    def _set_training(self) -> None:
        self.losses.train()
        self.backbone.train()
        freeze(self.backbone, self.config.start)

    def _evaluate(self, log: RunLog | None) -> dict[str, float]:
        epoch = self.step_number // self.steps_per_epoch
        is_due = self.is_finished or epoch % self.config.evaluate_every == 0
        figures: dict[str, float] = {}
        if self.evaluate is not None and is_due and log is not None:
            figures = self.evaluate(self.state.average.module)
            log.add_curves(self.step_number, figures)
            logger.info("epoch %d %s", epoch, figures)
        self.ranks.wait_for_all()
        return figures

    def batches(self) -> Iterator[tuple[list[Batch], float]]:
        """The micro-batches of each step from here to the end, and how long they let us wait."""
        config = self.config
        sampler = RunSampler(
            self.data.selection.labels_N,
            RunPlan(
                batch_size=config.batch_size,
                accumulate=config.accumulate,
                seed=config.seed,
                images_per_identity=config.data.images_per_identity,
            ),
            first_step=self.step_number,
            num_steps=self.num_steps,
            ranks=self.ranks,
        )
        loader = DataLoader(
            self.data,
            batch_sampler=sampler,
            num_workers=self._num_workers(),
            pin_memory=self.device.type == "cuda",
            worker_init_fn=leave_signals_to_parent,
        )
        iterator = iter(loader)
        for _ in range(self.step_number, self.num_steps):
            started = time.monotonic()
            micro_batches = [next(iterator) for _ in range(config.accumulate)]
            waited_s = time.monotonic() - started
            for batch in micro_batches:
                self.bad_images.add(set(batch["bad"].tolist()) - {-1})
            yield micro_batches, waited_s

    def _num_workers(self) -> int:
        """As configured; -1 leaves a CPU to the network but for one, and a GPU's host to them."""
        if self.config.data.num_workers >= 0:
            return self.config.data.num_workers
        if self.device.type == "cpu":
            return 1
        return max(1, (os.cpu_count() or 2) // int(os.environ.get("LOCAL_WORLD_SIZE", 1)) - 1)

    def save(self) -> Path:
        """Writes everything that `load` needs to go on as if nothing had happened."""
        return self.state.save(self.config, self.data.selection.names, len(self.data))

    def load(self, path: Path) -> None:
        """Goes on from a checkpoint of the same network and the same identities.

        The number of ranks may differ, and so may rates, margins, weights of losses and the
        number of epochs: from here on they are those of this configuration. What decides about
        the order of images may not.

        Raises:
            CheckpointInvalid: damaged, of another network or of another set of identities.
        """
        self.state.load(path, self.config, self.data.selection.names, len(self.data))
        logger.info("resumed from %s at step %d", path, self.step_number)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _steps_per_epoch(config: TrainConfig, num_images: int, ranks: Ranks) -> int:
    """Whole batches in the set.

    Raises:
        DataInvalid: not one, or a batch that ranks and micro-batches do not divide.
    """
    parts = config.accumulate * ranks.world_size
    if config.batch_size % parts:
        raise DataInvalid(
            f"batch_size {config.batch_size} is not divisible by {config.accumulate} "
            f"micro-batches on {ranks.world_size} ranks"
        )
    group = config.data.images_per_identity
    if (config.batch_size // parts) % group:
        raise DataInvalid(
            f"{config.batch_size // parts} images a rank and micro-batch do not hold whole groups "
            f"of data.images_per_identity={group}"
        )
    if num_images < config.batch_size:
        raise DataInvalid(
            f"{num_images} training images do not fill one batch of {config.batch_size}; "
            "lower batch_size or add images"
        )
    return num_images // config.batch_size
