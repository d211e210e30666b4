"""People of a gallery that are changed: what they are called, what is kept, and their version."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from embedding.errors import RequestInvalid, SubjectChanged, SubjectNotFound
from index.details import DetailChange, Details, SubjectChange
from index.galleries import Galleries
from index.gallery import Gallery
from index.records import NewSubject, Subject
from tests.index.conftest import OpenGalleries
from tests.index.samples import FINGERPRINT, new_template, unit_vectors

_VECTORS = unit_vectors(20)
_LATER = datetime(2090, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
_DETAILS = Details(
    metadata={"badge": 17, "team": "Zo\u00eb's", "guest": False, "x": 0.5},
    purpose="access to building 7/8",
    consent="https://example.org/consents/17",
    expires_at=_LATER,
)
_CHANGE = DetailChange(
    metadata=_DETAILS.metadata,
    purpose=_DETAILS.purpose,
    consent=_DETAILS.consent,
    expires_at=_LATER.astimezone(),
)


def _enroll(gallery: Gallery, number: int, **who: Any) -> Subject:
    return gallery.subject(gallery.enroll([new_template(_VECTORS[number])], **who).subject_id)


def _version(gallery: Gallery, subject: Subject) -> str:
    return gallery.subject(subject.id).version


def test_details_of_an_enroll_survive_a_restart(open_galleries: OpenGalleries) -> None:
    """What was given is there after opening again, in the list, by id and by name."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.enroll([new_template(_VECTORS[0])], name="Anna", details=_CHANGE)
        gallery.enroll([new_template(_VECTORS[1])], name="Ben")
    with open_galleries() as galleries:
        gallery = galleries.get("people")
        anna, ben = gallery.subjects().subjects
        assert anna.details == _DETAILS
        assert ben.details == Details()
        assert gallery.subject(anna.id) == gallery.find_subject(name="Anna") == anna


def test_details_of_a_later_enroll_are_merged(gallery: Gallery) -> None:
    """Who is enrolled again keeps what was not given, also twice in one call."""
    anna = gallery.enroll([new_template(_VECTORS[0])], name="Anna", details=_CHANGE).subject_id
    new = [
        NewSubject(
            name="Anna",
            templates=(new_template(_VECTORS[number]),),
            details=DetailChange(metadata={"badge": None, str(number): number}),
        )
        for number in (1, 2)
    ]
    gallery.enroll_many(new)
    details = gallery.subject(anna).details
    assert dict(details.metadata) == {
        "team": "Zo\u00eb's",
        "guest": False,
        "x": 0.5,
        "1": 1,
        "2": 2,
    }
    assert details.purpose == _DETAILS.purpose


def test_everything_is_changed_in_one_step(gallery: Gallery) -> None:
    """Name, external id and details change together or not at all, and can be erased."""
    anna, ben = _enroll(gallery, 0, name="Anna"), _enroll(gallery, 1, name="Ben")
    with pytest.raises(RequestInvalid, match="name"):
        gallery.change_subject(anna.id, SubjectChange(name="Ben", details=_CHANGE))
    assert gallery.subject(anna.id) == anna
    changed = gallery.change_subject(
        anna.id, SubjectChange(name=" Bea ", external_id="e-1", details=_CHANGE)
    )
    assert (changed.name, changed.external_id, changed.details) == ("Bea", "e-1", _DETAILS)
    assert gallery.subject(anna.id) == changed
    erased = gallery.change_subject(
        anna.id,
        SubjectChange(
            name=None,
            external_id=None,
            details=DetailChange(metadata=None, purpose=None, consent=None, expires_at=None),
        ),
    )
    assert (erased.name, erased.external_id, erased.details) == (None, None, Details())
    assert gallery.subject(ben.id) == ben


def test_the_version_changes_with_every_change(gallery: Gallery) -> None:
    """Labels, details, templates that come or go; back and forth never gives an old one again."""
    anna = _enroll(gallery, 0, name="Anna")
    ben = _enroll(gallery, 9, name="Ben")
    seen = [anna.version]

    def noted() -> None:
        version = _version(gallery, anna)
        assert version not in seen
        seen.append(version)

    for name in ("Bea", "Anna"):
        gallery.rename(anna.id, name=name)
        noted()
    for metadata in ({"a": 1}, {"a": True}, {"a": None}):
        change = SubjectChange(details=DetailChange(metadata=metadata))
        gallery.change_subject(anna.id, change)
        noted()
    gallery.enroll([new_template(_VECTORS[1])], subject_id=anna.id)
    noted()
    gallery.remove_template(gallery.templates(anna.id)[-1].id)
    noted()
    gallery.change_details([(NewSubject(name="Anna", templates=()), _CHANGE)])
    noted()
    assert _version(gallery, ben) == ben.version


def test_a_template_for_a_template_is_another_version(gallery: Gallery) -> None:
    """Where a cap takes one out for each that comes, the count stays, and the version does not."""
    gallery.set_rules(replace(gallery.rules(), max_templates=1))
    anna = _enroll(gallery, 0, name="Anna")
    gallery.enroll([new_template(_VECTORS[1])], subject_id=anna.id)
    assert gallery.subject(anna.id).num_templates == 1
    assert _version(gallery, anna) != anna.version


def test_a_change_that_changes_nothing_keeps_the_version(gallery: Gallery) -> None:
    """Sending the same again writes nothing."""
    anna = _enroll(gallery, 0, name="Anna")
    change = SubjectChange(name="Anna", details=_CHANGE)
    first = gallery.change_subject(anna.id, change)
    sequence = gallery.sequence
    assert gallery.change_subject(anna.id, change) == first
    assert gallery.sequence == sequence


