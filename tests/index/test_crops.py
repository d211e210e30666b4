"""Crops of faces: sealed for what they are of, and gone with it."""

import os
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select, update

from embedding.errors import (
    CropNotFound,
    RequestInvalid,
    ReviewNotFound,
    StoreCorrupt,
    TemplateNotFound,
)
from index.events import NewReview
from index.galleries import Galleries
from index.gallery import Gallery
from index.key_ring import KeyRing
from index.rules import GalleryRules
from index.store.ids import new_ids
from index.store.tables import crops, templates, utc_now
from tests.index.clock import set_clock
from tests.index.samples import FINGERPRINT, new_template, unit_vectors
from tests.index.sealed_place import SealedPlace

_VECTORS = unit_vectors(4, seed=6)
_CROP = os.urandom(4000)


@pytest.fixture
def place(any_database_url: str | None, tmp_path: Path) -> SealedPlace:
    """An empty one, on each kind of database."""
    return SealedPlace(tmp_path, any_database_url)


def _enroll(gallery: Gallery, number: int = 0, *, crop: bytes = _CROP) -> tuple[str, str]:
    """Ids of a new subject and of its template."""
    done = gallery.enroll([new_template(_VECTORS[number], crop=crop)])
    return done.subject_id, done.template_ids[0]


def _queue(galleries: Galleries, gallery: Gallery, subject_id: str) -> str:
    new = NewReview(
        id=new_ids(1)[0],
        gallery_id=gallery.id,
        subject_id=subject_id,
        similarity=0.5,
        reasons=("below_match",),
        face=0,
        source=None,
        request_id=None,
        expires_at=utc_now() + timedelta(hours=1),
        crop=_CROP,
    )
    galleries.events.record([], reviews=[new])
    return new.id


def _num_crops(galleries: Galleries) -> int:
    with galleries._store.database.transaction() as connection:
        return connection.scalar(select(func.count()).select_from(crops)) or 0


def _sealed(galleries: Galleries) -> list[bytes]:
    with galleries._store.database.transaction() as connection:
        return list(connection.scalars(select(crops.c.sealed).order_by(crops.c.id)))


def test_it_is_given_back_and_never_in_the_clear(place: SealedPlace) -> None:
    """Of a template and of a review, also after a restart; nothing of it is readable on disk."""
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        subject_id, template_id = _enroll(gallery)
        review_id = _queue(galleries, gallery, subject_id)
        assert not any(_CROP[:16] in each for each in _sealed(galleries))
    with place.open() as galleries:
        assert galleries.get("people").show_crop(template_id) == _CROP
        assert galleries.reviews.crop(review_id) == _CROP
        shown = [each for each in galleries.audit.entries() if each.action == "crop.show"]
        assert [len(each.subjects) for each in shown] == [1, 1]
    assert _CROP[:16] not in place.bytes()


def test_what_has_none_says_so(place: SealedPlace) -> None:
    """A template without a crop, one that is not there, and a review of another gallery."""
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        done = gallery.enroll([new_template(_VECTORS[0])])
        with pytest.raises(CropNotFound):
            gallery.show_crop(done.template_ids[0])
        with pytest.raises(TemplateNotFound):
            gallery.show_crop("absent")
        review_id = _queue(galleries, gallery, done.subject_id)
        with pytest.raises(ReviewNotFound):
            galleries.reviews.crop(review_id, gallery_names=["other"])


def test_without_sealing_none_is_kept(tmp_path: Path) -> None:
    """An enroll with a crop into a store in the clear is refused, and nothing is written."""
    with Galleries.open(tmp_path / "data") as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        with pytest.raises(RequestInvalid, match="sealed"):
            _enroll(gallery)
        subject_id = gallery.enroll([new_template(_VECTORS[0])]).subject_id
        with pytest.raises(RequestInvalid, match="sealed"):
            _queue(galleries, gallery, subject_id)
        assert gallery.num_templates == 1
        assert _num_crops(galleries) == 0


