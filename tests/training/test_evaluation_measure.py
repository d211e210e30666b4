"""A model is measured on everything at once, and the report has the form that a page expects."""

import json
import pickle
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from embedding.errors import DataInvalid
from embedding.model import ModelDirectory, find_model
from embedding.runtime import EmbeddingNet
from tests.training.evaluation_samples import MODEL, mean_colours, no_numbers
from training.data.identity_folder import IdentityFolder
from training.data.split import select_all
from training.evaluate import torch_embedder, torch_embedder_with_lengths
from training.evaluation.images import Embed, ModelInfo, net_embedder
from training.evaluation.measure import HOLDOUT_NAME, evaluate_model
from training.protocols import verify_lfw

# The form of report.json: a type, a list of one form, or an object of named forms.
RATE = {"num_errors": int, "num_trials": int, "rate": float, "low": float, "high": float}
POINT = {
    "fpir_wanted": float,
    "threshold": float,
    "threshold_interval": [float],
    "fpir": RATE,
    "fnir": RATE,
    "fnir_interval": [float],
    "is_reliable": bool,
}
TAR = {"far_wanted": float, "threshold": float, "tar": RATE, "far": RATE, "is_reliable": bool}
VERIFICATION = {
    "set": str,
    "num_same": int,
    "num_different": int,
    "num_left_out": int,
    "accuracy": {"mean": float, "deviation": float, "folds": [float]},
    "tar_at_far": [TAR],
    "roc": {"far": [float], "tar": [float], "threshold": [float]},
}
GROUP = {
    "name": str,
    "num_subjects": int,
    "fnir": RATE,
    "fpir": RATE,
    "refusals": RATE,
    "is_reliable": bool,
}
IDENTIFICATION = {
    "set": str,
    "fusion": str,
    "protocol": str,
    "num_subjects": int,
    "num_templates": int,
    "num_mated": int,
    "num_strangers": int,
    "num_stranger_identities": int,
    "num_left_out": int,
    "rank1": RATE,
    "rank1_interval": [float],
    "points": [POINT],
    "det": {
        "fpir": [float],
        "fnir": [float],
        "fnir_low": [float],
        "fnir_high": [float],
        "threshold": [float],
    },
    "by_size": [{"num_subjects": int, "rank1": float, "points": [POINT]}],
    "discard": {
        "quality": str,
        "fpir_wanted": float,
        "threshold": float,
        "share": [float],
        "fnir": [float],
        "num_left": [int],
    },
    "groups": [GROUP],
}
REPORT = {
    "format": int,
    "model": {
        "name": str,
        "fingerprint": str,
        "mirrored": bool,
        "licence": str,
        "norm_floor": float,
    },
    "created": str,
    "verification": [VERIFICATION],
    "identification": [IDENTIFICATION],
    "warnings": [str],
}


def check_form(found: Any, form: Any, where: str = "report") -> None:
    """Exactly these names and types, all the way down; null only for what may be absent."""
    if isinstance(form, dict):
        assert found.keys() == form.keys(), where
        for name, inner in form.items():
            may_be_null = name in ("fingerprint", "fnir", "fpir")
            if not (found[name] is None and may_be_null):
                check_form(found[name], inner, f"{where}.{name}")
    elif isinstance(form, list):
        assert type(found) is list, where
        for place, one in enumerate(found):
            check_form(one, form[0], f"{where}[{place}]")
    else:
        assert type(found) is form, f"{where} is {type(found)}"


