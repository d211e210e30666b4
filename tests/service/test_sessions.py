"""Sessions of the page: a key is traded for a cookie, which counts for the page alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from starlette.testclient import TestClient

from embedding.errors import KeyInvalid, SessionEnded, StoreError
from index.store.tables import api_keys
from service.auth import Role
from service.session_cookie import COOKIE, PAGE_HEADER, SECURE_COOKIE
from service.sessions import FOLDER, Sessions
from service.settings import Settings
from tests.fakes import make_photo
from tests.service.support import FakeService, check_problem, fake_service

ORIGIN = "http://testserver"
PAGE = {PAGE_HEADER: ORIGIN, "Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
READING = {PAGE_HEADER: ORIGIN, "Sec-Fetch-Site": "same-origin"}
PHOTO = make_photo(["ann"])


def sign_in(service: FakeService, key: str, **headers: str) -> Any:
    """Signs in as the page does; the client keeps the cookie."""
    return service.http.post("/session", json={"key": key}, headers=PAGE | headers)


@pytest.fixture
def signed_in(service: FakeService) -> FakeService:
    """A service whose client holds the cookie of an admin."""
    assert sign_in(service, service.key()).status_code == 200
    return service


def _token(service: FakeService) -> str:
    token = service.http.cookies.get(COOKIE)
    assert token is not None
    return token


def test_a_key_is_traded_for_a_cookie(service: FakeService) -> None:
    """The answer says who it is; the cookie is out of reach of scripts and of other sites."""
    key = service.key(Role.OPERATOR, galleries=["default"])
    answer = sign_in(service, key)
    said = answer.json()
    assert (said["role"], said["galleries"]) == ("operator", ["default"])
    assert "enroll" in said["permissions"]
    assert "manage_keys" not in said["permissions"]
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert "Max-Age" not in cookie
    assert "expires" not in cookie.lower()
    secret = key.split("_", 2)[2]
    assert secret not in cookie + answer.text
    assert service.http.get("/session", headers=READING).json() == said


def test_over_tls_the_cookie_is_secure(service: FakeService) -> None:
    """The cookie of HTTPS never goes over HTTP, also where a proxy in front terminates TLS."""
    for address in ("https://testserver", "http://testserver"):
        secure = "https://testserver"
        headers = PAGE | {PAGE_HEADER: secure, "Origin": secure}
        answer = service.http.post(
            f"{address}/session", json={"key": service.key()}, headers=headers
        )
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith(f"{SECURE_COOKIE}=")
        assert "Secure" in cookie.split("; ")


def test_a_cookie_of_plain_http_is_nothing_over_tls(service: FakeService) -> None:
    """Who can write plain HTTP into the network cannot sign anybody in as somebody else."""
    sign_in(service, service.key())
    token = _token(service)
    headers = {PAGE_HEADER: "https://testserver", "Cookie": f"{COOKIE}={token}"}
    check_problem(service.http.get("/v1/galleries", headers=headers), 401, "key_missing")
    downgraded = {PAGE_HEADER: ORIGIN, "Cookie": f"{SECURE_COOKIE}={token}"}
    answer = service.http.get("https://testserver/v1/galleries", headers=downgraded)
    check_problem(answer, 403, "cross_origin")


def test_a_session_does_what_its_key_may(signed_in: FakeService) -> None:
    """With the page's headers the cookie stands for the key, in role and galleries."""
    http = signed_in.http
    assert http.get("/v1/galleries", headers=READING).status_code == 200
    form: dict[str, Any] = {"data": {"subject": "ann"}, "files": [("photos", ("a", PHOTO))]}
    assert http.post("/v1/enroll", headers=PAGE, **form).status_code == 201
    sign_in(signed_in, signed_in.key(Role.IDENTIFIER, galleries=["default"]))
    found = http.post("/v1/identify", headers=PAGE, files={"photo": PHOTO}).json()["faces"][0]
    assert (found["decision"], found["similarity"]) == ("match", None)
    check_problem(http.post("/v1/enroll", headers=PAGE, **form), 403, "key_forbidden")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"},
        PAGE | {"Origin": "http://evil.example.org", "Sec-Fetch-Site": "cross-site"},
        PAGE | {"Origin": "null"},
        PAGE | {"Sec-Fetch-Site": "same-site"},
        PAGE | {"Sec-Fetch-Site": "none"},
        {PAGE_HEADER: ORIGIN},
        {PAGE_HEADER: "http://evil.example.org", "Origin": "http://evil.example.org"},
        {PAGE_HEADER: "http://testserver:81", "Origin": "http://testserver:81"},
        {PAGE_HEADER: "1", "Origin": ORIGIN},
        {PAGE_HEADER: f"{ORIGIN}/", "Origin": ORIGIN},
        {PAGE_HEADER: "https://testserver", "Origin": ORIGIN},
    ],
    ids=["bare", "no header", "evil", "null", "port", "typed", "silent", "other host",
         "other port", "one", "path", "other scheme"],
)  # fmt: skip
def test_the_cookie_alone_changes_nothing(signed_in: FakeService, headers: dict[str, str]) -> None:
    """Whatever a page of another origin can make a browser send is refused, and nothing done."""
    name = SECURE_COOKIE if headers.get(PAGE_HEADER, "").startswith("https") else COOKIE
    cookie = {"Cookie": f"{name}={_token(signed_in)}"}
    answer = signed_in.http.post(
        "/v1/galleries", headers=headers | cookie, json={"name": "forged"}
    )
    check_problem(answer, 403, "cross_origin")
    assert [each.name for each in signed_in.parts.galleries.list()] == ["default"]


