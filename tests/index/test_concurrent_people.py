"""Many threads, and two processes, that change the same few people: SQL and memory agree."""

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from embedding.errors import (
    CropNotFound,
    RequestInvalid,
    ReviewClaimed,
    ReviewDecided,
    ReviewNotFound,
    SubjectChanged,
    SubjectNotFound,
    TemplateNotFound,
)
from index.details import DetailChange, SubjectChange
from index.events import NewEvent, NewReview
from index.galleries import Galleries
from index.gallery import Gallery
from index.records import NewTemplate, Subject
from index.store.ids import new_ids
from index.store.tables import subjects, templates
from tests.index.moved import VECTORS, named_as
from tests.index.samples import FINGERPRINT, new_template
from tests.index.sealed_place import SealedPlace

_NUM_THREADS = 6
_NUM_STEPS = 25
_NAMES = ("Anna", "Bert", "Cleo", "Dora")

_TOLD = (
    RequestInvalid,
    ReviewClaimed,
    ReviewDecided,
    ReviewNotFound,
    SubjectChanged,
    SubjectNotFound,
    TemplateNotFound,
)
"""What a caller may be answered where others were quicker; never a fault."""


@pytest.fixture
def place(any_database_url: str | None, tmp_path: Path) -> SealedPlace:
    """An empty one, on each kind of database."""
    return SealedPlace(tmp_path, any_database_url)


@pytest.fixture
def processes(place: SealedPlace) -> Iterator[list[Galleries]]:
    """The galleries as each process has them: two that share PostgreSQL, one on SQLite."""
    with ExitStack() as stack:
        opened = [stack.enter_context(place.open())]
        opened[0].create("people", fingerprint=FINGERPRINT)
        if place.url is not None:
            opened.append(stack.enter_context(place.open()))
        yield opened


