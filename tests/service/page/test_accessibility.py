"""The page with axe-core, which knows the rules of WCAG that a program can check."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes import make_photo
from tests.service.browsing import Desk, at_desk
from tests.service.page.whole_page import ANN, BEN, gallery_with_twins, queue, whole_service
from tests.service.server_process import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.browser

RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
LOOKS: Mapping[str, Mapping[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "dark phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"},
}
ZOOMED = {"width": 640, "height": 400}
"""1280 pixels at 200 %."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fake_model: Path) -> Iterator[Server]:
    """One service for all tests here."""
    with whole_service(tmp_path_factory.mktemp("axe"), fake_model) as running:
        yield running


@pytest.fixture(params=LOOKS)
def desk(browser: "Browser", server: Server, request: pytest.FixtureRequest) -> Iterator[Desk]:
    """A fresh profile on a large screen, or on a phone in the dark."""
    if importlib.util.find_spec("axe_playwright_python") is None:
        pytest.skip("needs axe-playwright-python; run make test")
    with at_desk(browser, server.url, str(server.key), **LOOKS[request.param]) as opened:
        yield opened


@pytest.fixture
def gallery(desk: Desk, request: pytest.FixtureRequest) -> str:
    """One where Ann is a review, and one such face is queued."""
    name = "".join(each if each.isalnum() else "-" for each in request.node.name)
    made = gallery_with_twins(desk, name)
    queue(desk, made)
    return made


def check(desk: Desk, where: str) -> None:
    """Passes where axe finds nothing, and nothing is wider than the window, also at 200 %."""
    from axe_playwright_python.sync_playwright import Axe

    options = {"runOnly": list(RULES), "resultTypes": ["violations"]}
    found = Axe().run(desk.page, options=options).response["violations"]
    told = [(each["id"], node["html"][:200]) for each in found for node in each["nodes"]]
    # On a phone the views are a strip; axe takes those that are scrolled out for skip links.
    told = [each for each in told if each[0] != "skip-link" or "class=" in each[1]]
    assert (where, told) == (where, [])
    own = desk.page.viewport_size
    assert own
    for size in (own, ZOOMED):
        desk.page.set_viewport_size(size)  # type: ignore[arg-type]
        wide = desk.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert (where, size, wide <= 0) == (where, size, True)
    desk.page.set_viewport_size(own)


def test_signing_in(desk: Desk) -> None:
    """The form, and the words about a wrong key."""
    desk.open()
    desk.page.get_by_label("Key").wait_for()
    check(desk, "sign in")
    desk.page.get_by_label("Key").fill("fg_wrong")
    desk.page.keyboard.press("Enter")
    desk.page.get_by_role("alert").wait_for()
    check(desk, "wrong key")


def test_identifying(desk: Desk, gallery: str) -> None:
    """Nothing, nobody, an unknown face, a review and several faces."""
    desk.sign_in(gallery=gallery)
    check(desk, "empty")
    for photo in (make_photo([]), BEN, ANN, make_photo(["ann", "ben", "cat"])):
        desk.give(photo)
        desk.page.get_by_text("Looking …").wait_for(state="detached")
        check(desk, desk.verdict())


def test_enrolling(desk: Desk, gallery: str) -> None:
    """The form, a photo with what speaks against it, and a refusal."""
    desk.sign_in(gallery=gallery)
    desk.go("Enroll")
    desk.page.get_by_text("More, all optional").click()
    desk.give(ANN)
    desk.page.get_by_label("Name").fill("Somebody")
    desk.page.get_by_role("button", name="Check").click()
    desk.page.get_by_role("heading", name="Look at this first").wait_for()
    check(desk, "concerns")
    desk.page.get_by_role("button", name="Take out").click()
    desk.give(make_photo(["ann", "ben"]))
    desk.page.get_by_role("button", name="Check").click()
    desk.page.get_by_role("alert").wait_for()
    check(desk, "refused")


def test_people(desk: Desk, gallery: str) -> None:
    """The list, a search without a hit, a person with own fields and photos, a removal."""
    (found,) = desk.api("GET", f"/v1/galleries/{gallery}/subjects?name=Ann")["subjects"]
    path = f"/v1/galleries/{gallery}/subjects/{found['id']}"
    desk.api("PATCH", path, json={"metadata": {"badge": 17}, "expires_at": "2090-01-31T12:00:00Z"})
    desk.sign_in(gallery=gallery)
    desk.go("People")
    desk.page.get_by_role("button", name="Ann", exact=True).wait_for()
    check(desk, "list")
    desk.page.get_by_role("button", name="Ann", exact=True).click()
    desk.page.get_by_text("1 photo", exact=True).click()
    desk.page.get_by_role("button", name="Show the face").click()
    desk.page.locator("img.crop").wait_for()
    check(desk, "person")
    desk.page.get_by_role("button", name="Remove this person").click()
    desk.page.get_by_role("dialog", name="Remove Ann?").wait_for()
    check(desk, "removal")
    desk.page.get_by_role("dialog").get_by_role("button", name="Remove", exact=True).click()
    desk.page.get_by_role("button", name="Save the receipt").wait_for()
    check(desk, "receipt")
    desk.page.get_by_role("button", name="Close").click()
    desk.page.get_by_role("searchbox").fill("nobody")
    desk.page.get_by_text("Nobody here has this").wait_for()
    check(desk, "nobody found")


def test_reviews(desk: Desk, gallery: str) -> None:
    """The queue, and two faces side by side."""
    desk.sign_in(gallery=gallery)
    desk.go("Reviews")
    desk.page.get_by_role("button", name="Compare with").wait_for()
    check(desk, "queue")
    desk.page.get_by_role("button", name="Compare with").click()
    desk.page.locator("img.crop").nth(1).wait_for()
    check(desk, "comparison")


def _new_key(desk: Desk) -> None:
    desk.page.get_by_role("button", name="Make the key").click()
    desk.page.get_by_role("dialog", name="The new key").wait_for()


AFTERWARDS: Mapping[str, Callable[[Desk], None]] = {"Keys": _new_key}


@pytest.mark.parametrize("view", ["Galleries", "Keys", "Audit log", "About"])
def test_other_views(desk: Desk, view: str) -> None:
    """As they stand when they are loaded, and the dialog of a new key."""
    # Rows are alike; a hundred take axe seconds.
    desk.page.route(
        "**/v1/audit?*",
        lambda route: route.continue_(url=route.request.url.replace("limit=100", "limit=5")),
    )
    desk.sign_in()
    desk.go(view)
    desk.page.wait_for_load_state("networkidle")
    check(desk, view)
    if view in AFTERWARDS:
        AFTERWARDS[view](desk)
        check(desk, f"{view}, dialog")
