"""What speaks against an enroll, for photos that are right and for each way to be wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from embedding.errors import EmbeddingInvalid, ModelMismatch, RequestInvalid, SubjectNotFound
from index.conflicts import Conflicts, find_conflicts, photo_groups
from index.encryption import AesGcmSealer
from index.fusion import fusion_rule
from index.galleries import Galleries
from index.gallery import Gallery
from index.key_ring import KeyRing, SealKey
from tests.index.samples import (
    BAD_EMBEDDINGS,
    FINGERPRINT,
    OTHER_FINGERPRINT,
    at_similarity,
    new_template,
    unit_vectors,
)

_PEOPLE = unit_vectors(4)

Vector = NDArray[Any]


def _photo(person: int, *, seed: int = 500, similarity: float = 0.9) -> Vector:
    return at_similarity(_PEOPLE[person], similarity, seed=seed)


def _check(gallery: Gallery, *photos: Vector, subject_id: str | None = None) -> Conflicts:
    return find_conflicts(
        gallery,
        [new_template(each) for each in photos],
        subject_id=subject_id,
        other_threshold=0.6,
        same_threshold=0.5,
    )


def test_photos_of_somebody_new_have_no_conflict(gallery: Gallery) -> None:
    """They are alike, and nobody else's."""
    gallery.enroll([new_template(_PEOPLE[1])], name="Bert")
    found = _check(gallery, _photo(0, seed=1), _photo(0, seed=2))
    assert found == Conflicts(elsewhere=(), differing=(), groups=((0, 1),), strangers=())
    assert not found.found


def test_more_photos_of_a_subject_have_no_conflict(gallery: Gallery) -> None:
    """The subject's own templates are not somebody else's."""
    anna = gallery.enroll([new_template(_PEOPLE[0])]).subject_id
    gallery.enroll([new_template(_PEOPLE[1])])
    assert not _check(gallery, _photo(0), subject_id=anna).found


def test_a_face_that_is_enrolled_already_is_told(gallery: Gallery) -> None:
    """Which photo, which subject and how similar, whether meant for somebody new or another."""
    bert = gallery.enroll([new_template(_PEOPLE[1])], name="Bert").subject_id
    anna = gallery.enroll([new_template(_PEOPLE[0])], name="Anna").subject_id
    for subject_id in (None, anna):
        found = _check(gallery, _photo(0), _photo(1), subject_id=subject_id)
        told = {each.photo: each.candidate.subject_id for each in found.elsewhere}
        assert told == ({0: anna, 1: bert} if subject_id is None else {1: bert})
        assert found.elsewhere[-1].candidate.similarity == pytest.approx(0.9, abs=1e-5)
        assert found.found


def test_the_threshold_for_others_belongs_to_the_upper_side(gallery: Gallery) -> None:
    """A face at the threshold belongs to the other subject; one just below does not."""
    gallery.enroll([new_template(_PEOPLE[1])])
    similarity = gallery.identify(
        _photo(1), fingerprint=FINGERPRINT, match_threshold=1.0, review_threshold=1.0
    ).similarity
    assert similarity is not None
    for threshold, num in ((similarity, 1), (np.nextafter(similarity, 2.0), 0)):
        found = find_conflicts(
            gallery,
            [new_template(_photo(1))],
            subject_id=None,
            other_threshold=float(threshold),
            same_threshold=0.5,
        )
        assert len(found.elsewhere) == num


def test_each_photo_may_have_its_own_threshold_for_others(gallery: Gallery) -> None:
    """As many as photos, or it is refused."""
    gallery.enroll([new_template(_PEOPLE[1])])

    def told(*thresholds: float) -> list[int]:
        found = find_conflicts(
            gallery,
            [new_template(_photo(1, seed=1)), new_template(_photo(1, seed=2))],
            subject_id=None,
            other_threshold=thresholds,
            same_threshold=0.5,
        )
        return [each.photo for each in found.elsewhere]

    assert told(0.95, 0.85) == [1]
    assert told(0.85, 0.95) == [0]
    with pytest.raises(RequestInvalid, match="as many thresholds"):
        told(0.85)


def test_photos_of_two_people_are_told(gallery: Gallery) -> None:
    """All pairs that differ, and the photos grouped by person, the larger group first."""
    found = _check(gallery, _photo(1), _photo(0, seed=1), _photo(0, seed=2))
    assert [(each.photo, each.other_photo) for each in found.differing] == [(0, 1), (0, 2)]
    assert all(each.similarity < 0.5 for each in found.differing)
    assert found.groups == ((1, 2), (0,))
    assert found.found


def test_photos_that_others_link_are_one_group(gallery: Gallery) -> None:
    """Left and right profile differ, but both are like the photo from the front."""
    left, front = _PEOPLE[0], at_similarity(_PEOPLE[0], 0.7)
    right = (2 * float(left @ front) * front - left).astype(np.float32)
    found = _check(gallery, left, right, front)
    assert [(each.photo, each.other_photo) for each in found.differing] == [(0, 1)]
    assert found.groups == ((0, 1, 2),)
    assert not found.found


