"""Enroll, identify and remove in one gallery."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from embedding.errors import (
    EmbeddingInvalid,
    FaceGalleryError,
    ModelMismatch,
    NameInvalid,
    RequestInvalid,
    SubjectNotFound,
    TemplateNotFound,
)
from index.galleries import Galleries
from index.gallery import Gallery
from tests.index.samples import (
    BAD_EMBEDDINGS,
    FINGERPRINT,
    OTHER_FINGERPRINT,
    at_similarity,
    identify,
    new_template,
    unit_vectors,
)

_VECTORS = unit_vectors(40)


def test_an_enrolled_subject_is_found_by_the_next_identify(gallery: Gallery) -> None:
    """The answer names the subject, its similarity and the template that gave it."""
    enrolled = gallery.enroll([new_template(_VECTORS[0])], name="Anna", external_id="E-1")
    answer = identify(gallery, _VECTORS[0])
    assert answer.decision == "match"
    assert answer.subject == gallery.subject(enrolled.subject_id)
    assert answer.similarity == pytest.approx(1.0, abs=1e-5)
    assert [each.template_id for each in answer.candidates] == list(enrolled.template_ids)


def test_a_stranger_is_unknown(gallery: Gallery) -> None:
    """Nobody is named, and the candidates still say who comes closest."""
    gallery.enroll([new_template(_VECTORS[0])], name="Anna")
    answer = identify(gallery, _VECTORS[1])
    assert (answer.decision, answer.subject) == ("unknown", None)
    assert len(answer.candidates) == 1
    assert answer.similarity == answer.candidates[0].similarity


@pytest.mark.parametrize(
    ("similarity", "expected"), [(0.55, "match"), (0.45, "review"), (0.35, "unknown")]
)
def test_the_thresholds_decide(gallery: Gallery, similarity: float, expected: str) -> None:
    """Above 0.5 is a match, between 0.4 and 0.5 a review, below unknown."""
    gallery.enroll([new_template(_VECTORS[0])])
    answer = identify(gallery, at_similarity(_VECTORS[0], similarity))
    assert answer.decision == expected
    assert answer.similarity == pytest.approx(similarity, abs=1e-5)


def test_an_empty_gallery_knows_nobody(gallery: Gallery) -> None:
    """Without subjects the answer is unknown, without candidates."""
    answer = identify(gallery, _VECTORS[0])
    assert (answer.decision, answer.similarity, answer.candidates) == ("unknown", None, ())


def test_enroll_by_name_finds_or_creates(gallery: Gallery) -> None:
    """The second enroll under a name adds to the first subject, however the name is written."""
    first = gallery.enroll([new_template(_VECTORS[0])], name="Zo\u00eb")
    second = gallery.enroll([new_template(_VECTORS[1])], name=" Zoe\u0308 ")
    assert (first.created, second.created) == (True, False)
    assert first.subject_id == second.subject_id
    assert gallery.subject(first.subject_id).num_templates == 2
    assert (gallery.num_subjects, gallery.num_templates) == (1, 2)


def test_enroll_by_external_id_finds_or_creates(gallery: Gallery) -> None:
    """The second enroll under an external id adds to the first subject."""
    first = gallery.enroll([new_template(_VECTORS[0])], external_id="E-1")
    second = gallery.enroll([new_template(_VECTORS[1])], external_id="E-1")
    assert (second.subject_id, second.created) == (first.subject_id, False)


def test_enroll_by_subject_id_adds(gallery: Gallery) -> None:
    """An existing subject gets further templates."""
    first = gallery.enroll([new_template(_VECTORS[0])])
    second = gallery.enroll([new_template(_VECTORS[1])], subject_id=first.subject_id)
    assert (second.subject_id, second.created) == (first.subject_id, False)


def test_enroll_without_a_label_makes_a_subject(gallery: Gallery) -> None:
    """Each such enroll is a new subject without name and external id."""
    ids = {gallery.enroll([new_template(each)]).subject_id for each in _VECTORS[:2]}
    assert len(ids) == 2
    subject = gallery.subject(ids.pop())
    assert (subject.name, subject.external_id) == (None, None)


def test_enroll_for_an_unknown_subject_writes_nothing(gallery: Gallery) -> None:
    """An id that is not there is never created."""
    with pytest.raises(SubjectNotFound):
        gallery.enroll([new_template(_VECTORS[0])], subject_id="unknown")
    assert (gallery.num_subjects, gallery.num_templates) == (0, 0)
    assert gallery.subjects().subjects == ()


def test_labels_of_two_subjects_are_refused(gallery: Gallery) -> None:
    """Name and external id must belong to one subject, and exclude the subject's id."""
    anna = gallery.enroll([new_template(_VECTORS[0])], name="Anna", external_id="E-1")
    gallery.enroll([new_template(_VECTORS[1])], name="Bert", external_id="E-2")
    gallery.enroll([new_template(_VECTORS[2])], name="Cleo")
    both = gallery.enroll([new_template(_VECTORS[3])], name="Anna", external_id="E-1")
    assert both.subject_id == anna.subject_id
    for name, external_id in (("Anna", "E-2"), ("Anna", "E-3"), ("Cleo", "E-4")):
        with pytest.raises(RequestInvalid, match="same subject"):
            gallery.enroll([new_template(_VECTORS[4])], name=name, external_id=external_id)
    with pytest.raises(RequestInvalid, match="by its id"):
        gallery.enroll([new_template(_VECTORS[4])], subject_id=anna.subject_id, name="Anna")
    assert (gallery.num_subjects, gallery.num_templates) == (3, 4)