def test_the_cookie_alone_reads_nothing(signed_in: FakeService) -> None:
    """A link or an image of another page learns nothing, and signs nobody out."""
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {PAGE_HEADER: "http://evil"}):
        for path in ("/v1/galleries", "/session", "/v1/audit/export"):
            check_problem(signed_in.http.get(path, headers=headers), 403, "cross_origin")
        check_problem(signed_in.http.delete("/session", headers=headers), 403, "cross_origin")
    assert signed_in.http.get("/session", headers=READING).status_code == 200


def test_a_page_of_another_origin_cannot_sign_anybody_in(service: FakeService) -> None:
    """Nor can it make a browser work under a key of its own."""
    key = service.key()
    for headers in ({}, {"Origin": "http://evil"}, PAGE | {"Origin": "http://evil"}):
        answer = service.http.post("/session", json={"key": key}, headers=headers)
        check_problem(answer, 403, "cross_origin")
        assert "set-cookie" not in answer.headers


def test_an_origin_that_may_ask_may_not_use_the_cookie(settings: Settings) -> None:
    """Origins of the settings ask with keys only: browsers hear no to header and cookie."""
    desk = "https://desk.example.org"
    with fake_service(settings.model_copy(update={"cors_origins": desk})) as service:
        sign_in(service, service.key())
        preflight = service.http.options(
            "/v1/galleries",
            headers={
                "Origin": desk,
                "Access-Control-Request-Method": "GET",
                "Access-Control-Request-Headers": PAGE_HEADER,
            },
        )
        assert preflight.status_code == 400
        answer = service.http.get("/v1/galleries", headers=READING | {"Origin": desk})
        check_problem(answer, 403, "cross_origin")


def test_a_header_wins_over_the_cookie(signed_in: FakeService) -> None:
    """A key in the header decides, good or bad, and needs nothing that the cookie needs."""
    http = signed_in.http
    headers = signed_in.headers(Role.IDENTIFIER)
    assert http.get("/session", headers=headers).json()["role"] == "identifier"
    check_problem(http.get("/v1/galleries", headers=headers), 403, "key_forbidden")
    for bad in ("Bearer fg_bad", "Basic YTpi", ""):
        answer = http.get("/v1/galleries", headers=READING | {"Authorization": bad})
        assert answer.status_code == 401


def test_signing_out_ends_a_copied_cookie_too(signed_in: FakeService) -> None:
    """After it the token is refused wherever it is kept, also after a restart."""
    token = _token(signed_in)
    answer = signed_in.http.delete("/session", headers=PAGE)
    assert answer.status_code == 204
    assert "Max-Age=0" in answer.headers["set-cookie"]
    assert not signed_in.http.cookies.get(COOKIE)
    copied = READING | {"Cookie": f"{COOKIE}={token}"}
    check_problem(signed_in.http.get("/v1/galleries", headers=copied), 401, "session_ended")
    assert signed_in.http.delete("/session", headers=PAGE).status_code == 204
    with pytest.raises(SessionEnded):
        _sessions(signed_in).resume(token)


