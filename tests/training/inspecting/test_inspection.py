"""Planted copies, shared and doubled people and strays are found, and nothing else."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedding.errors import DataInvalid
from embedding.model import ModelDirectory
from tests.fakes import write_fake_model
from tests.training.planted import LIMITS, crop, people, write
from training.config import DataConfig
from training.data.opening import open_store
from training.data.split import select_all, split_store
from training.inspecting.inspection import Inspection, InspectOptions, choose_limits, inspect_data


def options(model: Path) -> InspectOptions:
    """With the limits above."""
    return InspectOptions(
        model=str(model), threshold=LIMITS.threshold, pair_threshold=LIMITS.pair_threshold
    )


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """DATA with one mistake of each kind, and a set that shares a person and a picture."""
    folder = tmp_path_factory.mktemp("planted")
    data = people(0, 14)
    data["p00"].append(data["p00"][2])
    data["p02"].append(np.ascontiguousarray(data["p02"][0][:, ::-1]))
    data["p03"].append(crop(4, 50))
    data["p08"].append(data["p07"][0])
    data["p11-again"] = [crop(11, 60 + image) for image in range(3)]
    write(folder / "data", data)
    Image.fromarray(crop(1, 1)).save(folder / "data" / "p01" / "again.jpg", quality=50)
    other = people(30, 6)
    other["guest"] = [crop(5, 70 + image) for image in range(3)]
    other["p30"].append(data["p06"][0])
    other["p31"].append(other["p31"][0])
    other["p32"].append(crop(33, 80))
    return folder / "data", write(folder / "other", other)


@pytest.fixture(scope="module")
def inspection(
    planted: tuple[Path, Path], model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Inspection:
    """What the command finds."""
    return inspect_data(
        planted[0],
        tmp_path_factory.mktemp("out") / "found",
        against=[planted[1]],
        options=options(model),
    )


def lines(inspection: Inspection) -> list[dict[str, str]]:
    """``pairs.csv``."""
    text = (inspection.folder / "pairs.csv").read_text()
    return list(csv.DictReader(io.StringIO(text)))


def test_planted_mistakes_are_found_and_nothing_else(inspection: Inspection) -> None:
    """Each kind by its keys or, for people, its identities."""
    found = [(one["kind"], one["key_a"], one["key_b"]) for one in lines(inspection)]
    images = {one for one in found if one[0] not in ("shared", "merge")}
    assert images >= {
        ("duplicate", "p08/5.png", "p07/0.png"),
        ("duplicate", "p06/0.png", "p30/5.png"),
    }
    # Which of two copies inside an identity stays is another test's question.
    assert {(kind, frozenset((a, b))) for kind, a, b in images if kind == "duplicate"} == {
        ("duplicate", frozenset(pair))
        for pair in (
            ("p00/2.png", "p00/5.png"),
            ("p01/1.png", "p01/again.jpg"),
            ("p02/0.png", "p02/5.png"),
            ("p06/0.png", "p30/5.png"),
            ("p08/5.png", "p07/0.png"),
        )
    }
    strays = [one for one in images if one[0] != "duplicate"]
    assert [one[:2] for one in strays] == [("stray", "p03/5.png")]
    assert strays[0][2].startswith("p04/")
    assert [
        (one["kind"], one["identity_a"], one["identity_b"])
        for one in lines(inspection)
        if one["kind"] in ("shared", "merge")
    ] == [("shared", "p05", "guest"), ("merge", "p11", "p11-again")]


def test_the_list_holds_what_is_proposed_of_data_alone(
    inspection: Inspection, planted: tuple[Path, Path]
) -> None:
    """All but one of the copies, the stray, all of the shared person, nothing for a merge."""
    keys = (inspection.folder / "exclude.txt").read_text().splitlines()
    assert tuple(keys) == inspection.keys
    assert sorted(key for key in keys if key.startswith("p05/")) == [
        f"p05/{image}.png" for image in range(5)
    ]
    copies = {one["key_a"] for one in lines(inspection) if one["kind"] == "duplicate"}
    assert set(keys) == copies | {"p03/5.png"} | {key for key in keys if key.startswith("p05/")}
    store = open_store(planted[0])
    known = {store.key(row) for row in range(int(store.first_rows[-1]))}
    assert set(keys) <= known
    assert all(one["set_a"].endswith("/data") for one in lines(inspection))


def test_training_takes_the_list(
    inspection: Inspection, planted: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    """Every key names an image of DATA; those images are gone from the split."""
    config = DataConfig(
        source=planted[0],
        num_holdout_sharp=0,
        min_images=1,
        exclude=inspection.folder / "exclude.txt",
    )
    split = split_store(open_store(planted[0]), config)
    left = {split.train.key(image) for image in range(len(split.train))}
    assert not left & set(inspection.keys)
    assert len(left) == len(select_all(split.train.store)) - len(inspection.keys)
    assert "name no image" not in caplog.text


def test_a_folder_holds_no_embeddings_unless_asked(inspection: Inspection) -> None:
    """Three files, and only the owner may look into the folder."""
    assert sorted(file.name for file in inspection.folder.iterdir()) == [
        "contact-sheet.html",
        "exclude.txt",
        "pairs.csv",
    ]
    assert inspection.folder.stat().st_mode & 0o077 == 0


def test_the_summary_counts_and_says_to_look(inspection: Inspection) -> None:
    """Counts by kind, the thresholds and the warning."""
    assert "5 duplicate, 1 shared, 1 merge, 1 stray, 0 low_quality" in inspection.summary
    assert "threshold 0.650, pair threshold 0.500" in inspection.summary
    assert "Look at" in inspection.summary


def test_limits_come_from_the_card_unless_given(model: Path) -> None:
    """FPIR 1 % at the number of identities and at one subject; never a pair limit above."""
    card = ModelDirectory.open(model).card
    chosen = choose_limits(card, 100, InspectOptions())
    assert (chosen.threshold, chosen.pair_threshold) == pytest.approx((0.85, 0.80))
    given = choose_limits(card, 100, InspectOptions(threshold=0.3))
    assert (given.threshold, given.pair_threshold) == (0.3, 0.3)
    both = choose_limits(card, 100, InspectOptions(threshold=0.3, pair_threshold=0.2))
    assert (both.threshold, both.pair_threshold) == (0.3, 0.2)
    with pytest.raises(DataInvalid, match=r"pair threshold 0\.4"):
        choose_limits(card, 100, InspectOptions(threshold=0.3, pair_threshold=0.4))


def test_a_card_without_thresholds_asks_for_them(tmp_path: Path) -> None:
    """A foreign model may have none."""
    card = ModelDirectory.open(write_fake_model(tmp_path / "model", thresholds=())).card
    with pytest.raises(DataInvalid, match="give --threshold and --pair-threshold"):
        choose_limits(card, 100, InspectOptions(threshold=0.3))


def test_photographs_are_refused_with_what_to_do(model: Path, tmp_path: Path) -> None:
    """A folder that nobody aligned names the command that does it."""
    (tmp_path / "photos" / "ann").mkdir(parents=True)
    Image.new("RGB", (300, 200)).save(tmp_path / "photos" / "ann" / "a.jpg")
    with pytest.raises(DataInvalid, match="python -m training align"):
        inspect_data(tmp_path / "photos", tmp_path / "out", options=options(model))
    assert not (tmp_path / "out").exists()


def test_one_unreadable_image_is_left_out(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are inspected."""
    data = write(tmp_path / "data", people(0, 3, images=3))
    (data / "p01" / "1.png").write_bytes(b"no image")
    found = inspect_data(data, tmp_path / "out", options=options(model))
    assert "3 identities, 8 images" in found.summary
    assert "p01/1.png" in caplog.text


def test_a_set_against_itself_is_refused(model: Path, tmp_path: Path) -> None:
    """Everybody would be shared, whatever the spelling of the path."""
    data = write(tmp_path / "data", people(0, 2, images=2))
    again = tmp_path / "data" / ".." / "data"
    with pytest.raises(DataInvalid, match="given twice"):
        inspect_data(data, tmp_path / "out", against=[again], options=options(model))


def test_sets_of_one_name_are_told_apart(model: Path, tmp_path: Path) -> None:
    """Two folders a/crops are called by their whole paths."""
    first = write(tmp_path / "x" / "a" / "crops", people(0, 2, images=2))
    second = write(tmp_path / "y" / "a" / "crops", people(2, 2, images=2))
    found = inspect_data(first, tmp_path / "out", against=[second], options=options(model))
    assert f"{first}: 2 identities" in found.summary
    assert f"{second}: 2 identities" in found.summary
