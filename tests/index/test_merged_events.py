"""What is told and asked about somebody who is merged goes over to whoever stays."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Connection

from index.events import NewEvent, NewReview
from index.galleries import Galleries
from index.gallery import Gallery
from index.key_ring import KeyRing
from index.store import moving_store
from index.store.event_log import OLDEST
from index.store.event_rows import hold_subjects
from index.store.ids import new_ids
from index.store.merged_subjects import note_merged
from tests.index.moved import VECTORS, enroll
from tests.index.samples import FINGERPRINT, new_template
from tests.index.sealed_place import SealedPlace
from tests.index.waiting import wait_until

_CROP = b"\x89PNG of a face"


@pytest.fixture
def place(any_database_url: str | None, tmp_path: Path) -> SealedPlace:
    """An empty one, on each kind of database."""
    return SealedPlace(tmp_path, any_database_url)


@pytest.fixture
def galleries(place: SealedPlace) -> Iterator[Galleries]:
    """Its galleries."""
    with place.open() as opened:
        yield opened


@pytest.fixture
def gallery(galleries: Galleries) -> Gallery:
    """An empty one."""
    return galleries.create("people", fingerprint=FINGERPRINT)


@pytest.fixture
def anna(gallery: Gallery, bert: str) -> str:  # noqa: ARG001 - whose row comes first
    """Who goes; of whose template a crop is kept."""
    return gallery.enroll([new_template(VECTORS[0], crop=_CROP)], name="Anna").subject_id


@pytest.fixture
def bert(gallery: Gallery) -> str:
    """Who stays, without a name."""
    return enroll(gallery, 1)


def _event(gallery: Gallery, subject_id: str) -> NewEvent:
    return NewEvent(
        kind="identified",
        gallery_id=gallery.id,
        subject_id=subject_id,
        decision="match",
        face=0,
    )


def _queue(galleries: Galleries, gallery: Gallery, subject_id: str) -> str:
    """Queue a review with a crop, and tell of a match before it; returns the review's id."""
    review = NewReview(
        id=new_ids(1)[0],
        gallery_id=gallery.id,
        subject_id=subject_id,
        similarity=0.46,
        reasons=("below_match",),
        face=0,
        source="desk",
        request_id=None,
        expires_at=datetime.now(UTC) + timedelta(hours=1),
        crop=_CROP,
    )
    galleries.events.record([_event(gallery, subject_id)], reviews=[review])
    return review.id


def _told(galleries: Galleries) -> list[tuple[str, str | None]]:
    events = galleries.events.page(after=OLDEST, limit=100).events
    return [(each.kind, each.subject_id) for each in events]


def test_events_reviews_and_crops_go_over(
    place: SealedPlace, galleries: Galleries, gallery: Gallery, anna: str, bert: str
) -> None:
    """Claimed or not, at once; a door that was behind hears all, and a removal takes all."""
    claimed, waiting = (_queue(galleries, gallery, anna) for _ in range(2))
    galleries.reviews.claim(claimed, by="key-1", claim_s=60.0)
    _queue(galleries, gallery, bert)
    before = galleries.events.page(after=OLDEST, limit=100).events
    gallery.merge_subjects(anna, into=bert, dry_run=True)
    assert [subject for _, subject in _told(galleries)] == [anna, anna, bert]
    gallery.merge_subjects(anna, into=bert)
    after = galleries.events.page(after=OLDEST, limit=100).events
    assert [each.cursor for each in after] == [each.cursor for each in before]
    assert {each.subject_id for each in after} == {bert}
    found = galleries.reviews.page(state=None, limit=9)[0]
    assert [each.subject_id for each in found] == [bert] * 3
    assert galleries.reviews.get(claimed).claimed_by == "key-1"
    assert galleries.reviews.decide(claimed, "same", by="key-1", tell=True).verdict == "same"
    assert _told(galleries)[-1] == ("review_decided", bert)
    # Each crop opens for the one who stays, after a rotation of keys too.
    template_id = gallery.templates(bert)[-1].id
    assert galleries.reviews.crop(waiting) == gallery.show_crop(template_id) == _CROP
    KeyRing.rotate(place.key_file)
    galleries.store.refresh_keys()
    assert galleries.reseal() > 0
    assert galleries.reviews.crop(waiting) == gallery.show_crop(template_id) == _CROP
    gallery.remove_subject(bert)
    assert _told(galleries) == []
    assert galleries.reviews.page(state=None, limit=9) == ([], None)


def _wait_for_a_lock(url: str | None) -> None:
    assert url is not None
    waiting = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    with psycopg.connect(url, autocommit=True) as watcher:
        wait_until(lambda: watcher.execute(waiting).fetchone() is not None)


@pytest.mark.postgres
@pytest.mark.parametrize("any_database_url", ["postgres"], indirect=True)
def test_an_event_that_is_being_written_goes_over(
    place: SealedPlace, galleries: Galleries, gallery: Gallery, anna: str, bert: str
) -> None:
    """The merge waits for whoever writes about either of the two, and takes it along."""
    database = galleries.store.database
    with ThreadPoolExecutor(1) as pool:
        with database.transaction() as connection:
            galleries.events.write(connection, [_event(gallery, bert)])
            merging = pool.submit(gallery.merge_subjects, anna, into=bert)
            _wait_for_a_lock(place.url)
            # Not in a circle, though the name of the one is to be written to the other.
            galleries.events.write(connection, [_event(gallery, anna)])
        assert merging.result().subject.name == "Anna"
    assert _told(galleries) == [("identified", bert)] * 2


@pytest.mark.postgres
@pytest.mark.parametrize("any_database_url", ["postgres"], indirect=True)
def test_who_decides_during_a_merge_decides_about_whoever_stays(
    place: SealedPlace,
    galleries: Galleries,
    gallery: Gallery,
    anna: str,
    bert: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The verdict waits for the merge, and its event names the one who stays."""
    review_id = _queue(galleries, gallery, anna)
    go_on = threading.Event()

    def note_later(connection: Connection, row: int, *, gone: str, into: str) -> None:
        assert go_on.wait(60.0)
        note_merged(connection, row, gone=gone, into=into)

    monkeypatch.setattr(moving_store, "note_merged", note_later)
    with ThreadPoolExecutor(2) as pool:
        merging = pool.submit(gallery.merge_subjects, anna, into=bert)
        wait_until(lambda: _is_held(galleries, anna))
        deciding = pool.submit(galleries.reviews.decide, review_id, "same", by="key-1", tell=True)
        _wait_for_a_lock(place.url)
        go_on.set()
        merging.result()
        assert deciding.result().subject_id == bert
    assert _told(galleries) == [("identified", bert), ("review_decided", bert)]


def _is_held(galleries: Galleries, subject_id: str) -> bool:
    """Whether somebody holds a subject's row."""
    with galleries.store.database.transaction() as connection:
        connection.exec_driver_sql("SET LOCAL lock_timeout = 100")
        try:
            return not hold_subjects(connection, [subject_id])
        except Exception:
            return True
