"""Templates over HTTP: listed, shown, erased and moved."""

from typing import Any

import numpy as np
import pytest

from index.receipts import Receipt, is_genuine
from service.auth import Role
from service.settings import Settings
from tests.service.support import FakeService, check_problem, fake_service
from tests.service.template_support import (
    BASE,
    enroll_more,
    ids_of,
    named_as,
    post,
    templates_of,
)


def test_a_template_is_shown_without_its_vector(service: FakeService) -> None:
    """Box, size, quality and time; in pages that together are all of them."""
    ann = service.enroll("ann")["ann"]
    enroll_more(service, ann, "ann", "ben")
    shown = templates_of(service, ann)
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
        enroll_more(service, ids[person], person)
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
    template = ids_of(service, ann)[0]
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
    enroll_more(service, ann, "ben")
    headers = service.headers(Role.OPERATOR)
    for left, template in ((1, ids_of(service, ann)[0]), (0, ids_of(service, ann)[1])):
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
        assert named_as(service, "ann") is None
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
    enroll_more(service, ann, "ben")
    first, second = ids_of(service, ann)
    body = {"templates": [second], "to_subject_id": cat}
    would = post(service, f"subjects/{ann}/templates/move", {**body, "dry_run": True})
    assert named_as(service, "ben") == ann
    moved = post(service, f"subjects/{ann}/templates/move", body).json()
    assert moved == {**would.json(), "dry_run": False}
    assert (moved["subject_id"], moved["created"], moved["num_left"]) == (cat, False, 1)
    assert moved["moved"][0]["template_id"] == second
    assert -1.0 <= moved["moved"][0]["similarity"] < 0.9
    assert named_as(service, "ben") == cat
    assert ids_of(service, ann) == [first]
    made = post(
        service,
        f"subjects/{cat}/templates/move",
        {"templates": [second], "to_name": "ben", "to_external_id": "b-1"},
    ).json()
    assert (made["created"], made["moved"][0]["similarity"]) == (True, None)
    assert named_as(service, "ben") == made["subject_id"]
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
    template, other = (ids_of(service, ids[person])[0] for person in ("ann", "ben"))
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
    answer = post(service, f"subjects/{ids['ann']}/templates/move", sent)
    check_problem(answer, status, code)
    assert ids_of(service, ids["ann"]) == [template]
    gallery = service.parts.galleries.get("default")
    assert [each.name for each in gallery.subjects().subjects] == ["ann", "ben"]
