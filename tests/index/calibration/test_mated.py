"""Tests of searches for enrolled people, each without its own template."""

import numpy as np

from index.calibration.mated import MAX_ROUNDS, search_mated
from index.calibration.rules import MaxFusion
from index.calibration.templates import GalleryTemplates
from tests.index.samples import unit_vectors

RULE = MaxFusion()


def a_gallery(sizes: list[int]) -> GalleryTemplates:
    """A gallery of people with so many templates each."""
    people = np.arange(len(sizes)).repeat(sizes)
    return GalleryTemplates.of_subjects(people.tolist(), unit_vectors(sum(sizes), seed=6))


def test_own_similarity_is_that_of_the_other_templates() -> None:
    """A search finds the closest of its person's templates but itself, as a slow loop does."""
    gallery = a_gallery([2, 3, 1, 2])
    owner_T = gallery.owners()
    found = search_mated(gallery, rule=RULE, max_probes=100)
    assert found is not None
    assert sorted(found.template_M.tolist()) == [0, 1, 2, 3, 4, 6, 7]
    for place, own, subject in zip(found.template_M, found.own_M, found.subject_M, strict=True):
        rest = [
            gallery.vectors_TD[place] @ gallery.vectors_TD[other]
            for other in range(len(owner_T))
            if owner_T[other] == owner_T[place] and other != place
        ]
        assert own == np.float32(max(rest)) or abs(own - max(rest)) < 1e-6
        assert subject == owner_T[place]


def test_the_best_other_person_is_found() -> None:
    """Of people with one template, who are left as they are."""
    gallery = a_gallery([2, 1, 1, 1])
    found = search_mated(gallery, rule=RULE, max_probes=100)
    assert found is not None
    expected = [(gallery.vectors_TD[2:] @ gallery.vectors_TD[each]).max() for each in (0, 1)]
    np.testing.assert_allclose(found.other_M[np.argsort(found.template_M)], expected, atol=1e-6)


def test_nobody_with_two_templates_gives_none() -> None:
    """There is nothing to search for then."""
    assert search_mated(a_gallery([1, 1, 1]), rule=RULE, max_probes=100) is None


def test_large_galleries_are_not_searched_through() -> None:
    """At most so many searches a round, and three rounds."""
    found = search_mated(a_gallery([5] * 8), rule=RULE, max_probes=4)
    assert found is not None
    assert len(found.own_M) == 4 * MAX_ROUNDS
    assert len(set(found.template_M.tolist())) == len(found.own_M)


def test_a_miss_is_below_the_threshold_or_not_first() -> None:
    """At the threshold somebody is found, and a tie with another person is no miss."""
    gallery = a_gallery([2, 2])
    found = search_mated(gallery, rule=RULE, max_probes=100)
    assert found is not None
    found.own_M[:] = [0.5, 0.5, 0.4, 0.5]
    found.other_M[:] = [0.1, 0.6, 0.1, 0.5]
    assert found.missed(0.5).tolist() == [False, True, True, False]
