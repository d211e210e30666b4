"""Templates over HTTP: listed, shown, erased, moved; people merged; look-alikes declared."""

import json
from typing import Any

import numpy as np
import pytest

from index.receipts import Receipt, is_genuine
from service.auth import Role
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.support import FakeService, check_problem, fake_service

BASE = "/v1/galleries/default"


def _templates(service: FakeService, subject_id: str) -> list[Any]:
    answer = service.http.get(
        f"{BASE}/subjects/{subject_id}/templates", headers=service.headers(Role.OPERATOR)
    )
    assert answer.status_code == 200
    found: list[Any] = answer.json()["templates"]
    return found


def _ids(service: FakeService, subject_id: str) -> list[str]:
    return [each["id"] for each in _templates(service, subject_id)]


def _post(service: FakeService, path: str, body: object) -> Any:
    return service.http.post(f"{BASE}/{path}", headers=service.headers(Role.OPERATOR), json=body)


def _named(service: FakeService, person: str) -> str | None:
    """The id of whoever a photo of a person is named as."""
    answer = service.http.post(
        "/v1/identify", headers=service.headers(), files={"photo": make_photo([person])}
    )
    subject = answer.json()["faces"][0]["subject"]
    return None if subject is None else str(subject["id"])


def _enroll_more(service: FakeService, subject_id: str, *people: str) -> None:
    for person in people:
        answer = service.http.post(
            "/v1/enroll",
            headers=service.headers(),
            data={"subject_id": subject_id},
            files=[("photos", ("photo", make_photo([person])))],
        )
        assert answer.status_code == 201


def test_a_template_is_shown_without_its_vector(service: FakeService) -> None:
    """Box, size, quality and time; in pages that together are all of them."""
    ann = service.enroll("ann")["ann"]
    _enroll_more(service, ann, "ann", "ben")
    shown = _templates(service, ann)
    headers = service.headers(Role.OPERATOR)
    for each in shown:
        assert each["subject_id"] == ann
        assert each["embedding"] is None
        assert 0.0 <= each["box"]["left"] < each["box"]["right"] <= each["width"]
        one = service.http.get(f"{BASE}/templates/{each['id']}", headers=headers)
        assert one.json() == each
    found, query = [], {"limit": "2"}
    while True:
        page = service.http.get(
            f"{BASE}/subjects/{ann}/templates", headers=headers, params=query
        ).json()
        found += page["templates"]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert found == shown


def test_cursors_hold_for_one_list(service: FakeService) -> None:
    """Those of another person, of subjects, of look-alikes and forged ones are refused."""
    ids = service.enroll("ann", "ben", "cat")
    headers = service.headers()
    for person in ("ann", "ben"):
        _enroll_more(service, ids[person], person)
        path = f"{BASE}/subjects/{ids[person]}/look-alikes/{ids['cat']}"
        assert service.http.put(path, headers=headers).json() == {
            "declared": True,
            "changed": True,
        }
    lists = [
        *(f"{BASE}/subjects/{ids[person]}/templates" for person in ("ann", "ben")),
        f"{BASE}/subjects",
        f"{BASE}/look-alikes",
        "/v1/audit",
    ]
    cursors = {}
    for each in lists:
        answer = service.http.get(each, headers=headers, params={"limit": "1"})
        cursors[each] = answer.json()["next_cursor"]
        assert cursors[each]
    for each in lists:
        others = [cursor for name, cursor in cursors.items() if name != each]
        for wrong in [*others, "", ".", "x" * 900, cursors[each][:-2] + "AA", "\N{BULLET}"]:
            answer = service.http.get(each, headers=headers, params={"cursor": wrong})
            check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize("limit", ["0", "1001", "-1", "NaN", "1e309", "two"])
def test_limits_out_of_range_are_refused(service: FakeService, limit: str) -> None:
    """A page holds 1 to 1000 of whatever it is."""
    ann = service.enroll("ann")["ann"]
    for path in (f"subjects/{ann}/templates", "look-alikes"):
        answer = service.http.get(
            f"{BASE}/{path}", headers=service.headers(), params={"limit": limit}
        )
        check_problem(answer, 422, "request_invalid")


