"""LFW's list is read as published and open-set tables hold what they say."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from training.data import scan_identities
from training.protocols import (
    holdout_figures,
    open_set_rates,
    open_set_table,
    read_lfw_pairs,
    verify_lfw,
)


def mean_colours(crops_BHWC: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A toy embedding: the mean colours of a 4x4 grid, centred and of unit length."""
    grid = crops_BHWC.reshape(-1, 4, 28, 4, 28, 3).mean(axis=(2, 4)).reshape(len(crops_BHWC), -1)
    grid = grid - grid.mean(axis=1, keepdims=True)
    unit: NDArray[np.float32] = grid / np.linalg.norm(grid, axis=1, keepdims=True)
    return unit.astype(np.float32)


@pytest.fixture
def lfw(identities: Path, tmp_path: Path) -> Path:
    """Two folds of two matched and two mismatched pairs, made of the small identities."""
    people = scan_identities(identities)[:4]
    for person in people:
        folder = tmp_path / "aligned" / person.name
        folder.mkdir(parents=True)
        for number, path in enumerate(person.paths, start=1):
            (folder / f"{person.name}_{number:04d}.jpg").symlink_to(path)
    a, b, c, d = (person.name for person in people)
    lines = [
        "2\t2",
        f"{a}\t1\t2", f"{b}\t1\t3", f"{a}\t1\t{b}\t1", f"{c}\t2\t{d}\t1",
        f"{c}\t1\t2", f"{d}\t1\t3", f"{a}\t1\t{c}\t1", f"{b}\t2\t{d}\t1",
    ]  # fmt: skip
    (tmp_path / "pairs.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


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


def test_held_out_figures_tell_good_embeddings_from_bad_ones(identities: Path) -> None:
    """Patterns by their colours are found; embeddings at random are not."""
    people = tuple(scan_identities(identities))
    rng = np.random.default_rng(0)

    def at_random(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        vectors = rng.normal(size=(len(crops), 16)).astype(np.float32)
        unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    good, bad = holdout_figures(mean_colours, people), holdout_figures(at_random, people)
    assert good["sharp/rank1"] == 1.0
    assert good["sharp/fnir_at_fpir_1e-2"] < 0.1
    assert bad["all/fnir_at_fpir_1e-2"] > 0.8
