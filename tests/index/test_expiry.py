"""People who expire: matched by nothing from that moment on, and erased as a removal does."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from embedding.errors import (
    IdempotencyKeySpent,
    RequestInvalid,
    ReviewNotFound,
    StoreError,
    SubjectNotFound,
    TemplateNotFound,
)
from index.details import DetailChange, SubjectChange
from index.events import NewEvent, NewReview
from index.fusion import fusion_rule
from index.galleries import Galleries
from index.gallery import Gallery
from index.place import Place
from index.records import NewSubject
from index.repeats import Repeatable, UsedKey
from index.store.event_log import OLDEST
from index.store.ids import new_ids
from index.transfer import export_gallery, import_gallery
from tests.index.clock import set_clock
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors

_VECTORS = unit_vectors(20)
_TERM = timedelta(hours=1)
_AFTER = timedelta(hours=2)


class _Folder:
    """Where galleries are opened; the upkeep runs when it is called."""

    def __init__(self, folder: Path, url: str | None) -> None:
        self.data = folder / "data"
        self.ledger = folder / "removals.ledger"
        self.url = url

    def open(self) -> Galleries:
        """Open them."""
        return Galleries.open(self.data, database_url=self.url, ledger=self.ledger, upkeep_s=None)


@pytest.fixture
def folder(any_database_url: str | None, tmp_path: Path) -> _Folder:
    """An empty one, on each kind of database."""
    return _Folder(tmp_path, any_database_url)


@pytest.fixture
def opened(folder: _Folder) -> Iterator[Galleries]:
    """The galleries of it."""
    with folder.open() as galleries:
        yield galleries


@pytest.fixture
def gallery(opened: Galleries) -> Gallery:
    """A gallery of Anna, who expires in an hour, and Ben, who does not."""
    gallery = opened.create("people", fingerprint=FINGERPRINT)
    _enroll(gallery, 0, name="Anna", expires=True)
    _enroll(gallery, 1, name="Ben")
    return gallery


def _enroll(gallery: Gallery, number: int, *, name: str, expires: bool = False) -> str:
    at = datetime.now(UTC) + _TERM
    return gallery.enroll(
        [new_template(_VECTORS[number])],
        name=name,
        details=DetailChange(expires_at=at) if expires else None,
    ).subject_id


def _tell(galleries: Galleries, gallery: Gallery, subject_id: str) -> str:
    """Tell of an identification, and queue a review that outlives the person; returns its id."""
    review = NewReview(
        id=new_ids(1)[0],
        gallery_id=gallery.id,
        subject_id=subject_id,
        similarity=0.46,
        reasons=("below_match",),
        face=0,
        source=None,
        request_id=None,
        expires_at=datetime.now(UTC) + 2 * _AFTER,
    )
    event = NewEvent(
        kind="identified",
        gallery_id=gallery.id,
        subject_id=subject_id,
        decision="review",
        face=0,
        review_id=review.id,
    )
    galleries.events.record([event], reviews=[review])
    return review.id


def _enroll_repeatable(gallery: Gallery, subject_id: str) -> bytes:
    """Enroll once more, with an answer that is kept for longer than the person; its code."""
    code = b"\x01" * 32
    key = UsedKey(
        caller="key-1",
        code=code,
        request_code=code,
        expires_at=datetime.now(UTC) + 2 * _AFTER,
        max_keys=9,
    )
    gallery.enroll(
        [new_template(_VECTORS[3])],
        subject_id=subject_id,
        repeatable=Repeatable(key=key, answer=lambda _: "{}"),
    )
    return code


def _id(gallery: Gallery, name: str) -> str:
    subject = gallery.find_subject(name=name)
    assert subject is not None
    return subject.id


def test_who_has_expired_is_nowhere_before_the_upkeep_ran(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not matched under any rule, not listed, not found, not shown; the other one is."""
    anna = _id(gallery, "Anna")
    assert identify(gallery, _VECTORS[0]).decision == "match"
    set_clock(monkeypatch, _AFTER)
    for rule in ("maximum", "mean"):
        answer = gallery.identify(
            _VECTORS[0],
            fingerprint=FINGERPRINT,
            match_threshold=0.5,
            review_threshold=0.4,
            fusion=fusion_rule(rule),
        )
        assert answer.decision == "unknown"
        assert [each.subject.name for each in answer.candidates] == ["Ben"]
    assert [each.name for each in gallery.subjects().subjects] == ["Ben"]
    assert gallery.find_subject(name="Anna") is None
    for asked in (gallery.subject, gallery.templates, gallery.references):
        with pytest.raises(SubjectNotFound):
            asked(anna)
    with pytest.raises(SubjectNotFound):
        gallery.rename(anna, name="Bea")
    assert identify(gallery, _VECTORS[1]).decision == "match"


