"""``python -m index`` as a person runs it."""

import csv
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from embedding.detect import MtcnnDetector
from embedding.model import CARD_FILE, read_card
from index.__main__ import main
from index.calibration.calibrating import Wanted
from index.calibration.kept import calibrate_gallery
from index.calibration.rules import rule_for_many
from index.galleries import Galleries
from index.rules import GalleryRules
from tests.fakes import photo_bytes, write_fake_model
from tests.index.batch.samples import write_tree
from tests.index.samples import unit_vectors

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model that goes with the built-in detector."""
    folder = tmp_path_factory.mktemp("models")
    write_fake_model(folder / "tiny", name="tiny", detector=MtcnnDetector())
    return folder


@pytest.fixture
def run(
    tmp_path: Path,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Run:
    """Runs a command on a data folder of its own; gives code, stdout and stderr."""
    for name in list(os.environ):
        if name.startswith("FACEGALLERY_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FACEGALLERY_DATA_FOLDER", str(tmp_path / "data"))
    monkeypatch.setenv("FACEGALLERY_MODELS_FOLDER", str(models))
    monkeypatch.setenv("FACEGALLERY_MODEL", "tiny")

    def run_command(*arguments: str | Path) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(each) for each in arguments])
        captured = capfd.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return run_command


def crop(seed: int) -> bytes:
    """An aligned crop of nobody."""
    pixels = np.random.default_rng(seed).integers(0, 255, (112, 112, 3), np.uint8)
    return photo_bytes(Image.fromarray(pixels))


@pytest.fixture
def crops(tree: Path) -> Path:
    """Two crops of each of three people."""
    return write_tree(tree, {f"p{number // 2}/{number}.png": crop(number) for number in range(6)})


def test_build_makes_the_gallery(run: Run, crops: Path) -> None:
    """A gallery that is missing is made, and the summary says what is in it."""
    code, out, err = run("build", crops, "--gallery", "people", "--aligned", "--force")
    assert code == 0
    assert "indexed 6 photos, 3 new subjects" in out
    assert "3 subjects and 6 templates" in out
    assert err == ""


def test_build_again_is_quick(run: Run, crops: Path) -> None:
    """The second run says that all was done before, as JSON too."""
    run("build", crops, "-g", "people", "--aligned", "--force")
    code, out, _ = run("build", crops, "-g", "people", "--aligned", "--force", "--json")
    answer: dict[str, Any] = json.loads(out)
    assert code == 0
    assert (answer["num_indexed"], answer["num_known"]) == (0, 6)


def test_failures_are_told(run: Run, crops: Path, tmp_path: Path) -> None:
    """A photo that fails is named with its reason, in a file too, and the exit code tells."""
    write_tree(crops, {"p0/bad.jpg": b"no photo"})
    listed = tmp_path / "failures.csv"
    code, out, _ = run(
        "build", crops, "-g", "people", "--aligned", "--force", "--failures", listed
    )
    assert code == 1
    assert re.search(r"p0/bad\.jpg: .* \[photo_unreadable\]", out)
    with listed.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["path"], row["error"]) for row in rows] == [("p0/bad.jpg", "photo_unreadable")]
    assert listed.stat().st_mode & 0o777 == 0o600
    again, out, _ = run("build", crops, "-g", "people", "--aligned", "--force")
    assert again == 1
    assert "1 failed before" in out


def test_an_error_is_one_line(run: Run, tmp_path: Path) -> None:
    """What stops a build is on stderr with its code."""
    code, out, err = run("build", tmp_path / "nothing", "-g", "people")
    assert (code, out) == (3, "")
    assert err.startswith("python -m index: ")
    assert err.endswith("[request_invalid]\n")


def test_a_state_belongs_to_one_gallery(run: Run, crops: Path, tmp_path: Path) -> None:
    """A state file that was given for one gallery is refused for another."""
    state = tmp_path / "state.sqlite"
    arguments = ("--aligned", "--force", "--state", state)
    assert run("build", crops, "-g", "people", *arguments)[0] == 0
    assert state.stat().st_mode & 0o777 == 0o600
    code, _, err = run("build", crops, "-g", "others", *arguments)
    assert code == 3
    assert "another gallery" in err


def test_build_of_embeddings(run: Run, models: Path, tree: Path) -> None:
    """A gallery of embeddings is made with the model that is named as theirs."""
    np.save(tree / "faces.npy", unit_vectors(2))
    write_tree(tree, {"who.csv": b"subject\nAnn\nBen\n"})
    faces = ("build", tree / "faces.npy", "--names", tree / "who.csv", "-g", "people")
    code, out, _ = run(*faces, "--made-by", models / "tiny")
    assert code == 0
    assert "indexed 2 photos, 2 new subjects" in out
    code, _, err = run(*faces, "--made-by", "ab" * 32)
    assert code == 3
    assert "[model_mismatch]" in err


def test_identify(run: Run, crops: Path, tmp_path: Path) -> None:
    """Who is in a folder goes into a file; the card gives the threshold unless one is given."""
    run("build", crops, "-g", "people", "--aligned", "--force")
    write_tree(tmp_path, {"new/same.png": crop(0), "new/other.png": crop(99)})
    out_file = tmp_path / "who.csv"
    options = ("-g", "people", "--aligned", "--review-fpir", "0.01", "--out")
    arguments = ("identify", tmp_path / "new", *options)
    code, out, _ = run(*arguments, out_file, "--json")
    answer: dict[str, Any] = json.loads(out)
    assert code == 0
    assert (answer["num_photos"], answer["num_faces"]) == (2, 2)
    assert answer["threshold"] == 0.8
    assert (answer["threshold_of"], answer["stale"]) == ("card", [])
    with out_file.open(newline="") as stream:
        rows = {row["path"]: row for row in csv.DictReader(stream)}
    assert (rows["same.png"]["decision"], rows["same.png"]["name"]) == ("match", "p0")
    assert run(*arguments, out_file)[0] == 3
    code, out, _ = run(*arguments, tmp_path / "who.parquet", "--threshold", "1")
    assert code == 0
    assert "at threshold 1.0000" in out
    code, _, err = run(*arguments, tmp_path / "third.csv", "--fpir", "0.5")
    assert code == 3
    assert "0.5" in err


def test_identify_under_the_gallerys_calibration(
    run: Run, crops: Path, models: Path, tmp_path: Path
) -> None:
    """It decides, follows the gallery's rule, and says when another one was chosen since."""
    run("build", crops, "-g", "people", "--aligned", "--force")
    write_tree(tmp_path, {"new/same.png": crop(0)})
    arguments = ("identify", tmp_path / "new", "-g", "people", "--aligned", "--json")
    with Galleries.open(tmp_path / "data") as galleries:
        galleries.get("people").set_rules(GalleryRules(fusion="mean"))
    _, out, _ = run(*arguments, "--review-fpir", "0.01", "--out", tmp_path / "one.csv")
    told = json.loads(out)
    assert told["threshold_of"] == "card"
    assert "mean" in told["stale"][0]
    with Galleries.open(tmp_path / "data") as galleries:
        calibrate_gallery(
            galleries.get("people").store,
            card=read_card(models / "tiny" / CARD_FILE),
            wanted=Wanted(fpirs=(0.01,), rule=rule_for_many("mean")),
        )
    _, out, _ = run(*arguments, "--review-fpir", "0.01", "--out", tmp_path / "two.csv")
    told = json.loads(out)
    assert (told["threshold_of"], told["stale"]) == ("calibration", [])


