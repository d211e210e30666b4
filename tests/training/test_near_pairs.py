"""Planted copies, shared and doubled people and strays are found, and nothing else."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from embedding.errors import DataInvalid
from embedding.model import ModelDirectory
from embedding.runtime import EmbeddingNet, Embeddings
from tests.fakes import write_fake_model
from tests.training.planted import crop, gather, unit, write
from training.config import DataConfig
from training.data.opening import open_store
from training.data.split import select_all, split_store
from training.inspecting.copies import CopyFinder, copy_findings, picture_correlation
from training.inspecting.findings import Finding, Kind, Limits, own_similarities
from training.inspecting.gathered import Gathered, NamedSet, measure, small_greys
from training.inspecting.inspection import (
    Inspection,
    InspectOptions,
    choose_limits,
    find_all,
    inspect_data,
)
from training.inspecting.kept_features import measure_or_load
from training.inspecting.search import Neighbours, search_neighbours

LIMITS = Limits(threshold=0.65, pair_threshold=0.5)


def options(model: Path) -> InspectOptions:
    """With the limits above."""
    return InspectOptions(
        model=str(model), threshold=LIMITS.threshold, pair_threshold=LIMITS.pair_threshold
    )


def people(first: int, number: int, images: int = 5) -> dict[str, list[NDArray[np.uint8]]]:
    """Some people without a mistake."""
    return {
        f"p{person:02d}": [crop(person, image) for image in range(images)]
        for person in range(first, first + number)
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory with a tiny net."""
    return write_fake_model(tmp_path_factory.mktemp("model"))


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


class Refuses:
    """An embedder that may not be asked."""

    def embed(self, crops_BHWC: NDArray[np.uint8]) -> Embeddings:
        """Fails."""
        raise RuntimeError(f"asked for {len(crops_BHWC)}")


def test_kept_embeddings_are_taken_only_for_the_same_images_and_model(
    model: Path, tmp_path: Path
) -> None:
    """The file is the owner's alone; another model and another image are measured."""
    data = write(tmp_path / "data", people(0, 2, images=2))
    named = [NamedSet(name="data", images=select_all(open_store(data)))]
    net, file = EmbeddingNet(ModelDirectory.open(model)), tmp_path / "embeddings.npz"
    first = measure_or_load(named, net, fingerprint="a", file=file)
    assert file.stat().st_mode & 0o777 == 0o600
    again = measure_or_load(named, Refuses(), fingerprint="a", file=file)
    np.testing.assert_array_equal(again.unit_ND, first.unit_ND)
    np.testing.assert_array_equal(again.digests_N, first.digests_N)
    with pytest.raises(RuntimeError, match="asked for 4"):
        measure_or_load(named, Refuses(), fingerprint="b", file=file)
    (data / "p00" / "2.png").write_bytes((data / "p01" / "0.png").read_bytes())
    named = [NamedSet(name="data", images=select_all(open_store(data)))]
    with pytest.raises(RuntimeError, match="asked for 5"):
        measure_or_load(named, Refuses(), fingerprint="a", file=file)
    file.write_bytes(b"damaged")
    assert len(measure_or_load(named, net, fingerprint="a", file=file).unit_ND) == 5


def random_units(num_images: int, dimension: int = 8, seed: int = 0) -> NDArray[np.float32]:
    """Directions at random."""
    rng = np.random.default_rng(seed)
    return unit(rng.normal(size=(num_images, dimension)).tolist())


def brute_force(
    unit_ND: NDArray[np.float32], labels: Sequence[int], num_data: int, copy_similarity: float
) -> tuple[list[list[tuple[float, int]]], set[tuple[int, int]]]:
    """Each image's other identities, nearest first, and the close pairs, by a loop over pairs."""
    nearest, close = [], set()
    for row in range(num_data):
        best: dict[int, float] = {}
        for column in range(len(unit_ND)):
            similarity = float(unit_ND[row].astype(np.float64) @ unit_ND[column])
            if column > row and similarity >= copy_similarity:
                close.add((row, column))
            if labels[column] != labels[row]:
                best[labels[column]] = max(similarity, best.get(labels[column], -2.0))
        nearest.append(sorted(((s, i) for i, s in best.items()), reverse=True))
    return nearest, close