def test_who_saw_an_earlier_version_changes_nothing(gallery: Gallery) -> None:
    """A change or removal for another version than the one that is there is refused."""
    anna = _enroll(gallery, 0, name="Anna")
    gallery.change_subject(anna.id, SubjectChange(name="Bea"), versions=["x", anna.version])
    with pytest.raises(SubjectChanged):
        gallery.change_subject(anna.id, SubjectChange(name="Carla"), versions=[anna.version])
    with pytest.raises(SubjectChanged):
        gallery.erase_subject(anna.id, versions=[anna.version])
    assert gallery.subject(anna.id).name == "Bea"
    gallery.erase_subject(anna.id, versions=[_version(gallery, anna)])
    with pytest.raises(SubjectNotFound):
        gallery.subject(anna.id)


def test_somebody_is_found_by_exactly_what_they_are_called(gallery: Gallery) -> None:
    """By name, external id or both; another letter case or a part of it is nobody."""
    anna = _enroll(gallery, 0, name="Anna", external_id="A-1")
    _enroll(gallery, 1, name="Ben", external_id="B-1")

    def found(**by: Any) -> list[str]:
        page = gallery.subjects(**by)
        assert page.next_cursor is None
        return [each.id for each in page.subjects]

    assert found(name="Anna") == found(external_id="A-1") == [anna.id]
    assert found(name="Anna", external_id="A-1") == [anna.id]
    for by in (
        {"name": "anna"},
        {"name": "Ann"},
        {"external_id": "a-1"},
        {"name": "Anna", "external_id": "B-1"},
        {"name": "Anna", "external_id": "none"},
        {"name": "none", "external_id": "none"},
    ):
        assert found(**by) == []
    cursor = gallery.subjects(limit=1).next_cursor
    with pytest.raises(RequestInvalid, match="cursor"):
        gallery.subjects(name="Anna", cursor=cursor)


def test_the_audit_log_tells_which_fields_and_never_what(galleries: Galleries) -> None:
    """Its facts name the fields, and whether there is something in them now."""
    gallery = galleries.create("people", fingerprint=FINGERPRINT)
    anna = _enroll(gallery, 0, name="Anna")
    change = SubjectChange(name=None, details=_CHANGE)
    gallery.change_subject(anna.id, change)
    entry = list(galleries.audit.entries())[-1]
    assert (entry.action, dict(entry.facts)) == (
        "subject.change",
        {
            "name": False,
            "metadata": True,
            "purpose": True,
            "consent": True,
            "expires_at": True,
        },
    )
    assert len(entry.subjects) == 1


def test_an_expiry_that_has_passed_is_refused(gallery: Gallery) -> None:
    """At an enroll and at a change; nothing is written."""
    past = DetailChange(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    with pytest.raises(RequestInvalid, match="passed"):
        gallery.enroll([new_template(_VECTORS[0])], name="Anna", details=past)
    assert gallery.subjects().subjects == ()
    anna = _enroll(gallery, 0, name="Anna")
    with pytest.raises(RequestInvalid, match="passed"):
        gallery.change_subject(anna.id, SubjectChange(details=past))


def test_details_of_people_who_are_not_there_are_passed_over(gallery: Gallery) -> None:
    """Changes by name write for whom they find, in one commit, and make nobody."""
    anna = _enroll(gallery, 0, name="Anna", external_id="A-1")
    wanted = [
        (NewSubject(name=name, external_id=external_id, templates=()), change)
        for name, external_id, change in (
            ("Anna", None, DetailChange(metadata={"a": 1, "b": 1})),
            (None, "A-1", DetailChange(metadata={"b": 2})),
            ("Nobody", None, DetailChange(metadata={"a": 1})),
        )
    ]
    gallery.change_details(wanted)
    assert dict(gallery.subject(anna.id).details.metadata) == {"a": 1, "b": 2}
    assert len(gallery.subjects().subjects) == 1
    sequence = gallery.sequence
    gallery.change_details(wanted)
    assert gallery.sequence == sequence


def test_a_merge_keeps_what_one_of_two_knew(gallery: Gallery) -> None:
    """Own details stay, missing ones come over, the earlier expiry holds."""
    soon = _LATER - timedelta(days=1)
    anna, twin = _enroll(gallery, 0, name="Anna"), _enroll(gallery, 1, external_id="A-1")
    for subject, change in (
        (anna, DetailChange(metadata={"badge": 1}, purpose="own", expires_at=_LATER)),
        (twin, DetailChange(metadata={"badge": 2, "x": 1}, consent="c", expires_at=soon)),
    ):
        gallery.change_subject(subject.id, SubjectChange(details=change))
    before = _version(gallery, anna)
    gallery.merge_subjects(twin.id, into=anna.id)
    merged = gallery.subject(anna.id)
    assert merged.details == Details(
        metadata={"badge": 1, "x": 1}, purpose="own", consent="c", expires_at=soon
    )
    assert merged.version != before


def test_a_move_changes_both_versions(gallery: Gallery) -> None:
    """Of whom a template is taken, and who gets it."""
    anna, ben = _enroll(gallery, 0, name="Anna"), _enroll(gallery, 1, name="Ben")
    seen = [{anna.version}, {ben.version}]
    for whom, to in ((anna, "Ben"), (ben, "Anna")):
        moved = gallery.templates(whom.id)[0].id
        gallery.move_templates(whom.id, [moved], to_name=to)
        for versions, subject in zip(seen, (anna, ben), strict=True):
            versions.add(_version(gallery, subject))
    assert [len(each) for each in seen] == [3, 3]
