"""Several processes, started by torchrun, train what one process trains."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from training.checkpoint import load_class_rows, load_state

REPOSITORY = Path(__file__).parents[2]
STEPS_PER_EPOCH = 5

# Batch normalisation uses its running statistics: on a CPU each rank would have its own.
# 12 images a step are divided by 1, 2 and 3 ranks; 13 identities by none of 2 and 3.
SETTINGS = [
    "batch_size=12", "precision=float32", "device=cpu", "data.num_workers=0",
    "data.num_holdout_sharp=0", "start.freeze_norm=true", "optim.lr=0.001",
    "backbone.channels=[16,16,16,16]", "data.max_identities=13", "head.name=arcface",
    "head.scale=16", "optim.ema=0.9",
    # Rate and margin that do not depend on the length of the run, which a test makes longer.
    "optim.warmup=0", "optim.schedule=steps", "optim.milestones=[1]", "head.margin_warmup=0",
]  # fmt: skip


def train(
    identities: Path, run: Path, num_ranks: int, *settings: str
) -> subprocess.CompletedProcess[str]:
    """One run of the command line, under torchrun if there are several ranks."""
    command = [sys.executable, "-W", "ignore", "-m"]
    if num_ranks > 1:
        launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={num_ranks}"]
        command += [*launcher, "-m"]
    command += ["training", "train", "--preset", "smoke"]
    command += ["--data", str(identities), "--run-folder", str(run)]
    for setting in [*SETTINGS, *settings]:
        command += ["--set", setting]
    # Gloo otherwise asks the network for this machine's name.
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=REPOSITORY, env=environment
    )


def losses(run: Path) -> list[float]:
    """The loss of each step, from the run's own log."""
    lines = (run / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


def weights(run: Path, num_identities: int = 13) -> dict[str, Tensor]:
    """Backbone, average and class centres of the last checkpoint, and all momenta, as vectors."""
    state, rows = load_state(run), load_class_rows(run, 0, num_identities)
    momenta = [*state["momenta"].values(), rows.pop("classifier.centres_RD.momentum")]
    parts = {
        "backbone": list(state["backbone"].values()),
        "average": list(state["average"].values()),
        "centres": list(rows.values()),
        "momenta": momenta,
    }
    return {name: torch.cat([one.double().flatten() for one in p]) for name, p in parts.items()}


def assert_same_run(first: Path, second: Path) -> None:
    """The same losses and weights, to a relative error of 1e-5; momenta to 1e-3.

    Momenta are sums of gradients, in which a rectifier that rounding switches shows at once.
    """
    assert losses(first) == pytest.approx(losses(second), rel=1e-5)
    expected, found = weights(first), weights(second)
    for name, vector in expected.items():
        assert found[name].shape == vector.shape
        error = (found[name] - vector).norm() / vector.norm()
        assert error <= (1e-3 if name == "momenta" else 1e-5), (name, error)


@pytest.fixture(scope="module")
def single(identities: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run in one process: five steps an epoch."""
    run = tmp_path_factory.mktemp("single") / "run"
    result = train(identities, run, 1, "epochs=2")
    assert result.returncode == 0, result.stderr
    assert len(losses(run)) == 2 * STEPS_PER_EPOCH
    return run


@pytest.mark.slow
def test_two_ranks_give_the_losses_and_weights_of_one(
    identities: Path, tmp_path: Path, single: Path
) -> None:
    """Ten steps, with classes that do not divide evenly among the ranks."""
    run = tmp_path / "run"
    result = train(identities, run, 2, "epochs=2")
    assert result.returncode == 0, result.stderr
    assert "2 processes" in result.stdout
    assert_same_run(single, run)


@pytest.mark.slow
@pytest.mark.parametrize("num_ranks", [1, 3])
def test_a_checkpoint_of_two_ranks_goes_on_with_another_number(
    identities: Path, tmp_path: Path, single: Path, num_ranks: int
) -> None:
    """Five steps on two ranks, five more on one or three: the trajectory of one process."""
    run = tmp_path / "run"
    first = train(identities, run, 2, "epochs=1")
    assert first.returncode == 0, first.stderr
    assert len(losses(run)) == STEPS_PER_EPOCH
    second = train(identities, run, num_ranks, "epochs=2")
    assert second.returncode == 0, second.stderr
    assert_same_run(single, run)
