"""IResNet-50 at 100,000 identities: body, head and whole step against a plain PyTorch loop.

Both take the same crops from memory; ours also decodes and augments them in its worker process, as
in a run. The two take turns in one process. On a GPU both compute in bfloat16. Quote nothing while
something else computes.
"""

import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.plain_loop import PlainStep, dense_arcface_loss
from benchmarks.report import print_report
from training.backbone import FaceBackbone
from training.config import BackboneConfig, DataConfig, HeadConfig, OptimConfig, TrainConfig
from training.data.split import Selection, Split, select_all
from training.trainer import Trainer, normalize_crops

NUM_CLASSES = 100_000
NUM_TIMED = 5
BACKBONE = BackboneConfig(name="iresnet50", head="e")


class RepeatedCrops:
    """A store of as many identities as wanted, whose images are a few encoded pictures."""

    def __init__(self, num_identities: int) -> None:
        rng = np.random.default_rng(0)
        self._encoded = []
        for _ in range(16):
            small = Image.fromarray(rng.integers(0, 256, (14, 14, 3), dtype=np.uint8))
            buffer = io.BytesIO()
            small.resize((112, 112), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
            self._encoded.append(buffer.getvalue())
        self._names = [f"{number:07d}" for number in range(num_identities)]

    @property
    def names(self) -> Sequence[str]:
        """The numbers of the identities."""
        return self._names

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """One image an identity."""
        return np.arange(len(self._names) + 1)

    def read(self, row: int) -> bytes:
        """One of the pictures."""
        return self._encoded[row % len(self._encoded)]

    def key(self, row: int) -> str:
        """The number of the identity."""
        return self._names[row]

    def num_bytes(self, row: int) -> int:
        """Size of the picture."""
        return len(self.read(row))


def new_trainer(folder: Path, batch_size: int) -> Trainer:
    """Our training step as a run makes it."""
    everybody: Selection = select_all(RepeatedCrops(NUM_CLASSES))
    config = TrainConfig(
        run_folder=folder,
        data=DataConfig(source=folder, cache_mb=0),
        backbone=BACKBONE,
        head=HeadConfig(scale=64.0, margin_rad=0.5, margin_warmup=0.0),
        optim=OptimConfig(lr=0.01, nesterov=False, warmup=0.0, ema=0.0),
        epochs=1,
        batch_size=batch_size,
    )
    return Trainer(config, Split(train=everybody, holdout=everybody.of_identities([])))


def in_turns(work: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each, one after the other, the first round left out."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for number in range(1 + NUM_TIMED):
        for name, one in work.items():
            _synchronize()
            started = time.perf_counter()
            one()
            _synchronize()
            if number:
                times[name].append(time.perf_counter() - started)
    return {name: statistics.median(one) for name, one in times.items()}


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure(folder: Path, batch_size: int) -> dict[str, float]:
    """Seconds of body, head and whole step, ours and plain."""
    trainer = new_trainer(folder, batch_size)
    trainer.backbone.train()
    device = trainer.device
    plain = PlainStep(FaceBackbone(BACKBONE).to(device), NUM_CLASSES)
    batches = trainer.batches()
    (batch,), _ = next(batches)
    crops_BHWC, labels_B = batch["crop"].to(device), batch["label"].to(device)
    embeddings_BD = torch.randn(batch_size, 512, device=device, requires_grad=True)
    waits: list[float] = []

    def our_body() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=trainer.dtype != torch.float32):
            embeddings = trainer.network(normalize_crops(crops_BHWC))
        embeddings.float().sum().backward()
        trainer.state.optimizer.zero_grad(set_to_none=True)

    def plain_body() -> None:
        crops_BCHW = normalize_crops(crops_BHWC).contiguous()
        with torch.autocast(device.type, torch.bfloat16, enabled=trainer.dtype != torch.float32):
            embeddings = plain.network(crops_BCHW)
        embeddings.float().sum().backward()
        plain.optimizer.zero_grad()

    def our_head() -> None:
        trainer.losses(embeddings_BD, labels_B, strength=1.0, step=0).loss.backward()
        trainer.state.optimizer.zero_grad(set_to_none=True)

    def plain_head() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=trainer.dtype != torch.float32):
            loss: Tensor = dense_arcface_loss(
                embeddings_BD, plain.centres_CD, labels_B, scale=64.0, margin_rad=0.5
            )
        loss.backward()  # type: ignore[no-untyped-call]
        plain.optimizer.zero_grad()

    def our_step() -> None:
        micro_batches, waited_s = next(batches)
        waits.append(waited_s)
        trainer.step(micro_batches)

    def plain_step() -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=trainer.dtype != torch.float32):
            plain(crops_BHWC, labels_B)

    times = in_turns(
        {
            "body": our_body, "plain_body": plain_body,
            "head": our_head, "plain_head": plain_head,
            "step": our_step, "plain_step": plain_step,
        }
    )  # fmt: skip
    ratios = {
        f"{part}_speedup": times[f"plain_{part}"] / times[part]
        for part in ("body", "head", "step")
    }
    return {
        **{f"{name}_s": value for name, value in times.items()},
        **ratios,
        "images_per_s": batch_size / times["step"],
        "plain_images_per_s": batch_size / times["plain_step"],
        "waiting_share": statistics.median(waits[1:]) / times["step"],
    }


def main() -> None:
    """Measures with the batch size given as an argument; 16 on a CPU, 128 on a GPU."""
    default = 128 if torch.cuda.is_available() else 16
    batch_size = int(sys.argv[1]) if len(sys.argv) > 1 else default
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), batch_size)
    print_report(
        "training_step",
        (f"IResNet-50, {NUM_CLASSES} identities, batch {batch_size}", "value"),
        list(figures.items()),
        {"batch_size": batch_size, **{k: float(f"{v:.4g}") for k, v in figures.items()}},
    )


if __name__ == "__main__":
    main()
