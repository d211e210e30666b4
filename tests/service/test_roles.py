"""Every route x role x gallery: generated from the app, so that a new route needs a row here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from service.auth import Role
from tests.fakes import make_photo
from tests.service.support import FakeService

ADMIN = frozenset({Role.ADMIN})
OPERATORS = frozenset({Role.ADMIN, Role.OPERATOR})
IDENTIFIERS = frozenset({Role.ADMIN, Role.OPERATOR, Role.IDENTIFIER})
AUDITORS = frozenset({Role.ADMIN, Role.AUDITOR})
PHOTO = make_photo(["ann"])


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
    ("POST", "/v1/detect"): Row(roles=OPERATORS, request={"files": {"photo": PHOTO}}),
    ("GET", "/v1/galleries"): Row(roles=OPERATORS),
    ("POST", "/v1/galleries"): Row(
        roles=ADMIN, in_gallery=True, request={"json": {"name": "default"}}
    ),
    ("DELETE", "/v1/galleries/{gallery}"): Row(roles=ADMIN, in_gallery=True),
    ("GET", "/v1/galleries/{gallery}/subjects"): Row(roles=OPERATORS, in_gallery=True),
    ("GET", "/v1/galleries/{gallery}/subjects/{subject_id}"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("DELETE", "/v1/galleries/{gallery}/subjects/{subject_id}"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("GET", "/v1/galleries/{gallery}/subjects/{subject_id}/erasure"): Row(
        roles=OPERATORS, in_gallery=True
    ),
    ("GET", "/v1/models"): Row(roles=OPERATORS),
    ("GET", "/v1/keys"): Row(roles=ADMIN, untied=True),
    ("POST", "/v1/keys"): Row(roles=ADMIN, untied=True, request={"json": {"role": "auditor"}}),
    ("DELETE", "/v1/keys/{key_id}"): Row(roles=ADMIN, untied=True),
    ("GET", "/v1/audit"): Row(roles=AUDITORS),
    ("GET", "/v1/audit/export"): Row(roles=AUDITORS),
    ("GET", "/healthz"): Row(),
    ("GET", "/readyz"): Row(),
    ("GET", "/"): Row(),
    ("GET", "/docs"): Row(),
    ("GET", "/openapi.json"): Row(),
}

CASES = [pytest.param(route, id=" ".join(route)) for route in ROWS]
LOCKED = [pytest.param(route, id=" ".join(route)) for route, row in ROWS.items() if row.roles]
IN_GALLERY = [pytest.param(r, id=" ".join(r)) for r, row in ROWS.items() if row.in_gallery]
UNTIED = [pytest.param(route, id=" ".join(route)) for route, row in ROWS.items() if row.untied]


def _call(service: FakeService, route: tuple[str, str], headers: Mapping[str, str]) -> Any:
    method, path = route
    filled = path.format(gallery="default", subject_id="absent", key_id="absent")
    return service.http.request(method, filled, headers=dict(headers), **dict(ROWS[route].request))


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


def test_only_the_docs_files_are_mounted(shared_service: FakeService) -> None:
    """Nothing else is served around the table."""
    mounts = [route.path for route in shared_service.app.routes if isinstance(route, Mount)]
    assert mounts == ["/static/docs"]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("route", CASES)
def test_role(service: FakeService, route: tuple[str, str], role: Role) -> None:
    """Each role is let through exactly where the table says so."""
    row = ROWS[route]
    answer = _call(service, route, service.headers(role))
    if row.roles is None or role in row.roles:
        assert answer.status_code not in {401, 403}
        assert answer.status_code < 500
    else:
        assert answer.status_code == 403
        assert answer.json()["code"] == "key_forbidden"


@pytest.mark.parametrize("route", LOCKED)
def test_no_key(shared_service: FakeService, route: tuple[str, str]) -> None:
    """Without a key nothing is told but that one is needed."""
    answer = _call(shared_service, route, {})
    assert answer.status_code == 401
    assert answer.json()["code"] == "key_missing"


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("route", IN_GALLERY)
def test_foreign_gallery(shared_service: FakeService, route: tuple[str, str], role: Role) -> None:
    """A key that is tied to another gallery is refused, whatever its role."""
    answer = _call(shared_service, route, shared_service.headers(role, galleries=["mine"]))
    assert answer.status_code == 403


@pytest.mark.parametrize("route", IN_GALLERY)
def test_own_gallery(service: FakeService, route: tuple[str, str]) -> None:
    """A key that is tied to the gallery is let through."""
    answer = _call(service, route, service.headers(galleries=["default"]))
    assert answer.status_code not in {401, 403}


@pytest.mark.parametrize("route", UNTIED)
def test_tied_key_rules_over_no_keys(shared_service: FakeService, route: tuple[str, str]) -> None:
    """A tied admin key could make itself a wider one, so it manages no keys."""
    answer = _call(shared_service, route, shared_service.headers(galleries=["default"]))
    assert answer.status_code == 403


def test_tied_key_sees_its_galleries_only(service: FakeService) -> None:
    """The list of galleries holds what the key reaches."""
    service.parts.create_gallery("mine")
    answer = service.http.get(
        "/v1/galleries", headers=service.headers(Role.OPERATOR, galleries=["mine"])
    )
    assert [each["name"] for each in answer.json()["galleries"]] == ["mine"]
