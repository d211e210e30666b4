"""What a data folder must hold after changes that are known one by one.

A state has galleries by name, people by external id, and each person's templates by the seed
that makes their vector. Every template's face id is its seed, so that a state is read back from
SQL without remembering any id of the store.

Shapes: N vectors, D embedding dimension.
"""

import functools
import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from index.records import EMBEDDING_DIMENSION, NewTemplate

FINGERPRINT = "a" * 64

MOST_PEOPLE = 300
"""The state stays small, so that each restart can be checked completely."""

_MOST_GALLERIES = 4
_NUM_GONE = 400

Kind = Literal[
    "create",
    "delete",
    "enroll",
    "remove_subject",
    "remove_template",
    "rename",
    "maintain",
    "rotate",
    "retire",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A person of a gallery."""

    name: str | None
    seeds: frozenset[int]


Gallery = dict[str, Person]
"""People by external id."""

State = dict[str, Gallery]
"""Galleries by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One call that a worker makes.

    Attributes:
        gallery: its name; empty where the call is about all of them.
        people: external id, name (None: leave it) and seeds; what an enroll adds, or whom another
            change is about.
        space: of a new gallery, whether it gets a secret space.
    """

    kind: Kind
    gallery: str = ""
    people: tuple[tuple[str, str | None, tuple[int, ...]], ...] = ()
    space: bool = False

    @property
    def is_removal(self) -> bool:
        """Whether it takes anybody away."""
        return self.kind in {"delete", "remove_subject", "remove_template"}

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Change":
        """Return what `to_json` gave."""
        people = tuple((key, name, tuple(seeds)) for key, name, seeds in data["people"])
        return cls(**{**data, "people": people})


def after(state: State, change: Change) -> State:
    """Return the state that a change makes of another, which stays as it is."""
    new = dict(state)
    match change.kind:
        case "create":
            new[change.gallery] = {}
        case "delete":
            new.pop(change.gallery, None)
        case "enroll" | "remove_subject" | "remove_template" | "rename":
            if change.gallery in state:
                new[change.gallery] = _changed(state[change.gallery], change)
    return new


def _changed(gallery: Gallery, change: Change) -> Gallery:
    people = dict(gallery)
    for key, name, seeds in change.people:
        known = people.get(key)
        if change.kind == "enroll":
            before = known or Person(name=name, seeds=frozenset())
            people[key] = replace(before, seeds=before.seeds | set(seeds))
        elif known is None:
            continue
        elif change.kind == "remove_subject":
            del people[key]
        elif change.kind == "remove_template":
            people[key] = replace(known, seeds=known.seeds - set(seeds))
        else:
            people[key] = replace(known, name=name)
    return people


@dataclass(slots=True, kw_only=True)
class Expected:
    """What is known of a data folder from outside.

    Attributes:
        state: by all changes that were acknowledged.
        open: changes that were begun and never acknowledged: each is there or is not.
        gone: seeds of removed templates, the newest last.
        next_seed: no template has had it yet.
        old_keys: whether the key file has keys besides the current one.
        sealed: whether there is a key file.
    """

    sealed: bool
    state: State = field(default_factory=dict)
    open: list[Change] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)
    next_seed: int = 0
    old_keys: bool = False

    def candidates(self) -> Iterator[tuple[State, tuple[Change, ...]]]:
        """Yield the states that may be there, each with those of the open changes in it."""
        for num in range(len(self.open) + 1):
            for made in itertools.combinations(self.open, num):
                yield functools.reduce(after, made, self.state), made

    def begin(self, change: Change) -> None:
        """Remember that a change was begun."""
        self.open.append(change)
        seeds = [seed for _, _, some in change.people for seed in some]
        self.next_seed = max([self.next_seed, *(seed + 1 for seed in seeds)])

    def acknowledge(self) -> None:
        """The change that was begun last is done."""
        self._advance(after(self.state, self.open[-1]))
        change = self.open.pop()
        self.old_keys = (self.old_keys or change.kind == "rotate") and change.kind != "retire"

    def resolve(self, made: Sequence[Change], *, keep: Sequence[Change] = ()) -> None:
        """Take over what a look into the database has shown of the open changes.

        Args:
            made: those that are there.
            keep: those that are not there yet, but may come with the next start.
        """
        self._advance(functools.reduce(after, made, self.state))
        self.old_keys = self.old_keys or any(each.kind == "rotate" for each in self.open)
        self.open = list(keep)

    def _advance(self, new: State) -> None:
        self.gone += sorted(seeds_of(self.state) - seeds_of(new))
        del self.gone[:-_NUM_GONE]
        self.state = new


def seeds_of(state: State) -> set[int]:
    """Return the seeds of all templates."""
    return {
        seed for gallery in state.values() for person in gallery.values() for seed in person.seeds
    }


@functools.lru_cache(maxsize=8 * MOST_PEOPLE)
def vector(seed: int) -> NDArray[np.float32]:
    """Return the seed's vector (D,) float32, unit length; read-only."""
    made = np.random.default_rng(seed).standard_normal(EMBEDDING_DIMENSION)
    unit: NDArray[np.float32] = (made / np.linalg.norm(made)).astype(np.float32)
    unit.flags.writeable = False
    return unit


def template(seed: int) -> NewTemplate:
    """Return a template with the seed's vector, and the seed as its face id."""
    return NewTemplate(
        embedding=vector(seed),
        norm=21.5,
        fingerprint=FINGERPRINT,
        box=(10.0, 20.0, 110.5, 140.25),
        photo_size=(640, 480),
        landmarks=np.arange(10, dtype=np.float32).reshape(5, 2),
        confidence=0.99,
        quality=0.75,
        face_id=str(seed),
        image_id=f"image-{seed}",
        image_hash=seed.to_bytes(8, "little") * 4,
    )


class Chooser:
    """Chooses the next change at random."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def choose(self, expected: Expected) -> Change:
        """Return a change that is possible, of nobody whom an open change is about."""
        dice, state = self._dice, expected.state
        free = [name for name in sorted(state) if not _is_touched(name, expected)]
        if not free or (len(state) < _MOST_GALLERIES and dice.random() < 0.03):
            number = expected.next_seed
            space = expected.sealed and dice.random() < 0.5
            # A seed is used up, so that no gallery has another's name.
            used = (("", None, (number,)),)
            return Change(kind="create", gallery=f"g{number}", people=used, space=space)
        name = dice.choice(free)
        there = [(key, state[name][key]) for key in sorted(state[name])]
        crowded = sum(map(len, state.values())) > MOST_PEOPLE
        kind = self._kind(expected, crowded=crowded, num_people=len(there))
        if kind in {"maintain", "rotate", "retire"}:
            return Change(kind=kind)
        if kind == "delete":
            return Change(kind=kind, gallery=name)
        if kind == "enroll":
            return self._enroll(name, there, expected.next_seed)
        key, person = dice.choice(there)
        if kind == "remove_template" and person.seeds:
            seeds: tuple[int, ...] = (dice.choice(sorted(person.seeds)),)
            return Change(kind=kind, gallery=name, people=((key, None, seeds),))
        if kind == "rename":
            new = None if dice.random() < 0.3 else f"name {dice.getrandbits(60)}"
            return Change(kind=kind, gallery=name, people=((key, new, ()),))
        return Change(kind="remove_subject", gallery=name, people=((key, None, ()),))

    def _kind(self, expected: Expected, *, crowded: bool, num_people: int) -> Kind:
        keys = 2 if expected.sealed else 0
        weights: dict[Kind, int] = {
            "enroll": 6 if crowded else 45,
            "remove_subject": (45 if crowded else 14) if num_people else 0,
            "remove_template": 10 if num_people else 0,
            "rename": 8 if num_people else 0,
            "maintain": 10,
            "delete": 8 if crowded else 1,
            "rotate": 0 if expected.old_keys else keys,
            "retire": 2 * keys if expected.old_keys else 0,
        }
        return self._dice.choices(list(weights), list(weights.values()))[0]

    def _enroll(self, gallery: str, people: list[tuple[str, Person]], seed: int) -> Change:
        dice = self._dice
        seeds = iter(range(seed, seed + 1_000))
        added: list[tuple[str, str | None, tuple[int, ...]]] = []
        for _ in range(1 if dice.random() < 0.7 else dice.randint(2, 12)):
            some = tuple(itertools.islice(seeds, dice.randint(1, 3)))
            if people and dice.random() < 0.3:
                key, _ = people.pop(dice.randrange(len(people)))
                added.append((key, None, some))
            else:
                added.append((f"e{some[0]}", f"name {some[0]}", some))
        return Change(kind="enroll", gallery=gallery, people=tuple(added))


def _is_touched(gallery: str, expected: Expected) -> bool:
    return any(each.gallery == gallery for each in expected.open)