def _sessions(service: FakeService, **given: Any) -> Sessions:
    """What another process on the same data folder has."""
    parts = service.parts
    options: dict[str, Any] = {
        "secret": parts.galleries.secret("service"),
        "folder": service.settings.data_folder,
        "lifetime_s": 3600,
    }
    return Sessions(parts.keys, **(options | given))


def test_every_process_knows_a_session(service: FakeService) -> None:
    """What one process began another one resumes, and what one ended another one refuses."""
    one, other = _sessions(service), _sessions(service)
    token, session = one.begin(service.key(Role.AUDITOR))
    assert other.resume(token) == session
    assert other.end(token) == session.caller.key_id
    with pytest.raises(SessionEnded):
        one.resume(token)


def test_a_session_outlives_a_restart(settings: Settings) -> None:
    """People stay signed in when the service is started anew."""
    with fake_service(settings) as service:
        sign_in(service, service.key())
        token = _token(service)
    with fake_service(settings) as again:
        headers = READING | {"Cookie": f"{COOKIE}={token}"}
        assert again.http.get("/session", headers=headers).status_code == 200


def test_revoking_the_key_ends_its_sessions(signed_in: FakeService) -> None:
    """The next request of the page is refused."""
    key_id = signed_in.http.get("/session", headers=READING).json()["key_id"]
    other = signed_in.headers()
    assert signed_in.http.delete(f"/v1/keys/{key_id}", headers=other).status_code == 200
    check_problem(signed_in.http.get("/v1/keys", headers=READING), 401, "session_ended")


def test_a_session_ends_with_its_key_s_term(service: FakeService) -> None:
    """It is never longer than the key lives, and ends when the key's time comes earlier."""
    expires_at = datetime.now(UTC) + timedelta(minutes=10)
    key = service.parts.keys.create(role=Role.ADMIN, expires_at=expires_at)[1]
    said = sign_in(service, key).json()
    assert datetime.fromisoformat(said["expires_at"]) <= expires_at
    with service.parts.galleries._store.database.transaction() as connection:
        connection.execute(update(api_keys).values(expires_at=datetime.now(UTC)))
    check_problem(service.http.get("/session", headers=READING), 401, "session_ended")


def test_a_session_ends_after_its_time(service: FakeService) -> None:
    """At its end to the second, and what was signed out is forgotten then."""
    now_s = 1_800_000_000.0
    sessions = _sessions(service, lifetime_s=60, now_s=lambda: now_s)
    token, _ = sessions.begin(service.key())
    ended, _ = sessions.begin(service.key())
    sessions.end(ended)
    folder = service.settings.data_folder / FOLDER
    now_s += 59
    sessions.resume(token)
    assert len(list(folder.iterdir())) == 1
    now_s += 1
    with pytest.raises(SessionEnded):
        sessions.resume(token)
    assert sessions.end(token) is None
    last, _ = sessions.begin(service.key())
    sessions.end(last)
    assert [path.name.split(".")[0] for path in folder.iterdir()] == [last.split(".")[1]]


@pytest.mark.parametrize("position", range(0, 115, 9))
def test_a_changed_token_is_refused(service: FakeService, position: int) -> None:
    """Key, id, end and code: not a character of them may differ."""
    sessions = _sessions(service)
    token, _ = sessions.begin(service.key())
    position %= len(token)
    other = "1" if token[position] != "1" else "2"
    with pytest.raises(SessionEnded):
        sessions.resume(token[:position] + other + token[position + 1 :])


@pytest.mark.parametrize(
    "token",
    ["", ".", "...", "a" * 5000, "é", "../../secret", "0" * 12, "\u0661" * 12, "fg_a.b.1.c",
     "0a1b2c3d4e5f." + "a" * 32 + ".99999999999." + "A" * 43],
)  # fmt: skip
def test_what_is_no_token_is_refused(service: FakeService, token: str) -> None:
    """Nonsense is an ended session, never a fault, and touches no file."""
    with pytest.raises(SessionEnded):
        service.parts.sessions.resume(token)
    assert service.parts.sessions.end(token) is None
    assert not (service.settings.data_folder / FOLDER).exists()


