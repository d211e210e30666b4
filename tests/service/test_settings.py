"""Tests of the settings."""

from pathlib import Path

import pytest

from embedding.errors import SettingsInvalid
from service.settings import Settings, is_loopback, load_settings


def test_environment_is_read_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable counts when settings are made, and what is given on top wins."""
    monkeypatch.setenv("FACEGALLERY_PORT", "9000")
    monkeypatch.setenv("FACEGALLERY_FPIR", "0.001")
    assert load_settings().port == 9000
    assert load_settings(port=9001, host=None).port == 9001
    assert load_settings().fpir == 0.001


def test_every_field_has_a_description() -> None:
    """The documentation's table is made from descriptions, so none is missing."""
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_unknown_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt setting does not silently do nothing."""
    monkeypatch.setenv("FACEGALLERY_FPRI", "0.001")
    with pytest.raises(SettingsInvalid, match="FACEGALLERY_FPRI"):
        load_settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PORT", "70000"), ("FPIR", "1.5"), ("MAX_PHOTO_BYTES", "many"), ("LOG_LEVEL", "loud")],
)
def test_value_out_of_range_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """The message names the variable that is wrong."""
    monkeypatch.setenv(f"FACEGALLERY_{variable}", value)
    with pytest.raises(SettingsInvalid, match=variable):
        load_settings()


def test_review_rate_is_larger_than_match_rate() -> None:
    """A review band that does not lie below the match threshold is refused."""
    with pytest.raises(SettingsInvalid, match="review_fpir"):
        load_settings(fpir=0.05, review_fpir=0.05)


@pytest.mark.parametrize("host", ["::", "192.168.1.5", "example.org"])
def test_open_listener_needs_tls(host: str) -> None:
    """An address that others reach is refused in clear unless a proxy is said to be in front."""
    with pytest.raises(SettingsInvalid, match="loopback"):
        load_settings(host=host)
    assert load_settings(host=host, insecure_listen=True).host == host


def test_tls_files_come_together_and_exist(tmp_path: Path) -> None:
    """A certificate without its key, or a path without a file, is refused."""
    certificate = tmp_path / "certificate.pem"
    certificate.write_text("x")
    with pytest.raises(SettingsInvalid, match="together"):
        load_settings(tls_certificate=certificate)
    with pytest.raises(SettingsInvalid, match="no file"):
        load_settings(tls_certificate=certificate, tls_key=tmp_path / "absent.pem")
    given = load_settings(host="::", tls_certificate=certificate, tls_key=certificate)
    assert given.scheme == "https"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_addresses(host: str) -> None:
    """Addresses of this machine alone need no TLS."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "password", ["changeme", "Change-Me", "postgres", "pass%77ord", "fg", "%3Cpassword%3E"]
)
def test_a_placeholder_is_no_password(password: str) -> None:
    """What everybody tries first is refused, and not repeated in the message."""
    with pytest.raises(SettingsInvalid, match="placeholder") as caught:
        load_settings(database_url=f"postgresql://fg:{password}@db/faces")
    assert password not in str(caught.value)


@pytest.mark.parametrize("login", ["", "fg@", "fg:@", "fg:kT9xQ2vLr8@"])
def test_other_logins_pass(login: str) -> None:
    """A random password passes, and none at all, where a socket or certificate stands for it."""
    load_settings(database_url=f"postgresql://{login}db/faces")