@pytest.mark.parametrize("embedding", BAD_EMBEDDINGS.values(), ids=BAD_EMBEDDINGS.keys())
def test_one_bad_template_of_several_leaves_nothing(
    gallery: Gallery, embedding: NDArray[np.float32]
) -> None:
    """Neither SQL nor memory holds anything of an enroll that was refused."""
    with pytest.raises(EmbeddingInvalid):
        gallery.enroll([new_template(_VECTORS[0]), new_template(embedding)], name="Anna")
    assert gallery.subjects().subjects == ()
    assert identify(gallery, _VECTORS[0]).candidates == ()
    with pytest.raises(EmbeddingInvalid):
        identify(gallery, embedding)


@pytest.mark.parametrize("name", ["a/b", "a\\b", "a\0b", "a" * 10_000, "", "\n"])
def test_a_bad_label_leaves_nothing(gallery: Gallery, name: str) -> None:
    """Slashes, NUL and 10,000 characters are refused as name, external id and new name."""
    with pytest.raises(NameInvalid):
        gallery.enroll([new_template(_VECTORS[0])], name=name)
    with pytest.raises(NameInvalid):
        gallery.enroll([new_template(_VECTORS[0])], external_id=name)
    assert (gallery.num_subjects, gallery.num_templates) == (0, 0)
    enrolled = gallery.enroll([new_template(_VECTORS[0])], name="Anna")
    with pytest.raises(NameInvalid):
        gallery.rename(enrolled.subject_id, name=name)
    assert gallery.subject(enrolled.subject_id).name == "Anna"


def test_another_models_embedding_is_refused(gallery: Gallery) -> None:
    """Enroll and identify name the first twelve characters of both fingerprints."""
    gallery.enroll([new_template(_VECTORS[0])], name="Anna")
    both = f"{FINGERPRINT[:12]}.*{OTHER_FINGERPRINT[:12]}"
    with pytest.raises(ModelMismatch, match=both) as caught:
        gallery.identify(
            _VECTORS[0],
            fingerprint=OTHER_FINGERPRINT,
            match_threshold=0.5,
            review_threshold=0.4,
        )
    assert FINGERPRINT not in str(caught.value)
    other = new_template(_VECTORS[1], fingerprint=OTHER_FINGERPRINT)
    with pytest.raises(ModelMismatch, match=both):
        gallery.enroll([new_template(_VECTORS[1]), other], name="Anna")
    assert gallery.num_templates == 1


