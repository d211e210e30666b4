"""Everybody plays the part that the protocol says, and searches equal loops over templates."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from tests.training.evaluation_samples import simulate
from training.data.identity_folder import IdentityFolder
from training.data.split import select_all
from training.evaluation.open_set import NOBODY, OpenSet, check_protocol, plan_open_set
from training.evaluation.searches import (
    FUSIONS,
    NO_SIMILARITY,
    NUM_KEPT,
    Fusion,
    best_other_of,
    search_all,
    search_by,
)
from training.protocols import open_set_rates, open_set_table


def plan(counts: list[int], *, templates: int = 3, strangers: int = 3) -> OpenSet:
    """The protocol for identities with these numbers of images."""
    labels_B = np.repeat(np.arange(len(counts)), counts)
    return plan_open_set(
        labels_B, num_templates=templates, stranger_max_images=strangers, name="the set"
    )


def test_parts_of_people_with_many_few_and_one_image() -> None:
    """Four images are enrolled with three, one image is a stranger, two images are neither."""
    found = plan([4, 1, 2, 6, 1], strangers=1)
    assert found.subjects_S.tolist() == [0, 3]
    assert found.templates_ST.tolist() == [[0, 1, 2], [7, 8, 9]]
    assert found.probes_R.tolist() == [3, 4, 10, 11, 12, 13]
    assert found.own_R.tolist() == [0, NOBODY, 1, 1, 1, NOBODY]
    assert found.person_R.tolist() == [0, 2, 1, 1, 1, 3]
    assert found.is_mated_R.tolist() == [True, False, True, True, True, False]
    assert found.is_stranger_R.tolist() == [False, True, False, False, False, True]
    assert found.num_stranger_people == 2
    assert found.protocol == (
        "2 people with at least 4 images are enrolled with their first 3 images and searched for "
        "with their other 4 (mated); 2 people with exactly one image are strangers and search "
        "with 2; 1 people with a number of images between these take no part"
    )


@given(
    st.lists(st.integers(1, 8), min_size=1, max_size=12),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_parts_follow_from_the_number_of_images(
    counts: list[int], templates: int, strangers: int
) -> None:
    """By a loop over people, or a refusal where fewer than two can be enrolled."""
    strangers = min(strangers, templates)
    num_enrolled = sum(count > templates for count in counts)
    if num_enrolled < 2:
        with pytest.raises(DataInvalid, match=f"{len(counts)} identities, {num_enrolled} of them"):
            plan(counts, templates=templates, strangers=strangers)
        return
    found = plan(counts, templates=templates, strangers=strangers)
    few = [count for count in counts if count <= strangers]
    enrolled = [count for count in counts if count > templates]
    assert found.num_subjects == len(enrolled)
    assert found.is_mated_R.sum() == sum(count - templates for count in enrolled)
    assert found.is_stranger_R.sum() == (sum(few) or sum(enrolled))
    assert found.num_stranger_people == (len(few) or len(enrolled))
    templates_of = set(found.templates_ST.ravel())
    assert not templates_of & set(found.probes_R[found.is_mated_R])
    assert bool(templates_of & set(found.probes_R)) is (not few)


def test_without_strangers_the_figures_are_those_of_leaving_one_out() -> None:
    """As a run's held-out people are measured."""
    people = simulate([5, 4, 7, 6, 9, 4, 5])
    found = plan([5, 4, 7, 6, 9, 4, 5])
    assert "leave one out" in found.protocol
    searches = search_all(people.embedded.unit_BD, found, fusion="maximum")
    table = open_set_table(people.embedded.unit_BD, people.labels_B)
    expected = open_set_rates(table, fpir=0.1)
    best_N = searches.best_other_R[found.is_stranger_R]
    assert int((best_N >= expected.threshold).sum()) == expected.fpir.num_errors
    assert len(best_N) == expected.fpir.num_trials
    mated = found.is_mated_R
    is_miss = searches.own_R[mated] < np.maximum(
        searches.best_other_R[mated] + 1e-9, expected.threshold
    )
    assert (int(is_miss.sum()), len(is_miss)) == (
        expected.fnir.num_errors,
        expected.fnir.num_trials,
    )


@pytest.mark.parametrize("fusion", FUSIONS)
def test_searches_equal_a_loop_over_templates(fusion: Fusion) -> None:
    """The largest similarity over templates, or that to their normalised mean."""
    counts = [5, 1, 4, 2, 6, 1]
    unit_BD = simulate(counts).embedded.unit_BD
    found = plan(counts, strangers=2)
    searches = search_all(unit_BD, found, fusion=fusion)
    for row, probe in enumerate(found.probes_R):
        fused = []
        for templates in found.templates_ST:
            if fusion == "maximum":
                fused.append(max(float(unit_BD[probe] @ unit_BD[one]) for one in templates))
            else:
                mean = np.mean([unit_BD[one] for one in templates], axis=0)
                fused.append(float(unit_BD[probe] @ mean / np.linalg.norm(mean)))
        own = found.own_R[row]
        others = {subject: value for subject, value in enumerate(fused) if subject != own}
        expected = fused[own] if own != NOBODY else NO_SIMILARITY
        assert searches.own_R[row] == pytest.approx(expected, abs=1e-6)
        assert searches.best_other_R[row] == pytest.approx(max(others.values()), abs=1e-6)
        by_rank = sorted(others, key=lambda subject: -others[subject])
        assert searches.top_subject_RK[row, : len(others)].tolist() == by_rank


