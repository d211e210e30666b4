"""Tests of non-mated searches: a gallery without the searcher, and strangers."""

import numpy as np
import pytest
from numpy.typing import NDArray

from embedding.errors import RequestInvalid
from index.calibration.rules import MaxFusion, SubjectBySubject, rule_for_many
from index.calibration.searches import search_itself, search_strangers
from index.calibration.strangers import Strangers
from index.calibration.templates import GalleryTemplates, read_templates
from index.decision import TemplateHit, fuse_max
from index.fusion import FUSION_RULES, fusion_rule
from index.gallery import Gallery
from tests.index.samples import at_similarity, identify, new_template, unit_vectors

SUBJECTS = [0, 0, 0, 1, 2, 2, 3, 4, 4]
VECTORS = unit_vectors(len(SUBJECTS), seed=21)


class SlowMaximum:
    """The largest similarity, by a loop."""

    name = "slow"

    def fuse(
        self,
        probe_D: NDArray[np.float32],
        templates_ND: NDArray[np.float32],
        qualities_N: NDArray[np.float64],
    ) -> float:
        """Return it."""
        assert len(templates_ND) == len(qualities_N)
        return max(float(each @ probe_D) for each in templates_ND)


def test_the_maximum_is_that_of_the_decision() -> None:
    """Each subject's similarity is that of its best hit by `fuse_max`."""
    gallery = GalleryTemplates.of_subjects(SUBJECTS, VECTORS)
    probes = unit_vectors(7, seed=22)
    fused_PS = MaxFusion().similarities(probes, gallery)
    for probe, fused_S in zip(probes, fused_PS, strict=True):
        hits = fuse_max(
            TemplateHit(
                template_id=str(place),
                subject_id=str(subject),
                similarity=float(probe @ vector),
                quality=0.5,
                sequence=place,
            )
            for place, (subject, vector) in enumerate(zip(SUBJECTS, VECTORS, strict=True))
        )
        expected = {hit.subject_id: hit.similarity for hit in hits}
        assert fused_S == pytest.approx([expected[str(each)] for each in range(5)], abs=1e-6)


@pytest.mark.parametrize("name", FUSION_RULES)
@pytest.mark.parametrize("with_quality", [True, False])
def test_every_rule_is_that_of_one_subject(name: str, with_quality: bool) -> None:
    """Many probes at once give what the rule gives of each probe and subject."""
    sizes = (1, 2, 3, 5, 6, 1, 8, 2)
    subjects = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(25)
    vectors = unit_vectors(len(subjects), seed=25)
    # The two templates of the last subject cancel each other out.
    vectors[-1] = -vectors[-2]
    qualities = rng.uniform(0.0, 1.0, len(subjects)).astype(np.float32)
    qualities[-2:] = 0.5
    qualities[subjects == 2] = 0.0
    if not with_quality:
        qualities[:] = 0.0
    order = rng.permutation(len(subjects))
    gallery = GalleryTemplates.of_subjects(
        subjects[order].tolist(), vectors[order], qualities[order]
    )
    probes = unit_vectors(6, seed=26)
    rule = rule_for_many(name)
    assert rule.name == name
    expected = SubjectBySubject(fusion_rule(name)).similarities(probes, gallery)
    np.testing.assert_allclose(rule.similarities(probes, gallery), expected, atol=1e-6)
    # Another gallery after this one is another gallery.
    other = GalleryTemplates.of_subjects([0, 0], vectors[:2])
    np.testing.assert_allclose(
        rule.similarities(probes, other),
        SubjectBySubject(fusion_rule(name)).similarities(probes, other),
        atol=1e-6,
    )


def test_a_rule_that_is_not_there_cannot_be_calibrated() -> None:
    """The message names those there are."""
    with pytest.raises(RequestInvalid, match="centroid-best-two"):
        rule_for_many("best")


