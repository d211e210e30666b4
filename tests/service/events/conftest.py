"""Services that keep events."""

from collections.abc import Iterator

import pytest

from service.settings import Settings
from tests.service.own_server import Heard, heard
from tests.service.support import FakeService, fake_service


@pytest.fixture
def with_events(settings: Settings) -> Settings:
    """Settings that keep events."""
    return settings.model_copy(update={"events": True, "reviews": True})


@pytest.fixture
def running(with_events: Settings) -> Iterator[Heard]:
    """A running service that keeps events."""
    with heard(with_events) as service:
        yield service


@pytest.fixture
def service(with_events: Settings) -> Iterator[FakeService]:
    """A service that keeps events, for what is answered at once."""
    with fake_service(with_events) as started:
        yield started
