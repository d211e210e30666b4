"""People merged over HTTP, and declared look-alikes."""

import json
from typing import Any

import pytest

from service.auth import Role
from tests.fakes import make_photo
from tests.service.support import FakeService, check_problem
from tests.service.template_support import (
    BASE,
    ids_of,
    named_as,
    post,
)


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", {}, 422),
        (b"[" * 10_000, {}, 422),
        (b'{"into": "\xff"}', {}, 422),
        (b'{"into": NaN}', {}, 422),
        (b'{"into": "' + b"x" * 70_000 + b'"}', {}, 413),
        (b"into=x", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        (b"", {}, 422),
    ],
)
def test_bodies_that_are_none(
    service: FakeService, content: bytes, headers: dict[str, str], status: int
) -> None:
    """Broken, deep, huge or other bodies of both routes are a plain refusal."""
    ann = service.enroll("ann")["ann"]
    for route in ("merge", "templates/move"):
        answer = service.http.post(
            f"{BASE}/subjects/{ann}/{route}",
            headers={**service.headers(), "Content-Type": "application/json", **headers},
            content=content,
        )
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


def test_merged_people_are_one(service: FakeService) -> None:
    """Templates, look-alikes and what is missing go over; the id of before leads to who stays."""
    ids = service.enroll("ann", "ben", "cat")
    ann, ben, cat = (ids[each] for each in ("ann", "ben", "cat"))
    headers = service.headers(Role.OPERATOR)
    service.http.put(f"{BASE}/subjects/{ann}/look-alikes/{cat}", headers=headers)
    would = post(service, f"subjects/{ann}/merge", {"into": ben, "dry_run": True}).json()
    assert named_as(service, "ann") == ann
    merged = post(service, f"subjects/{ann}/merge", {"into": ben}).json()
    # The version is another one each time.
    would["subject"]["version"] = merged["subject"]["version"]
    assert merged == {**would, "dry_run": False}
    assert (merged["subject"]["id"], merged["subject"]["name"]) == (ben, "ben")
    assert merged["subject"]["num_templates"] == 2
    assert (merged["merged_id"], merged["lost_name"]) == (ann, "ann")
    assert (merged["num_templates"], merged["num_look_alikes"]) == (1, 1)
    assert merged["similarity"] < 0.9
    assert named_as(service, "ann") == named_as(service, "ben") == ben
    gone = service.http.get(f"{BASE}/subjects/{ann}", headers=headers)
    check_problem(gone, 404, "subject_not_found")
    assert gone.json()["merged_into"] == ben
    pairs = service.http.get(f"{BASE}/look-alikes", headers=headers).json()["pairs"]
    assert [set(each) for each in pairs] == [{ben, cat}]
    entries = {each.action: each for each in service.parts.galleries.audit.entries()}
    assert len(entries["subject.merge"].subjects) == 2
    assert entries["subject.merge"].facts["num_templates"] == 1
    assert len(entries["subject.merge_dry_run"].subjects) == 2
    assert "ann" not in json.dumps([each.line() for each in entries.values()])


@pytest.mark.parametrize("how", ["move", "merge"])
def test_an_enroll_that_comes_again_brings_nobody_back(service: FakeService, how: str) -> None:
    """Its key is spent once its template is another person's."""
    ben = service.enroll("ben")["ben"]

    def enroll_ann() -> Any:
        return service.http.post(
            "/v1/enroll",
            headers={**headers, "Idempotency-Key": "once"},
            data={"subject": "ann"},
            files=[("photos", ("photo", make_photo(["ann"])))],
        )

    headers = service.headers()
    enrolled = enroll_ann().json()
    ann = enrolled["subject_id"]
    assert enroll_ann().json() == enrolled
    if how == "move":
        body = {"templates": ids_of(service, ann), "to_subject_id": ben}
        assert post(service, f"subjects/{ann}/templates/move", body).status_code == 200
    else:
        assert post(service, f"subjects/{ann}/merge", {"into": ben}).status_code == 200
    check_problem(enroll_ann(), 409, "idempotency_key_spent")
    assert named_as(service, "ann") == ben
    assert service.num_templates() == 2


