"""``python -m training`` as a user types it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from embedding.embedder import FaceEmbedder

REPOSITORY = Path(__file__).parents[2]


def training(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs one command in a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "training", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)


@pytest.mark.slow
def test_the_commands_in_a_row(identities: Path, tmp_path: Path) -> None:
    """A model is trained, measured and exported, taken in again, and looks at its data."""
    run, model = tmp_path / "run", tmp_path / "model"
    sets = ["epochs=1", "batch_size=16", "backbone.channels=[16,16,16,16]"]
    trained = training(
        "train", "--preset", "smoke", "--data", identities, "--run", run,
        *[part for one in [*sets, "data.num_holdout_sharp=12"] for part in ("--set", one)],
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert "12 identities, 60 images, 3 steps" in trained.stdout
    evaluated = training("evaluate", run)
    assert evaluated.returncode == 0, evaluated.stderr
    assert json.loads(evaluated.stdout)["identification"][0]["set"] == "held-out people"
    out = training(
        "export", "--run", run, "--out", model, "--name", "mine", "--licence", "mine",
        "--description", "a test",
    )  # fmt: skip
    assert out.returncode == 0, out.stderr
    assert FaceEmbedder.open(model).card.name == "mine"
    imported = training(
        "import", model / "model.onnx", "--out", tmp_path / "theirs", "--data", identities,
        "--licence", "theirs", "--mean", "127.5", "--std", "127.5", "--color", "RGB",
    )  # fmt: skip
    assert imported.returncode == 0, imported.stderr
    assert FaceEmbedder.open(tmp_path / "theirs").card.licence == "theirs"
    page = training(
        "evaluate", tmp_path / "theirs", "--folder", identities, "--out", tmp_path / "r"
    )
    assert page.returncode == 0, page.stderr
    assert "<svg" in (tmp_path / "r" / "report.html").read_text()
    looked = training("inspect", identities, "--model", model, "--out", tmp_path / "inspected")
    assert looked.returncode == 0, looked.stderr
    assert (tmp_path / "inspected" / "exclude.txt").is_file()


def test_a_mistake_ends_in_one_line_and_exit_code_2(tmp_path: Path) -> None:
    """No traceback for a folder that is not there."""
    result = training("train", "--data", tmp_path / "none", "--run", tmp_path / "run")
    assert result.returncode == 2
    assert "is not a folder" in result.stderr
    assert "Traceback" not in result.stderr
