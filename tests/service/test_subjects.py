"""People over HTTP: what is kept of them, how it is found and changed, and when they go."""

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.auth import Role
from tests.fakes import make_photo
from tests.index.clock import set_clock
from tests.service.support import FakeService, check_problem

SUBJECTS = "/v1/galleries/default/subjects"
PERSON: Mapping[str, Any] = {
    "metadata": {"badge": 17, "team": "Zo\u00eb", "guest": False, "x": 0.5},
    "purpose": "access to building 7/8",
    "consent_reference": "https://example.org/consents/17",
    "expires_at": "2090-01-02T03:04:05Z",
}
HUGE = "1" * 400


def _enroll(service: FakeService, name: str = "ann", **fields: str) -> Any:
    return service.http.post(
        "/v1/enroll",
        headers=service.headers(),
        data={"subject": name, **fields},
        files=[("photos", ("a", make_photo([name])))],
    )


def _form(person: Mapping[str, Any]) -> dict[str, str]:
    return {**person, "metadata": json.dumps(person["metadata"])}


def _path(service: FakeService, name: str = "ann") -> str:
    return f"{SUBJECTS}/{service.enroll(name)[name]}"


def _get(service: FakeService, path: str, **headers: str) -> Any:
    return service.http.get(path, headers=service.headers() | headers)


def _patch(service: FakeService, path: str, body: object, **headers: str) -> Any:
    content = body if isinstance(body, str) else json.dumps(body)
    given = {
        "Content-Type": "application/merge-patch+json",
        **service.headers(Role.OPERATOR),
    } | headers
    return service.http.patch(path, content=content, headers=given)


def test_an_enroll_says_it_in_a_form_and_in_json(service: FakeService) -> None:
    """Metadata, purpose, consent and expiry come back by id and in the list."""
    import base64

    form = _enroll(service, "ann", **_form(PERSON))
    document = {
        "photos": [base64.b64encode(make_photo(["ben"])).decode()],
        "subject": "ben",
        **PERSON,
    }
    made = service.http.post("/v1/enroll", headers=service.headers(), json=document)
    assert (form.status_code, made.status_code) == (201, 201)
    for answer in (form, made):
        shown = _get(service, f"{SUBJECTS}/{answer.json()['subject_id']}").json()
        assert {field: shown[field] for field in PERSON} == PERSON
    listed = _get(service, SUBJECTS).json()["subjects"]
    assert [each["metadata"] for each in listed] == [PERSON["metadata"]] * 2


def test_a_term_in_days_is_counted_from_now(service: FakeService) -> None:
    """The expiry is so many days after the enroll; a second enroll moves it."""
    for days in (30, 60):
        before = datetime.now(UTC)
        ident = _enroll(service, expires_in_days=str(days)).json()["subject_id"]
        at = datetime.fromisoformat(_get(service, f"{SUBJECTS}/{ident}").json()["expires_at"])
        assert before <= at - timedelta(days=days) <= datetime.now(UTC)


@pytest.mark.parametrize(
    "fields",
    [
        {"metadata": ""},
        {"metadata": "[]"},
        {"metadata": "{"},
        {"metadata": '{"a": NaN}'},
        {"metadata": '{"a": 1e309}'},
        {"metadata": '{"a": ' + HUGE + "}"},
        {"metadata": '{"a": {"b": 1}}'},
        {"metadata": '{"a":' * 10_000},
        {"metadata": json.dumps({"a": "x" * 5000})},
        {"metadata": json.dumps({str(n): n for n in range(33)})},
        {"metadata": '{"a": "\\ud800"}'},
        {"purpose": ""},
        {"purpose": "x" * 201},
        {"purpose": "a\x00b"},
        {"consent_reference": "x" * 60_000},
        {"expires_at": "tomorrow"},
        {"expires_at": "1e309"},
        {"expires_at": "4102444800"},
        {"expires_at": "2090-01-01"},
        {"expires_at": "2090-01-01T00:00:00"},
        {"expires_at": "2090-02-30T00:00:00Z"},
        {"expires_at": "9999-12-31T23:59:59-12:00"},
        {"expires_at": "2001-01-01T00:00:00Z"},
        {"expires_in_days": "0"},
        {"expires_in_days": "-1"},
        {"expires_in_days": "1e309"},
        {"expires_in_days": "36501"},
        {"expires_in_days": "1", "expires_at": "2090-01-01T00:00:00Z"},
    ],
)
@pytest.mark.usefixtures("nothing_is_written")
def test_what_cannot_be_kept_is_refused(
    shared_service: FakeService, fields: dict[str, str]
) -> None:
    """Each with its reason, before anything is saved."""
    check_problem(_enroll(shared_service, **fields), 422, "request_invalid")


