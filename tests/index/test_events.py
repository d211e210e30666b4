"""Tests of events: their order, cursors, how long they are kept, and that they go with people."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Row

from embedding.errors import CursorExpired, RequestInvalid
from index.events import EventPage, EventRules, NewEvent
from index.galleries import Galleries
from index.gallery import Gallery
from index.store import event_log
from index.store.event_log import OLDEST
from index.store.event_rows import some_events
from index.store.group_commit import GroupCommit
from tests.index.clock import set_clock
from tests.index.samples import FINGERPRINT, new_template, unit_vectors
from tests.index.waiting import wait_until

OpenGalleries = Callable[[], Galleries]

_PEOPLE = unit_vectors(4, seed=3)


def _stranger(gallery: Gallery, face: int = 0) -> NewEvent:
    return NewEvent(
        kind="identified",
        gallery_id=gallery.id,
        subject_id=None,
        decision="unknown",
        face=face,
        source="door-1",
        request_id="request-1",
    )


def _match(gallery: Gallery, subject_id: str) -> NewEvent:
    return NewEvent(
        kind="identified",
        gallery_id=gallery.id,
        subject_id=subject_id,
        decision="match",
        face=0,
    )


def _enroll(gallery: Gallery, number: int = 0) -> str:
    return gallery.enroll([new_template(_PEOPLE[number])]).subject_id


def _all(galleries: Galleries, **scope: list[str]) -> EventPage:
    return galleries.events.page(after=OLDEST, limit=1000, gallery_names=scope.get("names"))


def test_what_was_recorded_is_read_in_its_order(galleries: Galleries, gallery: Gallery) -> None:
    """Every field comes back, page by page, and the last cursor leads on to what comes next."""
    subject_id = _enroll(gallery)
    galleries.events.record([_stranger(gallery, 0), _match(gallery, subject_id)])
    first = galleries.events.page(after=OLDEST, limit=1)
    second = galleries.events.page(after=first.cursor, limit=1)
    assert (first.more, second.more) == (True, False)
    one, other = (*first.events, *second.events)
    assert (one.gallery, one.gallery_id, one.subject_id) == ("people", gallery.id, None)
    assert (one.source, one.request_id, one.decision) == ("door-1", "request-1", "unknown")
    assert (other.subject_id, other.decision, other.source) == (subject_id, "match", None)
    assert galleries.events.page(after=second.cursor, limit=1).events == ()
    galleries.events.record([_stranger(gallery, 7)])
    assert [e.face for e in galleries.events.page(after=second.cursor, limit=9).events] == [7]


def test_without_a_cursor_one_begins_now(galleries: Galleries, gallery: Gallery) -> None:
    """Nothing of before is given, and nothing of afterwards is missed."""
    galleries.events.record([_stranger(gallery, 1)])
    now = galleries.events.page(after=None, limit=10)
    galleries.events.record([_stranger(gallery, 2)])
    assert now.events == ()
    assert [e.face for e in galleries.events.page(after=now.cursor, limit=10).events] == [2]


def test_events_outlive_a_restart(open_galleries: OpenGalleries) -> None:
    """A cursor of before leads on from where it was."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        galleries.events.record([_stranger(gallery, 1)])
        cursor = _all(galleries).cursor
        galleries.events.record([_stranger(gallery, 2)])
    with open_galleries() as galleries:
        assert [e.face for e in galleries.events.page(after=cursor, limit=9).events] == [2]
        assert len(_all(galleries).events) == 2


def test_only_the_named_galleries_are_told_of(galleries: Galleries, gallery: Gallery) -> None:
    """Events of others are not there, and the cursor still goes past them."""
    other = galleries.create("other", fingerprint=FINGERPRINT)
    galleries.events.record([_stranger(gallery, 1), _stranger(other, 2), _stranger(gallery, 3)])
    mine = _all(galleries, names=["other"])
    assert [e.face for e in mine.events] == [2]
    assert mine.cursor == _all(galleries).cursor
    assert _all(galleries, names=[]).events == ()


def test_events_go_with_the_person(galleries: Galleries, gallery: Gallery) -> None:
    """From the removal on nothing tells of the person, and nothing is written of them any more."""
    ann, ben = _enroll(gallery, 0), _enroll(gallery, 1)
    galleries.events.record([_match(gallery, ann), _match(gallery, ben)])
    gallery.remove_subject(ann)
    galleries.events.record([_match(gallery, ann), _match(gallery, ben)])
    assert [e.subject_id for e in _all(galleries).events] == [ben, ben]


