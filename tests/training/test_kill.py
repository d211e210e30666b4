"""A run that is killed or interrupted goes on with the losses of an unbroken one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from training.checkpoint import latest_checkpoint

REPOSITORY = Path(__file__).parents[2]
NUM_STEPS = 12
TIMEOUT_S = 240.0

# The golden run of test_trainer.py, as the command line makes it; a checkpoint after every step.
SETTINGS = [
    "batch_size=16", "epochs=4", "precision=float32", "device=cpu", "data.num_workers=2",
    "data.num_holdout_sharp=12", "head.scale=16", "head.margin_rad=0.2", "optim.lr=0.004",
    "backbone.channels=[16,16,16,16]", "checkpoint_minutes=0", "evaluate_every=100",
]  # fmt: skip


def start(identities: Path, run: Path) -> subprocess.Popen[str]:
    """The run as a user starts it, in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "training", "train", "--preset", "smoke"]
    command += ["--data", str(identities), "--run", str(run)]
    for setting in SETTINGS:
        command += ["--set", setting]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        start_new_session=True,
    )


def losses(run: Path) -> list[float]:
    """The loss of each step so far."""
    log = run / "log.jsonl"
    return [json.loads(line)["loss"] for line in log.read_text().splitlines()]


def wait_for_steps(process: subprocess.Popen[str], run: Path, num_steps: int) -> None:
    """Returns when the log shows so many steps."""
    deadline = time.monotonic() + TIMEOUT_S
    log = run / "log.jsonl"
    while not log.exists() or log.read_text().count("\n") < num_steps:
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            raise AssertionError(process.communicate()[1])
        time.sleep(0.02)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit code and what was written to standard error."""
    _, errors = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, errors


@pytest.fixture(scope="module")
def unbroken(identities: Path, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """The losses of the run that nobody disturbed."""
    run = tmp_path_factory.mktemp("unbroken") / "run"
    code, errors = finish(start(identities, run))
    assert code == 0, errors
    assert len(losses(run)) == NUM_STEPS
    return losses(run)


@pytest.mark.slow
def test_a_killed_run_goes_on_where_its_checkpoint_was(
    identities: Path, tmp_path: Path, unbroken: list[float]
) -> None:
    """Killed twice without warning, wherever it was, then finished: the same loss curve."""
    run = tmp_path / "run"
    for num_steps in (3, 7):
        process = start(identities, run)
        wait_for_steps(process, run, num_steps)
        process.kill()
        process.communicate()
    code, errors = finish(start(identities, run))
    assert code == 0, errors
    assert "resumed from" in errors
    assert losses(run) == pytest.approx(unbroken, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_a_checkpoint_and_no_traceback(
    identities: Path, tmp_path: Path, unbroken: list[float], number: signal.Signals
) -> None:
    """Ctrl-C and the end of a job reach all its processes; the step is finished nevertheless."""
    run = tmp_path / "run"
    process = start(identities, run)
    wait_for_steps(process, run, 2)
    os.killpg(process.pid, number)
    code, errors = finish(process)
    assert code == 130
    assert "Traceback" not in errors
    assert "the same command goes on" in errors
    checkpoint = latest_checkpoint(run)
    assert checkpoint is not None
    assert checkpoint.name == f"step-{len(losses(run)):09d}"
    code, errors = finish(start(identities, run))
    assert code == 0, errors
    assert losses(run) == pytest.approx(unbroken, rel=1e-5)
