"""One gallery over HTTP: shown, told how to decide, renamed with its keys, made with a space."""

from pathlib import Path
from typing import Any

import pytest

from embedding.errors import GalleryFilling
from index.key_ring import KeyRing
from service.auth import Role
from service.settings import Settings
from tests.service.support import FakeService, check_problem, fake_service


def _patch(service: FakeService, name: str, body: object, **key: Any) -> Any:
    return service.http.patch(f"/v1/galleries/{name}", headers=service.headers(**key), json=body)


def test_a_gallery_is_shown_with_how_it_decides(service: FakeService) -> None:
    """Size, model, rules, thresholds of the card, and that it was never calibrated."""
    service.enroll("ann")
    found = service.http.get(
        "/v1/galleries/default", headers=service.headers(Role.OPERATOR)
    ).json()
    assert (found["name"], found["num_subjects"], found["num_templates"]) == ("default", 1, 1)
    assert (found["model"], found["space"], found["calibration"]) == ("fake", False, None)
    assert found["rules"] == {"fusion": "maximum", "max_templates": None, "smallest_lead": 0.05}
    assert found["match"]["value"] > found["review"]["value"]
    assert found["id"] == service.parts.galleries.get("default").id
    absent = service.http.get("/v1/galleries/absent", headers=service.headers())
    check_problem(absent, 404, "gallery_not_found")


def test_a_gallery_without_its_model_is_shown(service: FakeService) -> None:
    """What cannot be told is null."""
    service.parts.galleries.create("old", fingerprint="c" * 64)
    found = service.http.get("/v1/galleries/old", headers=service.headers()).json()
    assert [found[each] for each in ("model", "match", "review", "calibration")] == [None] * 4


def test_rules_are_changed_one_by_one(service: FakeService) -> None:
    """What is absent stays; null templates are all; the log tells of it."""
    changed = _patch(service, "default", {"fusion": "best-two", "max_templates": 3})
    assert changed.json()["rules"] == {
        "fusion": "best-two",
        "max_templates": 3,
        "smallest_lead": 0.05,
    }
    assert changed.json()["match"]["extrapolated"]
    _patch(service, "default", {"smallest_lead": 0})
    again = _patch(service, "default", {"max_templates": None}).json()
    assert again["rules"] == {
        "fusion": "best-two",
        "max_templates": None,
        "smallest_lead": 0.0,
    }
    actions = [each.action for each in service.parts.galleries.audit.entries()]
    assert actions.count("gallery.rules") == 3


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("{}", "request_invalid"),
        ("[]", "request_invalid"),
        ('{"fusion": "guess"}', "request_invalid"),
        ('{"fusion": 3}', "request_invalid"),
        ('{"max_templates": 0}', "request_invalid"),
        ('{"max_templates": 10001}', "request_invalid"),
        ('{"max_templates": 1.5}', "request_invalid"),
        ('{"max_templates": true}', "request_invalid"),
        ('{"smallest_lead": NaN}', "request_invalid"),
        ('{"smallest_lead": 1e309}', "request_invalid"),
        ('{"smallest_lead": -0.1}', "request_invalid"),
        ('{"smallest_lead": "0.1"}', "request_invalid"),
        ('{"model": "other"}', "request_invalid"),
        ('{"name": "new", "fusion": "maximum"}', "request_invalid"),
        ('{"name": ""}', "name_invalid"),
        ('{"name": "a b"}', "name_invalid"),
        ('{"name": "a~b"}', "name_invalid"),
        (f'{{"name": "{"x" * 256}"}}', "name_invalid"),
        ('{"name": 7}', "request_invalid"),
    ],
)
def test_changes_that_cannot_be_made(shared_service: FakeService, content: str, code: str) -> None:
    """Each is refused as what it is, and the gallery decides as before."""
    answer = shared_service.http.patch(
        "/v1/galleries/default",
        headers={**shared_service.headers(), "Content-Type": "application/json"},
        content=content,
    )
    check_problem(answer, 422, code)
    rules = shared_service.parts.galleries.get("default").rules()
    assert (rules.fusion, rules.max_templates, rules.smallest_lead) == ("maximum", None, 0.05)


