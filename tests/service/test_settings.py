"""Tests of the settings."""

from pathlib import Path

import pytest

from embedding.errors import SettingsInvalid
from service.settings import Settings, load_settings
from service.settings_file import FILE_VARIABLE
from service.settings_sections.address import is_loopback


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of a settings file that the environment names."""
    path = tmp_path / "settings.toml"
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    return path


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


def test_a_placeholder_is_found_wherever_the_driver_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the options of the address, and in PGPASSWORD where the address has none."""
    for url in (
        "postgresql://fg@db/faces?password=changeme",
        "postgresql://db/f?user=a&password=a",
    ):
        with pytest.raises(SettingsInvalid, match="placeholder"):
            load_settings(database_url=url)
    monkeypatch.setenv("PGPASSWORD", "changeme")
    load_settings(database_url="postgresql://fg:kT9xQ2vLr8@db/faces")
    with pytest.raises(SettingsInvalid, match="placeholder"):
        load_settings(database_url="postgresql://fg@db/faces")


@pytest.mark.parametrize("login", ["", "fg@", "fg:@", "fg:kT9xQ2vLr8@"])
def test_other_logins_pass(login: str) -> None:
    """A random password passes, and none at all, where a socket or certificate stands for it."""
    load_settings(database_url=f"postgresql://{login}db/faces")


def test_a_file_is_below_the_environment_and_options(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Option over variable over file over default."""
    file.write_text('port = 9000\nlog_level = "debug"\nfpir = 0.001\n')
    monkeypatch.setenv("FACEGALLERY_PORT", "9001")
    monkeypatch.setenv("facegallery_log_level", "error")
    settings = load_settings(fpir=0.005)
    assert (settings.port, settings.log_level, settings.fpir) == (9001, "error", 0.005)
    monkeypatch.delenv("FACEGALLERY_PORT")
    assert load_settings().port == 9000


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"porrt = 1", "porrt"),
        (b"FACEGALLERY_PORT = 1", "FACEGALLERY_PORT"),
        (b"[service]\nport = 1", "service"),
        (b"port = ", "not TOML"),
        (b"port = 1\nport = 2", "not TOML"),
        (b'model = "\xff"', "UTF-8"),
        (b"port = 70000", "port in the settings file"),
        (b"port = [1]", "port in the settings file"),
        (b"fpir = nan", "fpir in the settings file"),
        (b"fpir = 0.1\nreview_fpir = 0.05", "review_fpir"),
    ],
)
def test_a_bad_file_is_refused(file: Path, content: bytes, said: str) -> None:
    """A misspelt name, broken text or a value out of range does not silently do nothing."""
    file.write_bytes(content)
    with pytest.raises(SettingsInvalid, match=said):
        load_settings()


def test_a_file_that_is_missing_is_told(file: Path) -> None:
    """A path that leads nowhere is not an empty file."""
    with pytest.raises(SettingsInvalid, match="cannot read the settings"):
        load_settings()
    file.mkdir()
    with pytest.raises(SettingsInvalid, match="cannot read the settings"):
        load_settings()


def test_a_file_with_a_password_is_its_owner_s(file: Path) -> None:
    """Others may read ordinary settings, but not a password; the message does not tell it."""
    file.write_text('database_url = "postgresql://me:geheim@localhost/faces"\n')
    file.chmod(0o640)
    with pytest.raises(SettingsInvalid, match="chmod 600") as caught:
        load_settings()
    assert "geheim" not in str(caught.value)
    file.chmod(0o600)
    url = load_settings().database_url
    assert url is not None
    assert url.get_secret_value().endswith("/faces")
    file.write_text('database_url = "geheim\n')
    with pytest.raises(SettingsInvalid, match="not TOML") as caught:
        load_settings()
    assert "geheim" not in str(caught.value)