def test_another_secret_knows_no_session(service: FakeService) -> None:
    """A token of one service is nothing to another one."""
    token, _ = _sessions(service).begin(service.key())
    with pytest.raises(SessionEnded):
        _sessions(service, secret=bytes(32)).resume(token)


def test_two_sessions_of_a_key_end_apart(service: FakeService) -> None:
    """Signing out at one desk leaves the other one signed in."""
    sessions, key = _sessions(service), service.key()
    one, other = sessions.begin(key)[0], sessions.begin(key)[0]
    assert one != other
    sessions.end(one)
    sessions.resume(other)


def test_an_end_that_cannot_be_kept_is_told(service: FakeService, tmp_path: Path) -> None:
    """Nobody believes to be signed out who is not."""
    (tmp_path / FOLDER).write_text("in the way")
    sessions = _sessions(service, folder=tmp_path)
    token, _ = sessions.begin(service.key())
    with pytest.raises(StoreError):
        sessions.end(token)


def test_a_wrong_key_begins_nothing(service: FakeService) -> None:
    """It is refused as in a header, with no cookie and no entry in the audit log."""
    num = len(list(service.parts.galleries.audit.entries()))
    good = service.key()
    for key in ("", "fg_wrong", good[:-1] + ("A" if good[-1] != "A" else "B")):
        answer = sign_in(service, key)
        check_problem(answer, 401, "key_invalid")
        assert "set-cookie" not in answer.headers
    with pytest.raises(KeyInvalid):
        service.parts.keys.admit("0" * 12)
    made = [each.action for each in service.parts.galleries.audit.entries()][num:]
    assert made == ["key.create"]


@pytest.mark.parametrize("body", [{}, {"key": 7}, {"key": "a" * 201}, {"key": "a", "role": "x"}])
def test_other_bodies_are_refused(shared_service: FakeService, body: object) -> None:
    """A sign-in holds a key and nothing else."""
    answer = shared_service.http.post("/session", json=body, headers=PAGE)
    check_problem(answer, 422, "request_invalid")
    form = shared_service.http.post("/session", data={"key": "a"}, headers=PAGE)
    check_problem(form, 415, "unsupported_media_type")


def test_limits_of_the_key_hold_for_its_session(service: FakeService) -> None:
    """A cookie is no way around the limits: its requests are counted with the key's."""
    made = service.http.post(
        "/v1/keys", headers=service.headers(), json={"role": "admin", "max_per_day": 2}
    )
    sign_in(service, made.json()["key"])
    assert service.http.get("/v1/galleries", headers=READING).status_code == 200
    check_problem(service.http.get("/v1/galleries", headers=READING), 429, "key_limited")


def test_sessions_stand_in_the_audit_log(signed_in: FakeService) -> None:
    """Who signed in and out, and what was done meanwhile, stands under the key's id."""
    key_id = signed_in.http.get("/session", headers=READING).json()["key_id"]
    signed_in.http.post("/v1/galleries", headers=PAGE, json={"name": "door"})
    signed_in.http.delete("/session", headers=PAGE)
    entries = list(signed_in.parts.galleries.audit.entries())
    done = {each.action for each in entries if each.actor == key_id}
    assert done == {"session.begin", "gallery.create", "session.end"}


def test_the_token_is_not_logged(service: FakeService, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the key nor the cookie stands in the log."""
    key = service.key()
    with caplog.at_level("DEBUG"):
        sign_in(service, key)
        token = _token(service)
        service.http.get("/session", headers=READING)
        service.http.delete("/session", headers=PAGE)
    assert "session begun" in caplog.text
    assert key.split("_", 2)[2] not in caplog.text
    assert token.rpartition(".")[2] not in caplog.text


def test_proxies_must_pass_the_host_on(service: FakeService) -> None:
    """Where the Host differs from the page's address the answer says what to mend."""
    http = TestClient(service.app, base_url="http://backend:8321")
    answer = http.post("/session", json={"key": service.key()}, headers=PAGE)
    check_problem(answer, 403, "cross_origin")
    assert "Host" in answer.json()["detail"]