def test_dedupe(run: Run, tree: Path, tmp_path: Path) -> None:
    """Pairs are listed for people, for programs, and in a file; the card gives the threshold."""
    same = {"one/1.png": crop(0), "two/1.png": crop(0)}
    write_tree(tree, same | {f"p{each}/1.png": crop(each) for each in range(3, 6)})
    run("build", tree, "-g", "people", "--aligned", "--force")
    code, out, _ = run("dedupe", "-g", "people", "--out", tmp_path / "pairs.csv")
    assert code == 0
    assert out.startswith("1 pairs in 1 clusters among 5 subjects, at similarity 0.8000")
    with (tmp_path / "pairs.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [{row["name"], row["other_name"]} for row in rows] == [{"one", "two"}]
    code, out, _ = run("dedupe", "-g", "people", "--threshold", "-1", "--lead=-2", "--json")
    assert code == 0
    assert json.loads(out)["num_pairs"] == 10


def test_re_embed(run: Run, models: Path, crops: Path, tmp_path: Path) -> None:
    """A gallery goes over to another model; what has no photo is named and left behind."""
    write_fake_model(models / "small", name="small", seed=5, detector=MtcnnDetector())
    run("build", crops, "-g", "people", "--aligned", "--force")
    (crops / "p0/0.png").rename(tmp_path / "0.png")
    arguments = ("re-embed", crops, "-g", "people", "--model", "small", "--aligned")
    code, out, _ = run(*arguments)
    assert code == 1
    assert "5 of 6 templates are made anew, 5 of them now" in out
    assert "people is the old gallery still" in out
    code, out, _ = run("re-embed", crops, "-g", "people", "--model", "small", "--abandon")
    assert (code, out) == (0, "deleted 1 unfinished galleries\n")
    assert run(*arguments)[0] == 1
    (tmp_path / "0.png").rename(crops / "moved.png")
    code, out, _ = run(*arguments, "--json")
    answer: dict[str, Any] = json.loads(out)
    assert code == 0
    assert (answer["switched"], answer["num_indexed"], answer["missing"]) == (True, 1, [])
    code, _, err = run(*arguments)
    assert code == 3
    assert "already" in err