def test_a_vector_is_given_to_an_admin_where_the_settings_say_so(
    service: FakeService, settings: Settings
) -> None:
    """Not by default, and not to an operator; each time that it is given stands in the log."""
    ann = service.enroll("ann")["ann"]
    template = _ids(service, ann)[0]
    path = f"{BASE}/templates/{template}?embedding=true"
    check_problem(service.http.get(path, headers=service.headers()), 403, "key_forbidden")
    service.http.__exit__(None, None, None)
    with fake_service(settings.model_copy(update={"embeddings_over_http": True})) as open_one:
        for role in (Role.OPERATOR, Role.IDENTIFIER, Role.AUDITOR):
            answer = open_one.http.get(path, headers=open_one.headers(role))
            check_problem(answer, 403, "key_forbidden")
        foreign = open_one.headers(galleries=["mine"])
        check_problem(open_one.http.get(path, headers=foreign), 403, "key_forbidden")
        actions = [each.action for each in open_one.parts.galleries.audit.entries()]
        assert "template.embedding" not in actions
        plain = open_one.http.get(path.partition("?")[0], headers=open_one.headers())
        assert plain.json()["embedding"] is None
        headers = open_one.headers()
        given = open_one.http.get(path, headers=headers)
        assert given.headers["cache-control"] == "no-store"
        vector = np.array(given.json()["embedding"], np.float32)
        stored = open_one.parts.galleries.get("default").references(ann).vectors_ND[0]
        np.testing.assert_array_equal(vector, stored)
        last = list(open_one.parts.galleries.audit.entries())[-1]
        assert (last.action, last.outcome, len(last.subjects)) == ("template.embedding", "done", 1)
        assert last.actor == headers["Authorization"].split("_")[1]
        absent = open_one.http.get(f"{BASE}/templates/absent?embedding=true", headers=headers)
        check_problem(absent, 404, "template_not_found")
    service.http.__enter__()


def test_a_template_is_erased_with_a_receipt(service: FakeService) -> None:
    """It is found by nobody; with the last one the person stays, empty; the receipt gets final."""
    ann = service.enroll("ann")["ann"]
    _enroll_more(service, ann, "ben")
    headers = service.headers(Role.OPERATOR)
    for left, template in ((1, _ids(service, ann)[0]), (0, _ids(service, ann)[1])):
        path = f"{BASE}/templates/{template}"
        early = service.http.get(f"{path}/erasure", headers=headers)
        check_problem(early, 404, "template_not_found")
        answer = service.http.delete(path, headers=headers).json()
        assert (answer["num_templates"], answer["num_left"]) == (1, left)
        assert answer["subject_id"] == ann
        content = answer["receipt"]["content"]
        assert (content["template_id"], content["subject_id"]) == (template, ann)
        receipt = Receipt(**answer["receipt"])
        assert is_genuine(receipt, public_key=receipt.public_key)
        assert _named(service, "ann") is None
        check_problem(service.http.delete(path, headers=headers), 404, "template_not_found")
        check_problem(service.http.get(path, headers=headers), 404, "template_not_found")
    service.parts.galleries.maintain()
    final = service.http.get(f"{path}/erasure", headers=headers).json()
    assert final["content"]["final"]
    assert is_genuine(Receipt(**final), public_key=receipt.public_key)
    shown = service.http.get(f"{BASE}/subjects/{ann}", headers=headers).json()
    assert (shown["name"], shown["num_templates"]) == ("ann", 0)


def test_a_moved_template_is_named_as_its_new_person(service: FakeService) -> None:
    """In the very next identification; a dry run says the same and does nothing."""
    ids = service.enroll("ann", "cat")
    ann, cat = ids["ann"], ids["cat"]
    _enroll_more(service, ann, "ben")
    first, second = _ids(service, ann)
    body = {"templates": [second], "to_subject_id": cat}
    would = _post(service, f"subjects/{ann}/templates/move", {**body, "dry_run": True})
    assert _named(service, "ben") == ann
    moved = _post(service, f"subjects/{ann}/templates/move", body).json()
    assert moved == {**would.json(), "dry_run": False}
    assert (moved["subject_id"], moved["created"], moved["num_left"]) == (cat, False, 1)
    assert moved["moved"][0]["template_id"] == second
    assert -1.0 <= moved["moved"][0]["similarity"] < 0.9
    assert _named(service, "ben") == cat
    assert _ids(service, ann) == [first]
    made = _post(
        service,
        f"subjects/{cat}/templates/move",
        {"templates": [second], "to_name": "ben", "to_external_id": "b-1"},
    ).json()
    assert (made["created"], made["moved"][0]["similarity"]) == (True, None)
    assert _named(service, "ben") == made["subject_id"]
    actions = [each.action for each in service.parts.galleries.audit.entries()]
    assert actions.count("template.move") == 2
    assert actions.count("template.move_dry_run") == 1


