"""The exact classifier without the batch x classes matrix, against a dense head.

Equality at 20,000 identities, time at 100,000 (both heads in turns in one run), memory and time of
a whole step at 1,000,000, each in a process of its own. On a GPU besides: 1,000,000 identities,
batch 1,024, against a dense bfloat16 head. Quote nothing while something else computes.
"""

import gc
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.plain_loop import dense_arcface_loss
from benchmarks.report import print_report
from training.classifier import MarginClassifier
from training.config import HeadConfig, OptimConfig
from training.optim import build_optimizer

DIMENSION = 512
BATCH = 256
GPU_BATCH = 1024
NUM_TIMED = 7
ARCFACE = HeadConfig(name="arcface", scale=64.0, margin_rad=0.5)
GIB, MB = 2**30, 1e6


def ours(
    num_classes: int, *, keep_mb: int, dtype: torch.dtype = torch.float32
) -> MarginClassifier:
    """Our head."""
    config = HeadConfig(name="arcface", scale=64.0, margin_rad=0.5, keep_mb=keep_mb)
    return MarginClassifier(config, DIMENSION, num_classes, dtype=dtype)


def batch_of(num_classes: int, size: int = BATCH) -> tuple[Tensor, Tensor]:
    """Random embeddings with gradient, and random classes."""
    torch.manual_seed(0)
    embeddings_BD = torch.randn(size, DIMENSION, requires_grad=True)
    return embeddings_BD, torch.randint(num_classes, (size,))


def our_gradients(head: MarginClassifier, batch: tuple[Tensor, Tensor]) -> list[Tensor]:
    """Loss, gradient of the embeddings and of the centres."""
    embeddings_BD, labels_B = batch
    embeddings_BD.grad = head.centres_RD.grad = None
    loss = head(embeddings_BD, labels_B).loss
    loss.backward()
    return [loss.detach(), _gradient(embeddings_BD), _gradient(head.centres_RD)]


def dense_gradients(centres_CD: Tensor, batch: tuple[Tensor, Tensor]) -> list[Tensor]:
    """The same by the dense head."""
    embeddings_BD, labels_B = batch
    embeddings_BD.grad = centres_CD.grad = None
    loss = dense_arcface_loss(
        embeddings_BD,
        centres_CD,
        labels_B,
        scale=ARCFACE.scale,
        margin_rad=ARCFACE.margin_rad,
    )
    loss.backward()  # type: ignore[no-untyped-call]
    return [loss.detach(), _gradient(embeddings_BD), _gradient(centres_CD)]


def _gradient(tensor: Tensor) -> Tensor:
    if tensor.grad is None:
        raise AssertionError("a backward pass leaves a gradient")
    return tensor.grad.clone()


def equality(num_classes: int = 20_000) -> dict[str, float]:
    """Relative L2 errors against the dense head, of logits kept and of logits computed twice."""
    batch = batch_of(num_classes)
    worst = dict.fromkeys(("loss", "embeddings", "centres"), 0.0)
    for keep_mb in (0, 1024):
        head = ours(num_classes, keep_mb=keep_mb)
        found = our_gradients(head, batch)
        expected = dense_gradients(head.centres_RD.detach().clone().requires_grad_(), batch)
        for name, left, right in zip(worst, found, expected, strict=True):
            worst[name] = max(worst[name], ((left - right).norm() / right.norm()).item())
    return {f"error_{name}_20k": value for name, value in worst.items()}