def test_events_go_with_the_gallery(galleries: Galleries, gallery: Gallery) -> None:
    """One with the same name later has none of them."""
    galleries.events.record([_stranger(gallery), _match(gallery, _enroll(gallery))])
    galleries.delete("people")
    galleries.create("people", fingerprint=FINGERPRINT)
    assert _all(galleries).events == ()


def _live_bytes(data_folder: Path, url: str | None) -> bytes:
    if url is None:
        return b"".join(each.read_bytes() for each in data_folder.glob("facegallery.sqlite*"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute(
            "SELECT current_setting('data_directory'), pg_relation_filepath('events'),"
            " pg_relation_filepath('reviews')"
        ).fetchone()
        assert row is not None
        return b"".join((Path(row[0]) / each).read_bytes() for each in row[1:])


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_their_bytes_go_with_the_upkeep(
    request: pytest.FixtureRequest, data_folder: Path, kind: str
) -> None:
    """What was written of a removed person is not in the database's files after the next one."""
    url = request.getfixturevalue("database_url") if kind == "postgres" else None
    with Galleries.open(data_folder, database_url=url, upkeep_s=None) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        subject_id = _enroll(gallery)
        event = NewEvent(
            kind="identified",
            gallery_id=gallery.id,
            subject_id=subject_id,
            decision="match",
            face=0,
            source="a-door-that-nobody-else-has",
        )
        galleries.events.record([event])
        assert b"a-door-that-nobody-else-has" in _live_bytes(data_folder, url)
        gallery.remove_subject(subject_id)
        assert galleries.maintain()
        assert b"a-door-that-nobody-else-has" not in _live_bytes(data_folder, url)


def test_events_of_too_long_ago_go(
    open_galleries: OpenGalleries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upkeep drops what is older than a day; a cursor of before says so, newer ones go on."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        beginning = galleries.events.page(after=None, limit=1).cursor
        galleries.events.record([_stranger(gallery, 1)])
        first = _all(galleries).cursor
        set_clock(monkeypatch, timedelta(hours=23))
        galleries.events.record([_stranger(gallery, 2)])
        set_clock(monkeypatch, timedelta(hours=25))
        galleries.maintain()
        assert [e.face for e in _all(galleries).events] == [2]
        assert len(galleries.events.page(after=first, limit=9).events) == 1
        with pytest.raises(CursorExpired, match="after=oldest"):
            galleries.events.page(after=beginning, limit=9)


def test_too_many_events_go(data_folder: Path) -> None:
    """The newest stay, as many as the rules say, and the head stays where it is."""
    rules = EventRules(max_events=3)
    with Galleries.open(data_folder, event_rules=rules) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        galleries.events.record([_stranger(gallery, face) for face in range(10)])
        newest = _all(galleries).cursor
        galleries.events.expire()
        assert [e.face for e in _all(galleries).events] == [7, 8, 9]
        assert galleries.events.page(after=newest, limit=9).events == ()
        galleries.events.record([_stranger(gallery, 10)])
        assert [e.face for e in galleries.events.page(after=newest, limit=9).events] == [10]


@pytest.mark.parametrize("cursor", ["", "AAAA", "oldest ", "é", "A" * 32, "A" * 5000, "\0"])
def test_forged_cursors_are_refused(galleries: Galleries, gallery: Gallery, cursor: str) -> None:
    """Only what this list gave is taken, not even that of another list."""
    with pytest.raises(RequestInvalid):
        galleries.events.page(after=cursor, limit=1)
    _enroll(gallery, 0)
    _enroll(gallery, 1)
    other = gallery.subjects(limit=1).next_cursor
    with pytest.raises(RequestInvalid):
        galleries.events.page(after=other, limit=1)


def test_a_cursor_from_the_future_is_expired(
    open_galleries: OpenGalleries,
) -> None:
    """After an older state was put back, who read on from a later one is told to begin again."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        galleries.events.record([_stranger(gallery)])
        later = galleries.events._cursor(galleries.events.newest() + 1)
        with pytest.raises(CursorExpired):
            galleries.events.page(after=later, limit=1)


@pytest.mark.postgres
def test_events_that_go_while_a_page_is_read_leave_no_gap(
    data_folder: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who would miss some is told to begin again, also where another process dropped them."""
    rules = EventRules(max_events=1)
    with (
        Galleries.open(data_folder, database_url=database_url, upkeep_s=None) as ours,
        Galleries.open(
            data_folder, database_url=database_url, upkeep_s=None, event_rules=rules
        ) as theirs,
    ):
        gallery = ours.create("people", fingerprint=FINGERPRINT)
        start = ours.events.page(after=None, limit=1).cursor
        ours.events.record([_stranger(gallery, face) for face in range(3)])

        def after_a_drop(*args: Any, **kwargs: Any) -> Sequence[Row[Any]]:
            theirs.events.expire()
            return some_events(*args, **kwargs)

        monkeypatch.setattr(event_log, "some_events", after_a_drop)
        with pytest.raises(CursorExpired):
            ours.events.page(after=start, limit=9)
        assert [each.face for each in _all(ours).events] == [2]


def test_concurrent_writers_leave_no_gap_for_readers(
    galleries: Galleries, gallery: Gallery
) -> None:
    """Whoever follows while many write sees each event once, in the order of the numbers."""
    num_threads, num_each = 8, 20
    cursor = galleries.events.page(after=None, limit=1).cursor

    def write(number: int) -> None:
        for place in range(num_each):
            galleries.events.record([_stranger(gallery, number * num_each + place)])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(num_threads)]
    for thread in threads:
        thread.start()
    seen: list[int] = []
    while len(seen) < num_threads * num_each:
        writing = any(thread.is_alive() for thread in threads)
        page = galleries.events.page(after=cursor, limit=7)
        seen += [each.face for each in page.events]
        cursor = page.cursor
        assert writing or page.events
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(num_threads * num_each))


@pytest.mark.postgres
def test_processes_number_their_events_in_one_row(data_folder: Path, database_url: str) -> None:
    """Two that share a database write at once; who follows sees each event once, and its order."""
    num_each = 60
    with (
        Galleries.open(data_folder, database_url=database_url) as one,
        Galleries.open(data_folder, database_url=database_url) as other,
    ):
        gallery = one.create("people", fingerprint=FINGERPRINT)
        cursor = other.events.page(after=None, limit=1).cursor

        def write(galleries: Galleries, first: int) -> None:
            for face in range(first, first + num_each):
                galleries.events.record([_stranger(gallery, face)])

        threads = [
            threading.Thread(target=write, args=(one, 0)),
            threading.Thread(target=write, args=(other, 1000)),
        ]
        for thread in threads:
            thread.start()
        seen: list[int] = []
        while len(seen) < 2 * num_each:
            writing = any(thread.is_alive() for thread in threads)
            page = other.events.page(after=cursor, limit=9)
            seen += [each.face for each in page.events]
            cursor = page.cursor
            assert writing or page.events
        for thread in threads:
            thread.join()
    for first in (0, 1000):
        assert [f for f in seen if first <= f < first + num_each] == list(
            range(first, first + num_each)
        )


def test_watchers_are_told_after_the_commit(galleries: Galleries, gallery: Gallery) -> None:
    """What a watcher reads holds what it was told of; once it is unwatched it hears nothing."""
    found: list[int] = []

    def watcher() -> None:
        found.append(galleries.events.newest())

    galleries.events.watch(watcher)
    galleries.events.record([_stranger(gallery)])
    galleries.events.unwatch(watcher)
    galleries.events.record([_stranger(gallery)])
    galleries.events.record([])
    assert found == [1]


def test_a_failed_commit_is_everybody_s_whose_rows_were_in_it() -> None:
    """Nobody is told that something is on disk that is not; the next commit is another one."""
    entered, let_go = threading.Event(), threading.Event()
    lots: list[list[int]] = []

    def write(rows: object) -> None:
        numbers = [int(each) for each in rows]  # type: ignore[attr-defined]
        lots.append(numbers)
        entered.set()
        let_go.wait(30.0)
        if 13 in numbers:
            raise OSError

    commits: GroupCommit[int] = GroupCommit(write)
    failed: list[int] = []

    def add(number: int) -> None:
        try:
            commits.add(number)
        except OSError:
            failed.append(number)

    threads = [threading.Thread(target=add, args=(1,))]
    threads[0].start()
    entered.wait(30.0)
    threads += [threading.Thread(target=add, args=(number,)) for number in (13, 14)]
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: len(commits._waiting) >= 2)
    let_go.set()
    for thread in threads:
        thread.join()
    add(15)
    assert sorted(failed) == [13, 14]
    assert [sorted(each) for each in lots] == [[1], [13, 14], [15]]