def test_a_photo_of_somebody_else_than_the_subject_is_told(gallery: Gallery) -> None:
    """Although it belongs to nobody who is enrolled: with the subject's closest template."""
    enrolled = gallery.enroll([new_template(_PEOPLE[1]), new_template(_PEOPLE[0])])
    found = _check(gallery, _photo(0), _photo(2), subject_id=enrolled.subject_id)
    assert [each.photo for each in found.strangers] == [1]
    similarities = [float(_PEOPLE[each] @ _photo(2)) for each in (1, 0)]
    closest = int(np.argmax(similarities))
    assert found.strangers[0].template_id == enrolled.template_ids[closest]
    assert found.strangers[0].similarity == pytest.approx(similarities[closest], abs=1e-6)


def test_a_subject_is_compared_under_the_fusion_rule(gallery: Gallery) -> None:
    """By the mean a subject of two people is like neither of them."""
    both = gallery.enroll([new_template(_PEOPLE[0]), new_template(_PEOPLE[1])]).subject_id
    for name, num in (("maximum", 0), ("mean", 1)):
        found = find_conflicts(
            gallery,
            [new_template(_photo(0))],
            subject_id=both,
            other_threshold=0.6,
            same_threshold=0.5,
            fusion=fusion_rule(name),
        )
        assert len(found.strangers) == num


def test_a_subject_without_templates_fits_every_photo(gallery: Gallery) -> None:
    """There is nothing to differ from."""
    enrolled = gallery.enroll([new_template(_PEOPLE[0])])
    gallery.remove_template(enrolled.template_ids[0])
    assert _check(gallery, _photo(1), subject_id=enrolled.subject_id).strangers == ()


def test_a_gallery_in_its_own_space_finds_the_same(data_folder: Path) -> None:
    """References come back as the model made them, so photos compare with them."""
    sealer = AesGcmSealer(KeyRing((SealKey.random(),)))
    with Galleries.open(data_folder, sealer=sealer) as galleries:
        gallery = galleries.create("turned", fingerprint=FINGERPRINT, space=True)
        anna = gallery.enroll([new_template(_PEOPLE[0])]).subject_id
        np.testing.assert_allclose(
            gallery.references(anna).vectors_ND, _PEOPLE[:1], rtol=0, atol=1e-6
        )
        found = _check(gallery, _photo(0), _photo(2), subject_id=anna)
        assert [each.photo for each in found.strangers] == [1]
        assert _check(gallery, _photo(0)).elsewhere[0].candidate.subject_id == anna


def test_references_are_oldest_first_with_their_vectors(gallery: Gallery) -> None:
    """Each vector stands in the row of its template; what was removed is not there."""
    enrolled = gallery.enroll(
        [new_template(each, quality=0.25 * n) for n, each in enumerate(_PEOPLE)]
    )
    gallery.remove_template(enrolled.template_ids[1])
    found = gallery.references(enrolled.subject_id)
    kept = [0, 2, 3]
    assert [each.template_id for each in found.templates] == [
        enrolled.template_ids[each] for each in kept
    ]
    np.testing.assert_array_equal(found.vectors_ND, _PEOPLE[kept])
    assert found.qualities.tolist() == [0.0, 0.5, 0.75]
    assert (np.diff(found.sequences) > 0).all()


def test_nothing_is_changed(gallery: Gallery) -> None:
    """A check enrolls nobody."""
    anna = gallery.enroll([new_template(_PEOPLE[0])]).subject_id
    before = gallery.sequence
    _check(gallery, _photo(0), _photo(1), subject_id=anna)
    assert (gallery.sequence, gallery.num_templates) == (before, 1)


@pytest.mark.parametrize("bad", BAD_EMBEDDINGS)
def test_bad_embeddings_are_refused(gallery: Gallery, bad: str) -> None:
    """As an enroll refuses them."""
    with pytest.raises(EmbeddingInvalid):
        _check(gallery, _photo(0), BAD_EMBEDDINGS[bad])


def test_what_cannot_be_compared_is_refused(gallery: Gallery) -> None:
    """No photos, another model, an unknown subject, and thresholds that are no numbers."""
    with pytest.raises(RequestInvalid, match="at least one"):
        _check(gallery)
    with pytest.raises(SubjectNotFound):
        _check(gallery, _photo(0), subject_id="nobody")
    with pytest.raises(ModelMismatch):
        find_conflicts(
            gallery,
            [new_template(_photo(0), fingerprint=OTHER_FINGERPRINT)],
            subject_id=None,
            other_threshold=0.6,
            same_threshold=0.5,
        )
    for other, same in ((float("nan"), 0.5), (0.6, float("inf"))):
        with pytest.raises(RequestInvalid, match="finite"):
            find_conflicts(
                gallery,
                [new_template(_photo(0))],
                subject_id=None,
                other_threshold=other,
                same_threshold=same,
            )


@given(num=st.integers(1, 7), seed=st.integers(0, 1000))
def test_groups_equal_repeated_squaring(num: int, seed: int) -> None:
    """Two photos are in one group exactly when a chain of links leads from one to the other."""
    linked = np.random.default_rng(seed).random((num, num)) < 0.2
    linked = linked | linked.T | np.eye(num, dtype=bool)
    reached = np.linalg.matrix_power(linked.astype(int), num) > 0
    groups = photo_groups(linked)
    assert sorted(photo for group in groups for photo in group) == list(range(num))
    for group in groups:
        assert set(np.flatnonzero(reached[group[0]])) == set(group)
