"""Figures are pictures that can be looked at, and their numbers are those of the definition."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from embedding.errors import DataInvalid
from training.figure3 import run_figure3
from training.figures.angles import draw_angles
from training.figures.canvas import DPI
from training.figures.circles import CircleEmbeddings, angular_gaps, arcs, draw_figure3
from training.run_log import AngleRecord


def fan(*middles_deg: float, width_deg: float = 10.0) -> CircleEmbeddings:
    """21 faces an identity, spread evenly over a width around its middle and centre."""
    offsets = np.linspace(-width_deg / 2, width_deg / 2, 21)
    return CircleEmbeddings(
        degrees_N=np.concatenate([middle + offsets for middle in middles_deg]),
        labels_N=np.repeat(np.arange(len(middles_deg)), 21),
        centres_I=np.array(middles_deg),
        accuracy=1.0,
    )


def check_picture(path: Path, *, width: int, height: int) -> None:
    """The file is a PNG of that size with more on it than one colour."""
    with Image.open(path) as image:
        image.load()
        assert image.format == "PNG"
        assert image.size == (width, height)
        pixels = np.asarray(image.convert("L"), np.float64)
    assert pixels.std() > 5.0


def write_angles(folder: Path, **phases: list[float]) -> Path:
    """A run folder with an angles.npz made by hand."""
    folder.mkdir(parents=True)
    np.savez(folder / "angles.npz", **{name: np.array(one) for name, one in phases.items()})  # type: ignore[arg-type]
    return folder


def test_gaps_lie_between_the_ends_of_arcs() -> None:
    """Arcs of 9 degrees (90 % of 10) with middles 90 degrees apart leave gaps of 81."""
    toy = fan(0.0, 90.0, 180.0, 270.0)
    np.testing.assert_allclose(angular_gaps(toy.degrees_N, toy.labels_N), np.full(4, 81.0))


@pytest.mark.parametrize("turn_deg", [0.0, 37.0, 179.5, -5.0, 355.0, 725.0])
def test_gaps_do_not_depend_on_where_the_circle_begins(turn_deg: float) -> None:
    """An arc across 0, 180 or 360 degrees is one arc."""
    toy = fan(-3.0, 40.0, 120.0, 200.0)
    gaps = np.sort(angular_gaps(toy.degrees_N + turn_deg, toy.labels_N))
    np.testing.assert_allclose(gaps, [34.0, 71.0, 71.0, 148.0], atol=1e-9)


def test_identities_are_ordered_by_angle_and_not_by_number() -> None:
    """The gap after an identity is the one to its neighbour anticlockwise."""
    toy = fan(200.0, 350.0, 20.0)
    assert [arc.identity for arc in arcs(toy.degrees_N, toy.labels_N)] == [2, 0, 1]
    np.testing.assert_allclose(angular_gaps(toy.degrees_N, toy.labels_N), [171.0, 141.0, 21.0])


def test_an_overlap_is_a_negative_gap() -> None:
    """Arcs of 9 degrees with middles 5 degrees apart share 4."""
    toy = fan(358.0, 3.0, 180.0)
    assert angular_gaps(toy.degrees_N, toy.labels_N).min() == pytest.approx(-4.0)


def test_gaps_and_arcs_fill_the_circle() -> None:
    """Together they are 360 degrees, whatever the angles are."""
    rng = np.random.default_rng(5)
    labels_N = np.repeat(np.arange(8), 30)
    degrees_N = rng.uniform(-720.0, 720.0, 8)[labels_N] + rng.normal(0.0, 9.0, 240)
    widths = sum(arc.last_deg - arc.first_deg for arc in arcs(degrees_N, labels_N))
    assert angular_gaps(degrees_N, labels_N).sum() + widths == pytest.approx(360.0)


def test_one_face_in_twenty_does_not_close_a_gap() -> None:
    """A face on another identity's arc is an exception and changes no gap."""
    toy = fan(0.0, 90.0, 180.0, 270.0)
    degrees_N = np.append(toy.degrees_N, 90.0)
    labels_N = np.append(toy.labels_N, 0)
    assert angular_gaps(degrees_N, labels_N).min() > 70.0


def test_one_identity_has_no_gap() -> None:
    """There is no neighbour, and the error says so."""
    toy = fan(10.0)
    with pytest.raises(DataInvalid, match="between two identities; got 1"):
        angular_gaps(toy.degrees_N, toy.labels_N)


def test_figure3_shows_its_circles_side_by_side(tmp_path: Path) -> None:
    """A PNG of a fixed size; the gaps that it names are returned."""
    path = tmp_path / "new" / "figure.png"
    panels = {"A": fan(0.0, 120.0, 240.0), "B": fan(1.0, 122.0, 241.0, width_deg=20.0)}
    gaps = draw_figure3(panels, path)
    check_picture(path, width=round(11.2 * DPI), height=round(6.8 * DPI))
    np.testing.assert_allclose(gaps["A"], [111.0, 111.0, 111.0])
    np.testing.assert_allclose(gaps["B"], [103.0, 101.0, 102.0])


@pytest.mark.parametrize(
    ("panels", "reason"),
    [
        ({}, "no embeddings"),
        ({"A": fan(0.0, 90.0), "B": fan(0.0, 90.0, 180.0)}, "'B' shows 3 and the first 2"),
        ({"A": fan(*np.arange(0.0, 360.0, 40.0))}, "at most 8 identities; 'A' shows 9"),
    ],
)
def test_circles_that_do_not_fit_together_are_refused(
    panels: dict[str, CircleEmbeddings], reason: str, tmp_path: Path
) -> None:
    """Nothing, other identities, or more than there are colours."""
    with pytest.raises(DataInvalid, match=reason):
        draw_figure3(panels, tmp_path / "figure.png")