def test_keys_follow_a_renamed_gallery(service: FakeService) -> None:
    """A tied key reaches what it did before, under the new name, and nothing else."""
    ann = service.enroll("ann")["ann"]
    service.parts.create_gallery("door")
    tied = service.headers(Role.OPERATOR, galleries=["default", "door"])
    other = service.headers(Role.OPERATOR, galleries=["door"])
    renamed = _patch(service, "default", {"name": "staff"})
    assert renamed.status_code == 200
    assert (renamed.json()["name"], renamed.json()["num_subjects"]) == ("staff", 1)
    there = service.http.get(f"/v1/galleries/staff/subjects/{ann}", headers=tied)
    assert there.json()["name"] == "ann"
    listed = service.http.get("/v1/galleries", headers=tied).json()["galleries"]
    assert [each["name"] for each in listed] == ["door", "staff"]
    refused = service.http.get("/v1/galleries/staff", headers=other)
    check_problem(refused, 403, "key_forbidden")
    gone = service.http.get("/v1/galleries/default", headers=service.headers())
    check_problem(gone, 404, "gallery_not_found")
    # Whoever makes one of the old name makes it for others.
    service.parts.create_gallery("default")
    check_problem(service.http.get("/v1/galleries/default", headers=tied), 403, "key_forbidden")
    entry = [e for e in service.parts.galleries.audit.entries() if e.action == "gallery.rename"]
    assert entry[0].facts == {"num_keys": 1}


def test_a_name_that_a_key_waits_for_is_not_taken(service: FakeService) -> None:
    """A key for a gallery that is gone must not reach another one; revoked, it may."""
    service.parts.create_gallery("door")
    made, _ = service.parts.keys.create(role=Role.IDENTIFIER, galleries=["vault"])
    for _ in range(2):
        check_problem(_patch(service, "door", {"name": "vault"}), 422, "request_invalid")
    assert {each.name for each in service.parts.galleries.list()} == {"default", "door"}
    service.http.delete(f"/v1/keys/{made.key_id}", headers=service.headers())
    assert _patch(service, "door", {"name": "vault"}).status_code == 200


def test_names_that_are_not_free(service: FakeService) -> None:
    """Another gallery's, and one that another gallery is about to take; its own is no change."""
    service.parts.create_gallery("door")
    check_problem(_patch(service, "door", {"name": "default"}), 409, "gallery_exists")
    assert _patch(service, "door", {"name": "door"}).status_code == 200
    service.parts.galleries.filling("door", fingerprint="c" * 64, space=False)
    check_problem(_patch(service, "door", {"name": "gate"}), 409, "gallery_filling")
    with pytest.raises(GalleryFilling):
        service.parts.galleries.rename("door~" + "c" * 12, "gate")
    check_problem(_patch(service, "absent", {"name": "gate"}), 404, "gallery_not_found")


def test_a_tied_key_needs_both_names(service: FakeService) -> None:
    """An admin of one gallery cannot take names that are not that key's."""
    service.parts.create_gallery("door")
    refused = _patch(service, "door", {"name": "gate"}, galleries=["door"])
    check_problem(refused, 403, "key_forbidden")
    assert _patch(service, "door", {"name": "gate"}, galleries=["door"]).status_code == 403


def test_a_renamed_gallery_survives_a_restart(settings: Settings) -> None:
    """With all that it holds."""
    with fake_service(settings) as service:
        ann = service.enroll("ann")["ann"]
        _patch(service, "default", {"name": "staff"})
    with fake_service(settings) as service:
        assert [each.name for each in service.parts.galleries.list()] == ["staff"]
        assert service.parts.galleries.get("staff").subject(ann).num_templates == 1


def test_a_gallery_with_a_space_needs_sealing(service: FakeService) -> None:
    """Where templates lie in the clear, the space's matrix would lie beside them."""
    answer = service.http.post(
        "/v1/galleries", headers=service.headers(), json={"name": "secret", "space": True}
    )
    check_problem(answer, 422, "request_invalid")


def test_a_gallery_is_made_with_a_space(settings: Settings, tmp_path: Path) -> None:
    """It says so, and its people are found, moved and merged as elsewhere."""
    key_file = tmp_path / "keys" / "sealing.keys"
    key_file.parent.mkdir()
    KeyRing.generate(key_file)
    with fake_service(settings.model_copy(update={"sealing_key_file": key_file})) as service:
        made = service.http.post(
            "/v1/galleries", headers=service.headers(), json={"name": "secret", "space": True}
        )
        assert (made.status_code, made.json()["space"]) == (201, True)
        shown = service.http.get("/v1/galleries/secret", headers=service.headers())
        assert shown.json()["space"]
        assert service.parts.galleries.get("secret").space_id is not None
        assert not service.http.get("/v1/galleries/default", headers=service.headers()).json()[
            "space"
        ]
