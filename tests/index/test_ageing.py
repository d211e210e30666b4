"""Ages and drifting similarities of a subject's templates."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from embedding.errors import RequestInvalid, SubjectNotFound
from index.ageing import MIN_FOR_GAP, ageing_of, due
from index.gallery import Gallery
from tests.index.samples import at_similarity, new_template, unit_vectors

_DAY = timedelta(days=1)
_VECTORS = unit_vectors(5)


def _now(gallery: Gallery, subject_id: str) -> datetime:
    """When the subject's last template was enrolled."""
    return max(each.created_at for each in gallery.templates(subject_id))


def test_ages_count_from_the_enrollment(gallery: Gallery) -> None:
    """A hundred days after the last enroll the newest template is a hundred days old."""
    anna = gallery.enroll([new_template(_VECTORS[0])], name="Anna").subject_id
    gallery.enroll([new_template(_VECTORS[1])], name="Anna")
    first, last = (each.created_at for each in gallery.templates(anna))
    found = ageing_of(gallery, anna, now=last + 100 * _DAY)
    assert found.num_templates == 2
    assert found.newest == 100 * _DAY
    assert found.oldest == 100 * _DAY + (last - first)


def test_a_clock_that_is_behind_gives_no_negative_age(gallery: Gallery) -> None:
    """A template from the future is new."""
    anna = gallery.enroll([new_template(_VECTORS[0])]).subject_id
    found = ageing_of(gallery, anna, now=datetime(2020, 1, 1, tzinfo=UTC))
    assert found.oldest == found.newest == timedelta()


def test_figures_equal_their_definition(gallery: Gallery) -> None:
    """Each photo against the older ones, and the halves against and among each other."""
    anna = gallery.enroll([new_template(each) for each in _VECTORS]).subject_id
    found = ageing_of(gallery, anna, now=datetime.now(UTC))
    similarities = _VECTORS.astype(np.float64) @ _VECTORS.T.astype(np.float64)
    older, newer = [0, 1], [2, 3, 4]
    between = np.mean([similarities[a, b] for a in older for b in newer])
    inside = [similarities[0, 1], *(similarities[a, b] for a, b in ((2, 3), (2, 4), (3, 4)))]
    assert found.between == pytest.approx(between, abs=1e-6)
    assert found.within == pytest.approx(np.mean(inside), abs=1e-6)
    assert found.gap == pytest.approx(np.mean(inside) - between, abs=1e-6)
    slow = [np.mean([similarities[row, before] for before in range(row)]) for row in range(1, 5)]
    assert found.mated == pytest.approx(slow, abs=1e-6)


def test_a_subject_that_changed_has_a_gap(gallery: Gallery) -> None:
    """Photos of then and of now are alike among themselves and not to each other."""
    then = [at_similarity(_VECTORS[0], 0.95, seed=seed) for seed in (50, 51)]
    now = [at_similarity(_VECTORS[1], 0.95, seed=seed) for seed in (52, 53)]
    anna = gallery.enroll([new_template(each) for each in (*then, *now)]).subject_id
    found = ageing_of(gallery, anna, now=datetime.now(UTC))
    assert found.gap is not None
    assert found.gap > 0.7
    assert found.mated[0] > 0.8 > 0.3 > found.mated[1]


def test_too_few_templates_leave_figures_out(gallery: Gallery) -> None:
    """None, one and two templates say less and less, and nothing is guessed."""
    enrolled = gallery.enroll([new_template(each) for each in _VECTORS[:2]])
    two = ageing_of(gallery, enrolled.subject_id, now=datetime.now(UTC))
    assert two.between == pytest.approx(float(_VECTORS[0] @ _VECTORS[1]), abs=1e-6)
    assert (two.within, two.gap, len(two.mated)) == (None, None, 1)
    gallery.remove_template(enrolled.template_ids[0])
    one = ageing_of(gallery, enrolled.subject_id, now=datetime.now(UTC))
    assert (one.num_templates, one.between, one.mated) == (1, None, ())
    gallery.remove_template(enrolled.template_ids[1])
    none = ageing_of(gallery, enrolled.subject_id, now=datetime.now(UTC))
    assert (none.num_templates, none.oldest, none.newest) == (0, None, None)


def test_subjects_with_old_templates_only_are_due(gallery: Gallery) -> None:
    """An age is reached at the limit and passed behind it; who has no template has no age."""
    anna = gallery.enroll([new_template(_VECTORS[0])], name="Anna").subject_id
    empty = gallery.enroll([new_template(_VECTORS[1])], name="Bert")
    gallery.remove_template(empty.template_ids[0])
    cleo = gallery.enroll([new_template(_VECTORS[2])], name="Cleo").subject_id
    late = _now(gallery, cleo) + 10 * _DAY
    assert [each.subject_id for each in due(gallery, now=late, max_age=9 * _DAY)] == [
        anna,
        cleo,
    ]
    assert list(due(gallery, now=_now(gallery, anna) + _DAY, max_age=_DAY)) == []


def test_subjects_who_changed_are_due(gallery: Gallery) -> None:
    """Two photos then and two now that are alike by pairs only; three photos are too few."""
    then, now = _VECTORS[0], _VECTORS[1]
    photos = [at_similarity(one, 0.95, seed=seed) for one in (then, now) for seed in (1, 2)]
    few = gallery.enroll([new_template(each) for each in (photos[0], *photos[2:])]).subject_id
    many = gallery.enroll([new_template(each) for each in photos]).subject_id
    late = _now(gallery, many)
    assert len(photos) == MIN_FOR_GAP
    assert (ageing_of(gallery, few, now=late).gap or 0.0) > 0.5
    found = due(gallery, now=late, max_age=_DAY, max_gap=0.5)
    assert [each.subject_id for each in found] == [many]
    assert list(due(gallery, now=late, max_age=_DAY)) == []


def test_what_cannot_be_counted_is_refused(gallery: Gallery) -> None:
    """A time without a zone, and a subject that is not there."""
    anna = gallery.enroll([new_template(_VECTORS[0])]).subject_id
    with pytest.raises(RequestInvalid, match="zone"):
        ageing_of(gallery, anna, now=datetime(2026, 1, 1))
    with pytest.raises(SubjectNotFound):
        ageing_of(gallery, "nobody", now=datetime.now(UTC))