@pytest.mark.parametrize("num_candidates", [0, -1, 4097])
def test_a_senseless_number_of_candidates_is_refused(
    gallery: Gallery, num_candidates: int
) -> None:
    """At least one and at most 4096 candidates can be asked for."""
    with pytest.raises(RequestInvalid, match="num_candidates"):
        identify(gallery, _VECTORS[0], num_candidates=num_candidates)


def test_many_templates_of_one_subject_hide_nobody(gallery: Gallery) -> None:
    """The search widens until other subjects come out, too."""
    crowd = [at_similarity(_VECTORS[0], 0.9, seed=seed) for seed in range(1000, 1200)]
    gallery.enroll([new_template(each) for each in crowd], name="crowd")
    for number in range(1, 5):
        gallery.enroll([new_template(_VECTORS[number])], name=f"person {number}")
    answer = identify(gallery, _VECTORS[0])
    assert len({each.subject_id for each in answer.candidates}) == 5
    assert answer.subject is not None
    assert answer.subject.name == "crowd"


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    owners=st.lists(st.integers(0, 6), min_size=1, max_size=30),
    qualities=st.lists(st.sampled_from([0.25, 0.5]), min_size=30, max_size=30),
    num_candidates=st.integers(1, 8),
    seed=st.integers(0, 3),
)
def test_candidates_equal_a_slow_ranking_of_all_templates(
    galleries: Galleries,
    owners: list[int],
    qualities: list[float],
    num_candidates: int,
    seed: int,
) -> None:
    """The best subjects come out in the order of similarity, quality and time, ties included."""
    # Few different vectors, so that many templates tie.
    vectors = unit_vectors(5, seed=seed)
    gallery = galleries.create("drawn", fingerprint=FINGERPRINT)
    try:
        best: dict[str, tuple[float, float, int]] = {}
        for place, owner in enumerate(owners):
            vector, quality = vectors[place % 5], qualities[place]
            gallery.enroll([new_template(vector, quality=quality)], name=f"person {owner}")
            key = (-round(float(vector @ vectors[0]), 5), -quality, place)
            best[f"person {owner}"] = min(best.get(f"person {owner}", key), key)
        expected = sorted(best, key=lambda name: best[name])[:num_candidates]
        answer = identify(gallery, vectors[0], num_candidates=num_candidates)
        assert [each.subject.name for each in answer.candidates] == expected
    finally:
        galleries.delete("drawn")


def test_few_candidates_of_a_large_gallery_are_the_closest(gallery: Gallery) -> None:
    """A search that looks at a part of the templates only gives what comparing all gives."""
    vectors = unit_vectors(150, seed=7)
    for number, each in enumerate(vectors):
        gallery.enroll([new_template(each)], name=str(number))
    for probe in unit_vectors(5, seed=8):
        closest = np.argsort(-(vectors @ probe))[:3]
        answer = identify(gallery, probe, num_candidates=3)
        assert [each.subject.name for each in answer.candidates] == [str(n) for n in closest]


def test_a_removed_subject_is_never_named_again(gallery: Gallery) -> None:
    """After the removal neither the face, the id nor the name leads to it."""
    enrolled = gallery.enroll([new_template(each) for each in _VECTORS[:3]], name="Anna")
    gallery.enroll([new_template(_VECTORS[3])], name="Bert")
    assert gallery.remove_subject(enrolled.subject_id) == 3
    assert [each.subject.name for each in identify(gallery, _VECTORS[0]).candidates] == ["Bert"]
    assert gallery.find_subject(name="Anna") is None
    assert (gallery.num_subjects, gallery.num_templates) == (1, 1)
    for call in (gallery.subject, gallery.templates, gallery.remove_subject):
        with pytest.raises(SubjectNotFound):
            call(enrolled.subject_id)
    with pytest.raises(TemplateNotFound):
        gallery.template(enrolled.template_ids[0])


