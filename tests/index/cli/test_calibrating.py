"""Tests of `facegallery-index calibrate`."""

from pathlib import Path

import numpy as np
import pytest

from embedding.model import write_card
from tests.index.calibration.samples import new_card
from tests.index.cli.conftest import Home, Run
from tests.index.samples import FINGERPRINT, OTHER_FINGERPRINT, new_template, unit_vectors


@pytest.fixture
def models(any_home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the card of the gallery's model; the gallery is filled."""
    any_home.fill()
    folder = any_home.folder / "models"
    (folder / "made-up").mkdir(parents=True)
    write_card(folder / "made-up", new_card())
    monkeypatch.setenv("FACEGALLERY_MODELS_FOLDER", str(folder))
    return folder


@pytest.mark.usefixtures("models")
def test_a_gallery_calibrates_itself(run: Run) -> None:
    """The threshold is kept and shown again, with what it is worth in words."""
    made = run("calibrate", "people")
    assert made.code == 0, made.err
    assert "for 6 people with 12 templates" in made.out
    assert "12 searches of" in made.out
    assert "FPIR 1 %: threshold 0.7000" in made.out
    assert "never under the card's for 6 people (that of FPIR 0.1 %: 0.7000)" in made.out
    assert "not supported by the searches" in made.out
    assert "over ln N" in made.out
    assert run("calibrate", "people", "--show").out == made.out


@pytest.mark.usefixtures("models")
def test_rates_are_chosen(run: Run) -> None:
    """Each wanted FPIR has its own threshold, the larger rate first."""
    made = run("calibrate", "people", "--fpir", "0.01", "--fpir", "0.2", "--json")
    assert made.code == 0, made.err
    assert made.json["calibrated"]
    assert not made.json["stale"]
    assert [each["fpir"] for each in made.json["points"]] == [0.2, 0.01]


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("fpir", ["0", "1", "-0.1", "nan"])
def test_rates_that_cannot_be_are_refused(run: Run, fpir: str) -> None:
    """With a reason, and nothing is kept."""
    made = run("calibrate", "people", "--fpir", fpir)
    assert made.code == 3
    assert "request_invalid" in made.err
    assert run("calibrate", "people", "--show", "--json").json == {"calibrated": False}


@pytest.mark.usefixtures("models")
def test_a_rate_that_nothing_supports_is_marked(run: Run) -> None:
    """It is given with what is known of it, and says that it was not measured."""
    made = run("calibrate", "people", "--fpir", "0.00001")
    assert made.code == 0, made.err
    assert "not supported by the searches" in made.out
    assert "about 3000000 searches of different people" in made.out
    assert "to unknown)" in made.out


@pytest.mark.usefixtures("models")
def test_a_gallery_that_was_never_calibrated_says_so(run: Run) -> None:
    """Showing it ends with code 1."""
    shown = run("calibrate", "people", "--show")
    assert shown.code == 1
    assert "never calibrated" in shown.out


@pytest.mark.usefixtures("models")
def test_a_gallery_that_outgrew_its_calibration_says_so(any_home: Home, run: Run) -> None:
    """Showing it ends with code 1, the reason, and the threshold for today's size."""
    assert run("calibrate", "people").code == 0
    with any_home.open() as galleries:
        gallery = galleries.get("people")
        for vector in unit_vectors(20, seed=78):
            gallery.enroll([new_template(vector)])
    shown = run("calibrate", "people", "--show")
    assert shown.code == 1
    assert "stale: it was calibrated with 6 people and has 26 now" in shown.out
    assert "for the 26 people of today: 0.7415, extrapolated" in shown.out
    assert run("calibrate", "people", "--json").json["num_subjects"] == 26


@pytest.mark.usefixtures("models")
def test_strangers_come_from_a_file(any_home: Home, run: Run) -> None:
    """Embeddings need the fingerprint of the gallery's model beside them."""
    file = any_home.folder / "strangers.npy"
    np.save(file, unit_vectors(40, seed=79))
    assert "--fingerprint" in run("calibrate", "people", "--strangers", file).err
    other = run("calibrate", "people", "--strangers", file, "--fingerprint", OTHER_FINGERPRINT)
    assert "model_mismatch" in other.err
    made = run("calibrate", "people", "--strangers", file, "--fingerprint", FINGERPRINT, "--json")
    assert made.code == 0, made.err
    assert (made.json["source"], made.json["num_probes"]) == ("strangers", 40)


@pytest.mark.usefixtures("models")
def test_tracks_are_calibrated_beside_photos(any_home: Home, run: Run) -> None:
    """One of each is kept and shown."""
    file = any_home.folder / "tracks.npy"
    np.save(file, unit_vectors(40, seed=79))
    given = ("--strangers", file, "--fingerprint", FINGERPRINT, "--tracks")
    assert "each search one track" in run("calibrate", "people", *given).out
    assert run("calibrate", "people", "--show").code == 1
    assert "each search one track" in run("calibrate", "people", "--show", "--tracks").out
    assert "each search one photo" in run("calibrate", "people").out


@pytest.mark.usefixtures("models")
def test_options_that_do_not_go_together_are_refused(any_home: Home, run: Run) -> None:
    """Each belongs to one kind of strangers."""
    for wrong in (
        ["--aligned"],
        ["--tracks"],
        ["--fingerprint", FINGERPRINT],
        ["--strangers", any_home.folder, "--people", any_home.folder / "people.npy"],
        ["--strangers", any_home.folder / "faces.npy", "--aligned"],
        ["--max-probes", "0"],
        ["--new-searches", "0"],
    ):
        assert "request_invalid" in run("calibrate", "people", *wrong).err


def test_a_model_that_is_not_installed_is_told(any_home: Home, run: Run) -> None:
    """Its card holds the thresholds that the answer must not be under."""
    any_home.fill()
    assert "model_not_found" in run("calibrate", "people").err
    assert "gallery_not_found" in run("calibrate", "nobody").err


@pytest.mark.usefixtures("models")
def test_a_calibration_is_drawn(any_home: Home, run: Run) -> None:
    """Into a new file, never over another one, and not of what is kept already."""
    file = any_home.folder / "picture.svg"
    assert run("calibrate", "people", "--plot", file).code == 0
    assert file.read_text().startswith("<svg")
    for wrong in (["--plot", file], ["--show", "--plot", any_home.folder / "other.svg"]):
        assert "request_invalid" in run("calibrate", "people", *wrong).err
    nowhere = any_home.folder / "missing" / "picture.svg"
    told = run("calibrate", "people", "--plot", nowhere)
    assert told.code == 3
    assert "calibrated and kept, but cannot write" in told.err


@pytest.mark.usefixtures("models")
def test_normalising_says_what_it_did(any_home: Home, run: Run) -> None:
    """Strangers are split, and why it was not kept is told."""
    file = any_home.folder / "strangers.npy"
    np.save(file, unit_vectors(600, seed=79))
    given = ("--strangers", file, "--fingerprint", FINGERPRINT, "--normalise")
    made = run("calibrate", "people", *given)
    assert made.code == 0, made.err
    assert "normalised against a cohort of 150 people" in made.out
    assert "not kept:" in made.out
    assert not run("calibrate", "people", *given, "--json").json["normalisation"]["kept"]
    assert "needs strangers" in run("calibrate", "people", "--normalise").err


@pytest.mark.usefixtures("models")
def test_a_check_finds_a_calibration_that_cannot_be_read(any_home: Home, run: Run) -> None:
    """A good one is nothing to report, nor is a stale one."""
    assert run("calibrate", "people").code == 0
    assert run("check").code == 0
    with any_home.open() as galleries:
        galleries.get("people").store.write_facts({"track_calibration": b"{}"})
    told = run("check")
    assert told.code == 1
    assert "for tracks: the kept calibration of the gallery cannot be read" in told.out