@pytest.mark.parametrize(
    "body",
    [
        '{"metadata": {"a": NaN}}',
        '{"metadata": {"a": -Infinity}}',
        '{"metadata": {"a": 1e309}}',
        '{"metadata": {"a": ' + HUGE + "}}",
        '{"metadata": {"a": [1]}}',
        '{"metadata": []}',
        '{"metadata": "{}"}',
        '{"metadata": {"": 1}}',
        '{"metadata": {"a": "' + "x" * 5000 + '"}}',
        '{"metadata": ' + '{"a":' * 10_000,
        '{"expires_at": 4102444800}',
        '{"expires_at": "2001-01-01T00:00:00Z"}',
        '{"purpose": 7}',
        '{"unknown": 1}',
        '{"created_at": null}',
        "[]",
        "null",
        "",
    ],
)
@pytest.mark.usefixtures("nothing_is_written")
def test_a_patch_that_cannot_be_done_is_refused(shared_service: FakeService, body: str) -> None:
    """Nothing of it is done."""
    gallery = shared_service.parts.galleries.get("default")
    path = f"{SUBJECTS}/{gallery.subjects().subjects[0].id}"
    check_problem(_patch(shared_service, path, body), 422, "request_invalid")


def test_a_patch_changes_what_it_gives(service: FakeService) -> None:
    """Absent stays, null takes away, in the metadata key by key; as merge patch and as JSON."""
    path = f"{SUBJECTS}/{_enroll(service, **_form(PERSON)).json()['subject_id']}"
    before = _get(service, path).json()
    patch = {"name": "bea", "metadata": {"badge": None, "new": True}, "purpose": None}
    answer = _patch(service, path, patch)
    assert answer.status_code == 200
    assert answer.json() == _get(service, path).json()
    assert answer.json() | {"version": ""} == before | {
        "name": "bea",
        "metadata": {"team": "Zo\u00eb", "guest": False, "x": 0.5, "new": True},
        "purpose": None,
        "version": "",
    }
    erased = {"external_id": None, "metadata": None, "expires_at": None, "name": None}
    done = _patch(service, path, erased, **{"Content-Type": "application/json"}).json()
    assert (done["name"], done["metadata"], done["expires_at"]) == (None, {}, None)
    same = _patch(service, path, {})
    assert same.json() == done


def test_a_patch_of_another_type_is_refused(service: FakeService) -> None:
    """Neither a form nor text; and an enroll is no merge patch."""
    path = _path(service)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        answer = _patch(service, path, "{}", **{"Content-Type": kind})
        check_problem(answer, 415, "unsupported_media_type")
    merge = {"Content-Type": "application/merge-patch+json", **service.headers()}
    answer = service.http.post("/v1/enroll", content="{}", headers=merge)
    check_problem(answer, 415, "unsupported_media_type")


def test_a_label_of_somebody_else_is_refused(service: FakeService) -> None:
    """Names and external ids belong to one person; other letter cases are other names."""
    path, _ = _path(service, "ann"), _path(service, "ben")
    check_problem(_patch(service, path, {"name": "ben"}), 409, "subject_exists")
    check_problem(_patch(service, path, {"name": "a/b"}), 422, "name_invalid")
    assert _patch(service, path, {"name": "BEN"}).status_code == 200


def test_an_id_in_another_letter_case_is_nobody(service: FakeService) -> None:
    """Ids are compared as they are."""
    path = _path(service)
    ident = path.rpartition("/")[2]
    if ident.upper() != ident:
        other = f"{SUBJECTS}/{ident.upper()}"
        check_problem(_patch(service, other, {"name": "x"}), 404, "subject_not_found")
    check_problem(_patch(service, f"{SUBJECTS}/absent", {}), 404, "subject_not_found")


def test_etags_are_strong_and_follow_every_change(service: FakeService) -> None:
    """304 while nothing changed; another tag after a change, and after a template came or went."""
    path = _path(service)
    tags = [_get(service, path).headers["etag"]]
    assert tags[0] == f'"{_get(service, path).json()["version"]}"'
    for given in (tags[0], f'"x", W/{tags[0]}', "*"):
        same = _get(service, path, **{"If-None-Match": given})
        assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", tags[0])
    tags.append(_patch(service, path, {"purpose": "door"}).headers["etag"])
    service.enroll("ann", photo=make_photo(["ann"], variant=3))
    tags.append(_get(service, path).headers["etag"])
    gallery = service.parts.galleries.get("default")
    gallery.remove_template(gallery.templates(path.rpartition("/")[2])[0].id)
    tags.append(_get(service, path).headers["etag"])
    assert len(set(tags)) == 4
    assert _get(service, path, **{"If-None-Match": ",".join(tags[:3])}).status_code == 200


