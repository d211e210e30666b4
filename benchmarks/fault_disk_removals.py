"""Removals while a disk is full: the data's, or the removal ledger's.

One that was acknowledged is never undone. One that failed has left the person, or goes with the
next change: nobody who is enrolled after it goes with it.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from benchmarks.fault_model import FINGERPRINT, template, vector
from benchmarks.fault_place import Place
from embedding.errors import StoreError
from index.galleries import Galleries
from index.gallery import Gallery
from index.ledger.entries import Removal
from index.ledger.ledger import RemovalLedger
from index.records import NewSubject

_NUM = 80
_FAILURES = 5
_AGAIN = 1_000_000
"""Added to a person's seed, of what they are enrolled with after their removal failed."""

_NO_UPKEEP_S = 3600.0
_LONG_LEDGER = 40_000
"""Entries, 5 MB: more than all else, so that a limit on files stops the ledger first."""


class People:
    """Who must be found, who must not, and whose removal failed.

    Args:
        wrong: what was not as it must be is added to it.
    """

    def __init__(self, wrong: list[str]) -> None:
        self.wrong = wrong
        self.known = set(range(_NUM))
        self.gone: set[int] = set()
        self.open: set[int] = set()

    def remove(self, gallery: Gallery, seed: int) -> bool:
        """Remove a person; returns whether it was acknowledged."""
        self.known.discard(seed)
        try:
            subject = gallery.find_subject(external_id=str(seed))
            if subject is None:
                self.wrong.append(f"person {seed} is not listed")
                return True
            gallery.remove_subject(subject.id)
        except StoreError as error:
            if type(error) is not StoreError:
                self.wrong.append(f"removing {seed}: {type(error).__name__}: {error}")
            self.open.add(seed)
            return False
        self.gone.add(seed)
        return True

    def enroll_again(self, gallery: Gallery, seed: int) -> bool:
        """Enroll a person whose removal failed; returns whether it was acknowledged."""
        try:
            gallery.enroll([template(_AGAIN + seed)], external_id=str(seed))
        except StoreError:
            return False
        self.known.add(_AGAIN + seed)
        return True

    def check(self, gallery: Gallery, when: str) -> frozenset[int]:
        """Look for everybody; returns who of those whose removal failed is there."""
        there = {seed for seed in (*self.known, *self.gone, *self.open) if _found(gallery, seed)}
        self.wrong += [f"template {each} is lost {when}" for each in self.known - there]
        self.wrong += [f"removed person {each} is back {when}" for each in self.gone & there]
        return frozenset(self.open & there)


def removals_on_a_full_disk(
    place: Place, *, full: Callable[[], None], room: Callable[[], None], long_ledger: bool
) -> list[str]:
    """Remove people on a disk that is full, and again when it is not; returns what was wrong.

    Args:
        place: empty.
        full: leaves no room, or little, on one disk.
        room: makes room again.
        long_ledger: make the ledger longer than all other files first.
    """
    people = People([])
    with _filled(place, long_ledger=long_ledger) as galleries:
        gallery = galleries.get("people")
        full()
        seeds = iter(range(_NUM - 1))
        while len(people.open) < _FAILURES and (seed := next(seeds, None)) is not None:
            people.remove(gallery, seed)
            people.check(gallery, f"after the removal of {seed}")
        if not people.open:
            people.wrong.append("no removal failed: the disk never got full")
        failed = sorted(people.open)
        for seed in failed[:2]:
            people.enroll_again(gallery, seed)
        people.check(gallery, "while full")
        room()
        for seed in failed:
            if _AGAIN + seed not in people.known and not people.enroll_again(gallery, seed):
                people.wrong.append(f"no enroll of {seed} after room was made")
        if not people.remove(gallery, _NUM - 1):
            people.wrong.append("no removal after room was made")
        galleries.maintain()
        left = people.check(gallery, "with room again")
    for when in ("after a restart", "after another restart"):
        with place.open(upkeep_s=_NO_UPKEEP_S) as galleries:
            if people.check(galleries.get("people"), when) != left:
                people.wrong.append(f"somebody whose removal failed went or came back {when}")
    return people.wrong


@contextmanager
def _filled(place: Place, *, long_ledger: bool) -> Iterator[Galleries]:
    if long_ledger:
        _make_long_ledger(place)
    with place.open(upkeep_s=_NO_UPKEEP_S) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.enroll_many(
            [
                NewSubject(external_id=str(seed), templates=(template(seed),))
                for seed in range(_NUM)
            ]
        )
        galleries.maintain()
        yield galleries


def _make_long_ledger(place: Place) -> None:
    """Begin a ledger with removals of others, as that of an old database."""
    with Galleries.open(place.data, sealer=place.sealer(), upkeep_s=_NO_UPKEEP_S) as galleries:
        database_id, key = galleries._store.database_id, galleries.secret("ledger")
    with RemovalLedger.open(place.ledger, database_id=database_id, key=key, create=True) as ledger:
        at = datetime(2026, 1, 1, tzinfo=UTC)
        ledger.append(
            [
                Removal(
                    gallery_id=str(uuid.UUID(int=1)),
                    subject_id=str(uuid.UUID(int=2 + number)),
                    template_id=None,
                    kind="subject",
                    at=at,
                )
                for number in range(_LONG_LEDGER)
            ]
        )


def _found(gallery: Gallery, seed: int) -> bool:
    answer = gallery.identify(
        vector(seed), fingerprint=FINGERPRINT, match_threshold=0.9, review_threshold=0.8
    )
    return answer.decision == "match" and (
        answer.candidates[0].subject.external_id == str(seed % _AGAIN)
    )
