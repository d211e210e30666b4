"""Identify under other rules than the maximum, against a slow ranking of everybody."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from index.decision import Identification
from index.fusion import FUSION_RULES, MAXIMUM, FusionRule, fusion_rule
from index.galleries import Galleries
from index.gallery import Gallery
from index.memory import MemoryOptions
from index.records import NewSubject
from index.rescoring import num_rescored
from tests.index.samples import (
    FINGERPRINT,
    at_similarity,
    identify,
    new_template,
    unit_vectors,
)

_VECTORS = unit_vectors(40)


def _identify(
    gallery: Gallery, probe: int, rule: FusionRule, *, num_candidates: int = 5
) -> Identification:
    return gallery.identify(
        _VECTORS[probe],
        fingerprint=FINGERPRINT,
        match_threshold=0.5,
        review_threshold=0.4,
        num_candidates=num_candidates,
        fusion=rule,
    )


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    owners=st.lists(st.integers(0, 6), min_size=1, max_size=25),
    num_candidates=st.integers(1, 8),
    seed=st.integers(0, 3),
)
@pytest.mark.parametrize("name", FUSION_RULES)
def test_candidates_equal_a_slow_ranking_of_everybody(
    galleries: Galleries, name: str, owners: list[int], num_candidates: int, seed: int
) -> None:
    """Each subject comes once, with the rule's figure over all its templates, best first."""
    vectors = unit_vectors(len(owners), seed=seed)
    qualities = np.random.default_rng(seed).uniform(0.0, 1.0, len(owners))
    gallery = galleries.create("drawn", fingerprint=FINGERPRINT)
    try:
        slow, new = {}, []
        for owner in set(owners):
            own = np.array(owners) == owner
            slow[f"person {owner}"] = fusion_rule(name).fuse(
                _VECTORS[0], vectors[own], qualities[own]
            )
            templates = zip(vectors[own], qualities[own].tolist(), strict=True)
            made = tuple(new_template(vector, quality=quality) for vector, quality in templates)
            new.append(NewSubject(name=f"person {owner}", templates=made))
        gallery.enroll_many(new)
        expected = sorted(slow, key=lambda one: -slow[one])[:num_candidates]
        answer = _identify(gallery, 0, fusion_rule(name), num_candidates=num_candidates)
        assert [each.subject.name for each in answer.candidates] == expected
        assert [each.similarity for each in answer.candidates] == pytest.approx(
            [slow[each] for each in expected], abs=1e-6
        )
    finally:
        galleries.delete("drawn")


def test_templates_that_no_search_found_count_too(gallery: Gallery) -> None:
    """The mean of a subject with one near and one opposite template is that of both."""
    gallery.enroll([new_template(_VECTORS[0]), new_template(-_VECTORS[0])], name="Anna")
    crowd = [at_similarity(_VECTORS[0], 0.9, seed=seed) for seed in range(100, 300)]
    gallery.enroll([new_template(each) for each in crowd], name="crowd")
    answer = _identify(gallery, 0, fusion_rule("mean"))
    assert [each.subject.name for each in answer.candidates] == ["crowd", "Anna"]
    assert answer.candidates[1].similarity == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("name", FUSION_RULES)
def test_ties_go_to_the_better_and_then_the_older_template(gallery: Gallery, name: str) -> None:
    """Subjects that are equally similar rank by quality, then by enrollment."""
    for person, quality in (("third", 0.5), ("first", 0.75), ("last", 0.5)):
        gallery.enroll([new_template(_VECTORS[1], quality=quality)], name=person)
    answer = _identify(gallery, 1, fusion_rule(name))
    assert [each.subject.name for each in answer.candidates] == ["first", "third", "last"]


def test_a_candidate_names_its_closest_template(gallery: Gallery) -> None:
    """The template to show to a person, whatever the rule made of the others."""
    near = at_similarity(_VECTORS[0], 0.9)
    enrolled = gallery.enroll([new_template(_VECTORS[1]), new_template(near)], name="Anna")
    answer = _identify(gallery, 0, fusion_rule("mean"))
    assert answer.candidates[0].template_id == enrolled.template_ids[1]


