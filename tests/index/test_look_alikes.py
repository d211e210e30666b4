"""Subjects that were declared look-alikes: kept in SQL, and asked at every identification."""

from pathlib import Path

import pytest

from embedding.errors import RequestInvalid, SubjectNotFound
from index.conflicts import find_conflicts
from index.decision import Identification
from index.fusion import fusion_rule
from index.galleries import Galleries
from index.gallery import Gallery
from index.records import NewSubject
from index.rules import GalleryRules
from index.transfer import export_gallery, import_gallery
from tests.index.conftest import OpenGalleries
from tests.index.samples import (
    FINGERPRINT,
    at_similarity,
    identify,
    new_template,
    unit_vectors,
)

_PROBE = unit_vectors(1)[0]


def _twins(gallery: Gallery, *, other: float = 0.6) -> tuple[str, str]:
    """A subject at 0.8 of the probe, and another one."""
    anna = gallery.enroll([new_template(at_similarity(_PROBE, 0.8))], name="Anna")
    bella = gallery.enroll([new_template(at_similarity(_PROBE, other, seed=6))], name="Bella")
    return anna.subject_id, bella.subject_id


def _told(answer: Identification) -> tuple[str, tuple[str, ...]]:
    return answer.decision, answer.reasons


@pytest.mark.parametrize("swapped", [False, True])
def test_a_match_of_one_becomes_a_review(gallery: Gallery, swapped: bool) -> None:
    """In whatever order they were declared, and until it is taken back."""
    anna, bella = _twins(gallery)
    assert identify(gallery, _PROBE).decision == "match"
    pair = (bella, anna) if swapped else (anna, bella)
    assert gallery.declare_look_alikes(*pair)
    assert not gallery.declare_look_alikes(anna, bella)
    answer = identify(gallery, _PROBE)
    assert _told(answer) == ("review", ("look_alike",))
    assert answer.subject is not None
    assert answer.subject.id == anna
    assert [set(each) for each in gallery.look_alikes()] == [{anna, bella}]
    assert gallery.withdraw_look_alikes(bella, anna)
    assert not gallery.withdraw_look_alikes(anna, bella)
    assert identify(gallery, _PROBE).decision == "match"


def test_the_younger_of_two_is_doubted_too(gallery: Gallery) -> None:
    """Whichever of them was enrolled first."""
    bella = gallery.enroll([new_template(at_similarity(_PROBE, 0.6, seed=6))]).subject_id
    anna = gallery.enroll([new_template(at_similarity(_PROBE, 0.8))]).subject_id
    gallery.declare_look_alikes(anna, bella)
    answer = gallery.identify(
        _PROBE,
        fingerprint=FINGERPRINT,
        match_threshold=0.5,
        review_threshold=0.4,
        num_candidates=1,
    )
    assert _told(answer) == ("review", ("look_alike",))


@pytest.mark.parametrize(("other", "decision"), [(0.41, "review"), (0.39, "match")])
def test_a_look_alike_below_the_review_threshold_is_no_doubt(
    gallery: Gallery, other: float, decision: str
) -> None:
    """At 0.4 or more of the probe it could be the one; below it could not."""
    gallery.declare_look_alikes(*_twins(gallery, other=other))
    assert identify(gallery, _PROBE).decision == decision


@pytest.mark.parametrize("rule", ["maximum", "centroid-best-two"])
def test_a_look_alike_counts_wherever_it_ranks(gallery: Gallery, rule: str) -> None:
    """Sixty others are closer than the twin, and one candidate is asked for."""
    anna, bella = _twins(gallery, other=0.5)
    gallery.enroll_many(
        [
            NewSubject(templates=(new_template(at_similarity(_PROBE, 0.6, seed=100 + number)),))
            for number in range(60)
        ]
    )
    gallery.declare_look_alikes(anna, bella)
    answer = gallery.identify(
        _PROBE,
        fingerprint=FINGERPRINT,
        match_threshold=0.5,
        review_threshold=0.4,
        num_candidates=1,
        fusion=fusion_rule(rule),
    )
    assert _told(answer) == ("review", ("look_alike",))
    assert [each.subject_id for each in answer.candidates] == [anna]


def test_a_pair_without_the_best_candidate_is_no_doubt(gallery: Gallery) -> None:
    """Twins behind somebody else say nothing of that one."""
    pair = [
        gallery.enroll([new_template(at_similarity(_PROBE, 0.6, seed=seed))]).subject_id
        for seed in (1, 2)
    ]
    gallery.declare_look_alikes(*pair)
    gallery.enroll([new_template(_PROBE)])
    assert identify(gallery, _PROBE).decision == "match"