@pytest.mark.parametrize("given", ['"x"', "W/{tag}", "x", "", '"', "{bare}"])
def test_if_match_needs_the_very_version(service: FakeService, given: str) -> None:
    """Another tag, a weak one or none at all changes and removes nothing: 412."""
    path = _path(service)
    tag = _get(service, path).headers["etag"]
    header = {"If-Match": given.format(tag=tag, bare=tag.strip('"'))}
    check_problem(_patch(service, path, {"name": "x"}, **header), 412, "subject_changed")
    removed = service.http.delete(path, headers=service.headers() | header)
    check_problem(removed, 412, "subject_changed")
    assert _get(service, path).headers["etag"] == tag


def test_if_match_lets_the_first_of_two_through(service: FakeService) -> None:
    """Of two who saw the same, the second is told; `*` takes whoever is there."""
    path = _path(service)
    seen = {"If-Match": _get(service, path).headers["etag"]}
    assert _patch(service, path, {"purpose": "one"}, **seen).status_code == 200
    check_problem(_patch(service, path, {"purpose": "two"}, **seen), 412, "subject_changed")
    assert _patch(service, path, {"purpose": "two"}, **{"If-Match": "*"}).status_code == 200
    gone = f"{SUBJECTS}/absent"
    answer = _patch(service, gone, {"purpose": "two"}, **{"If-Match": "*"})
    check_problem(answer, 404, "subject_not_found")


def test_somebody_is_found_by_name_or_external_id(service: FakeService) -> None:
    """Exactly, never by a part; a cursor does not go with it, and bad names are told."""
    _enroll(service, "ann", external_id="A-1")
    service.enroll("ben")

    def found(**query: str) -> list[str]:
        answer = service.http.get(SUBJECTS, headers=service.headers(), params=query)
        return [each["name"] for each in answer.json()["subjects"]]

    assert found(name="ann") == found(external_id="A-1") == ["ann"]
    assert found(name="ann", external_id="A-1") == ["ann"]
    for query in ({"name": "an"}, {"name": "Ann"}, {"name": "ben", "external_id": "A-1"}):
        assert found(**query) == []
    for bad, code in (
        ({"name": ""}, "name_invalid"),
        ({"external_id": "a/b"}, "name_invalid"),
        ({"name": "x" * 1001}, "request_invalid"),
        ({"name": "ann", "cursor": "forged"}, "request_invalid"),
    ):
        answer = service.http.get(SUBJECTS, headers=service.headers(), params=bad)
        check_problem(answer, 422, code)


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OPERATOR, Role.IDENTIFIER])
def test_an_identification_tells_nothing_of_it(service: FakeService, role: Role) -> None:
    """Whoever asks sees who it is, and none of what is kept besides."""
    _enroll(service, **_form(PERSON))
    answer = service.http.post(
        "/v1/identify", headers=service.headers(role), files={"photo": make_photo(["ann"])}
    )
    subject = answer.json()["faces"][0]["subject"]
    assert subject.keys() == {"id", "name", "external_id", "num_templates", "created_at"}


def test_who_has_expired_is_unknown(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment on: identify, list and routes say so, and the receipt after the upkeep."""
    path = f"{SUBJECTS}/{_enroll(service, expires_in_days='1').json()['subject_id']}"
    set_clock(monkeypatch, timedelta(days=2))
    answer = service.http.post(
        "/v1/identify", headers=service.headers(), files={"photo": make_photo(["ann"])}
    )
    assert answer.json()["faces"][0]["decision"] == "unknown"
    assert _get(service, SUBJECTS).json()["subjects"] == []
    check_problem(_get(service, path), 404, "subject_not_found")
    service.parts.galleries.maintain()
    assert _get(service, f"{path}/erasure").json()["content"]["final"] is True
    entries = [each.action for each in service.parts.galleries.audit.entries()]
    assert "subject.expire" in entries


def test_nothing_of_it_is_logged_or_audited(
    service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither what was kept nor what was refused; the audit log tells fields only."""
    with caplog.at_level(logging.DEBUG):
        person = {"metadata": {"k-private": "v-private"}, "purpose": "p-private"}
        path = f"{SUBJECTS}/{_enroll(service, **_form(person)).json()['subject_id']}"
        _patch(service, path, {"metadata": {"k-private": None}, "consent_reference": "c-private"})
        _patch(service, path, {"metadata": {"k-private": {"v-private": 1}}})
        service.http.get(SUBJECTS, headers=service.headers(), params={"name": "n-private"})
    entries = [each.line() for each in service.parts.galleries.audit.entries()]
    assert any('"subject.change"' in each for each in entries)
    # That of the test's own client tells its addresses.
    logged = [each.getMessage() for each in caplog.records if not each.name.startswith("httpx")]
    assert any("method=PATCH" in each for each in logged)
    for text in (*logged, *entries):
        assert "private" not in text
