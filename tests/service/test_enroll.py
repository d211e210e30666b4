"""Tests of ``POST /v1/enroll`` with photos that are in order."""

import base64
import hashlib
from typing import Any

import pytest

from index.rules import GalleryRules
from service.auth import Role
from tests.fakes import FAKE_FACE_PX, make_photo
from tests.service.support import FakeService


def _enroll(service: FakeService, *photos: bytes, **fields: str) -> Any:
    return service.http.post(
        "/v1/enroll",
        headers=service.headers(Role.OPERATOR),
        data={"subject": "ann", **fields},
        files=[("photos", ("any name.gif", photo)) for photo in photos],
    )


def test_photo_becomes_a_template(service: FakeService) -> None:
    """An enroll says whose template it made, of which face, how good, and with which model."""
    answer = _enroll(service, make_photo(["ann"]))
    assert answer.status_code == 201
    content = answer.json()
    gallery = service.parts.galleries.get("default")
    assert content["created"] is True
    assert content["dry_run"] is False
    assert content["model"]["fingerprint"] == gallery.fingerprint
    face = content["faces"][0]
    assert gallery.template(face["template_id"]).subject_id == content["subject_id"]
    assert face["box"]["right"] - face["box"]["left"] == FAKE_FACE_PX
    assert face["quality"]["reasons"] == []


def test_several_photos_of_one_subject(service: FakeService) -> None:
    """Each photo becomes a template of the same subject; a second request finds it again."""
    photos = [make_photo(["ann"], variant=variant) for variant in range(3)]
    first = _enroll(service, *photos).json()
    second = _enroll(service, make_photo(["ann"], variant=4)).json()
    assert len({face["template_id"] for face in first["faces"]}) == 3
    assert second["subject_id"] == first["subject_id"]
    assert second["created"] is False
    assert service.parts.galleries.get("default").num_subjects == 1


def test_one_bad_photo_saves_none(service: FakeService) -> None:
    """Of several photos all are saved or none, and the answer says which one was bad."""
    answer = _enroll(service, make_photo(["ann"]), make_photo([]), make_photo(["ann"]))
    assert answer.status_code == 422
    assert answer.json()["code"] == "no_face"
    assert "photo 2 of 3" in answer.json()["detail"]
    assert service.num_templates() == 0
    assert service.parts.galleries.get("default").subjects().subjects == ()


def test_json_with_base64(service: FakeService) -> None:
    """JSON does the same as a form."""
    body = {
        "subject": "ann",
        "external_id": "A-1",
        "photos": [base64.b64encode(make_photo(["ann"])).decode()],
        "box": [28, 28, 140, 168],
    }
    answer = service.http.post("/v1/enroll", headers=service.headers(), json=body)
    assert answer.status_code == 201
    subject = service.parts.galleries.get("default").subject(answer.json()["subject_id"])
    assert (subject.name, subject.external_id) == ("ann", "A-1")


def test_subject_by_id_and_by_external_id(service: FakeService) -> None:
    """The same person is reached by id and by external id as by name."""
    photo = make_photo(["ann"])
    first = _enroll(service, photo, external_id="A-1").json()["subject_id"]
    for fields in ({"subject_id": first}, {"external_id": "A-1"}):
        answer = service.http.post(
            "/v1/enroll",
            headers=service.headers(),
            data=fields,
            files=[("photos", ("photo", photo))],
        )
        assert answer.json()["subject_id"] == first


def test_largest_face(service: FakeService) -> None:
    """With several faces the largest is taken when that is asked for."""
    answer = _enroll(service, make_photo(["ann", "ben"]), face="largest")
    assert answer.status_code == 201
    assert len(answer.json()["faces"]) == 1


def test_face_at_a_box(service: FakeService) -> None:
    """A rough box says which of several faces is meant."""
    photo = make_photo(["ann", "ben"])
    answer = _enroll(service, photo, box="160,20,290,180")
    assert answer.status_code == 201
    assert answer.json()["faces"][0]["box"]["left"] > FAKE_FACE_PX
    found = service.http.post(
        "/v1/identify", headers=service.headers(), files={"photo": photo}
    ).json()["faces"]
    assert sorted(face["decision"] for face in found) == ["match", "unknown"]


