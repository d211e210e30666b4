"""Ids, names, numbers and cursors that are not what they should be, on each kind of database."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from service.auth import Role
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.databases import on_each_database  # noqa: F401 (a fixture)
from tests.service.support import FakeService, check_problem, fake_service

ANN = make_photo(["ann"])
SUBJECTS = "/v1/galleries/default/subjects"


@pytest.fixture(scope="module")
def service(on_each_database: Settings) -> Iterator[FakeService]:  # noqa: F811
    """A service with one person, which no test here changes."""
    with fake_service(on_each_database) as started:
        started.enroll("ann")
        yield started


@pytest.fixture
def ann(service: FakeService) -> str:
    """The person's id."""
    listed = service.http.get(SUBJECTS, headers=service.headers()).json()["subjects"]
    return str(listed[0]["id"])


@pytest.fixture(autouse=True)
def _nothing_changes(service: FakeService) -> Iterator[None]:
    before = (service.num_templates(), len(service.parts.galleries.list()))
    yield
    assert (service.num_templates(), len(service.parts.galleries.list())) == before


def other_case(text: str) -> str:
    """The same in the other letter case; ids without letters are no test."""
    changed = text.upper()
    if changed == text:
        raise AssertionError("no letter in it")
    return changed


def test_ids_in_the_other_letter_case(service: FakeService, ann: str) -> None:
    """An id stands for one thing, written in one way; another spelling is not found."""
    headers = service.headers()
    for path in (
        f"{SUBJECTS}/{other_case(ann)}",
        f"{SUBJECTS}/{other_case(ann)}/erasure",
        f"{SUBJECTS}/{ann} ",
        f"{SUBJECTS}/{{{ann}}}",
        f"{SUBJECTS}/{ann.replace('-', '')}",
    ):
        answer = service.http.get(path, headers=headers)
        check_problem(answer, 404, "subject_not_found")
    check_problem(
        service.http.delete(f"{SUBJECTS}/{other_case(ann)}", headers=headers),
        404,
        "subject_not_found",
    )
    enroll = service.http.post(
        "/v1/enroll",
        headers=headers,
        data={"subject_id": other_case(ann)},
        files=[("photos", ("a", ANN))],
    )
    check_problem(enroll, 404, "subject_not_found")
    for gallery in ("Default", "DEFAULT", "default ", "default\0"):
        answer = service.http.post(
            "/v1/identify", headers=headers, data={"gallery": gallery}, files={"photo": ANN}
        )
        check_problem(answer, 404, "gallery_not_found")


def test_keys_in_the_other_letter_case(service: FakeService) -> None:
    """A key is compared as it was given out; the word Bearer is any case's."""
    key = service.key()
    for text, status in (
        (f"bearer {key}", 200),
        (f"Bearer {key.upper()}", 401),
        (f"Bearer {key.swapcase()}", 401),
        (f"Bearer {key}x", 401),
        (f"Bearer {key[:-1]}", 401),
    ):
        answer = service.http.get("/v1/galleries", headers={"Authorization": text})
        assert answer.status_code == status
    key_id = service.key(Role.OPERATOR).split("_")[1]
    if key_id.upper() != key_id:
        path = f"/v1/keys/{key_id.upper()}"
        check_problem(service.http.delete(path, headers=service.headers()), 404, "key_not_found")


@pytest.mark.parametrize("bad", ["%00", "%ff", "%ED%A0%80", "%F0%9F%99%82", "x" * 255, "%27--"])
def test_paths_with_odd_bytes(service: FakeService, bad: str) -> None:
    """What no id can be is not found, whatever the database thinks of its characters."""
    headers = service.headers()
    for method, path, code in (
        ("GET", f"/v1/galleries/{bad}/subjects", "gallery_not_found"),
        ("DELETE", f"/v1/galleries/{bad}", "gallery_not_found"),
        ("GET", f"{SUBJECTS}/{bad}", "subject_not_found"),
        ("DELETE", f"{SUBJECTS}/{bad}", "subject_not_found"),
        ("GET", f"{SUBJECTS}/{bad}/erasure", "subject_not_found"),
        ("DELETE", f"/v1/keys/{bad}", "key_not_found"),
    ):
        answer = service.http.request(method, path, headers=headers)
        if (answer.status_code, bad) == (422, "%00"):  # PostgreSQL cannot even look for it
            check_problem(answer, 422, "request_invalid")
        else:
            check_problem(answer, 404, code)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("subject", "a\0b", "name_invalid"),
        ("external_id", "\0", "name_invalid"),
        ("gallery", "a\0b", "gallery_not_found"),
        ("subject", "\ud800", "request_invalid"),
        ("subject_id", "\udfff", "request_invalid"),
        ("gallery", "\ud800", "request_invalid"),
    ],
)
def test_text_that_no_database_keeps(
    service: FakeService, field: str, value: str, code: str
) -> None:
    """NUL and lone surrogates in JSON are a caller's mistake, not the service's."""
    body = {"photos": [base64.b64encode(ANN).decode()], field: value}
    if field == "gallery":
        body["subject"] = "bob"
    answer = service.http.post(
        "/v1/enroll",
        headers=service.headers() | {"Content-Type": "application/json"},
        content=json.dumps(body),
    )
    check_problem(answer, 404 if code.endswith("_found") else 422, code)