@pytest.mark.parametrize("block_bytes", [1, 256_000_000])
def test_the_search_in_blocks_equals_a_loop_over_all_pairs(
    block_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of 16 x 7, cut inside identities, and one large block find the same."""
    if block_bytes == 1:
        monkeypatch.setattr("training.inspecting.search._BLOCK_COLUMNS", 7)
    counts = [1, 9, 2, 20, 1, 5, 3, 11]
    labels = np.repeat(np.arange(8), counts).tolist()
    unit_ND = random_units(len(labels))
    asked: set[tuple[int, int]] = set()

    def is_copy(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        pairs = set(zip(rows.tolist(), columns.tolist(), strict=True))
        assert not asked & pairs
        asked.update(pairs)
        even: NDArray[np.bool_] = (rows + columns) % 2 == 0
        return even

    found = search_neighbours(
        unit_ND,
        np.cumsum([0, *counts]),
        num_data=41,
        copy_similarity=0.7,
        is_copy=is_copy,
        num_nearest=3,
        block_bytes=block_bytes,
    )
    nearest, close = brute_force(unit_ND, labels, 41, 0.7)
    assert close
    assert asked == close
    assert {(a, b) for a, b in found.copies_P2.tolist()} == {
        (a, b) for a, b in close if (a + b) % 2 == 0
    }
    for row, expected in enumerate(nearest):
        assert found.identities_MK[row].tolist() == [identity for _, identity in expected[:3]]
        similarities = [similarity for similarity, _ in expected[:3]]
        assert found.similarities_MK[row] == pytest.approx(similarities, abs=1e-5)


def test_fewer_identities_than_neighbours_are_all_given() -> None:
    """Of three identities an image has two others; of one none."""
    for first_rows, num_others in ([0, 2, 4, 6], 2), ([0, 3], 0):
        num_images = first_rows[-1]
        found = search_neighbours(
            random_units(num_images),
            np.array(first_rows),
            num_data=num_images,
            copy_similarity=2.0,
            is_copy=lambda rows, _: rows >= 0,
        )
        assert found.identities_MK.shape == (num_images, num_others)
        assert found.copies_P2.shape == (0, 2)


def test_own_similarities_equal_a_loop_over_pairs() -> None:
    """The mean to the others, and of the others among themselves; NaN where there are none."""
    unit_ND, counted = random_units(10), np.ones(10, bool)
    counted[[1, 8]] = False
    own, rest = own_similarities(unit_ND, np.array([0, 5, 6, 8, 10]), counted)
    for rows in ([0, 2, 3, 4], [5], [6, 7], [9]):
        for row in rows:
            others = [one for one in rows if one != row]
            pairs = [(a, b) for a in others for b in others if a < b]
            to_own = [float(unit_ND[row] @ unit_ND[one]) for one in others]
            among = [float(unit_ND[a] @ unit_ND[b]) for a, b in pairs]
            for found, expected in ((own[row], to_own), (rest[row], among)):
                mean = math.fsum(expected) / len(expected) if expected else math.nan
                assert found == pytest.approx(mean, abs=1e-6, nan_ok=True)
    assert np.isnan(own[[1, 8]]).all()


def test_picture_correlation_is_pearsons_with_and_without_the_mirror() -> None:
    """NumPy's own correlation is the oracle; brightness and contrast change nothing."""
    rng = np.random.default_rng(0)
    left = rng.integers(0, 200, (3, 256), dtype=np.uint8)
    right = rng.integers(0, 200, (3, 256), dtype=np.uint8)
    mirrored = right.reshape(-1, 16, 16)[:, :, ::-1].reshape(-1, 256)
    found, is_mirrored = picture_correlation(left, right)
    for place in range(3):
        as_is = np.corrcoef(left[place], right[place])[0, 1]
        turned = np.corrcoef(left[place], mirrored[place])[0, 1]
        assert found[place] == pytest.approx(max(as_is, turned), abs=1e-9)
        assert is_mirrored[place] == (turned > as_is)
    assert picture_correlation(left // 2, left // 2 + 50)[0] == pytest.approx(1.0)
    flat = np.full((3, 256), 7, np.uint8)
    assert picture_correlation(flat, flat)[0].tolist() == [-1.0] * 3


def test_small_greys_are_the_mean_luma_of_squares() -> None:
    """A slow loop over 7 x 7 squares with Pillow's grey gives the same but for rounding."""
    crop_HWC = np.random.default_rng(1).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    grey = np.asarray(Image.fromarray(crop_HWC).convert("L"), np.float64)
    expected = [
        grey[7 * y : 7 * y + 7, 7 * x : 7 * x + 7].mean() for y in range(16) for x in range(16)
    ]
    assert small_greys(crop_HWC[None])[0] == pytest.approx(expected, abs=1.5)


def test_each_copy_that_goes_is_a_copy_of_one_that_stays() -> None:
    """A is like B and B like C, but A is not like C: B stays or A and C do, never C alone."""
    rng = np.random.default_rng(4)
    num_images = 40
    images = [crop(0, image) for image in range(num_images)]
    gathered = gather({"data": {"one": images}}, random_units(num_images))
    pairs = np.array(
        sorted({tuple(sorted(pair)) for pair in rng.integers(0, num_images, (60, 2)).tolist()})
    )
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    finder = CopyFinder(gathered, LIMITS)
    neighbours = Neighbours(
        identities_MK=np.empty((num_images, 0), np.int64),
        similarities_MK=np.empty((num_images, 0), np.float32),
        copies_P2=pairs,
    )
    stays_for = finder.stays_for(neighbours).tolist()
    known = {tuple(pair) for pair in pairs.tolist()}
    staying = {row for row in range(num_images) if stays_for[row] == row}
    for row, kept in enumerate(stays_for):
        if row != kept:
            assert kept in staying
            assert tuple(sorted((row, kept))) in known
    assert not [pair for pair in known if set(pair) <= staying]
    assert 0 < len(staying) < num_images


def kinds(findings: Sequence[Finding], gathered: Gathered) -> list[tuple[str, str]]:
    """Kind and key of each finding."""
    return [(str(one.kind), gathered.key(one.row_a)) for one in findings]


def different(numbers: Sequence[int]) -> list[NDArray[np.uint8]]:
    """Pictures that are no copies, whatever the embeddings."""
    return [crop(100 + number, number) for number in numbers]


def test_of_a_picture_under_two_names_the_likelier_name_stays() -> None:
    """The wrong name comes first in the set and loses all the same; other sets never lose."""
    picture = crop(0, 0)
    first, second = [1.0, 0.0, 0.1], [0.0, 1.0, 0.1]
    data = {
        "wrong": [picture, *different([1, 2])],
        "right": [picture, *different([3, 4])],
    }
    vectors = unit([second, first, first, second, second, second])
    gathered = gather({"data": data}, vectors)
    assert kinds(find_all(gathered, LIMITS), gathered) == [("duplicate", "wrong/0")]
    other = {"any": [picture, *different([5, 6, 7])]}
    third = [0.0, 0.0, 1.0]
    gathered = gather({"data": data, "other": other}, np.concatenate(
        [vectors, unit([second, third, third, third])]
    ))  # fmt: skip
    found = [one for one in find_all(gathered, LIMITS) if one.kind is Kind.DUPLICATE]
    assert kinds(found, gathered) == [("duplicate", "wrong/0"), ("duplicate", "right/0")]
    assert {gathered.set_name(one.row_b or 0) for one in found} == {"other"}


def test_equal_pictures_of_any_number_leave_one() -> None:
    """A placeholder that stands in a set 30 times is left once, flat as it is."""
    flat = np.full((112, 112, 3), 90, np.uint8)
    gathered = gather({"data": {"one": [flat] * 20, "two": [flat] * 10}}, unit([[1.0, 0.0]] * 30))
    found = [one for one in find_all(gathered, LIMITS) if one.kind is Kind.DUPLICATE]
    assert len(found) == 29
    assert len({one.row_b for one in found}) == 1
    assert all(one.reason.endswith("equal to the pixel") for one in found)


A, B, C = [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]
NEAR_B = [0.0, 0.8, 0.0, 0.6]
FAR = [0.0, 0.3, 0.0, 0.954]


@pytest.mark.parametrize(
    ("vectors", "strays"),
    [
        ([A], []),  # alone: nothing contradicts the name
        ([A, FAR], []),  # two that differ: which one is wrong cannot be told
        ([A, NEAR_B], [1]),  # but the second is found elsewhere
        ([A, A, FAR], [2]),  # the others agree, and another identity is nearer
        ([A, A, NEAR_B], [2]),
        ([A, A, C, C], []),  # two people half and half, neither of them elsewhere
        ([A, A, A, [0.4, 0.3, 0.0, 0.866]], []),  # far, but nobody is nearer
    ],
)
def test_strays_by_the_rule(vectors: list[list[float]], strays: list[int]) -> None:
    """Each case of the rule, against one other identity at B."""
    data = {"person": different(range(len(vectors))), "other": different([20, 21])}
    gathered = gather({"data": data}, unit([*vectors, B, B]))
    found = [one for one in find_all(gathered, LIMITS) if one.kind is Kind.STRAY]
    assert [one.row_a for one in found] == strays
    for one in found:
        assert one.proposed == (one.row_a,)
        assert gathered.identity_name(one.row_b or 0) == "other"
        assert gathered.identity_name(one.row_own or 0) == "person"


def test_a_copy_that_goes_does_not_speak_for_a_stray() -> None:
    """The same wrong picture twice is one copy and one stray, not a person of its own."""
    wrong = crop(0, 0)
    data = {"person": [*different([1, 2, 3]), wrong, wrong], "other": different([4, 5])}
    gathered = gather({"data": data}, unit([A, A, A, NEAR_B, NEAR_B, B, B]))
    found = kinds(find_all(gathered, LIMITS), gathered)
    assert found == [("duplicate", "person/4"), ("stray", "person/3")]


def test_a_copy_under_a_wrong_name_makes_no_stray() -> None:
    """A hard image whose picture stands under another name, too, is not found elsewhere."""
    picture = crop(0, 0)
    data = {"right": [picture, *different([1])], "wrong": [picture, *different([2, 3])]}
    gathered = gather({"data": data}, unit([A, [0.45, 0.0, 0.0, 0.893], A, B, B]))
    assert kinds(find_all(gathered, LIMITS), gathered) == [("duplicate", "wrong/0")]


def test_one_lucky_pair_does_not_join_two_people() -> None:
    """The nearest pair matches, all pairs together do not; with a lower limit they do."""
    data = {"one": different([1, 2]), "two": different([3, 4])}
    vectors = unit([A, [0.6, 0.0, 0.8, 0.0], A, [0.6, 0.0, 0.0, 0.8]])
    gathered = gather({"data": data}, vectors)
    mean = (1.0 + 0.6 + 0.6 + 0.36) / 4
    strict = Limits(threshold=0.65, pair_threshold=0.645)
    assert mean < strict.pair_threshold
    assert Kind.MERGE not in {one.kind for one in find_all(gathered, strict)}
    lenient = Limits(threshold=0.65, pair_threshold=0.6)
    (found,) = [one for one in find_all(gathered, lenient) if one.kind is Kind.MERGE]
    assert (found.similarity, found.mean_similarity) == pytest.approx((1.0, mean))
    assert (gathered.key(found.row_a), gathered.key(found.row_b or 0)) == ("one/0", "two/0")
    assert found.proposed == ()


def test_a_stray_does_not_join_two_people() -> None:
    """It reaches the other identity, and without it nothing does."""
    data = {"one": different([1, 2]), "two": different([3, 4])}
    gathered = gather({"data": data}, unit([A, NEAR_B, B, B]))
    found = find_all(gathered, Limits(threshold=0.65, pair_threshold=0.3))
    assert kinds(found, gathered) == [("stray", "one/1")]


def test_low_quality_is_listed_and_never_proposed() -> None:
    """Below the floor, not at it; other sets are not judged."""
    gathered = gather(
        {"data": {"one": different([1, 2, 3])}, "other": {"two": different([4])}},
        unit([A, A, A, B]),
        np.array([2.0, 1.0, 1.5, 0.1], np.float32),
    )
    found = find_all(gathered, Limits(threshold=0.65, pair_threshold=0.5, norm_floor=1.5))
    assert kinds(found, gathered) == [("low_quality", "one/1")]
    assert found[0].proposed == ()


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


def test_features_are_those_of_the_net(model: Path, tmp_path: Path) -> None:
    """Rows in the order of the sets, norms of the raw vectors, equal digests for equal crops."""
    data = people(0, 2, images=2)
    data["p01"].append(data["p00"][0])
    named = [
        NamedSet(name="data", images=select_all(open_store(write(tmp_path / "data", data)))),
        NamedSet(
            name="other",
            images=select_all(open_store(write(tmp_path / "other", people(9, 1)))),
        ),
    ]
    net = EmbeddingNet(ModelDirectory.open(model))
    features = measure(named, net)
    crops = np.concatenate([one.images.crops(range(len(one.images))) for one in named])
    np.testing.assert_allclose(features.unit_ND, net.embed(crops).vectors, atol=1e-6)
    np.testing.assert_allclose(features.norms_N, net.embed(crops).norms, rtol=1e-5)
    assert features.digests_N[4] == features.digests_N[0]
    assert len(set(features.digests_N.tolist())) == len(crops) - 1
    gathered = Gathered(named, features)
    assert [gathered.key(row) for row in (4, 5)] == ["p01/2.png", "p09/0.png"]
    assert (gathered.set_name(5), gathered.identity_name(5)) == ("other", "p09")
    assert gathered.rows(2).tolist() == [5, 6, 7, 8, 9]
    np.testing.assert_array_equal(gathered.crop(5), crop(9, 0))
    assert copy_findings(gathered, np.arange(len(gathered))) == []