def ratio(num_classes: int = 100_000) -> dict[str, float]:
    """Median seconds of forward and backward at 100,000 identities, heads in turns."""
    batch = batch_of(num_classes)
    kept, twice = ours(num_classes, keep_mb=ARCFACE.keep_mb), ours(num_classes, keep_mb=0)
    centres_CD = kept.centres_RD.detach().clone().requires_grad_()
    work = {
        "dense_100k_s": lambda: dense_gradients(centres_CD, batch),
        "ours_100k_s": lambda: our_gradients(kept, batch),
        "ours_computed_twice_100k_s": lambda: our_gradients(twice, batch),
    }
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(1 + NUM_TIMED):
        for name, one in work.items():
            started = time.perf_counter()
            one()  # type: ignore[no-untyped-call]
            times[name].append(time.perf_counter() - started)
    medians = {name: sorted(one[1:])[NUM_TIMED // 2] for name, one in times.items()}
    medians["ratio_100k"] = medians["ours_100k_s"] / medians["dense_100k_s"]
    medians["ratio_computed_twice_100k"] = (
        medians["ours_computed_twice_100k_s"] / medians["dense_100k_s"]
    )
    return medians


def million(num_classes: int = 1_000_000) -> dict[str, float]:
    """Whole steps (forward, backward, update) at 1,000,000 identities on the CPU.

    Memory: the process's peak, less what it held before, less weights, gradient and momentum.
    """
    before = _peak_bytes()
    head = ours(num_classes, keep_mb=ARCFACE.keep_mb)
    optimizer = build_optimizer([(head, 1.0)], OptimConfig())
    batch = batch_of(num_classes)
    times = []
    for _ in range(3):
        started = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        embeddings_BD, labels_B = batch
        embeddings_BD.grad = None
        head(embeddings_BD, labels_B).loss.backward()
        optimizer.step()
        times.append(time.perf_counter() - started)
    held = 3 * head.centres_RD.numel() * 4
    return {
        "step_1m_s": sorted(times)[1],
        "held_1m_mb": held / MB,
        "beyond_1m_mb": (_peak_bytes() - before - held) / MB,
    }


def _peak_bytes() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def gpu_million(num_classes: int = 1_000_000) -> dict[str, float]:
    """Peak memory and time of whole steps on a GPU, and of a dense bfloat16 head's."""
    figures: dict[str, float] = {}
    for name in ("ours", "dense"):
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        head = ours(num_classes, keep_mb=ARCFACE.keep_mb, dtype=torch.bfloat16).cuda()
        optimizer = build_optimizer([(head, 1.0)], OptimConfig())
        embeddings_BD, labels_B = (one.detach().cuda() for one in batch_of(num_classes, GPU_BATCH))
        embeddings_BD.requires_grad_()
        times = []
        for _ in range(2 + NUM_TIMED):
            torch.cuda.synchronize()
            started = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            if name == "ours":
                loss = head(embeddings_BD, labels_B).loss
            else:
                with torch.autocast("cuda", torch.bfloat16):
                    loss = dense_arcface_loss(
                        embeddings_BD, head.centres_RD, labels_B, scale=64.0, margin_rad=0.5
                    )
            loss.backward()
            optimizer.step()
            torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
        figures[f"gpu_{name}_1m_s"] = sorted(times[2:])[NUM_TIMED // 2]
        figures[f"gpu_{name}_1m_gb"] = torch.cuda.max_memory_allocated() / 1e9
        del head, optimizer, embeddings_BD, labels_B, loss
    return figures


PARTS = {"equality": equality, "ratio": ratio, "million": million, "gpu": gpu_million}


def _in_own_process(part: str) -> dict[str, float]:
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.classifier", part],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[1],
    ).stdout
    figures: dict[str, float] = json.loads(output.splitlines()[-1])
    return figures


def main() -> None:
    """Measures each part in a process of its own, one after the other, and prints."""
    if len(sys.argv) == 2:
        print(json.dumps(PARTS[sys.argv[1]]()))
        return
    figures: dict[str, float] = {}
    for part in PARTS:
        if part == "gpu" and not torch.cuda.is_available():
            continue
        figures |= _in_own_process(part)
    print_report(
        "classifier",
        (f"ArcFace, {DIMENSION}-d, batch {BATCH}", "value"),
        list(figures.items()),
        {name: float(f"{value:.4g}") for name, value in figures.items()},
    )


if __name__ == "__main__":
    main()
