"""Every route x role x gallery: generated from the app, so that a new route needs a row here."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from service.auth import Role
from tests.fakes import make_photo
from tests.service.support import FakeService, check_problem

ADMIN = frozenset({Role.ADMIN})
OPERATORS = frozenset({Role.ADMIN, Role.OPERATOR})
IDENTIFIERS = frozenset({Role.ADMIN, Role.OPERATOR, Role.IDENTIFIER})
AUDITORS = frozenset({Role.ADMIN, Role.AUDITOR})
LISTENERS = frozenset({Role.ADMIN, Role.OPERATOR, Role.LISTENER})
EVERYBODY = frozenset(Role)
PHOTO = make_photo(["ann"])
NOT_AUDITED = {("POST", "/v1/detect")}
"""Changes nothing, and compares a face with nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Who may call a route, and how it is called.

    Attributes:
        roles: that are let through; None when no key is needed.
        in_gallery: the route works in one gallery, which a tied key must reach.
        untied: only keys that are tied to no gallery are let through.
        request: what is sent, for gallery ``default``.
    """

    roles: frozenset[Role] | None = None
    in_gallery: bool = False
    untied: bool = False
    request: Mapping[str, Any] = field(default_factory=dict)


ROWS: Mapping[tuple[str, str], Row] = {
    ("POST", "/v1/enroll"): Row(
        roles=OPERATORS,
        in_gallery=True,
        request={
            "data": {"subject": "ann", "dry_run": "true"},
            "files": [("photos", ("a", PHOTO))],
        },
    ),
    ("POST", "/v1/identify"): Row(
        roles=IDENTIFIERS, in_gallery=True, request={"files": {"photo": PHOTO}}
    ),
    ("POST", "/v1/verify"): Row(
        roles=OPERATORS,
        in_gallery=True,
        request={"data": {"subject": "ann"}, "files": [("photos", ("a", PHOTO))]},
    ),
    ("POST", "/v1/detect"): Row(roles=OPERATORS, request={"files": {"photo": PHOTO}}),
    ("GET", "/v1/galleries"): Row(roles=OPERATORS),
    ("POST", "/v1/galleries"): Row(
        roles=ADMIN, in_gallery=True, request={"json": {"name": "default"}}
    ),
    ("GET", "/v1/galleries/{gallery}"): Row(roles=OPERATORS, in_gallery=True),
    ("PATCH", "/v1/galleries/{gallery}"): Row(
        roles=ADMIN, in_gallery=True, request={"json": {"max_templates": 7}}
    ),
    ("DELETE", "/v1/galleries/{gallery}"): Row(roles=ADMIN, in_gallery=True),
    ("POST", "/v1/galleries/{gallery}/calibrate"): Row(
        roles=ADMIN, in_gallery=True, request={"json": {}}
    ),
    ("GET", "/v1/galleries/{gallery}/threshold"): Row(roles=OPERATORS, in_gallery=True),
    ("GET", "/v1/galleries/{gallery}/erasure"): Row(roles=ADMIN, in_gallery=True),
    ("GET", "/v1/galleries/{gallery}/export"): Row(roles=ADMIN, in_gallery=True),
    ("POST", "/v1/galleries/{gallery}/import"): Row(
        roles=ADMIN,
        in_gallery=True,
        request={"content": b"PAR1", "headers": {"Content-Type": "application/octet-stream"}},
    ),
    ("GET", "/v1/galleries/{gallery}/subjects"): Row(roles=OPERATORS, in_gallery=True),
    ("GET", "/v1/galleries/{gallery}/subjects/{subject_id}"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("PATCH", "/v1/galleries/{gallery}/subjects/{subject_id}"): Row(
        roles=OPERATORS, in_gallery=True, request={"json": {"name": "Bea"}}
    ),
    ("DELETE", "/v1/galleries/{gallery}/subjects/{subject_id}"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("GET", "/v1/galleries/{gallery}/subjects/{subject_id}/erasure"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("GET", "/v1/galleries/{gallery}/subjects/{subject_id}/templates"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("POST", "/v1/galleries/{gallery}/subjects/{subject_id}/templates/move"): Row(
        roles=OPERATORS,
        in_gallery=True,
        request={"json": {"templates": ["absent"], "to_name": "ben"}},
    ),
    ("POST", "/v1/galleries/{gallery}/subjects/{subject_id}/merge"): Row(
        roles=OPERATORS, in_gallery=True, request={"json": {"into": "absent"}}
    ),
    ("GET", "/v1/galleries/{gallery}/templates/{template_id}"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("DELETE", "/v1/galleries/{gallery}/templates/{template_id}"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("GET", "/v1/galleries/{gallery}/templates/{template_id}/erasure"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("GET", "/v1/galleries/{gallery}/look-alikes"): Row(roles=OPERATORS, in_gallery=True),
    ("GET", "/v1/galleries/{gallery}/subjects/{subject_id}/look-alikes"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("PUT", "/v1/galleries/{gallery}/subjects/{subject_id}/look-alikes/{other_id}"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("DELETE", "/v1/galleries/{gallery}/subjects/{subject_id}/look-alikes/{other_id}"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("GET", "/v1/models"): Row(roles=OPERATORS),
    ("GET", "/v1/keys"): Row(roles=ADMIN, untied=True),
    ("POST", "/v1/keys"): Row(roles=ADMIN, untied=True, request={"json": {"role": "auditor"}}),
    ("DELETE", "/v1/keys/{key_id}"): Row(roles=ADMIN, untied=True),
    ("GET", "/v1/events"): Row(roles=LISTENERS),
    ("GET", "/v1/reviews"): Row(roles=OPERATORS),
    ("GET", "/v1/reviews/{review_id}"): Row(roles=OPERATORS),
    ("GET", "/v1/reviews/{review_id}/crop"): Row(roles=OPERATORS),
    ("GET", "/v1/galleries/{gallery}/templates/{template_id}/crop"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("POST", "/v1/reviews/{review_id}/claim"): Row(roles=OPERATORS),
    ("DELETE", "/v1/reviews/{review_id}/claim"): Row(roles=OPERATORS),
    ("POST", "/v1/reviews/{review_id}/decision"): Row(
        roles=OPERATORS, request={"json": {"verdict": "same"}}
    ),
    ("GET", "/v1/audit"): Row(roles=AUDITORS),
    ("GET", "/v1/audit/export"): Row(roles=AUDITORS),
    ("GET", "/session"): Row(roles=EVERYBODY),
    # The key stands in the body, and without a cookie nothing ends: test_sessions.py
    ("POST", "/session"): Row(),
    ("DELETE", "/session"): Row(),
    ("GET", "/healthz"): Row(),
    ("GET", "/readyz"): Row(),
    ("GET", "/metrics"): Row(),  # has a token of its own: test_metrics.py
    ("GET", "/"): Row(),
    ("GET", "/docs"): Row(),
    ("GET", "/openapi.json"): Row(),
}

CASES = [pytest.param(route, id=" ".join(route)) for route in ROWS]
LOCKED = [pytest.param(route, id=" ".join(route)) for route, row in ROWS.items() if row.roles]
IN_GALLERY = [pytest.param(r, id=" ".join(r)) for r, row in ROWS.items() if row.in_gallery]
CHANGING = [
    pytest.param(route, id=" ".join(route))
    for route, row in ROWS.items()
    if row.roles and route[0] != "GET" and route not in NOT_AUDITED
]


class Scope(enum.Enum):
    """What a key is tied to."""

    ALL = None
    OWN = ("default",)
    SEVERAL = ("mine", "default")
    FOREIGN = ("mine",)

    @property
    def galleries(self) -> list[str] | None:
        """As a key is made with."""
        return None if self.value is None else list(self.value)


def _lets_through(row: Row, role: Role, scope: Scope) -> bool:
    """What the table says of a call for gallery ``default``."""
    if row.roles is None:
        return True
    if row.untied and scope is not Scope.ALL:
        return False
    if row.in_gallery and scope is Scope.FOREIGN:
        return False
    return role in row.roles


def _call(
    service: FakeService,
    route: tuple[str, str],
    headers: Mapping[str, str],
    *,
    gallery: str = "default",
    subject_id: str = "absent",
    key_id: str = "absent",
) -> Any:
    method, path = route
    filled = path.format(
        gallery=gallery,
        subject_id=subject_id,
        key_id=key_id,
        template_id="absent",
        other_id="absent",
        review_id="absent",
    )
    request = dict(ROWS[route].request)
    both = dict(headers) | request.pop("headers", {})
    return service.http.request(method, filled, headers=both, **request)


def test_every_route_has_a_row(shared_service: FakeService) -> None:
    """A route that is not in the table, or a row without a route, fails here."""
    found = {
        (method, context.path)
        for context in iter_route_contexts(shared_service.app.routes)
        if not isinstance(context.original_route, Mount)
        for method in (context.methods or ())
        if method != "HEAD"
    }
    assert found == set(ROWS)


def test_only_files_of_the_pages_are_mounted(shared_service: FakeService) -> None:
    """Nothing else is served around the table."""
    mounts = [route.path for route in shared_service.app.routes if isinstance(route, Mount)]
    assert mounts == ["/static/docs", "/static/page"]


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("route", CASES)
def test_matrix(service: FakeService, route: tuple[str, str], role: Role, scope: Scope) -> None:
    """Each role and scope is let through exactly where the table says so."""
    answer = _call(service, route, service.headers(role, galleries=scope.galleries))
    if _lets_through(ROWS[route], role, scope):
        assert answer.status_code not in {401, 403}
        assert answer.status_code < 500
    else:
        check_problem(answer, 403, "key_forbidden")
        assert [each.name for each in service.parts.galleries.list()] == ["default"]


@pytest.mark.parametrize("route", LOCKED)
def test_no_key(shared_service: FakeService, route: tuple[str, str]) -> None:
    """Without a key nothing is told but that one is needed."""
    answer = _call(shared_service, route, {})
    assert answer.status_code == 401
    assert answer.json()["code"] == "key_missing"


@pytest.mark.parametrize("route", IN_GALLERY)
def test_what_is_there_is_not_told(service: FakeService, route: tuple[str, str]) -> None:
    """A key of another gallery hears the same, whether gallery and person exist or not."""
    subject_id = service.enroll("ann")["ann"]
    headers = service.headers(galleries=["mine"])
    there = _call(service, route, headers, subject_id=subject_id)
    service.parts.galleries.delete("default")
    gone = _call(service, route, headers, subject_id=subject_id)
    assert (there.status_code, there.json()) == (gone.status_code, gone.json())


OF_SUBJECT = [each for each in IN_GALLERY if "{subject_id}" in str(each.id)]


@pytest.mark.parametrize("route", OF_SUBJECT)
def test_a_person_of_another_gallery_is_not_there(
    service: FakeService, route: tuple[str, str]
) -> None:
    """Nobody is reached, shown or removed through a gallery that is not theirs."""
    service.parts.create_gallery("mine")
    subject_id = service.enroll("ann")["ann"]
    headers = service.headers(galleries=["mine"])
    answer = _call(service, route, headers, gallery="mine", subject_id=subject_id)
    check_problem(answer, 404, "subject_not_found")
    assert service.num_templates() == 1


def test_a_cursor_of_another_list_is_refused(service: FakeService) -> None:
    """Cursors of a gallery, of another one and of the audit log are not those of each other."""
    service.parts.create_gallery("mine")
    service.enroll("ann", "ben")
    headers = service.headers()
    pages = ("/v1/galleries/default/subjects", "/v1/audit")
    for page in pages:
        cursor = service.http.get(f"{page}?limit=1", headers=headers).json()["next_cursor"]
        assert cursor
        for other in {*pages, "/v1/galleries/mine/subjects"} - {page}:
            answer = service.http.get(other, params={"cursor": cursor}, headers=headers)
            check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize("good", [True, False])
@pytest.mark.parametrize("route", CHANGING)
def test_every_change_is_audited(
    service: FakeService, route: tuple[str, str], *, good: bool
) -> None:
    """Done or refused: what changes something, or compares a face, stands under the key's id."""
    subject_id = service.enroll("ann")["ann"]
    other = service.key().split("_")[1]
    headers = service.headers()
    key_id = headers["Authorization"].split("_")[1]
    ids = {"subject_id": subject_id, "key_id": other} if good else {}
    answer = _call(service, route, headers, **ids)
    outcomes = {
        each.outcome for each in service.parts.galleries.audit.entries() if each.actor == key_id
    }
    assert outcomes == {"done" if answer.is_success else answer.json()["code"]}


def test_tied_key_sees_its_galleries_only(service: FakeService) -> None:
    """The list of galleries holds what the key reaches."""
    service.parts.create_gallery("mine")
    answer = service.http.get(
        "/v1/galleries", headers=service.headers(Role.OPERATOR, galleries=["mine"])
    )
    assert [each["name"] for each in answer.json()["galleries"]] == ["mine"]