def test_a_subject_id_with_nul(service: FakeService) -> None:
    """Nobody has such an id: not found, or not accepted where the database cannot look for it."""
    answer = service.http.post(
        "/v1/enroll",
        headers=service.headers(),
        data={"subject_id": "a\0b"},
        files=[("photos", ("a", ANN))],
    )
    assert answer.status_code in {404, 422}


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "-Infinity", "1e309", "1E+400", "5.0000001"]
)
@pytest.mark.parametrize("field", ["num_candidates", "box"])
def test_numbers_that_are_none(service: FakeService, field: str, number: str) -> None:
    """What JSON's numbers cannot be, and what is beyond them, is refused."""
    photo = base64.b64encode(ANN).decode()
    path, text = {
        "num_candidates": ("/v1/identify", f'{{"photo": "{photo}", "num_candidates": {number}}}'),
        "box": (
            "/v1/enroll",
            f'{{"photos": ["{photo}"], "subject": "bob", "box": [0, 0, 10, {number}]}}',
        ),
    }[field]
    answer = service.http.post(
        path, headers=service.headers() | {"Content-Type": "application/json"}, content=text
    )
    if (field, number) == ("box", "5.0000001"):
        check_problem(answer, 422, "face_not_at_box")
    else:
        check_problem(answer, 422, "request_invalid")


def test_whole_numbers_as_json_writes_them(service: FakeService) -> None:
    """5.0 is a whole number in JSON, and taken as 5; the text 5 is none."""
    photo = base64.b64encode(ANN).decode()
    for number, status in (("5.0", 200), ("1e1", 200), ("5.5", 422), ('"5"', 422), ("1e30", 422)):
        answer = service.http.post(
            "/v1/identify",
            headers=service.headers() | {"Content-Type": "application/json"},
            content=f'{{"photo": "{photo}", "num_candidates": {number}}}',
        )
        assert answer.status_code == status


@pytest.mark.parametrize("limit", ["NaN", "1e309", "1e2", "0x10", "\uff11\uff10", "1" * 5000, ""])
@pytest.mark.parametrize("path", [SUBJECTS, "/v1/audit"])
def test_limits_that_are_no_numbers(service: FakeService, path: str, limit: str) -> None:
    """The size of a page is a whole number in digits."""
    answer = service.http.get(path, headers=service.headers(), params={"limit": limit})
    check_problem(answer, 422, "request_invalid")


def test_cursors_that_were_not_given_out(service: FakeService) -> None:
    """A cursor that was changed, cut, made up or is of another gallery gives no page."""
    made = service.http.get(f"{SUBJECTS}?limit=1", headers=service.headers())
    assert made.json()["next_cursor"] is None  # one person: the next page would be empty
    for cursor in ("", "0", "-1", "1", "AAAA", "null", "\0", "\ud7ff", "=" * 1000, "x" * 1001):
        for path in (SUBJECTS, "/v1/audit"):
            answer = service.http.get(path, headers=service.headers(), params={"cursor": cursor})
            check_problem(answer, 422, "request_invalid")


def test_expiry_goes_by_the_service_s_clock(service: FakeService) -> None:
    """The caller's zone does not matter, and a caller whose clock is behind makes no dead key."""
    far = timezone(timedelta(hours=14))
    now = datetime.now(UTC)

    def make(expires_at: datetime) -> Any:
        return service.http.post(
            "/v1/keys",
            headers=service.headers(),
            json={"role": "operator", "expires_at": expires_at.isoformat()},
        )

    late = make((now + timedelta(hours=1)).astimezone(far))
    assert late.status_code == 201
    assert datetime.fromisoformat(late.json()["expires_at"]) == now + timedelta(hours=1)
    headers = {"Authorization": f"Bearer {late.json()['key']}"}
    assert service.http.get("/v1/galleries", headers=headers).status_code == 200
    # Its wall clock shows tomorrow, yet the moment is past.
    check_problem(make((now - timedelta(minutes=1)).astimezone(far)), 422, "request_invalid")
    check_problem(make(now), 422, "request_invalid")
