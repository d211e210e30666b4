"""The headers of every answer, and what a browser lets pages of other origins do."""

import re
from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from embedding.errors import SettingsInvalid
from service.settings import Settings, load_settings
from tests.service.support import FakeService, fake_service

DESK = "https://desk.example.org"
SAFE = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


def test_every_route_has_the_headers(shared_service: FakeService) -> None:
    """Whatever the route and its status: safe headers, a request id, no name of a server."""
    paths = {"/v1/nowhere", "/static/docs/swagger-ui.css"} | {
        re.sub(r"{\w+}", "x", context.path.replace("{gallery}", "default"))
        for context in iter_route_contexts(shared_service.app.routes)
        if context.path is not None and not isinstance(context.original_route, Mount)
    }
    assert len(paths) > 10
    for path in paths:
        for method in ("GET", "POST", "DELETE", "OPTIONS", "TRACE"):
            answer = shared_service.http.request(method, path)
            assert SAFE.items() <= dict(answer.headers).items(), (method, path)
            assert answer.headers["x-request-id"]
            assert "default-src" in answer.headers["content-security-policy"]
            assert answer.headers["permissions-policy"]
            assert answer.headers["cache-control"]
            assert not {"server", "x-powered-by", "access-control-allow-origin"} & set(
                answer.headers
            )


def test_answers_are_not_cached(shared_service: FakeService) -> None:
    """What stands behind a key stays out of every cache."""
    answer = shared_service.http.get("/v1/galleries", headers=shared_service.headers())
    assert answer.headers["cache-control"] == "no-store"


def test_https_is_remembered(shared_service: FakeService) -> None:
    """Over TLS browsers are told to come back with TLS only; over HTTP nothing is promised."""
    secure = shared_service.http.get("https://testserver/healthz")
    assert secure.headers["strict-transport-security"].startswith("max-age=")
    assert "strict-transport-security" not in shared_service.http.get("/healthz").headers


@pytest.mark.parametrize("path", ["/v1/keys/", "/docs/", "/static/page", "//evil.example/docs/"])
def test_no_answer_leads_to_the_host_of_the_request(
    shared_service: FakeService, path: str
) -> None:
    """A path with a slash too many is not found: a redirection would follow the Host header."""
    headers = shared_service.headers() | {"Host": "evil.example"}
    answer = shared_service.http.get(f"http://testserver{path}", headers=headers)
    assert (answer.status_code, answer.headers.get("location")) == (404, None)


def test_no_origin_is_allowed_by_default(shared_service: FakeService) -> None:
    """Neither a preflight nor a request tells a browser to let another origin read it."""
    asked = {"Origin": DESK, "Access-Control-Request-Method": "GET"}
    for method in ("OPTIONS", "GET"):
        answer = shared_service.http.request(method, "/v1/galleries", headers=asked)
        assert not any(each.startswith("access-control") for each in answer.headers)


@pytest.fixture
def open_settings(settings: Settings) -> Settings:
    """Settings that let one origin ask."""
    return settings.model_copy(update={"cors_origins": f"{DESK}, http://localhost:3000"})


def test_a_named_origin_may_ask(open_settings: Settings) -> None:
    """Its preflight passes, its answers can be read, without cookies; others stay out."""
    with fake_service(open_settings) as service:
        asked = {
            "Origin": DESK,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization, content-type",
        }
        preflight = service.http.options("/v1/identify", headers=asked)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == DESK
        assert SAFE.items() <= dict(preflight.headers).items()
        answer = service.http.get("/v1/galleries", headers=service.headers() | {"Origin": DESK})
        refused = service.http.get("/v1/galleries", headers={"Origin": DESK})
        for each in (answer, refused, preflight):
            assert each.headers["access-control-allow-origin"] == DESK
            assert "access-control-allow-credentials" not in each.headers
        for other in ("https://evil.example.org", f"{DESK}.evil.example", "null", "http://desk"):
            foreign = service.http.get("/v1/galleries", headers={"Origin": other})
            assert "access-control-allow-origin" not in foreign.headers
            assert (
                service.http.options("/v1/identify", headers=asked | {"Origin": other}).status_code
                == 400
            )


@pytest.mark.parametrize(
    "origins",
    ["*", "null", "https://*", "https://*.example.org", "desk.example.org", "ftp://desk",
     "https://desk/", "https://desk/page", "https://Desk", f"{DESK},*", "https://a b",
     "https://user@desk", "https://desk:0", "javascript:1"],
)  # fmt: skip
def test_what_is_no_exact_origin_is_refused(origins: str) -> None:
    """A pattern, a path or another form than browsers send keeps the service closed."""
    with pytest.raises(SettingsInvalid, match="cors_origins"):
        load_settings(cors_origins=origins)


def test_exact_origins_pass(tmp_path: Path) -> None:
    """Names, addresses and ports are origins."""
    load_settings(data_folder=tmp_path, cors_origins=f"{DESK},http://127.0.0.1:8000,http://[::1]")