BAD_MOVES: list[tuple[object, int, str]] = [
    ({}, 422, "request_invalid"),
    ({"templates": []}, 422, "request_invalid"),
    ({"templates": ["T"]}, 422, "request_invalid"),
    ({"templates": [], "to_name": "ben"}, 422, "request_invalid"),
    ({"templates": ["T"] * 1001, "to_name": "ben"}, 422, "request_invalid"),
    ({"templates": "T", "to_name": "ben"}, 422, "request_invalid"),
    ({"templates": [7], "to_name": "ben"}, 422, "request_invalid"),
    ({"templates": ["T\0"], "to_name": "ben"}, 422, "request_invalid"),
    ({"templates": ["T" * 65], "to_name": "ben"}, 422, "request_invalid"),
    ({"templates": ["T"], "to_name": "ben", "more": 1}, 422, "request_invalid"),
    ({"templates": ["T"], "to_name": "ben", "dry_run": "true"}, 422, "request_invalid"),
    ({"templates": ["T"], "to_name": "ben", "to_subject_id": "B"}, 422, "request_invalid"),
    ({"templates": ["T"], "to_subject_id": "A"}, 422, "request_invalid"),
    ({"templates": ["T"], "to_name": ""}, 422, "name_invalid"),
    ({"templates": ["T"], "to_name": "x" * 201}, 422, "name_invalid"),
    ({"templates": ["T"], "to_external_id": "a\nb"}, 422, "name_invalid"),
    ({"templates": ["T"], "to_subject_id": "absent"}, 404, "subject_not_found"),
    ({"templates": ["T", "absent"], "to_name": "ben"}, 404, "template_not_found"),
    ({"templates": ["T", "O"], "to_name": "dan"}, 404, "template_not_found"),
    ({"templates": ["UPPER"], "to_name": "ben"}, 404, "template_not_found"),
]


@pytest.mark.parametrize(("body", "status", "code"), BAD_MOVES)
@pytest.mark.parametrize("dry_run", [False, True])
def test_moves_that_cannot_be_made(
    service: FakeService, body: dict[str, Any], status: int, code: str, *, dry_run: bool
) -> None:
    """Each is refused as what it is, and nothing is moved or made."""
    ids = service.enroll("ann", "ben")
    template, other = (_ids(service, ids[person])[0] for person in ("ann", "ben"))
    meant = {"T": template, "A": ids["ann"], "B": ids["ben"], "O": other}
    meant["UPPER"] = template.upper()
    sent = {
        field: [meant.get(each, each) for each in value]
        if isinstance(value, list)
        else meant.get(value, value)
        for field, value in body.items()
    }
    if dry_run:
        sent.setdefault("dry_run", True)
    answer = _post(service, f"subjects/{ids['ann']}/templates/move", sent)
    check_problem(answer, status, code)
    assert _ids(service, ids["ann"]) == [template]
    gallery = service.parts.galleries.get("default")
    assert [each.name for each in gallery.subjects().subjects] == ["ann", "ben"]


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
    would = _post(service, f"subjects/{ann}/merge", {"into": ben, "dry_run": True}).json()
    assert _named(service, "ann") == ann
    merged = _post(service, f"subjects/{ann}/merge", {"into": ben}).json()
    assert merged == {**would, "dry_run": False}
    assert (merged["subject"]["id"], merged["subject"]["name"]) == (ben, "ben")
    assert merged["subject"]["num_templates"] == 2
    assert (merged["merged_id"], merged["lost_name"]) == (ann, "ann")
    assert (merged["num_templates"], merged["num_look_alikes"]) == (1, 1)
    assert merged["similarity"] < 0.9
    assert _named(service, "ann") == _named(service, "ben") == ben
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
        check_problem(_post(service, f"subjects/{subject}/merge", body), status, code)
    assert [_named(service, each) for each in ("ann", "ben")] == [ann, ben]


def test_nobody_of_another_gallery_is_reached(service: FakeService) -> None:
    """Neither who gives, nor who gets, nor a template, nor a look-alike."""
    ann = service.enroll("ann")["ann"]
    template = _ids(service, ann)[0]
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
    assert _named(service, "ann") == ann


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