def test_who_is_removed_between_search_and_look_up_is_not_named(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A search lets removals go on, and what it found is looked up only after it."""
    anna = gallery.enroll([new_template(_VECTORS[0])], name="Anna").subject_id
    ben = gallery.enroll([new_template(_VECTORS[1])], name="Ben").subject_id
    matrix = gallery._memory.matrix
    search = matrix.search

    def then_removed(
        queries_QD: NDArray[np.float32], num: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        found = search(queries_QD, num)
        gallery.remove_subject(anna)
        return found

    monkeypatch.setattr(matrix, "search", then_removed)
    answer = identify(gallery, _VECTORS[0])
    assert answer.decision == "unknown"
    assert [each.subject_id for each in answer.candidates] == [ben]


def test_a_name_is_free_after_its_subject_was_removed(gallery: Gallery) -> None:
    """The name makes a new subject with a new id."""
    old = gallery.enroll([new_template(_VECTORS[0])], name="Anna")
    gallery.remove_subject(old.subject_id)
    new = gallery.enroll([new_template(_VECTORS[0])], name="Anna")
    assert new.created
    assert new.subject_id != old.subject_id


def test_a_removed_template_matches_no_more(gallery: Gallery) -> None:
    """Its subject stays with the others; without any it is no longer counted, nor found."""
    enrolled = gallery.enroll([new_template(each) for each in _VECTORS[:2]], name="Anna")
    gallery.remove_template(enrolled.template_ids[0])
    assert identify(gallery, _VECTORS[0]).decision == "unknown"
    assert identify(gallery, _VECTORS[1]).decision == "match"
    assert gallery.num_subjects == 1
    gallery.remove_template(enrolled.template_ids[1])
    assert identify(gallery, _VECTORS[1]).candidates == ()
    assert (gallery.num_subjects, gallery.num_templates) == (0, 0)
    assert gallery.subject(enrolled.subject_id).num_templates == 0
    with pytest.raises(TemplateNotFound):
        gallery.remove_template(enrolled.template_ids[1])
    gallery.enroll([new_template(_VECTORS[1])], subject_id=enrolled.subject_id)
    assert gallery.num_subjects == 1


def test_a_subject_can_be_renamed_and_its_name_erased(gallery: Gallery) -> None:
    """The id stays; the old name is free; None erases name and external id."""
    enrolled = gallery.enroll([new_template(_VECTORS[0])], name="Anna", external_id="E-1")
    assert gallery.rename(enrolled.subject_id, name=" Anne ").name == "Anne"
    assert gallery.find_subject(name="Anna") is None
    assert gallery.rename(enrolled.subject_id, name=None).name is None
    changed = gallery.set_external_id(enrolled.subject_id, external_id="E-2")
    assert gallery.find_subject(external_id="E-2") == changed
    assert gallery.set_external_id(enrolled.subject_id, external_id=None).external_id is None
    with pytest.raises(SubjectNotFound):
        gallery.rename("unknown", name="Anna")


def test_two_subjects_cannot_share_a_name(gallery: Gallery) -> None:
    """Renaming to a name that another has is refused; to one's own it is not."""
    anna = gallery.enroll([new_template(_VECTORS[0])], name="Anna", external_id="E-1")
    gallery.enroll([new_template(_VECTORS[1])], name="Bert", external_id="E-2")
    with pytest.raises(RequestInvalid, match="has this name"):
        gallery.rename(anna.subject_id, name="Bert")
    with pytest.raises(RequestInvalid, match="has this external id"):
        gallery.set_external_id(anna.subject_id, external_id="E-2")
    assert gallery.rename(anna.subject_id, name="Anna").name == "Anna"


def test_find_subject_wants_one_label(gallery: Gallery) -> None:
    """Neither none nor both."""
    for labels in ({}, {"name": "Anna", "external_id": "E-1"}):
        with pytest.raises(RequestInvalid, match="either"):
            gallery.find_subject(**labels)


def test_pages_give_every_subject_once(gallery: Gallery) -> None:
    """Following the cursors gives all subjects in the order of their enrollment."""
    names = [f"person {number}" for number in range(7)]
    for number, name in enumerate(names):
        gallery.enroll([new_template(_VECTORS[number])], name=name)
    seen: list[str | None] = []
    cursor = None
    while True:
        page = gallery.subjects(limit=3, cursor=cursor)
        seen.extend(each.name for each in page.subjects)
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == names


def test_paging_goes_on_when_subjects_are_removed(gallery: Gallery) -> None:
    """A cursor stays good when the subject that it points behind is gone."""
    ids = [gallery.enroll([new_template(each)]).subject_id for each in _VECTORS[:4]]
    page = gallery.subjects(limit=2)
    gallery.remove_subject(ids[1])
    rest = gallery.subjects(limit=2, cursor=page.next_cursor)
    assert [each.id for each in rest.subjects] == ids[2:]
    assert rest.next_cursor is None


@pytest.mark.parametrize("cursor", ["", "AAAA", "not base64!", "é", "A" * 32, "A" * 10_000])
def test_a_forged_cursor_is_refused(gallery: Gallery, cursor: str) -> None:
    """Only cursors that a page gave are read."""
    with pytest.raises(RequestInvalid, match="cursor"):
        gallery.subjects(cursor=cursor)


def test_a_cursor_of_another_gallery_or_changed_is_refused(galleries: Galleries) -> None:
    """A cursor is bound to its gallery and signed."""
    one = galleries.create("one", fingerprint=FINGERPRINT)
    other = galleries.create("other", fingerprint=FINGERPRINT)
    for each in _VECTORS[:2]:
        one.enroll([new_template(each)])
    cursor = one.subjects(limit=1).next_cursor
    assert cursor is not None
    changed = ("B" if cursor[0] == "A" else "A") + cursor[1:]
    for gallery, forged in ((other, cursor), (one, changed)):
        with pytest.raises(RequestInvalid, match="cursor"):
            gallery.subjects(cursor=forged)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_senseless_page_size_is_refused(gallery: Gallery, limit: int) -> None:
    """At least one and at most 1000 subjects stand on a page."""
    with pytest.raises(RequestInvalid, match="limit"):
        gallery.subjects(limit=limit)


def test_a_template_keeps_what_cannot_be_added_later(gallery: Gallery) -> None:
    """Ids, hash, box, landmarks, confidence, quality, norm and model come back as they went in."""
    new = new_template(_VECTORS[0], face_id="f-7", image_id="i-9", quality=0.5)
    enrolled = gallery.enroll([new, new_template(_VECTORS[1])], name="Anna")
    stored = gallery.template(enrolled.template_ids[0])
    for field in (
        "face_id",
        "image_id",
        "image_hash",
        "box",
        "photo_size",
        "confidence",
        "quality",
        "norm",
        "fingerprint",
    ):
        assert getattr(stored, field) == getattr(new, field)
    np.testing.assert_array_equal(stored.landmarks, new.landmarks)
    assert stored.landmarks.dtype == np.float32
    assert stored.subject_id == enrolled.subject_id
    all_of_them = gallery.templates(enrolled.subject_id)
    assert tuple(each.id for each in all_of_them) == enrolled.template_ids
    assert all_of_them[0].sequence < all_of_them[1].sequence


def test_errors_never_hold_a_name(gallery: Gallery) -> None:
    """Messages reach logs, and a person's name must not."""
    gallery.enroll([new_template(_VECTORS[0])], name="Ottilie", external_id="Ottilie-1")
    other = gallery.enroll([new_template(_VECTORS[1])], name="Bert")
    calls = (
        lambda: gallery.rename(other.subject_id, name="Ottilie"),
        lambda: gallery.enroll([], name="Ottilie"),
        lambda: gallery.enroll([new_template(_VECTORS[0])], name="Bert", external_id="Ottilie-1"),
        lambda: gallery.enroll([new_template(_VECTORS[0])], name="Ottilie\0"),
        lambda: gallery.subject("Ottilie"),
    )
    for call in calls:
        with pytest.raises(FaceGalleryError) as caught:
            call()
        assert "Ottilie" not in str(caught.value)