def test_it_goes_with_what_it_is_of(place: SealedPlace) -> None:
    """With a template, a subject, a gallery, a template that is one too many, an old review."""
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        one, of_one = _enroll(gallery, 0)
        _queue(galleries, gallery, one)
        other, _ = _enroll(gallery, 1)
        assert _num_crops(galleries) == 3
        gallery.remove_template(of_one)
        assert _num_crops(galleries) == 2
        gallery.remove_subject(one)
        assert _num_crops(galleries) == 1
        gallery.set_rules(GalleryRules(max_templates=1))
        gallery.enroll([new_template(_VECTORS[2], crop=_CROP)], subject_id=other)
        assert _num_crops(galleries) == 1
        galleries.delete("people")
        assert _num_crops(galleries) == 0


@pytest.mark.parametrize("of", ["template", "review"])
def test_its_bytes_go_with_the_upkeep(
    place: SealedPlace, of: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even what the sealer made of it is in the database's files after the next one."""
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        subject_id = gallery.enroll([new_template(_VECTORS[0])]).subject_id
        if of == "review":
            _queue(galleries, gallery, subject_id)
        else:
            subject_id, _ = _enroll(gallery, 1)
        galleries.maintain()
        (sealed,) = _sealed(galleries)
        assert sealed[100:132] in _live(place)
        if of == "review":
            set_clock(monkeypatch, timedelta(hours=2))
        else:
            gallery.remove_subject(subject_id)
        assert galleries.maintain()
        assert sealed[100:132] not in _live(place)


def _live(place: SealedPlace) -> bytes:
    if place.url is None:
        return place.bytes()
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute(
            "SELECT current_setting('data_directory'), oid FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone()
        assert row is not None
        folder = Path(row[0]) / "base" / str(row[1])
        return b"".join(each.read_bytes() for each in folder.iterdir() if each.is_file())


def test_it_opens_as_nothing_else(place: SealedPlace) -> None:
    """Put in the place of another person's, or changed in a bit, it is refused."""
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        _, one = _enroll(gallery, 0)
        _, other = _enroll(gallery, 1, crop=b"other" * 100)
        first, second = _sealed(galleries)
        flipped = first[:-1] + bytes([first[-1] ^ 1])
        for wrong in (second, flipped):
            with galleries._store.database.transaction() as connection:
                own = select(templates.c.id).where(templates.c.public_id == one)
                connection.execute(
                    update(crops)
                    .where(crops.c.template_id == own.scalar_subquery())
                    .values(sealed=wrong)
                )
            with pytest.raises(StoreCorrupt):
                gallery.show_crop(one)
        assert gallery.show_crop(other) == b"other" * 100


def test_it_is_sealed_anew_with_the_rest(place: SealedPlace) -> None:
    """After a rotation the old key can go, and is needed until then."""
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        subject_id, template_id = _enroll(gallery)
        review_id = _queue(galleries, gallery, subject_id)
        old = KeyRing.read(place.key_file).current.id
        assert "2 crops of faces" in place.sealed_with(galleries, old)
        KeyRing.rotate(place.key_file)
        galleries.maintain()
        assert place.sealed_with(galleries, old) == []
    KeyRing.retire(place.key_file, old)
    with place.open() as galleries:
        assert galleries.get("people").show_crop(template_id) == _CROP
        assert galleries.reviews.crop(review_id) == _CROP


def test_it_moves_with_its_template(place: SealedPlace) -> None:
    """Given to another subject, by itself or in a merge, a template keeps its crop."""
    with place.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        one, template_id = _enroll(gallery, 0)
        other, _ = _enroll(gallery, 1)
        gallery.move_templates(one, [template_id], to_subject_id=other)
        assert gallery.show_crop(template_id) == _CROP
        gallery.merge_subjects(other, into=one)
        assert gallery.show_crop(template_id) == _CROP