def test_any_rule_for_one_subject_can_be_calibrated() -> None:
    """A rule that sees one subject at a time gives what the fast one gives."""
    gallery = GalleryTemplates.of_subjects(SUBJECTS, VECTORS)
    probes = unit_vectors(3, seed=23)
    slow = SubjectBySubject(SlowMaximum())
    assert slow.name == "slow"
    np.testing.assert_allclose(
        slow.similarities(probes, gallery), MaxFusion().similarities(probes, gallery), atol=1e-6
    )


def test_a_gallery_searches_itself_as_if_the_searcher_had_been_removed(gallery: Gallery) -> None:
    """Each template's best similarity is what the gallery answers without its subject."""
    vectors = unit_vectors(10, seed=24)
    ids = [
        gallery.enroll([new_template(vectors[2 * each]), new_template(vectors[2 * each + 1])])
        for each in range(5)
    ]
    found = search_itself(read_templates(gallery.store), rule=MaxFusion(), max_probes=100)
    assert found.num_subjects == 4
    expected = []
    for each in range(5):
        gallery.remove_subject(ids[each].subject_id)
        pair = vectors[2 * each : 2 * each + 2]
        expected += [identify(gallery, probe).similarity for probe in pair]
        gallery.enroll([new_template(probe) for probe in pair])
    assert sorted(found.best_P) == pytest.approx(sorted(filter(None, expected)), abs=1e-6)


def test_who_are_each_other_s_nearest_count_once() -> None:
    """A pair of look-alikes is one piece of evidence, though both search."""
    vectors = unit_vectors(6, seed=25)
    vectors[5] = at_similarity(vectors[0], 0.8)
    found = search_itself(
        GalleryTemplates.of_subjects(list(range(6)), vectors), rule=MaxFusion(), max_probes=100
    )
    assert found.person_P[0] == found.person_P[5]
    assert found.best_P[[0, 5]] == pytest.approx([0.8, 0.8], abs=1e-6)


def test_a_large_gallery_searches_for_some_of_its_people_only() -> None:
    """The number of searches is bounded; people are taken whole, the last one in part."""
    gallery = GalleryTemplates.of_subjects(
        [each // 3 for each in range(60)], unit_vectors(60, seed=26)
    )
    whole = search_itself(gallery, rule=MaxFusion(), max_probes=60)
    some = search_itself(gallery, rule=MaxFusion(), max_probes=10)
    assert (whole.num_probes, some.num_probes) == (60, 10)
    # A product of other rows may differ in the last digit.
    assert np.abs(some.best_P[:, None] - whole.best_P).min(axis=1).max() < 1e-6
    assert some.num_people <= 4


def test_one_person_alone_cannot_calibrate() -> None:
    """Nobody else is there to be mistaken for."""
    gallery = GalleryTemplates.of_subjects([0, 0], unit_vectors(2))
    with pytest.raises(RequestInvalid, match="at least 2 people"):
        search_itself(gallery, rule=MaxFusion(), max_probes=10)


def test_quarters_are_parts_of_the_whole() -> None:
    """The best of a gallery's quarters is the best of the gallery."""
    gallery = GalleryTemplates.of_subjects(list(range(30)), unit_vectors(30, seed=27))
    strangers = Strangers(vectors_PD=unit_vectors(9, seed=28), person_P=np.arange(9))
    found = search_strangers(strangers, gallery, rule=MaxFusion())
    assert found.quarters_PQ is not None
    np.testing.assert_array_equal(found.quarters_PQ.max(axis=1), found.best_P)


def test_templates_of_one_subject_lie_together() -> None:
    """However they were enrolled, and each keeps its quality."""
    order = [3, 0, 8, 5, 1, 7, 2, 6, 4]
    gallery = GalleryTemplates.of_subjects(
        [SUBJECTS[each] for each in order],
        VECTORS[order],
        np.array(order, np.float32),
    )
    assert gallery.owners().tolist() == SUBJECTS
    np.testing.assert_array_equal(gallery.vectors_TD, VECTORS[gallery.qualities_T.astype(int)])
    with pytest.raises(RequestInvalid, match="empty"):
        GalleryTemplates.of_subjects([], VECTORS[:0])
