"""Keys that expire, are limited, remember their last use, and give no more than they have."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from index.store.tables import api_keys
from service import access
from service.auth import OWNER, Role
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.support import FakeService, check_problem, fake_service

PHOTO = make_photo(["ann"])


def _make(service: FakeService, headers: dict[str, str], **fields: Any) -> Any:
    return service.http.post("/v1/keys", headers=headers, json={"role": "admin", **fields})


def _bearer(answer: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {answer.json()['key']}"}


def _in(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat()


def _set(service: FakeService, column: str, at: datetime) -> None:
    """Put a time into every key that has one there."""
    time = api_keys.c[column]
    with service.parts.galleries._store.database.transaction() as connection:
        connection.execute(update(api_keys).where(time.is_not(None)).values({column: at}))


def test_an_expired_key_is_refused(service: FakeService) -> None:
    """From its time on a key is as good as unknown, and it is listed with that time."""
    made = _make(service, service.headers(), expires_at=_in(days=1))
    assert service.http.get("/v1/keys", headers=_bearer(made)).status_code == 200
    _set(service, "expires_at", datetime.now(UTC))
    check_problem(service.http.get("/v1/keys", headers=_bearer(made)), 401, "key_invalid")
    keys = service.http.get("/v1/keys", headers=service.headers()).json()["keys"]
    assert [each["key_id"] for each in keys if each["expires_at"]] == [made.json()["key_id"]]


@pytest.mark.parametrize(
    "expires_at",
    [
        "2020-01-01T00:00:00Z",
        "2999-01-01T00:00:00",
        "soon",
        "",
        "9999-99-99T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
        1e309,
        7,
    ],
)
def test_a_time_that_is_no_future_one_is_refused(
    shared_service: FakeService, expires_at: object
) -> None:
    """Past, without a zone, or no time at all: no key is made."""
    num = len(shared_service.parts.keys.list())
    headers = shared_service.headers()
    content = '{"role": "admin", "expires_at": %s}' % (
        f'"{expires_at}"' if isinstance(expires_at, str) else "1e309"
    )
    answer = shared_service.http.post(
        "/v1/keys", headers=headers | {"Content-Type": "application/json"}, content=content
    )
    check_problem(answer, 422, "request_invalid")
    assert len(shared_service.parts.keys.list()) == num + 1


@pytest.mark.parametrize("field", ["max_per_minute", "max_per_day"])
@pytest.mark.parametrize("limit", [0, -1, 1.5, "5", 10**10])
def test_a_limit_out_of_range_is_refused(
    shared_service: FakeService, field: str, limit: object
) -> None:
    """A limit is a whole number from 1 on."""
    answer = _make(shared_service, shared_service.headers(), **{field: limit})
    check_problem(answer, 422, "request_invalid")


@pytest.mark.parametrize("field", ["max_per_minute", "max_per_day"])
def test_a_limited_key_is_told_when_to_come_again(service: FakeService, field: str) -> None:
    """What is one too many answers 429 with Retry-After, and changes nothing."""
    headers = _bearer(_make(service, service.headers(), **{field: 2}))
    for _ in range(2):
        assert service.http.get("/v1/galleries", headers=headers).status_code == 200
    answer = service.http.post("/v1/galleries", headers=headers, json={"name": "new"})
    check_problem(answer, 429, "key_limited")
    assert int(answer.headers["retry-after"]) >= 1
    assert [each.name for each in service.parts.galleries.list()] == ["default"]
    assert service.http.get("/v1/galleries", headers=service.headers()).status_code == 200


def test_the_log_says_which_key_asks_too_often(
    service: FakeService, caplog: pytest.LogCaptureFixture
) -> None:
    """The line of a refused request has the key's id; the audit log is not filled with them."""
    made = _make(service, service.headers(), max_per_minute=1)
    with caplog.at_level(logging.INFO, "service.middleware"):
        for _ in range(3):
            service.http.post("/v1/galleries", headers=_bearer(made), json={"name": "new"})
    lines = [each.getMessage() for each in caplog.records]
    assert len([each for each in lines if "status=429" in each]) == 2
    assert all(f"key={made.json()['key_id']}" in each for each in lines)
    entries, _ = service.parts.galleries.audit.page(limit=100)
    assert "key_limited" not in {each.outcome for each in entries}


