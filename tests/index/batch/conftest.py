"""A tiny model behind a fake detector, and a place to build galleries in."""

from pathlib import Path

import pytest

from embedding.embedder import FaceEmbedder
from tests.fakes import FakeDetector, write_fake_model
from tests.index.batch.samples import Place


@pytest.fixture(scope="session")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> FaceEmbedder:
    """A tiny model behind the fake detector."""
    model = write_fake_model(tmp_path_factory.mktemp("batch") / "model")
    return FaceEmbedder.open(model, detector=FakeDetector(), num_threads=1)


@pytest.fixture(scope="session")
def other(tmp_path_factory: pytest.TempPathFactory) -> FaceEmbedder:
    """Another model."""
    model = write_fake_model(tmp_path_factory.mktemp("other") / "model", seed=5)
    return FaceEmbedder.open(model, detector=FakeDetector(), num_threads=1)


@pytest.fixture
def place(tmp_path: Path, embedder: FaceEmbedder) -> Place:
    """A data folder without anything in it."""
    return Place(data=tmp_path / "data", embedder=embedder)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Where photos may be written."""
    root = tmp_path / "photos"
    root.mkdir()
    return root