@pytest.fixture
def lfw(identities: Path, tmp_path: Path) -> Path:
    """LFW's layout: twelve people with five images, eight with one, four with two."""
    folder = tmp_path / "lfw"
    for number in range(24):
        name = f"person{number:03d}"
        (folder / "aligned" / name).mkdir(parents=True)
        for image in range(5 if number < 12 else 1 if number < 20 else 2):
            file = folder / "aligned" / name / f"{name}_{image + 1:04d}.jpg"
            file.symlink_to(identities / name / f"{image}.jpg")
    lines = ["10\t1"]
    for fold in range(10):
        first, second = f"person{fold:03d}", f"person{fold + 10:03d}"
        lines += [f"{first}\t1\t{fold % 3 + 2}", f"{first}\t2\t{second}\t1"]
    (folder / "pairs.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_bin(file: Path, identities: Path) -> Path:
    """Ten pairs of one person and ten of two."""
    places = [place for n in range(10) for place in ((n, 0), (n, 1), (n, 2), (n + 1, 3))]
    images = [(identities / f"person{n:03d}" / f"{m}.jpg").read_bytes() for n, m in places]
    file.write_bytes(pickle.dumps((images, [True, False] * 10)))
    return file


def write_pairs(file: Path, identities: Path) -> Path:
    """The same as a list."""
    lines = []
    for n in range(10):
        mine, other = identities / f"person{n:03d}", identities / f"person{n + 1:03d}"
        lines += [f"{mine}/0.jpg\t{mine}/1.jpg\t1", f"{mine}/2.jpg\t{other}/3.jpg\t0"]
    file.write_text("\n".join(lines) + "\n")
    return file


def test_everything_is_measured_in_one_report(identities: Path, lfw: Path, tmp_path: Path) -> None:
    """Pairs of three kinds and people of two sets under both fusions, in the agreed form."""
    (tmp_path / "groups.csv").write_text("identity,group\nperson001,a\nperson015,b\n")
    report = evaluate_model(
        mean_colours,
        model=replace(MODEL, norm_floor=1e-3),
        lfw=lfw,
        pairs=[write_pairs(tmp_path / "mine.tsv", identities)],
        bins=[write_bin(tmp_path / "set.bin", identities)],
        folders=[identities],
        holdout=select_all(IdentityFolder(identities)),
        groups=tmp_path / "groups.csv",
    )
    content = json.loads(json.dumps(report.to_json(), allow_nan=False))
    check_form(content, REPORT)
    assert content["format"] == 1
    assert abs(date.fromisoformat(content["created"]) - date.today()).days <= 1
    assert [one["set"] for one in content["verification"]] == ["LFW", "mine", "set"]
    assert [(one["set"], one["fusion"]) for one in content["identification"]] == [
        (name, fusion)
        for name in ("LFW", identities.name, HOLDOUT_NAME)
        for fusion in ("maximum", "centroid")
    ]
    mine, from_bin = content["verification"][1:]
    assert mine | {"set": ""} == from_bin | {"set": ""}


def test_lfw_gives_pairs_and_people_from_images_embedded_once(lfw: Path) -> None:
    """One image makes a stranger; the pairs' figures are those of the protocol for training."""
    num_embedded = 0

    def counted(
        crops: NDArray[np.uint8],
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        nonlocal num_embedded
        num_embedded += len(crops)
        return mean_colours(crops)

    report = evaluate_model(counted, model=MODEL, lfw=lfw)
    assert num_embedded == 12 * 5 + 8 + 4 * 2
    expected = verify_lfw(lambda crops: mean_colours(crops)[0], lfw)
    assert report.verification[0].accuracy == expected.accuracy
    assert [one.tar for one in report.verification[0].tar] == [one.tar for one in expected.tar]
    people = report.identification[0]
    assert (people.num_subjects, people.num_mated, people.num_strangers) == (12, 24, 8)
    assert "4 people with a number of images between" in people.protocol


def test_a_folder_takes_its_small_identities_as_strangers(lfw: Path) -> None:
    """Up to as many images as templates, where nothing else is asked for."""
    folder = lfw / "aligned"
    found = evaluate_model(mean_colours, model=MODEL, folders=[folder]).identification[0]
    assert (found.name, found.num_subjects, found.num_strangers) == ("aligned", 12, 8 + 8)
    found = evaluate_model(
        mean_colours, model=MODEL, folders=[folder], num_templates=1, stranger_max_images=1
    ).identification[0]
    assert (found.num_templates, found.num_subjects, found.num_strangers) == (1, 16, 8)


def test_warnings_say_what_the_figures_cannot(lfw: Path, identities: Path) -> None:
    """Too few errors, once a set, with how many searches would be enough; what was left out."""
    (lfw / "aligned" / "person003" / "person003_0005.jpg").unlink()
    (lfw / "aligned" / "person003" / "person003_0005.jpg").write_bytes(b"no image")
    report = evaluate_model(mean_colours, model=MODEL, lfw=lfw)
    assert report.identification[0].num_left_out == 1
    joined = "\n".join(report.warnings)
    assert "LFW: 1 images cannot be read and were left out." in joined
    assert joined.count("LFW: FPIR 1 % of 8 strangers' searches means 0.08 errors") == 1
    assert "(about 30,000 strangers' searches)" in joined
    assert "LFW: FAR 0.001 of 10 pairs of two people means 0.01 errors" in joined
    assert identities.name not in joined


def test_missing_images_of_lfw_are_told_or_left_out(lfw: Path) -> None:
    """And then the pairs are counted, and a warning says so."""
    lines = (lfw / "pairs.txt").read_text().splitlines()
    doubled = ["10\t2"]
    for fold in range(10):
        same, different = lines[1 + 2 * fold : 3 + 2 * fold]
        doubled += [same, same, different, different]
    doubled[1] = "person000\t1\t77"
    (lfw / "pairs.txt").write_text("\n".join(doubled) + "\n")
    with pytest.raises(DataInvalid, match=r"1 of 37 images of LFW .*person000_0077\.jpg"):
        evaluate_model(mean_colours, model=MODEL, lfw=lfw)
    report = evaluate_model(mean_colours, model=MODEL, lfw=lfw, skip_missing=True)
    assert (report.verification[0].num_left_out, report.verification[0].num_same) == (1, 19)
    assert "LFW: 1 pairs were left out for missing images." in report.warnings


def test_people_held_out_who_are_too_few_are_a_warning(identities: Path) -> None:
    """A short run is still measured on what was given beside."""
    holdout = select_all(IdentityFolder(identities)).of_identities([3])
    report = evaluate_model(mean_colours, model=MODEL, folders=[identities], holdout=holdout)
    assert {one.name for one in report.identification} == {identities.name}
    assert any("the run held out were not measured" in one for one in report.warnings)


def test_groups_without_a_norm_floor_are_warned_of(identities: Path, tmp_path: Path) -> None:
    """Refusals of nobody would look like a finding."""
    (tmp_path / "groups.csv").write_text("identity,group\nperson001,a\n")
    report = evaluate_model(
        mean_colours, model=MODEL, folders=[identities], groups=tmp_path / "groups.csv"
    )
    assert any("no norm floor" in one for one in report.warnings)
    assert [one.name for one in report.identification[0].groups] == ["a", "(none)"]
    assert report.identification[0].groups[0].refusals.num_trials == 5


def test_nothing_to_measure_is_refused() -> None:
    """With the options that give something."""
    with pytest.raises(DataInvalid, match="--lfw, --pairs, --bin or --folder"):
        evaluate_model(mean_colours, model=MODEL)


def test_mistakes_are_found_before_anything_is_embedded(
    identities: Path, lfw: Path, tmp_path: Path
) -> None:
    """A list, a folder, groups and options are read first: embedding may take hours."""

    def never(crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        raise AssertionError(f"{len(crops)} crops were embedded")

    (tmp_path / "groups.csv").write_text("identity,group\nnobody,a\n")
    (tmp_path / "bad.tsv").write_text("a\n")
    few = tmp_path / "few"
    few.mkdir()
    for person in sorted((lfw / "aligned").iterdir())[12:]:
        (few / person.name).symlink_to(person)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"groups": tmp_path / "groups.csv"}, r"1 identities \(such as nobody\)"),
        ({"pairs": [tmp_path / "bad.tsv"]}, "line 1 of"),
        ({"folders": [tmp_path / "none"]}, "is not a folder"),
        ({"bins": [tmp_path / "none.bin"]}, r"none\.bin"),
        ({"folders": [few]}, "few has 12 identities, 0 of them"),
        ({"stranger_max_images": 4}, "--strangers-up-to is 4"),
        ({"stranger_max_images": 0}, "--strangers-up-to is 0"),
        ({"num_templates": 0}, "--templates is 0"),
    ]
    for options, message in wrong:
        with pytest.raises(DataInvalid, match=message):
            evaluate_model(never, model=MODEL, lfw=lfw, **options)
    with pytest.raises(DataInvalid, match="give --lfw or --folder"):
        evaluate_model(
            never,
            model=MODEL,
            bins=[write_bin(tmp_path / "set.bin", identities)],
            groups=tmp_path / "groups.csv",
        )


