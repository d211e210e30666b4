"""LFW's list is read as published and open-set tables hold what they say."""

import io
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from embedding.errors import DataInvalid
from tests.training.conftest import write_lfw
from training.data.decoding import load_crops
from training.data.identity_folder import IdentityFolder
from training.data.split import Selection, select_all
from training.protocols import (
    CHUNK,
    embed_paths,
    embed_selection,
    holdout_figures,
    open_set_rates,
    open_set_table,
    read_lfw_pairs,
    verify_bin,
    verify_lfw,
)


def mean_colours(crops_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A toy embedding: the mean colours of a 4x4 grid, centred and of unit length."""
    grid = crops_BHWC.reshape(-1, 4, 28, 4, 28, 3).mean(axis=(2, 4)).reshape(len(crops_BHWC), -1)
    grid = grid - grid.mean(axis=1, keepdims=True)
    unit: NDArray[np.float32] = grid / np.linalg.norm(grid, axis=1, keepdims=True)
    return unit.astype(np.float32)


def test_pairs_are_read_with_their_folds(lfw: Path) -> None:
    """Three words are one person, four are two; folds follow the order of the file."""
    pairs = read_lfw_pairs(lfw)
    assert pairs.same.tolist() == [True, True, False, False] * 2
    assert pairs.fold.tolist() == [0] * 4 + [1] * 4
    assert pairs.paths[pairs.right[1]].name.endswith("_0003.jpg")
    assert all(path.exists() for path in pairs.paths)


def test_people_that_differ_clearly_are_verified(lfw: Path) -> None:
    """Mean colours accept every matched pair before the first mismatched one.

    The accuracy may lose a pair: with four pairs a fold its threshold is drawn from few values.
    """
    found = verify_lfw(mean_colours, lfw)
    assert found.accuracy.mean >= 0.75
    assert [one.tar.rate for one in found.tar] == [1.0, 1.0]
    assert found.tar[0].far.num_trials == 4


def test_a_list_that_is_cut_short_is_refused(lfw: Path) -> None:
    """The first line announces how many pairs there are."""
    text = (lfw / "pairs.txt").read_text().splitlines()
    (lfw / "pairs.txt").write_text("\n".join(text[:-1]))
    with pytest.raises(DataInvalid, match="announces 2 folds of 2 x 2 pairs and has 7"):
        read_lfw_pairs(lfw)


def test_a_folder_without_the_list_is_refused(tmp_path: Path) -> None:
    """The message says what belongs there."""
    with pytest.raises(DataInvalid, match=r"pairs\.txt"):
        read_lfw_pairs(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "10", "ten\t300\n", "1\t1\nann\t1\nann\t1\t2\n", "1\t1\nann\t1\tx\nann\t1\tben\t1\n"],
    ids=["empty", "one number", "words", "two words in a line", "no number in a line"],
)
def test_a_list_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    """The message names the file."""
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(DataInvalid, match=r"pairs\.txt"):
        read_lfw_pairs(tmp_path)


def test_an_image_that_the_list_names_must_be_there(lfw: Path) -> None:
    """The message names it."""
    (lfw / "aligned" / "person002" / "person002_0001.jpg").unlink()
    with pytest.raises(DataInvalid, match=r"person002_0001\.jpg"):
        verify_lfw(mean_colours, lfw)


# Ten folds of one matched and one mismatched pair: (identity, image) twice each.
BIN_PAIRS = [
    pair
    for fold in range(10)
    for pair in (
        ((fold % 4, fold % 5), (fold % 4, (fold + 2) % 5)),
        ((fold % 4, fold % 5), ((fold + 1) % 4, (fold + 3) % 5)),
    )
]


def write_bin(file: Path, identities: Path, *, num_pairs: int = 20) -> Path:
    """The first of these pairs as InsightFace keeps them."""
    places = [place for pair in BIN_PAIRS[:num_pairs] for place in pair]
    images = [(identities / f"person{n:03d}" / f"{m}.jpg").read_bytes() for n, m in places]
    same = [number % 2 == 0 for number in range(num_pairs)]
    file.write_bytes(pickle.dumps((images, same)))
    return file


def test_a_bin_set_gives_what_lfw_gives_on_the_same_pairs(
    identities: Path, tmp_path: Path
) -> None:
    """Accuracy by fold, thresholds and counts: ten folds in the order of the pairs."""
    lines = ["10\t1"]
    for (a, i), (b, j) in BIN_PAIRS:
        second = f"{j + 1}" if a == b else f"person{b:03d}\t{j + 1}"
        lines.append(f"person{a:03d}\t{i + 1}\t{second}")
    found = verify_bin(mean_colours, write_bin(tmp_path / "set.bin", identities))
    assert found == verify_lfw(mean_colours, write_lfw(tmp_path, identities, lines))
    assert len(found.accuracy.folds) == 10
    assert found.accuracy.mean >= 0.9
    assert [one.tar.rate for one in found.tar] == [1.0, 1.0]


def test_folds_of_a_bin_set_are_neighbours(tmp_path: Path) -> None:
    """Where the first two of twenty pairs bear the wrong flag, the first fold fails alone."""
    red, blue = (encoded_colour(colour) for colour in ("red", "blue"))
    same = [False, True, *[True, False] * 9]
    (tmp_path / "set.bin").write_bytes(pickle.dumps(([red, red, red, blue] * 10, same)))
    found = verify_bin(mean_colours, tmp_path / "set.bin")
    assert found.accuracy.folds == (0.0, *[1.0] * 9)


def encoded_colour(colour: str) -> bytes:
    """A crop of one colour as a PNG."""
    stream = io.BytesIO()
    Image.new("RGB", (112, 112), colour).save(stream, "PNG")
    return stream.getvalue()


def test_a_bin_set_of_more_images_than_a_chunk_is_embedded_in_order(
    identities: Path, tmp_path: Path
) -> None:
    """Many times the same pairs have the same rates."""
    small, large = write_bin(tmp_path / "small.bin", identities), tmp_path / "large.bin"
    images, same = pickle.loads(small.read_bytes())  # noqa: S301 - written above
    times = CHUNK // len(images) + 1
    large.write_bytes(pickle.dumps((images * times, same * times)))
    found, expected = verify_bin(mean_colours, large), verify_bin(mean_colours, small)
    assert found.tar[0].tar.num_trials == times * expected.tar[0].tar.num_trials
    assert found.tar[0].threshold == pytest.approx(expected.tar[0].threshold)


def test_a_bin_set_of_nine_pairs_is_refused(identities: Path, tmp_path: Path) -> None:
    """Ten folds need ten pairs, and ten are enough."""
    file = write_bin(tmp_path / "set.bin", identities, num_pairs=9)
    with pytest.raises(DataInvalid, match=r"set\.bin holds 9 pairs"):
        verify_bin(mean_colours, file)
    found = verify_bin(mean_colours, write_bin(file, identities, num_pairs=10))
    assert len(found.accuracy.folds) == 10


def test_a_damaged_image_of_a_bin_set_is_told_by_its_place(
    identities: Path, tmp_path: Path
) -> None:
    """A figure on some of the pairs would not be the set's."""
    file = write_bin(tmp_path / "set.bin", identities)
    images, same = pickle.loads(file.read_bytes())  # noqa: S301 - written above
    images[3] = images[3][:200]
    file.write_bytes(pickle.dumps((images, same)))
    with pytest.raises(DataInvalid, match=r"set\.bin#3 cannot be read"):
        verify_bin(mean_colours, file)


def test_a_bin_set_that_is_missing_is_refused(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(DataInvalid, match=r"none\.bin"):
        verify_bin(mean_colours, tmp_path / "none.bin")


def test_the_open_set_table_equals_a_loop() -> None:
    """Each image against the best of the first templates of each subject."""
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(12, 5)).astype(np.float32)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    subject = np.repeat([0, 1, 2], 4)
    table = open_set_table(unit, subject, num_templates=2)
    for probe in range(12):
        for column in range(3):
            best = max(unit[probe] @ unit[row] for row in (4 * column, 4 * column + 1))
            assert table.similarities_PS[probe, column] == pytest.approx(best, abs=1e-6)
    assert table.is_mated_P.tolist() == [False, False, True, True] * 3


def test_the_table_takes_another_similarity() -> None:
    """The nearest template by distance, of vectors of any length."""
    vectors = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    table = open_set_table(
        vectors,
        np.repeat([0, 1], 4),
        num_templates=2,
        similarity=lambda probes, templates: (
            -np.linalg.norm(probes[:, None] - templates[None], axis=2)
        ),
    )
    for probe in range(8):
        for column in range(2):
            rows = (4 * column, 4 * column + 1)
            nearest = min(float(np.linalg.norm(vectors[probe] - vectors[row])) for row in rows)
            assert table.similarities_PS[probe, column] == pytest.approx(-nearest, abs=1e-6)


def test_templates_are_no_mated_probes_but_everybody_is_a_stranger_once() -> None:
    """Counts: two mated probes of four images each, all twelve as strangers to the others."""
    unit = np.eye(12, 16, dtype=np.float32)
    table = open_set_table(unit, np.repeat([0, 1, 2], 4), num_templates=2)
    rates = open_set_rates(table, fpir=0.1)
    assert rates.fnir.num_trials == 6
    assert rates.fpir.num_trials == 12
    assert rates.num_subjects == 3


def test_people_with_few_images_keep_one_to_search_with() -> None:
    """Three images are two templates and a mated probe, whatever is asked for."""
    table = open_set_table(np.eye(6, dtype=np.float32), np.repeat([0, 1], 3), num_templates=3)
    assert table.is_mated_P.tolist() == [False, False, True] * 2


def test_identities_with_one_image_are_refused() -> None:
    """A miss rate without mated probes would be made up."""
    unit = np.eye(4, dtype=np.float32)
    with pytest.raises(DataInvalid, match="add images"):
        open_set_rates(open_set_table(unit, np.arange(4)), fpir=0.1)


@pytest.fixture
def everybody(identities: Path) -> Selection:
    """The small identities, whose images are all sharp."""
    return replace(select_all(IdentityFolder(identities)), sharp=(True,) * 24)


def test_a_selection_is_embedded_in_its_order(everybody: Selection, identities: Path) -> None:
    """As its files are."""
    some = everybody.of_identities([5, 2])
    paths = tuple(
        identities / f"person{number:03d}" / f"{image}.jpg"
        for number in (5, 2)
        for image in range(5)
    )
    expected = mean_colours(load_crops(paths))
    np.testing.assert_array_equal(embed_selection(mean_colours, some), expected)
    np.testing.assert_array_equal(embed_paths(mean_colours, paths), expected)


def test_held_out_figures_tell_good_embeddings_from_bad_ones(everybody: Selection) -> None:
    """Patterns by their colours are found; embeddings at random are not."""
    rng = np.random.default_rng(0)

    def at_random(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        vectors = rng.normal(size=(len(crops), 16)).astype(np.float32)
        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    good, bad = holdout_figures(mean_colours, everybody), holdout_figures(at_random, everybody)
    assert good["sharp/rank1"] == 1.0
    assert good["sharp/fnir_at_fpir_1e-2"] < 0.1
    assert bad["all/fnir_at_fpir_1e-2"] > 0.8


def test_held_out_figures_of_sharp_people_are_of_them_alone(everybody: Selection) -> None:
    """As if the soft ones were not there."""
    mixed = replace(everybody, sharp=tuple(number % 3 == 0 for number in range(24)))
    alone = everybody.of_identities(range(0, 24, 3))
    found, expected = holdout_figures(mean_colours, mixed), holdout_figures(mean_colours, alone)
    for name in ("fnir_at_fpir_1e-2", "rank1", "tar_at_far_1e-3"):
        assert found[f"sharp/{name}"] == expected[f"all/{name}"] == expected[f"sharp/{name}"]


@pytest.mark.parametrize("num_sharp", [0, 1])
def test_without_two_sharp_people_there_are_no_figures_of_them(
    everybody: Selection, num_sharp: int
) -> None:
    """Nobody is told from nobody."""
    mixed = replace(everybody, sharp=tuple(number < num_sharp for number in range(24)))
    names = holdout_figures(mean_colours, mixed)
    assert {name.split("/")[0] for name in names} == {"all"}


def test_some_subjects_of_a_table_are_a_table_of_them_alone() -> None:
    """The same as if the others had never been there."""
    rng = np.random.default_rng(2)
    unit = rng.normal(size=(20, 6)).astype(np.float32)
    subject = np.repeat(np.arange(5), 4)
    kept = np.array([1, 2, 4])
    found = open_set_table(unit, subject).of_subjects(kept)
    images = np.isin(subject, kept)
    alone = open_set_table(unit[images], np.repeat(np.arange(3), 4))
    np.testing.assert_allclose(found.similarities_PS, alone.similarities_PS, atol=1e-6)
    np.testing.assert_array_equal(found.own_subject_P, alone.own_subject_P)
    np.testing.assert_array_equal(found.is_mated_P, alone.is_mated_P)