def test_the_service_has_limits_for_keys_without_own(settings: Settings) -> None:
    """A key's own limit takes the place of the service's, the lower and the higher one."""
    changed = settings.model_copy(update={"key_max_per_minute": 2})
    with fake_service(changed) as service:
        headers = service.headers()
        for expected in (200, 200, 429):
            answer = service.http.get("/v1/galleries", headers=headers)
            assert answer.status_code == expected


_FORM = httpx.Request("POST", "http://x", data={"subject": "ann"}, files={"photos": PHOTO})
_BODIES = {
    "/v1/galleries": ("application/json", b'{"name": "new"}'),
    "/v1/enroll": (_FORM.headers["content-type"], _FORM.read()),
    "/v1/galleries/default/import": ("application/octet-stream", b"PAR1"),
}


@pytest.mark.parametrize("path", _BODIES)
@pytest.mark.parametrize("revoked", [True, False])
def test_a_slow_body_does_not_keep_a_revoked_key_alive(
    service: FakeService, monkeypatch: pytest.MonkeyPatch, path: str, *, revoked: bool
) -> None:
    """What was begun before the revocation and came after it is not done."""
    monkeypatch.setattr(access, "KEY_HOLDS_S", 0.0)
    key = service.key()
    kind, body = _BODIES[path]

    def slowly() -> Iterator[bytes]:
        yield body[:3]
        if revoked:
            service.parts.keys.revoke(key.split("_")[1], caller=OWNER)
        yield body[3:]

    headers = {"Authorization": f"Bearer {key}", "Content-Type": kind}
    answer = service.http.post(path, headers=headers, content=slowly())
    if revoked:
        check_problem(answer, 401, "key_invalid")
        assert service.num_templates() == 0
        assert len(service.parts.galleries.list()) == 1
    else:
        assert answer.status_code in {201, 422}


def test_a_key_gives_no_more_than_it_has(service: FakeService) -> None:
    """It makes no key that lives longer or may ask more often."""
    until = _in(days=2)
    headers = _bearer(_make(service, service.headers(), expires_at=until, max_per_minute=50))
    good = {"expires_at": _in(days=1), "max_per_minute": 50}
    for fields in (
        {},
        good | {"expires_at": _in(days=3)},
        {"max_per_minute": 50},
        {"expires_at": _in(days=1)},
        good | {"max_per_minute": 51},
    ):
        check_problem(_make(service, headers, **fields), 403, "key_forbidden")
    assert _make(service, headers, **good).status_code == 201
    assert _make(service, headers, expires_at=until, max_per_minute=1).status_code == 201


def test_a_key_cannot_change_itself(service: FakeService) -> None:
    """There is no way to change a key, and it cannot revoke itself."""
    key = service.key()
    headers = {"Authorization": f"Bearer {key}"}
    path = f"/v1/keys/{key.split('_')[1]}"
    for method in ("PUT", "PATCH", "POST"):
        answer = service.http.request(method, path, headers=headers, json={"role": "admin"})
        check_problem(answer, 405, "method_not_allowed")
    check_problem(service.http.delete(path, headers=headers), 403, "key_forbidden")


def test_the_last_use_is_written_once_an_hour(service: FakeService) -> None:
    """Listed from the first request on; a second request within the hour writes nothing."""
    key = service.key(Role.OPERATOR)
    headers = {"Authorization": f"Bearer {key}"}

    def last_use() -> datetime | None:
        row = service.parts.galleries.keys.get(key.split("_")[1])
        assert row is not None
        return row.last_used_at

    assert last_use() is None
    service.http.get("/v1/galleries", headers=headers)
    first = last_use()
    assert first is not None
    service.http.get("/v1/galleries", headers=headers)
    assert last_use() == first
    _set(service, "last_used_at", first - timedelta(hours=1))
    service.http.get("/v1/galleries", headers=headers)
    again = last_use()
    assert again is not None
    assert again >= first
    # A clock that was days ahead wrote it.
    _set(service, "last_used_at", first + timedelta(days=9))
    service.http.get("/v1/galleries", headers=headers)
    back = last_use()
    assert back is not None
    assert first <= back < first + timedelta(days=1)