def test_turned_photo(service: FakeService) -> None:
    """A photo without a face is tried in its turns, and the box is in the photo's frame."""
    answer = _enroll(service, make_photo(["ann"], turns=1))
    assert answer.status_code == 201
    face = answer.json()["faces"][0]
    template = service.parts.galleries.get("default").template(face["template_id"])
    assert template.photo_size == (196, 168)
    assert face["num_quarter_turns"] == 1
    assert face["box"]["right"] - face["box"]["left"] == pytest.approx(FAKE_FACE_PX * 5 / 4)


def test_poor_face_only_by_force(service: FakeService) -> None:
    """A poor face is refused with machine-readable reasons, and taken when forced."""
    photo = make_photo(["ann"], face_px=16)
    refused = _enroll(service, photo, force="false")
    assert refused.status_code == 422
    assert refused.json()["code"] == "face_quality_too_low"
    assert refused.json()["reasons"] == ["too_small"]
    forced = _enroll(service, photo, force="true")
    assert forced.status_code == 201
    assert forced.json()["faces"][0]["quality"]["reasons"] == ["too_small"]


def test_conflicts_are_reported(service: FakeService) -> None:
    """Another subject who looks the same is reported and the enroll goes on."""
    ann = service.enroll("ann")["ann"]
    answer = _enroll(service, make_photo(["ann"], variant=2), subject="twin")
    assert answer.status_code == 201
    conflict = answer.json()["conflicts"][0]
    assert conflict["subject_id"] == ann
    assert conflict["similarity"] >= answer.json()["threshold"]["value"]
    assert conflict["photo"] == 0


def test_own_templates_are_no_conflict(service: FakeService) -> None:
    """A second photo of the same person conflicts with nobody."""
    service.enroll("ann", "ben")
    assert _enroll(service, make_photo(["ann"], variant=2)).json()["conflicts"] == []
    again = _enroll(service, make_photo(["ann"], variant=2), dry_run="true")
    assert again.json()["conflicts"] == []


def test_photos_of_two_people_are_told(service: FakeService) -> None:
    """The photos are grouped by who they seem to show, and are enrolled all the same."""
    photos = [make_photo(["ann"]), make_photo(["ben"]), make_photo(["ann"], variant=2)]
    answer = _enroll(service, *photos)
    assert answer.status_code == 201
    assert answer.json()["groups"] == [[0, 2], [1]]
    assert answer.json()["not_the_subject"] == []


def test_a_photo_of_somebody_else_is_told(service: FakeService) -> None:
    """It does not look like the templates that the subject has so far."""
    service.enroll("ann")
    photos = [make_photo(["ann"], variant=2), make_photo(["cat"])]
    found = _enroll(service, *photos, dry_run="true").json()
    assert [each["photo"] for each in found["not_the_subject"]] == [1]
    assert found["not_the_subject"][0]["similarity"] < found["threshold"]["value"]
    assert found["conflicts"] == []


def test_what_a_cap_removed_is_told(service: FakeService) -> None:
    """The gallery keeps one template, and the answer names the other."""
    service.enroll("ann")
    gallery = service.parts.galleries.get("default")
    gallery.set_rules(GalleryRules(max_templates=1))
    answer = _enroll(service, make_photo(["ann"], variant=2)).json()
    left = [each.id for each in gallery.templates(answer["subject_id"])]
    assert len(answer["dropped_template_ids"]) == len(left) == 1
    assert answer["dropped_template_ids"] != left


def test_dry_run_saves_nothing(service: FakeService) -> None:
    """A dry run shows box, quality and conflicts, and the gallery stays as it was."""
    service.enroll("ann")
    answer = _enroll(service, make_photo(["ann"]), subject="twin", dry_run="true")
    content = answer.json()
    assert answer.status_code == 200
    assert (content["subject_id"], content["created"], content["dry_run"]) == (None, True, True)
    assert content["faces"][0]["template_id"] is None
    assert [each["name"] for each in content["conflicts"]] == ["ann"]
    assert service.num_templates() == 1


def test_image_hash_is_keyed(service: FakeService) -> None:
    """The stored hash finds the same photo again but is no plain hash of it."""
    photo = make_photo(["ann"])
    gallery = service.parts.galleries.get("default")
    hashes = [
        gallery.template(_enroll(service, photo).json()["faces"][0]["template_id"]).image_hash
        for _ in range(2)
    ]
    assert hashes[0] == hashes[1]
    assert hashes[0] != hashlib.sha256(photo).digest()