def _in_threads(num: int, work: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(num) as pool:
        for future in [pool.submit(work, number) for number in range(num)]:
            future.result()


class _Caller:
    """Does something to somebody, drawn at random."""

    def __init__(self, galleries: Galleries, number: int) -> None:
        self.galleries = galleries
        self.gallery = galleries.get("people")
        self.key = f"key-{number}"
        self.draw = random.Random(number)  # noqa: S311 - draws what is tested
        self.removed: set[str] = set()

    def step(self) -> None:
        """Do one thing."""
        what = self.draw.choice(
            [
                self._enroll,
                self._enroll,
                self._enroll_again,
                self._change,
                self._move,
                self._merge,
                self._remove,
                self._remove_template,
                self._declare,
                self._queue,
                self._review,
                self._identify,
            ]
        )
        with suppress(*_TOLD):
            what()

    def _somebody(self) -> Subject:
        people = self.gallery.subjects().subjects
        if not people:
            raise SubjectNotFound("nobody is there")
        return self.draw.choice(people)

    def _new(self) -> NewTemplate:
        vector = VECTORS[self.draw.randrange(len(VECTORS))]
        return new_template(vector, crop=self.draw.choice([None, b"\x89PNG of a face"]))

    def _enroll(self) -> None:
        self.gallery.enroll([self._new()], name=self.draw.choice(_NAMES))

    def _enroll_again(self) -> None:
        self.gallery.enroll([self._new()], subject_id=self._somebody().id)

    def _change(self) -> None:
        somebody = self._somebody()
        details = DetailChange(metadata={self.key: self.draw.random()})
        name = self.draw.choice([*_NAMES, None])
        self.gallery.change_subject(
            somebody.id, SubjectChange(name=name, details=details), versions=[somebody.version]
        )

    def _move(self) -> None:
        somebody = self._somebody()
        own = [each.id for each in self.gallery.templates(somebody.id)]
        some = self.draw.sample(own, min(len(own), 2))
        self.gallery.move_templates(somebody.id, some, to_name=self.draw.choice(_NAMES))

    def _merge(self) -> None:
        self.gallery.merge_subjects(self._somebody().id, into=self._somebody().id)

    def _remove(self) -> None:
        somebody = self._somebody()
        self.gallery.erase_subject(somebody.id)
        self.removed.add(somebody.id)

    def _remove_template(self) -> None:
        own = self.gallery.templates(self._somebody().id)
        if own:
            self.gallery.erase_template(self.draw.choice(own).id)

    def _declare(self) -> None:
        one, other = self._somebody().id, self._somebody().id
        if self.draw.random() < 0.5:
            self.gallery.declare_look_alikes(one, other)
        else:
            self.gallery.withdraw_look_alikes(one, other)

    def _queue(self) -> None:
        """Tell of two people at once, as a photo of two does."""
        people = [self._somebody().id, self._somebody().id]
        events, reviews = [], []
        for face, subject_id in enumerate(people):
            review = NewReview(
                id=new_ids(1)[0],
                gallery_id=self.gallery.id,
                subject_id=subject_id,
                similarity=0.46,
                reasons=("below_match",),
                face=face,
                source=None,
                request_id=None,
                expires_at=datetime.now(UTC) + timedelta(hours=1),
                crop=b"\x89PNG of a face",
            )
            reviews.append(review)
            events.append(
                NewEvent(
                    kind="identified",
                    gallery_id=self.gallery.id,
                    subject_id=subject_id,
                    decision="review",
                    face=face,
                    review_id=review.id,
                )
            )
        self.galleries.events.record(events, reviews=reviews)

    def _review(self) -> None:
        waiting, _ = self.galleries.reviews.page(state="open", limit=5)
        if not waiting:
            return
        review = self.draw.choice(waiting)
        self.galleries.reviews.claim(review.id, by=self.key, claim_s=60.0)
        self.galleries.reviews.crop(review.id)
        self.galleries.reviews.decide(review.id, "same", by=self.key, tell=True)

    def _identify(self) -> None:
        named = named_as(self.gallery, self.draw.randrange(len(VECTORS)))
        assert named not in self.removed


def _check(galleries: Galleries, gallery: Gallery) -> None:
    """SQL agrees with itself and with the memory; every template and crop opens."""
    people = gallery.subjects(limit=1000).subjects
    with galleries.store.database.transaction() as connection:
        num_subjects = connection.scalar(select(func.count()).select_from(subjects))
        wanted = list(connection.scalars(select(templates.c.id).order_by(templates.c.id)))
    assert num_subjects == len(people)
    assert len(wanted) == sum(each.num_templates for each in people) == gallery.num_templates
    assert gallery.num_subjects == sum(each.num_templates > 0 for each in people)
    held = sorted(int(row) for ids_N, _ in gallery._memory.matrix.segments() for row in ids_N)
    assert held == wanted
    state = gallery.store.state()
    assert (state.num_subjects, state.num_templates) == (gallery.num_subjects, len(held))
    loaded = [int(row) for ids_N, _ in gallery.store.load(up_to=state.sequence) for row in ids_N]
    assert loaded == wanted
    for each in people:
        for template in gallery.templates(each.id):
            with suppress(CropNotFound):
                gallery.show_crop(template.id)
    for review in galleries.reviews.page(state=None, limit=1000)[0]:
        assert galleries.reviews.crop(review.id)
    assert galleries.audit.verify().findings == []


def test_everything_at_once(place: SealedPlace, processes: list[Galleries]) -> None:
    """Whatever is done to the same people at once ends whole, and as each answer said."""
    callers: list[_Caller] = []
    lock = threading.Lock()

    def work(number: int) -> None:
        caller = _Caller(processes[number % len(processes)], number)
        with lock:
            callers.append(caller)
        for _ in range(_NUM_STEPS):
            caller.step()

    _in_threads(_NUM_THREADS, work)
    removed = {each for caller in callers for each in caller.removed}
    for galleries in processes:
        galleries.sync()
        gallery = galleries.get("people")
        _check(galleries, gallery)
        assert not removed & {each.id for each in gallery.subjects(limit=1000).subjects}
    for galleries in processes:
        galleries.close()
    with place.open() as galleries:
        _check(galleries, galleries.get("people"))


def test_no_update_is_lost(processes: list[Galleries]) -> None:
    """Who changes what was read, under its version, writes over nobody's change."""
    subject_id = processes[0].get("people").enroll([new_template(VECTORS[0])]).subject_id

    def work(number: int) -> None:
        gallery = processes[number % len(processes)].get("people")
        num_done = 0
        while num_done < 5:
            read = gallery.subject(subject_id)
            count = int(read.details.metadata.get("count", 0))
            change = SubjectChange(details=DetailChange(metadata={"count": count + 1}))
            with suppress(SubjectChanged):
                gallery.change_subject(subject_id, change, versions=[read.version])
                num_done += 1

    _in_threads(_NUM_THREADS, work)
    for galleries in processes:
        known = galleries.get("people").subject(subject_id).details.metadata
        assert known == {"count": 5 * _NUM_THREADS}


def _one_of_two(first: Gallery, last: Gallery, subject_id: str) -> list[str]:
    """Remove and change somebody at once, under one version; returns which of them was done."""
    version = first.subject(subject_id).version
    done: list[str] = []

    def work(number: int) -> None:
        with suppress(SubjectChanged, SubjectNotFound):
            if number == 0:
                first.erase_subject(subject_id, versions=[version])
                done.append("removed")
            else:
                last.change_subject(subject_id, SubjectChange(name=None), versions=[version])
                done.append("changed")

    _in_threads(2, work)
    return done


def test_a_removal_under_a_version_takes_no_unseen_change_along(
    processes: list[Galleries],
) -> None:
    """Of a removal and a change of the same version one is done, and the other is told so."""
    first, last = processes[0].get("people"), processes[-1].get("people")
    for number in range(10):
        subject_id = first.enroll([new_template(VECTORS[0])], name=f"Anna {number}").subject_id
        done = _one_of_two(first, last, subject_id)
        there = [each.id for each in first.subjects().subjects]
        assert (done, there) in ((["removed"], []), (["changed"], [subject_id]))
        for each in there:
            first.remove_subject(each)