def test_nothing_about_who_has_expired_is_shown(
    opened: Galleries, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No template, vector, crop, look-alike, event, review or kept answer, from that moment on."""
    anna, ben = _id(gallery, "Anna"), _id(gallery, "Ben")
    template_id = gallery.templates(anna)[0].id
    gallery.declare_look_alikes(anna, ben)
    review_id = _tell(opened, gallery, anna)
    again = _enroll_repeatable(gallery, anna)
    assert opened.reviews.get(review_id).subject_id == anna
    assert len(opened.events.page(after=OLDEST, limit=9).events) == 1
    assert opened.kept_answers.find(again) is not None
    set_clock(monkeypatch, _AFTER)
    with pytest.raises(SubjectNotFound):
        gallery.template_page(anna)
    for asked in (gallery.template, gallery.embedding, gallery.show_crop):
        with pytest.raises(TemplateNotFound):
            asked(template_id)
    assert gallery.look_alikes() == ()
    assert gallery.look_alikes_of(ben) == ()
    assert gallery.look_alikes_page() == ([], None)
    for declare in (gallery.declare_look_alikes, gallery.withdraw_look_alikes):
        with pytest.raises(SubjectNotFound):
            declare(ben, anna)
    assert opened.reviews.page(state=None, limit=9) == ([], None)
    for look in (opened.reviews.get, opened.reviews.crop):
        with pytest.raises(ReviewNotFound):
            look(review_id)
    with pytest.raises(ReviewNotFound):
        opened.reviews.claim(review_id, by="key-1", claim_s=60.0)
    assert opened.events.page(after=OLDEST, limit=9).events == ()
    with pytest.raises(IdempotencyKeySpent):
        opened.kept_answers.find(again)


def test_a_template_of_who_has_expired_can_be_removed(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the person can: nothing keeps somebody from erasing sooner."""
    template_id = gallery.templates(_id(gallery, "Anna"))[0].id
    set_clock(monkeypatch, _AFTER)
    assert gallery.erase_template(template_id).num_templates == 1


def test_who_has_expired_takes_nobodys_place(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where one candidate is asked for, it is the closest of those who are there."""
    gallery.set_rules(replace(gallery.rules(), smallest_lead=0.0))
    set_clock(monkeypatch, _AFTER)
    answer = identify(gallery, _VECTORS[0], num_candidates=1)
    assert [each.subject.name for each in answer.candidates] == ["Ben"]


def test_a_declared_look_alike_who_has_expired_is_none(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A match of one twin is no review any more once the other has expired."""
    gallery.enroll([new_template(_VECTORS[1])], name="Anna")
    gallery.declare_look_alikes(_id(gallery, "Anna"), _id(gallery, "Ben"))
    assert "look_alike" in identify(gallery, _VECTORS[1]).reasons
    set_clock(monkeypatch, _AFTER)
    assert identify(gallery, _VECTORS[1]).decision == "match"


def test_the_upkeep_erases_as_a_removal_does(
    opened: Galleries, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows, vectors, ledger, receipt and audit log are as after a removal; the other stays."""
    anna = _id(gallery, "Anna")
    set_clock(monkeypatch, _AFTER)
    assert opened.maintain()
    assert (gallery.num_subjects, gallery.num_templates) == (1, 1)
    erasure = gallery.erasure(anna)
    assert (erasure.num_templates, erasure.ledger_entry, erasure.final) == (1, 2, True)
    entry = [each for each in opened.audit.entries() if each.action == "subject.expire"]
    assert [(each.actor, dict(each.facts)) for each in entry] == [("local", {"num_templates": 1})]
    assert len(entry[0].subjects) == 1
    assert identify(gallery, _VECTORS[1]).decision == "match"
    assert opened.maintain()
    assert sum(each.action == "subject.expire" for each in opened.audit.entries()) == 1


def test_somebody_without_templates_is_erased_and_purged(
    opened: Galleries, folder: _Folder, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name leaves the files although no vector went."""
    anna = _id(gallery, "Anna")
    gallery.rename(anna, name="Nobody Else")
    gallery.remove_template(gallery.templates(anna)[0].id)
    opened.maintain()
    set_clock(monkeypatch, _AFTER)
    opened.maintain()
    assert gallery.erasure(anna).final
    if folder.url is None:
        content = b"".join(each.read_bytes() for each in folder.data.glob("facegallery.sqlite*"))
        assert b"Nobody Else" not in content


def test_it_is_done_after_a_restart(folder: _Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who expired while nothing ran is gone at once, and erased by the first upkeep."""
    with folder.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        _enroll(gallery, 0, name="Anna", expires=True)
    set_clock(monkeypatch, _AFTER)
    with folder.open() as galleries:
        gallery = galleries.get("people")
        assert identify(gallery, _VECTORS[0]).decision == "unknown"
        galleries.maintain()
        assert gallery.num_subjects == 0


def test_a_clock_that_is_set_back_brings_nobody_back(
    opened: Galleries, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once somebody has expired, an earlier time changes nothing, and the upkeep erases."""
    set_clock(monkeypatch, _AFTER)
    assert identify(gallery, _VECTORS[0]).decision == "unknown"
    set_clock(monkeypatch, -_AFTER)
    assert identify(gallery, _VECTORS[0]).decision == "unknown"
    assert gallery.find_subject(name="Anna") is None
    opened.maintain()
    assert gallery.num_subjects == 1


def test_a_later_expiry_counts(
    opened: Galleries, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is given more time, or all of it, is there after the first term."""
    anna = _id(gallery, "Anna")
    later = DetailChange(expires_at=datetime.now(UTC) + 3 * _AFTER)
    gallery.change_subject(anna, SubjectChange(details=later))
    set_clock(monkeypatch, _AFTER)
    opened.maintain()
    assert identify(gallery, _VECTORS[0]).decision == "match"
    gallery.change_subject(anna, SubjectChange(details=DetailChange(expires_at=None)))
    set_clock(monkeypatch, 4 * _AFTER)
    opened.maintain()
    assert identify(gallery, _VECTORS[0]).decision == "match"


def test_an_enroll_after_the_expiry_is_of_somebody_new(
    opened: Galleries, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is enrolled for who has expired: it would go with them. An id is not found."""
    anna = _id(gallery, "Anna")
    set_clock(monkeypatch, _AFTER)
    with pytest.raises(SubjectNotFound):
        gallery.enroll([new_template(_VECTORS[2])], subject_id=anna)
    new = [
        NewSubject(name=name, templates=(new_template(_VECTORS[number]),))
        for number, name in ((2, "Anna"), (3, "Ben"))
    ]
    first, second = gallery.enroll_many(new)
    assert (first.created, second.created) == (True, False)
    assert first.subject_id != anna
    opened.maintain()
    assert identify(gallery, _VECTORS[2]).decision == "match"
    assert gallery.erasure(anna).num_templates == 1


def test_the_name_of_who_has_expired_is_free(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else can be called so before the upkeep ran."""
    set_clock(monkeypatch, _AFTER)
    assert gallery.rename(_id(gallery, "Ben"), name="Anna").name == "Anna"
    assert len(gallery.subjects().subjects) == 1


def test_a_removal_that_was_asked_for_as_well_is_one(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has expired can still be removed by hand, and is erased once."""
    anna = _id(gallery, "Anna")
    set_clock(monkeypatch, _AFTER)
    assert gallery.remove_subject(anna) == 1
    assert gallery.expire() == 0


def test_the_rest_of_the_upkeep_does_not_wait(
    opened: Galleries, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an erasure fails, what was removed before is purged, and the error is told."""
    gallery.remove_subject(_id(gallery, "Ben"))

    def fails(_: str) -> None:
        raise StoreError("the ledger is full")

    monkeypatch.setattr(gallery.store, "remove_expired", fails)
    set_clock(monkeypatch, _AFTER)
    with pytest.raises(StoreError, match="full"):
        opened.maintain()
    assert gallery.purged_sequence == gallery.removed_sequence
    assert identify(gallery, _VECTORS[0]).decision == "unknown"


@pytest.mark.postgres
def test_processes_that_share_a_database_erase_once(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two upkeeps find the same person, and one of them erases; both memories follow."""
    one, other = _Folder(tmp_path, database_url), _Folder(tmp_path, database_url)
    with one.open() as first, other.open() as second:
        gallery = first.create("people", fingerprint=FINGERPRINT)
        anna = _enroll(gallery, 0, name="Anna", expires=True)
        second.sync()
        set_clock(monkeypatch, _AFTER)
        assert second.get("people").store.expired() == [anna]
        first.maintain()
        second.maintain()
        assert [first.get("people").num_templates, second.get("people").num_templates] == [0, 0]
        assert sum(each.action == "subject.expire" for each in first.audit.entries()) == 1


def test_files_bring_nobody_who_has_expired(
    folder: _Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export leaves out who has expired, and an import too, whatever the gallery holds."""
    early, late = tmp_path / "early.parquet", tmp_path / "late.parquet"
    place = Place(data_folder=folder.data, database_url=folder.url, ledger=folder.ledger)
    with folder.open() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        _enroll(gallery, 0, name="Anna", expires=True)
        _enroll(gallery, 1, name="Ben")
    with place.opened() as store:
        assert export_gallery(store, "people", early).count == 2
        set_clock(monkeypatch, _AFTER)
        assert export_gallery(store, "people", late).count == 1
        done = import_gallery(store, "people", early)
        assert (done.imported.num_present, len(done.left_out)) == (1, 1)
    with folder.open() as galleries:
        assert [each.name for each in galleries.get("people").subjects().subjects] == ["Ben"]


def test_metadata_beyond_the_bounds_undo_the_enroll(gallery: Gallery) -> None:
    """Nothing is half done where the merged metadata are too large."""
    anna = _id(gallery, "Anna")
    big = DetailChange(metadata={"a": "x" * 3000})
    gallery.change_subject(anna, SubjectChange(details=big))
    with pytest.raises(RequestInvalid):
        gallery.enroll(
            [new_template(_VECTORS[5])],
            name="Anna",
            details=DetailChange(metadata={"b": "x" * 3000}),
        )
    assert gallery.num_templates == 2