def test_declarations_survive_a_restart(open_galleries: OpenGalleries) -> None:
    """They are on disk when the call returns."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        pair = _twins(gallery)
        gallery.declare_look_alikes(*pair)
    with open_galleries() as galleries:
        gallery = galleries.get("people")
        assert gallery.look_alikes() == (pair,)
        assert _told(identify(gallery, _PROBE)) == ("review", ("look_alike",))


def test_a_declaration_goes_with_either_subject(galleries: Galleries, gallery: Gallery) -> None:
    """Who is removed leaves none; the other subject and another gallery keep theirs."""
    other = galleries.create("others", fingerprint=FINGERPRINT)
    kept = _twins(other)
    other.declare_look_alikes(*kept)
    for removed in (0, 1):
        pair = _twins(gallery)
        gallery.declare_look_alikes(*pair)
        gallery.remove_subject(pair[removed])
        assert gallery.look_alikes() == ()
        assert identify(gallery, _PROBE).decision == "match"
        gallery.remove_subject(pair[1 - removed])
    assert other.look_alikes() == (kept,)
    galleries.delete("others")
    galleries.create("others", fingerprint=FINGERPRINT)
    assert galleries.get("others").look_alikes() == ()


def test_what_cannot_be_a_pair_is_refused(galleries: Galleries, gallery: Gallery) -> None:
    """One subject twice, one that is not there, and one of another gallery."""
    anna, bella = _twins(gallery)
    stranger = galleries.create("others", fingerprint=FINGERPRINT).enroll([new_template(_PROBE)])
    with pytest.raises(RequestInvalid, match="its own look-alike"):
        gallery.declare_look_alikes(anna, anna)
    for unknown in ("nobody", stranger.subject_id):
        with pytest.raises(SubjectNotFound):
            gallery.declare_look_alikes(bella, unknown)
        with pytest.raises(SubjectNotFound):
            gallery.withdraw_look_alikes(unknown, bella)


def test_a_declared_look_alike_is_no_conflict(gallery: Gallery) -> None:
    """New photos of one of them are known to look like the other; somebody third is told."""
    anna, bella = _twins(gallery, other=0.7)
    third = gallery.enroll([new_template(at_similarity(_PROBE, 0.65, seed=8))]).subject_id

    def others() -> list[str]:
        found = find_conflicts(
            gallery,
            [new_template(_PROBE)],
            subject_id=anna,
            other_threshold=0.6,
            same_threshold=0.5,
        )
        return [each.candidate.subject_id for each in found.elsewhere]

    assert others() == [bella, third]
    gallery.declare_look_alikes(bella, anna)
    assert others() == [third]


def test_the_runner_up_is_the_second_also_behind_one_candidate(gallery: Gallery) -> None:
    """The gallery's own smallest lead holds, and one that is given instead of it."""
    _twins(gallery, other=0.7)
    gallery.set_rules(GalleryRules(smallest_lead=0.2))
    assert _told(identify(gallery, _PROBE, num_candidates=1)) == ("review", ("close_runner_up",))
    sure = gallery.identify(
        _PROBE,
        fingerprint=FINGERPRINT,
        match_threshold=0.5,
        review_threshold=0.4,
        num_candidates=1,
        smallest_lead=0.05,
    )
    assert sure.decision == "match"


def test_declarations_travel_in_an_exchange_file(galleries: Galleries, tmp_path: Path) -> None:
    """They come along, also where a person has another id; whoever is missing has none."""
    pytest.importorskip("pyarrow", reason="needs the extra package exchange")
    source = galleries.create("source", fingerprint=FINGERPRINT)
    anna, bella = _twins(source)
    cleo = source.enroll([new_template(at_similarity(_PROBE, 0.1))], name="Cleo").subject_id
    source.declare_look_alikes(anna, bella)
    source.declare_look_alikes(cleo, anna)
    store = galleries._store
    file = tmp_path / "people.parquet"
    header = export_gallery(store, "source", file)
    assert set(header.look_alikes) == {(anna, bella), (anna, cleo)}
    galleries.delete("source")
    target = galleries.create("target", fingerprint=FINGERPRINT)
    known = target.enroll([new_template(unit_vectors(1, seed=4)[0])], name="Bella").subject_id
    assert import_gallery(store, "target", file).imported.num_look_alikes == 2
    assert set(map(frozenset, target.look_alikes())) == {
        frozenset((anna, known)),
        frozenset((anna, cleo)),
    }
    assert import_gallery(store, "target", file).imported.num_look_alikes == 0