def test_a_model_of_nan_is_refused(identities: Path) -> None:
    """Before any figure is made of it."""
    with pytest.raises(DataInvalid, match="NaN"):
        evaluate_model(no_numbers, model=MODEL, folders=[identities])


def test_a_folder_of_one_person_is_refused(identities: Path, tmp_path: Path) -> None:
    """There is nobody to tell that person from; the message says what to add."""
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "ann").symlink_to(identities / "person000")
    with pytest.raises(DataInvalid, match=r"one has 1 identities, 1 of them .*add people"):
        evaluate_model(mean_colours, model=MODEL, folders=[tmp_path / "one"])


class Flat(nn.Module):
    """A network of one linear layer on mean colours."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear = nn.Linear(3 * 14 * 14, 6)

    def forward(self, crops_BCHW: torch.Tensor) -> torch.Tensor:
        """(B, 6)."""
        small = nn.functional.avg_pool2d(crops_BCHW, 8)
        out: torch.Tensor = self.linear(small.flatten(1))
        return out


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_network_gives_unit_embeddings_and_their_lengths(mirrored: bool) -> None:
    """As computed by hand; the length is that of the mean of image and mirror image."""
    network = Flat()
    crops = np.random.default_rng(0).integers(0, 256, (70, 112, 112, 3), dtype=np.uint8)
    unit_BD, norms_B = torch_embedder_with_lengths(network, mirrored=mirrored)(crops)
    pixels = torch.from_numpy((crops.astype(np.float32) - 127.5) / 127.5).permute(0, 3, 1, 2)
    with torch.no_grad():
        raw_BD = network(pixels).numpy()
        if mirrored:
            raw_BD = (raw_BD + network(pixels.flip(-1)).numpy()) / 2
    lengths_B = np.linalg.norm(raw_BD, axis=1)
    np.testing.assert_allclose(norms_B, lengths_B, rtol=1e-4)
    np.testing.assert_allclose(unit_BD, raw_BD / lengths_B[:, None], atol=1e-5)
    np.testing.assert_array_equal(torch_embedder(network, mirrored=mirrored)(crops), unit_BD)


def test_a_model_directory_gives_what_it_serves(identities: Path) -> None:
    """Vectors, lengths, and what its card says."""
    directory = ModelDirectory.open(find_model(None))
    net = EmbeddingNet(directory, num_threads=1)
    embed: Embed = net_embedder(net)
    crops = select_all(IdentityFolder(identities)).crops(range(3))
    unit_BD, norms_B = embed(crops)
    served = net.embed(crops)
    np.testing.assert_array_equal(unit_BD, served.vectors)
    np.testing.assert_array_equal(norms_B, served.norms)
    info = ModelInfo.of_card(directory.card)
    assert info.fingerprint == directory.card.fingerprint
    assert info.norm_floor == directory.card.norm_floor