@pytest.mark.parametrize("name", FUSION_RULES)
def test_what_was_removed_counts_for_no_rule(gallery: Gallery, name: str) -> None:
    """Neither a removed template nor a removed subject."""
    anna = gallery.enroll([new_template(_VECTORS[0]), new_template(_VECTORS[1])], name="Anna")
    bert = gallery.enroll([new_template(_VECTORS[2])], name="Bert")
    gallery.remove_template(anna.template_ids[1])
    gallery.remove_subject(bert.subject_id)
    answer = _identify(gallery, 0, fusion_rule(name))
    assert [each.subject.name for each in answer.candidates] == ["Anna"]
    assert answer.similarity == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", FUSION_RULES)
def test_an_empty_gallery_knows_nobody_under_any_rule(gallery: Gallery, name: str) -> None:
    """There is nobody to rescore."""
    assert _identify(gallery, 0, fusion_rule(name)).candidates == ()


def test_the_maximum_is_the_default(gallery: Gallery) -> None:
    """Asked for or not, the answer is the same, bit for bit."""
    for number, each in enumerate(_VECTORS[1:]):
        gallery.enroll([new_template(each)], name=f"person {number // 3}")
    assert _identify(gallery, 0, MAXIMUM) == identify(gallery, _VECTORS[0])


@pytest.mark.parametrize(("name", "more"), [("maximum", 0), ("mean", 1), ("centroid", 1)])
def test_another_rule_costs_one_query_more(gallery: Gallery, name: str, more: int) -> None:
    """The templates of all subjects that are rescored come in one query."""
    for number, each in enumerate(_VECTORS[1:]):
        gallery.enroll([new_template(each)], name=f"person {number // 3}")
    usual = _num_queries(gallery, MAXIMUM)
    assert _num_queries(gallery, fusion_rule(name)) == usual + more


def _num_queries(gallery: Gallery, rule: FusionRule) -> int:
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM templates" in statement:  # Other threads ask for other things.
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        _identify(gallery, 0, rule)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return len(statements)


def test_a_subject_far_by_maximum_is_found_by_its_centroid(gallery: Gallery) -> None:
    """Templates on all sides of the probe have their middle there, and more are rescored."""
    sides = [at_similarity(_VECTORS[0], 0.5, seed=seed) for seed in range(1000, 1030)]
    gallery.enroll([new_template(each) for each in sides], name="around")
    for seed in range(100, 100 + num_rescored(1) - 1):
        gallery.enroll([new_template(at_similarity(_VECTORS[0], 0.6, seed=seed))])
    best = _identify(gallery, 0, fusion_rule("centroid"), num_candidates=1).candidates[0]
    assert best.subject.name == "around"
    assert best.similarity > 0.9


@pytest.fixture(params=["float16", "float32"])
def stored_galleries(request: pytest.FixtureRequest, data_folder: Path) -> Iterator[Galleries]:
    """Galleries whose vectors are held in either storage."""
    with Galleries.open(data_folder, options=MemoryOptions(storage=request.param)) as opened:
        yield opened


@pytest.mark.parametrize("name", FUSION_RULES)
def test_both_storages_fuse_alike(stored_galleries: Galleries, name: str) -> None:
    """What float16 rounds away is far below what decides."""
    gallery = stored_galleries.create("people", fingerprint=FINGERPRINT)
    own = np.stack([at_similarity(_VECTORS[0], 0.7, seed=seed) for seed in range(50, 54)])
    gallery.enroll([new_template(each, quality=0.5) for each in own], name="Anna")
    expected = fusion_rule(name).fuse(_VECTORS[0], own, np.full(4, 0.5))
    assert _identify(gallery, 0, fusion_rule(name)).similarity == pytest.approx(expected, abs=1e-3)