def test_smaller_galleries_equal_searching_them_alone() -> None:
    """The best similarity to another subject of a gallery, over chunks of searches."""
    counts = [5] * 30 + [1] * 600
    unit_BD = simulate(counts).embedded.unit_BD
    found = plan(counts, strangers=1)
    galleries = [np.array([3, 7, 11]), np.arange(30)]
    searches = search_all(unit_BD, found, fusion="centroid", galleries=galleries)
    alone = plan([5 if number in (3, 7, 11) else 1 for number in range(30)] + [1] * 600)
    assert alone.num_subjects == 3
    kept = np.concatenate(
        [np.arange(5 * n, 5 * n + (5 if n in (3, 7, 11) else 1)) for n in range(30)]
    )
    alone_unit = np.concatenate([unit_BD[kept], unit_BD[150:]])
    alone_searches = search_all(alone_unit, alone, fusion="centroid")
    outside = searches.best_other_GR[0][found.is_stranger_R]
    np.testing.assert_allclose(
        outside, alone_searches.best_other_R[alone.is_stranger_R][27:], atol=1e-6
    )
    np.testing.assert_allclose(searches.best_other_GR[1], searches.best_other_R, atol=1e-6)


def test_a_resampled_gallery_equals_searching_the_subjects_that_were_drawn() -> None:
    """From the candidates that were kept, whoever is missing."""
    counts = [4] * 40 + [1] * 50
    unit_BD = simulate(counts).embedded.unit_BD
    found = plan(counts, strangers=1)
    rng = np.random.default_rng(0)
    is_enrolled = np.bincount(rng.integers(0, 40, 40), minlength=40) > 0
    drawn = np.flatnonzero(is_enrolled)
    searches = search_all(unit_BD, found, fusion="maximum", galleries=[drawn])
    assert searches.top_subject_RK.shape[1] == NUM_KEPT < 40
    best_R = best_other_of(searches, is_enrolled)
    np.testing.assert_array_equal(best_R, searches.best_other_GR[0])


def test_a_gallery_without_any_other_subject_finds_nobody() -> None:
    """Only the searcher is enrolled: no similarity, and no number that is not finite."""
    people = simulate([4, 4, 5])
    found = plan([4, 4, 5])
    searches = search_all(people.embedded.unit_BD, found, fusion="maximum")
    best_R = best_other_of(searches, np.array([True, False, False]))
    assert (best_R[found.own_R == 0] == NO_SIMILARITY).all()
    assert (best_R[found.own_R != 0] > -1.0).all()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([9], r"the set has 1 identities, 1 of them with at least 4 images"),
        ([3, 2, 3], r"the set has 3 identities, 0 of them .*--templates"),
        ([9, 1, 2], r"3 identities, 1 of them .*at least 2 such people"),
    ],
    ids=["one identity", "too few images", "one with enough"],
)
def test_too_few_people_are_refused(counts: list[int], message: str) -> None:
    """With what there is and what to do."""
    with pytest.raises(DataInvalid, match=message):
        plan(counts)


@pytest.mark.parametrize(("templates", "strangers"), [(0, 1), (3, 4), (3, 0)])
def test_a_protocol_where_one_person_is_both_is_refused(templates: int, strangers: int) -> None:
    """Enrolled and a stranger at once; the message names the option."""
    with pytest.raises(DataInvalid, match=r"--templates|--strangers-up-to"):
        check_protocol(templates, strangers)


@pytest.mark.data
def test_the_parts_of_lfw(shared_data: Path) -> None:
    """439 people are enrolled, 2,722 people with one image are strangers, others take no part."""
    everybody = select_all(IdentityFolder(shared_data / "lfw" / "aligned"))
    found = plan_open_set(everybody.labels_N, num_templates=3, stranger_max_images=1, name="LFW")
    assert (found.num_subjects, found.num_stranger_people) == (439, 2722)
    assert (found.is_mated_R.sum(), found.is_stranger_R.sum()) == (1114, 2722)


def test_searches_by_another_similarity_equal_a_loop() -> None:
    """Minus the distance, all probes in one piece or in several: own and best other subject."""
    unit_BD = simulate([5, 1, 4, 600, 1]).embedded.unit_BD
    found = plan([5, 1, 4, 600, 1], strangers=1)

    def near(probes_R: NDArray[np.int64]) -> NDArray[np.float32]:
        apart_RSTD = unit_BD[probes_R][:, None, None] - unit_BD[found.templates_ST][None]
        closest: NDArray[np.float32] = -np.linalg.norm(apart_RSTD, axis=-1).min(axis=-1)
        return closest

    searches = search_by(near, found)
    for row, probe in enumerate(found.probes_R):
        fused = [
            -min(float(np.linalg.norm(unit_BD[probe] - unit_BD[one])) for one in templates)
            for templates in found.templates_ST
        ]
        own = int(found.own_R[row])
        others = [value for subject, value in enumerate(fused) if subject != own]
        assert searches.best_other_R[row] == pytest.approx(max(others), abs=1e-5)
        expected = NO_SIMILARITY if own == NOBODY else fused[own]
        assert searches.own_R[row] == pytest.approx(expected, abs=1e-5)
