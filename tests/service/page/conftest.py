"""A browser, a service with the fake detector, and a person at them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.settings import Settings
from tests.service.browsing import Desk, at_desk, open_browser
from tests.service.server_process import Server, start

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    """One browser for all tests here."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fake_model: Path) -> Iterator[Server]:
    """One service for all tests here; each works in a gallery of its own."""
    folder = tmp_path_factory.mktemp("page") / "data"
    running = start(Settings(data_folder=folder, model=str(fake_model)))
    yield running
    running.process.kill()
    running.process.communicate()


@pytest.fixture
def desk(browser: "Browser", server: Server) -> Iterator[Desk]:
    """A fresh profile; in the end nothing was complained of, and nobody else was asked."""
    with at_desk(browser, server.url, str(server.key), accept_downloads=True) as opened:
        yield opened
        assert opened.complaints == []
        assert {
            each.split("/")[2] for each in opened.addresses if not each.startswith("blob:")
        } <= {server.url.split("/")[2]}