def test_merges_that_cannot_be_made(service: FakeService) -> None:
    """Oneself, declared twins, strangers to the gallery, and ids that are none."""
    ids = service.enroll("ann", "ben")
    ann, ben = ids["ann"], ids["ben"]
    service.http.put(f"{BASE}/subjects/{ben}/look-alikes/{ann}", headers=service.headers())
    refused: list[tuple[str, object, int, str]] = [
        (ann, {"into": ann}, 422, "request_invalid"),
        (ann, {"into": ben}, 422, "request_invalid"),
        (ann, {"into": ""}, 422, "request_invalid"),
        (ann, {"into": None}, 422, "request_invalid"),
        (ann, {"into": [ben]}, 422, "request_invalid"),
        (ann, {}, 422, "request_invalid"),
        (ann, [], 422, "request_invalid"),
        (ann, {"into": ben, "dry_run": 1}, 422, "request_invalid"),
        (ann, {"into": "absent"}, 404, "subject_not_found"),
        (ann, {"into": ben.upper()}, 404, "subject_not_found"),
        (ann.upper(), {"into": ben}, 404, "subject_not_found"),
        ("absent", {"into": ben}, 404, "subject_not_found"),
    ]
    for subject, body, status, code in refused:
        check_problem(post(service, f"subjects/{subject}/merge", body), status, code)
    assert [named_as(service, each) for each in ("ann", "ben")] == [ann, ben]


def test_nobody_of_another_gallery_is_reached(service: FakeService) -> None:
    """Neither who gives, nor who gets, nor a template, nor a look-alike."""
    ann = service.enroll("ann")["ann"]
    template = ids_of(service, ann)[0]
    service.parts.create_gallery("mine")
    service.http.post(
        "/v1/enroll",
        headers=service.headers(),
        data={"subject": "ben", "gallery": "mine"},
        files=[("photos", ("photo", make_photo(["ben"])))],
    )
    ben = service.parts.galleries.get("mine").subjects().subjects[0].id
    headers = service.headers(Role.OPERATOR, galleries=["mine"])
    mine = "/v1/galleries/mine"

    def refused(method: str, path: str, code: str, body: object = None) -> None:
        answer = service.http.request(method, f"{mine}/{path}", headers=headers, json=body)
        check_problem(answer, 404, code)

    move = f"subjects/{ben}/templates/move"
    refused("POST", move, "template_not_found", {"templates": [template], "to_name": "cat"})
    own = service.parts.galleries.get("mine").templates(ben)[0].id
    refused("POST", move, "subject_not_found", {"templates": [own], "to_subject_id": ann})
    refused("POST", f"subjects/{ben}/merge", "subject_not_found", {"into": ann})
    refused("POST", f"subjects/{ann}/merge", "subject_not_found", {"into": ben})
    for method in ("GET", "DELETE"):
        refused(method, f"templates/{template}", "template_not_found")
    for method in ("PUT", "DELETE"):
        refused(method, f"subjects/{ben}/look-alikes/{ann}", "subject_not_found")
        refused(method, f"subjects/{ann}/look-alikes/{ben}", "subject_not_found")
    assert named_as(service, "ann") == ann


def test_look_alikes_are_declared_listed_and_taken_back(service: FakeService) -> None:
    """In whatever order, and each says whether anything changed."""
    ids = service.enroll("ann", "ben", "cat")
    ann, ben, cat = (ids[each] for each in ("ann", "ben", "cat"))
    headers = service.headers(Role.OPERATOR)

    def asked(method: str, one: str, other: str) -> Any:
        path = f"{BASE}/subjects/{one}/look-alikes/{other}"
        return service.http.request(method, path, headers=headers)

    def of(subject: str) -> set[str]:
        path = f"{BASE}/subjects/{subject}/look-alikes"
        return set(service.http.get(path, headers=headers).json()["subject_ids"])

    assert asked("PUT", ann, ben).json() == {"declared": True, "changed": True}
    assert asked("PUT", ben, ann).json() == {"declared": True, "changed": False}
    asked("PUT", cat, ann)
    assert (of(ann), of(ben), of(cat)) == ({ben, cat}, {ann}, {ann})
    pages = []
    query: dict[str, str] = {"limit": "1"}
    while True:
        page = service.http.get(f"{BASE}/look-alikes", headers=headers, params=query).json()
        pages += page["pairs"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert [set(each) for each in pages] == [{ann, ben}, {ann, cat}]
    assert asked("DELETE", ben, ann).json() == {"declared": False, "changed": True}
    assert asked("DELETE", ben, ann).json() == {"declared": False, "changed": False}
    assert of(ann) == {cat}
    check_problem(asked("PUT", ann, ann), 422, "request_invalid")
    for one, other in ((ann, "absent"), ("absent", ann), (ann.upper(), ben)):
        for method in ("PUT", "DELETE"):
            check_problem(asked(method, one, other), 404, "subject_not_found")
    answer = service.http.get(f"{BASE}/subjects/absent/look-alikes", headers=headers)
    check_problem(answer, 404, "subject_not_found")
