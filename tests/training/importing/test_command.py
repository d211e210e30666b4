"""``python -m training import`` at a terminal and in a script, and what LFW adds to the card."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from embedding.embedder import FaceEmbedder
from embedding.errors import DataInvalid
from embedding.model import ModelDirectory, read_card
from embedding.runtime import EmbeddingNet
from tests.training.importing.conftest import Importing
from training.importing.command import import_command
from training.protocols import verify_lfw

REPOSITORY = Path(__file__).parents[3]
GIVEN = ("--mean", "127.5", "--std", "127.5", "--color", "RGB")


def test_the_command_imports_and_says_what_it_did(
    tiny: Path, people: Path, tmp_path: Path
) -> None:
    """As a user types it; without a licence it says why one is needed."""
    app = typer.Typer()
    app.command("import")(import_command)
    arguments = [str(tiny), "--out", str(tmp_path / "model"), "--data", str(people)]
    without = CliRunner().invoke(app, arguments)
    assert isinstance(without.exception, DataInvalid)
    assert "InsightFace's packs" in str(without.exception)
    result = CliRunner().invoke(app, [*arguments, "--licence", "mine", "--mean", "127.5",
                                      "--std", "128"])  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "guessed: " in result.output
    assert "galleries of 1, 3, 6 people" in result.output
    assert FaceEmbedder.open(tmp_path / "model").fingerprint[:12] in result.output


def at_a_terminal(arguments: list[str], *, prompt: str, answer: str) -> tuple[int, str]:
    """Runs the command in a terminal of its own and answers its question: exit code, screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "training", "import", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=REPOSITORY,
    )
    os.close(theirs)
    screen, is_asked = b"", False
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # Linux says so when the other side is closed
            break
        if not part:
            break
        screen += part
        if not is_asked and prompt.encode() in screen:
            is_asked = True
            os.write(ours, f"{answer}\n".encode())
    os.close(ours)
    return process.wait(), screen.decode()


@pytest.mark.slow
def test_a_person_at_a_terminal_is_asked_for_the_licence(
    tiny: Path, people: Path, tmp_path: Path
) -> None:
    """The question says why; the answer stands on the card."""
    arguments = [str(tiny), "--out", str(tmp_path / "model"), "--data", str(people), *GIVEN]
    code, screen = at_a_terminal(
        arguments, prompt="research only):", answer="theirs, for research"
    )
    assert code == 0, screen
    assert "Licence, the terms under which the weights may be used" in screen
    assert read_card(tmp_path / "model" / "card.json").licence == "theirs, for research"


def test_lfw_is_measured_through_the_served_file_and_sets_nothing(
    tiny: Path, people: Path, lfw: Path, importing: Importing, tmp_path: Path
) -> None:
    """The card's figures are those of the directory; the thresholds are as without LFW."""
    app = typer.Typer()
    app.command("import")(import_command)
    out = tmp_path / "measured"
    arguments = [str(tiny), "--out", str(out), "--data", str(people), *GIVEN, "--licence", "mine"]
    result = CliRunner().invoke(app, [*arguments, "--lfw", str(lfw)])
    assert result.exit_code == 0, result.output
    directory = ModelDirectory.open(out)
    net = EmbeddingNet(directory)
    measured = verify_lfw(lambda crops: net.embed(crops).vectors, lfw)
    found = directory.card.accuracy
    assert found["lfw_accuracy"] == pytest.approx(measured.accuracy.mean, abs=1e-4)
    tar = measured.tar[0].tar
    assert found["lfw_tar_at_far_0.01"]["accepted"] == f"{tar.num_errors} of {tar.num_trials}"
    without = importing(tiny).directory.card
    assert directory.card.thresholds == without.thresholds
    assert "lfw_accuracy" not in without.accuracy
    assert found["calibration"] == without.accuracy["calibration"]


def test_a_folder_that_is_not_lfw_leaves_no_model(
    tiny: Path, importing: Importing, tmp_path: Path
) -> None:
    """The message names the list that is missing."""
    with pytest.raises(DataInvalid, match=r"pairs\.txt"):
        importing(tiny, lfw=tmp_path)
    assert not (tmp_path / "model").exists()
