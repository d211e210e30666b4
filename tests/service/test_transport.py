"""Plain HTTP on an open address is for listed proxies and this machine alone."""

import pytest
from starlette.testclient import TestClient

from embedding.errors import SettingsInvalid
from service.app import create_app
from service.settings import Settings, load_settings
from tests.fakes import FakeDetector
from tests.service.support import check_problem, fake_service

PROXIES = "10.0.0.2, 10.1.0.0/28,fd00::/64"


@pytest.fixture
def open_settings(settings: Settings) -> Settings:
    """Settings of a service behind proxies."""
    return settings.model_copy(update={"host": "0.0.0.0", "trusted_proxies": PROXIES})  # noqa: S104


@pytest.mark.parametrize(
    "peer",
    [
        "10.0.0.2",
        "10.1.0.15",
        "fd00::7",
        "127.0.0.1",
        "::1",
        "::ffff:10.0.0.2",
        "::ffff:127.0.0.1",
    ],
)
def test_listed_proxies_and_this_machine_pass(open_settings: Settings, peer: str) -> None:
    """Also where a socket for both kinds shows an IPv4 address as an IPv6 one."""
    http = TestClient(create_app(open_settings, detector=FakeDetector()), client=(peer, 1))
    assert http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "peer", ["10.0.0.3", "10.1.0.16", "192.168.1.5", "fd00:1::7", "::ffff:10.0.0.3", "nobody"]
)
def test_others_are_refused(open_settings: Settings, peer: str) -> None:
    """Whoever came around the proxy hears that HTTPS is needed, whatever headers say."""
    http = TestClient(create_app(open_settings, detector=FakeDetector()), client=(peer, 1))
    for headers in ({}, {"X-Forwarded-Proto": "https"}, {"X-Forwarded-For": "10.0.0.2"}):
        for path in ("/", "/healthz", "/v1/galleries", "/session"):
            answer = http.get(path, headers=headers)
            check_problem(answer, 403, "https_required")
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "strict-transport-security" not in answer.headers


def test_the_proxy_s_word_on_tls_counts(open_settings: Settings) -> None:
    """Its `https` is remembered by browsers, its `http` is refused; nobody else is believed."""
    proxy = TestClient(create_app(open_settings, detector=FakeDetector()), client=("10.0.0.2", 1))
    secure = proxy.get("/healthz", headers={"X-Forwarded-Proto": "https"})
    assert secure.headers["strict-transport-security"]
    for said in ("http", "https, http", "", "HTTPS"):
        answer = proxy.get("/healthz", headers={"X-Forwarded-Proto": said})
        check_problem(answer, 403, "https_required")
    twice = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")]
    for lines in (twice, twice[::-1]):
        check_problem(proxy.get("/healthz", headers=lines), 403, "https_required")
    local = TestClient(create_app(open_settings, detector=FakeDetector()), client=("127.0.0.1", 1))
    plain = local.get("/healthz", headers={"X-Forwarded-Proto": "https"})
    assert "strict-transport-security" not in plain.headers


def test_a_proxy_on_this_machine_may_be_listed(settings: Settings) -> None:
    """What it says came without TLS is refused then; what asks from here passes as before."""
    listed = settings.model_copy(update={"trusted_proxies": "127.0.0.1"})
    local = TestClient(create_app(listed, detector=FakeDetector()), client=("127.0.0.1", 1))
    assert local.get("/healthz").status_code == 200
    answer = local.get("/healthz", headers={"X-Forwarded-Proto": "http"})
    check_problem(answer, 403, "https_required")


def test_without_a_list_nobody_is_refused(settings: Settings) -> None:
    """Then the address alone decides, and forwarded headers count for nothing."""
    with fake_service(settings) as service:
        answer = service.http.get("/healthz", headers={"X-Forwarded-Proto": "https"})
        assert answer.status_code == 200
        assert "strict-transport-security" not in answer.headers


def test_a_list_opens_the_listener() -> None:
    """An address that is not loopback may be listened on when the proxies are listed."""
    assert load_settings(host="0.0.0.0", trusted_proxies=PROXIES).host == "0.0.0.0"  # noqa: S104
    with pytest.raises(SettingsInvalid, match="loopback"):
        load_settings(host="0.0.0.0", trusted_proxies=" , ")  # noqa: S104


@pytest.mark.parametrize(
    "proxies", ["*", "proxy", "10.0.0.1/24", "0.0.0.0/0", "::/0", "10.0.0", "10.0.0.2;10.0.0.3"]
)
def test_what_is_no_list_of_proxies_is_refused(proxies: str) -> None:
    """Names, everybody, and networks with bits of a host keep the service from starting."""
    with pytest.raises(SettingsInvalid, match="trusted_proxies"):
        load_settings(trusted_proxies=proxies)
