"""The page in a real browser, before the real service with the shipped model and real photos."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from service.settings import Settings
from tests.service.browsing import at_desk, open_browser
from tests.service.server_process import Server, start

pytestmark = pytest.mark.browser

SERVE = "import sys; from service.cli import main; main(sys.argv[1:])"
SHIPPED = Path(__file__).parents[3] / "embedding" / "models"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real service with a fresh data folder."""
    name = (SHIPPED / "default").read_text().strip()
    running = start(Settings(data_folder=tmp_path / "data", model=name), program=SERVE)
    yield running
    running.process.kill()
    running.process.communicate()


def test_a_day_at_the_desk(server: Server, sample_photos: Mapping[str, Path]) -> None:
    """Sign in, enroll, identify a person and strangers, remove, sign out: as the page is meant."""
    with open_browser() as browser, at_desk(browser, server.url, str(server.key)) as desk:
        desk.sign_in()
        desk.give(sample_photos["hopper"])
        assert desk.verdict() == "Unknown\nNot enrolled here"
        desk.page.get_by_role("link", name="Enroll this person").click()
        desk.page.get_by_label("Name").fill("Grace Hopper")
        desk.page.get_by_role("button", name="Check").click()
        desk.page.get_by_role("heading", name="Nothing speaks against it").wait_for()
        assert "Quality" in desk.page.locator(".strip").inner_text()
        desk.page.get_by_role("button", name="Enroll Grace Hopper").click()
        desk.page.get_by_role("heading", name="Grace Hopper is enrolled").wait_for()

        desk.go("Identify")
        desk.give(sample_photos["hopper"])
        assert desk.verdict() == "Match\nGrace Hopper"
        assert desk.page.locator(".box.match").inner_text() == "Grace Hopper"
        desk.give(sample_photos["astronaut"])
        assert desk.page.locator(".verdict.unknown").inner_text() == "Unknown\nNot enrolled here"
        desk.give(sample_photos["t1"])
        desk.page.locator(".verdict.several").wait_for()
        assert desk.page.locator(".box").count() == 6

        desk.go("People")
        desk.page.get_by_role("button", name="Remove Grace Hopper").click()
        desk.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        desk.page.get_by_role("button", name="Close").click()
        assert desk.page.get_by_text("Nobody is enrolled here yet.").is_visible()
        desk.go("About")
        desk.page.get_by_text("There is no liveness detection.").wait_for()
        desk.page.get_by_role("heading", name="facegallery-d29").wait_for()
        desk.page.get_by_role("button", name="Sign out").click()
        desk.page.get_by_text("You are signed out.").wait_for()

        own = server.url.split("/")[2]
        assert desk.complaints == []
        assert {each.split("/")[2] for each in desk.addresses if not each.startswith("blob:")} == {
            own
        }
