"""Any moves, merges, enrolls and removals leave what a slow reading of the rules leaves."""

from dataclasses import dataclass, field

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from index.galleries import Galleries
from index.gallery import Gallery
from index.records import NewSubject
from index.store.merged_subjects import merged_into
from tests.index.moved import VECTORS, counts, named_as
from tests.index.samples import FINGERPRINT, new_template

_PEOPLE = 4
_STEPS = st.tuples(
    st.sampled_from(["move", "merge", "dry_run", "declare", "remove"]),
    st.integers(0, _PEOPLE - 1),
    st.integers(0, _PEOPLE - 1),
    st.integers(1, 3),
)


@dataclass(slots=True)
class _Model:
    """Who has which vectors, who looks like whom, and where the merged ones went."""

    owned: dict[str, list[int]]
    twins: set[frozenset[str]] = field(default_factory=set)
    went: dict[str, str] = field(default_factory=dict)

    def move(self, one: str, other: str, num: int) -> None:
        moved, self.owned[one] = self.owned[one][:num], self.owned[one][num:]
        self.owned[other] = sorted([*self.owned[other], *moved])

    def merge(self, one: str, other: str) -> None:
        self.move(one, other, len(self.owned[one]))
        del self.owned[one]
        self.twins = {
            pair if one not in pair else pair - {one} | {other} for pair in self.twins
        } - {frozenset((other,))}
        self.went = {gone: other if into == one else into for gone, into in self.went.items()}
        self.went[one] = other

    def remove(self, one: str) -> None:
        del self.owned[one]
        self.twins = {pair for pair in self.twins if one not in pair}
        self.went = {gone: into for gone, into in self.went.items() if into != one}


def _step(
    gallery: Gallery,
    model: _Model,
    step: tuple[str, int, int, int],
    ids: list[str],
    templates: list[str],
) -> None:
    what, first, second, num = step
    one, other = ids[first], ids[second]
    if one not in model.owned or other not in model.owned:
        return
    pair = frozenset((one, other))
    own = [templates[number] for number in model.owned[one][:num]]
    if what == "remove":
        gallery.remove_subject(one)
        model.remove(one)
    elif one == other:
        return
    elif what == "declare":
        gallery.declare_look_alikes(one, other)
        model.twins.add(pair)
    elif what == "move" and own:
        gallery.move_templates(one, own, to_subject_id=other)
        model.move(one, other, num)
    elif what == "dry_run" and own:
        gallery.move_templates(one, own, to_subject_id=other, dry_run=True)
        if pair not in model.twins:
            gallery.merge_subjects(one, into=other, dry_run=True)
    elif what == "merge" and pair not in model.twins:
        gallery.merge_subjects(one, into=other)
        model.merge(one, other)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(_STEPS, min_size=1, max_size=8))
def test_everybody_has_what_the_rules_say(
    galleries: Galleries, steps: list[tuple[str, int, int, int]]
) -> None:
    """Owners, names in identifications, counts, look-alikes and former ids, after each step."""
    gallery = galleries.create("drawn", fingerprint=FINGERPRINT)
    try:
        per_person = len(VECTORS) // _PEOPLE
        new = [
            NewSubject(
                templates=tuple(
                    new_template(each)
                    for each in VECTORS[person * per_person : (person + 1) * per_person]
                )
            )
            for person in range(_PEOPLE)
        ]
        enrolled = gallery.enroll_many(new)
        ids = [each.subject_id for each in enrolled]
        templates = [one for each in enrolled for one in each.template_ids]
        model = _Model(
            owned={
                each: list(range(person * per_person, (person + 1) * per_person))
                for person, each in enumerate(ids)
            }
        )
        for step in steps:
            _step(gallery, model, step, ids, templates)
            there = {each.id: each for each in gallery.subjects().subjects}
            assert there.keys() == model.owned.keys()
            for subject, numbers in model.owned.items():
                found = [each.id for each in gallery.templates(subject)]
                assert found == [templates[number] for number in numbers]
            assert counts(gallery) == (
                sum(map(bool, model.owned.values())),
                sum(map(len, model.owned.values())),
            )
            assert set(map(frozenset, gallery.look_alikes())) == model.twins
        owners = {number: who for who, numbers in model.owned.items() for number in numbers}
        found_owners = {n: who for n in range(len(VECTORS)) if (who := named_as(gallery, n))}
        undoubted = {n for n, who in owners.items() if not any(who in p for p in model.twins)}
        assert {n: found_owners.get(n) for n in undoubted} == {n: owners[n] for n in undoubted}
        store = gallery._store
        for gone in set(ids) - model.owned.keys():
            with galleries._store.database.transaction() as connection:
                assert merged_into(connection, store._row, gone) == model.went.get(gone)
    finally:
        galleries.delete("drawn")
