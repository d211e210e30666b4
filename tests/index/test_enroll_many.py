"""Many subjects in one commit: as if enrolled one after the other, or not at all."""

import time
import uuid
from typing import Any

import numpy as np
import pytest

from embedding.errors import EmbeddingInvalid, RequestInvalid, SubjectNotFound
from index.gallery import Gallery
from index.records import NewSubject
from index.store.ids import new_ids
from tests.index.samples import identify, new_template, unit_vectors

_VECTORS = unit_vectors(30)


def _new(first: int, num: int = 1, **who: Any) -> NewSubject:
    templates = tuple(new_template(each) for each in _VECTORS[first : first + num])
    return NewSubject(templates=templates, **who)


def test_it_is_as_if_each_was_enrolled_alone(gallery: Gallery) -> None:
    """New, known by name, known by external id, known by id, and twice in the same call."""
    anna = gallery.enroll([new_template(_VECTORS[0])], name="Anna")
    done = gallery.enroll_many(
        [
            _new(1, 2, name="Bert", external_id="b-1"),
            _new(3, name="Anna"),
            _new(4, external_id="b-1"),
            _new(5),
            _new(6, subject_id=anna.subject_id),
            _new(7, 3, name="Carla"),
            _new(10, name="Carla"),
        ]
    )
    assert [each.created for each in done] == [True, False, False, True, False, True, False]
    assert [len(each.template_ids) for each in done] == [2, 1, 1, 1, 1, 3, 1]
    assert done[1].subject_id == done[4].subject_id == anna.subject_id
    assert done[0].subject_id == done[2].subject_id
    assert done[5].subject_id == done[6].subject_id
    assert (gallery.num_subjects, gallery.num_templates) == (4, 11)
    for number, owner in ((0, anna), (2, done[0]), (4, done[0]), (5, done[3]), (10, done[5])):
        best = identify(gallery, _VECTORS[number]).candidates[0]
        assert best.subject.id == owner.subject_id
        assert best.similarity == pytest.approx(1.0, abs=1e-6)
    assert gallery.templates(done[5].subject_id)[-1].id == done[6].template_ids[0]


@pytest.mark.parametrize(
    ("last", "error"),
    [
        (_new(2, subject_id="nobody"), SubjectNotFound),
        (_new(2, name="Anna", external_id="other"), RequestInvalid),
        (NewSubject(templates=(), name="Carla"), RequestInvalid),
        (NewSubject(templates=(new_template(np.zeros(512, np.float32)),)), EmbeddingInvalid),
    ],
)
def test_one_that_is_refused_leaves_nothing_of_all(
    gallery: Gallery, last: NewSubject, error: type[Exception]
) -> None:
    """The subjects before it are not there either, neither in SQL nor in memory."""
    gallery.enroll([new_template(_VECTORS[0])], name="Anna", external_id="a-1")
    with pytest.raises(error):
        gallery.enroll_many([_new(1, name="Bert"), last])
    assert [each.name for each in gallery.subjects().subjects] == ["Anna"]
    assert gallery.num_templates == 1
    assert identify(gallery, _VECTORS[1]).decision == "unknown"


def test_none_changes_nothing(gallery: Gallery) -> None:
    """An empty list is no error and no change."""
    before = gallery.sequence
    assert gallery.enroll_many([]) == ()
    assert gallery.sequence == before


def test_new_ids_are_uuids_of_this_moment() -> None:
    """Each is a version-7 UUID in its usual form that says when; they ascend, none comes twice."""
    before = time.time_ns() // 1_000_000
    ids = new_ids(2000)
    after = time.time_ns() // 1_000_000
    assert ids == sorted(set(ids))
    assert len(ids) == 2000
    for each in ids:
        parsed = uuid.UUID(each)
        assert (str(parsed), parsed.version, parsed.variant) == (each, 7, uuid.RFC_4122)
        assert before <= parsed.int >> 80 <= after


def test_new_ids_differ_in_all_random_bits() -> None:
    """Over many ids every bit behind the time, but for version and variant, is set in half."""
    numbers = [uuid.UUID(each).int for each in new_ids(4000)]
    shares = [sum(each >> bit & 1 for each in numbers) / len(numbers) for bit in range(80)]
    fixed = {62: 0, 63: 1, 76: 1, 77: 1, 78: 1, 79: 0}
    for bit, share in enumerate(shares):
        assert share == fixed[bit] if bit in fixed else 0.45 < share < 0.55