def test_the_toy_is_learned_and_drawn(identities: Path, tmp_path: Path) -> None:
    """Noise identities give both files, with the same numbers that are returned."""
    out = tmp_path / "out"
    figures = run_figure3(identities, out, start_steps=2, steps=1)
    check_picture(out / "figure3.png", width=round(11.2 * DPI), height=round(6.8 * DPI))
    assert json.loads((out / "figure3.json").read_text()) == figures
    assert set(figures) == {
        f"{head}/{figure}"
        for head in ("softmax", "arcface")
        for figure in ("mean_gap_deg", "smallest_gap_deg", "accuracy")
    }
    assert all(np.isfinite(value) for value in figures.values())
    assert all(0.0 <= figures[f"{head}/accuracy"] <= 1.0 for head in ("softmax", "arcface"))


def test_the_toy_needs_eight_identities_with_five_images(identities: Path, tmp_path: Path) -> None:
    """Seven whole ones and one with four images are refused before anything is trained."""
    folder = tmp_path / "few"
    folder.mkdir()
    for number, person in enumerate(sorted(identities.iterdir())[:8]):
        (folder / person.name).mkdir()
        for image in sorted(person.iterdir())[: 4 if number == 7 else 5]:
            (folder / person.name / image.name).write_bytes(image.read_bytes())
    with pytest.raises(DataInvalid, match=r"8 identities with at least 5 images; .* has 7"):
        run_figure3(folder, tmp_path / "out")


def test_an_image_that_cannot_be_read_costs_no_training(identities: Path, tmp_path: Path) -> None:
    """The toy is small enough to name the image at once."""
    folder = tmp_path / "damaged"
    for person in sorted(identities.iterdir())[:8]:
        (folder / person.name).mkdir(parents=True)
        for image in person.iterdir():
            (folder / person.name / image.name).write_bytes(image.read_bytes())
    damaged = folder / "person003" / "2.jpg"
    damaged.write_bytes(b"no photo")
    with pytest.raises(DataInvalid, match=r"2\.jpg"):
        run_figure3(folder, tmp_path / "out")


def test_angles_are_drawn_from_a_file_made_by_hand(tmp_path: Path) -> None:
    """The means are those of the file, and the picture has its fixed size."""
    run = write_angles(
        tmp_path / "run", start=[80.0, 100.0], middle=[50.0, 70.0], end=[20.0, 30.0]
    )
    path = tmp_path / "new" / "angles.png"
    assert draw_angles(run, path) == {"start": 90.0, "middle": 60.0, "end": 25.0}
    check_picture(path, width=round(7.6 * DPI), height=round(4.6 * DPI))


def test_angles_of_a_run_are_drawn_as_it_recorded_them(tmp_path: Path) -> None:
    """What the record of a run writes can be drawn, cosines of exactly 1 and -1 included."""
    record = AngleRecord(num_steps=3)
    for step, cosine in enumerate((-1.0, 0.0, 1.0)):
        record.add(step, torch.full((4,), cosine))
    record.save(tmp_path)
    assert draw_angles(tmp_path, tmp_path / "angles.png") == {
        "start": 180.0,
        "middle": 90.0,
        "end": 0.0,
    }


def test_a_run_that_has_not_finished_has_no_angles(tmp_path: Path) -> None:
    """The error says when the file is written."""
    with pytest.raises(DataInvalid, match="when it has finished"):
        draw_angles(tmp_path, tmp_path / "angles.png")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 torn"])
def test_a_damaged_file_of_angles_is_refused(content: bytes, tmp_path: Path) -> None:
    """Whatever lies there, the error names the file."""
    (tmp_path / "angles.npz").write_bytes(content)
    with pytest.raises(DataInvalid, match=r"angles\.npz does not hold the angles"):
        draw_angles(tmp_path, tmp_path / "angles.png")


@pytest.mark.parametrize(
    ("phases", "reason"),
    [
        ({"start": [90.0], "end": [30.0]}, "does not hold the angles"),
        ({"start": [90.0], "middle": [], "end": [30.0]}, "no angles of the middle"),
        ({"start": [90.0], "middle": [np.nan], "end": [30.0]}, "outside 0 to 180"),
        (
            {"start": [90.0], "middle": [60.0], "end": [-1.0]},
            "outside 0 to 180 degrees at the end",
        ),
    ],
)
def test_angles_that_no_run_writes_are_refused(
    phases: dict[str, list[float]], reason: str, tmp_path: Path
) -> None:
    """A missing or empty phase, no number, or a number that is no angle between vectors."""
    run = write_angles(tmp_path / "run", **phases)
    with pytest.raises(DataInvalid, match=reason):
        draw_angles(run, tmp_path / "angles.png")
    assert not (tmp_path / "angles.png").exists()


def oracle_gap(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """The gap between two arcs far from 0 and 360 degrees, straight from the percentiles."""
    return float(np.percentile(second, 5) - np.percentile(first, 95))


def test_gaps_agree_with_plain_percentiles() -> None:
    """Away from the ends of the scale no care is needed, and the plain formula is enough."""
    rng = np.random.default_rng(11)
    first, second = rng.normal(100.0, 8.0, 50), rng.normal(200.0, 5.0, 50)
    gaps = angular_gaps(np.concatenate([first, second]), np.repeat([0, 1], 50))
    assert gaps[0] == pytest.approx(oracle_gap(first, second))
