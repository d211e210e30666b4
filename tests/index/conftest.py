"""Fixtures of the tests of index."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from index.galleries import Galleries
from index.gallery import Gallery
from tests.index.matrices import ENGINES, NewMatrix
from tests.index.samples import FINGERPRINT


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    """A data folder that does not exist yet."""
    return tmp_path / "data"


@pytest.fixture
def galleries(data_folder: Path) -> Iterator[Galleries]:
    """An open, empty data folder."""
    with Galleries.open(data_folder) as opened:
        yield opened


@pytest.fixture
def gallery(galleries: Galleries) -> Gallery:
    """An empty gallery."""
    return galleries.create("people", fingerprint=FINGERPRINT)


@pytest.fixture(params=list(ENGINES))
def new(request: pytest.FixtureRequest) -> NewMatrix:
    """What makes an empty matrix of the given dimension, for every engine and storage."""
    return ENGINES[request.param]
