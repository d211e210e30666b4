"""A tiny model that embeds crops of planted people."""

from pathlib import Path

import pytest

from tests.fakes import write_fake_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory with a tiny net."""
    return write_fake_model(tmp_path_factory.mktemp("model"))
