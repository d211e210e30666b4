"""A service that gives galleries out."""

from collections.abc import Iterator

import pytest

from service.settings import Settings
from tests.service.support import FakeService, fake_service


@pytest.fixture
def open_service(settings: Settings) -> Iterator[FakeService]:
    """A service that gives galleries out."""
    with fake_service(settings.model_copy(update={"http_export": True})) as started:
        yield started
