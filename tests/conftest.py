"""What every test may ask for."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import hypothesis
import pytest

from benchmarks.samples import find_samples

REPOSITORY = Path(__file__).parents[1]

# How long an example takes says more of what else the machine does than of the code.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The team's face data beside the checkout; tests that ask for it are marked `data`."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"needs the team's face data in {folder}, which is never committed")
    return folder


@pytest.fixture(scope="session")
def sample_photos() -> Mapping[str, Path]:
    """Photos that ship inside packages: ``t1`` shows six people, two others one each."""
    return find_samples()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Training needs torch, which the base install does not have."""
    if importlib.util.find_spec("torch") is not None:
        return
    skip = pytest.mark.skip(reason="torch is not installed; run make test")
    for item in items:
        if "training" in item.path.parts:
            item.add_marker(skip)
