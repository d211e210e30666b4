"""What holds in every view of the page: names are text, keys are enough, phones fit."""

from typing import TYPE_CHECKING

import pytest

from tests.fakes import make_photo
from tests.service.browsing import VIEWS, Desk, at_desk
from tests.service.server_process import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog


pytestmark = pytest.mark.browser

ANN = make_photo(["ann"])

PHONE = {"width": 390, "height": 844}

MARKUP = "<img src=x onerror=alert(1)><b>Ann"


def test_names_are_text(desk: Desk) -> None:
    """Markup in a name is shown letter by letter, wherever names stand, and runs nowhere."""
    gallery = desk.gallery("markup")
    desk.enroll(ANN, MARKUP, gallery=gallery)
    fired: list[str] = []

    def on_dialog(dialog: "Dialog") -> None:
        fired.append(dialog.message)
        dialog.dismiss()

    desk.page.on("dialog", on_dialog)
    desk.sign_in(gallery=gallery)
    desk.give(ANN)
    assert desk.verdict() == f"Match\n{MARKUP}"
    desk.go("People")
    desk.page.get_by_role("button", name="Remove").click()
    assert MARKUP in desk.page.get_by_role("dialog").inner_text()
    desk.page.get_by_role("button", name="Cancel").click()
    desk.go("Enroll")
    desk.give(ANN)
    desk.page.get_by_label("Name").fill("<i>Other")
    desk.page.get_by_role("button", name="Check").click()
    desk.page.get_by_role("button", name="Enroll <i>Other").wait_for()
    assert MARKUP in desk.page.locator(".concerns").inner_text()
    assert desk.page.locator("main img:not([src^=blob])").count() == 0
    assert fired == []


def test_the_keyboard_is_enough(desk: Desk) -> None:
    """Signing in, the views and a photo are reached with Tab and Enter alone."""
    desk.open()
    desk.page.get_by_label("Key").wait_for()
    desk.page.keyboard.type(desk.admin_key)
    desk.page.keyboard.press("Enter")
    desk.page.get_by_role("navigation").wait_for()
    seen = []
    for _ in range(20):
        desk.page.keyboard.press("Tab")
        seen.append(desk.page.evaluate("document.activeElement.innerText"))
    assert "Choose a photo" in seen
    with desk.page.expect_file_chooser() as chooser:
        desk.page.get_by_role("button", name="Choose a photo").focus()
        desk.page.keyboard.press("Enter")
    chooser.value.set_files({"name": "a", "mimeType": "image/png", "buffer": ANN})
    assert desk.verdict() == "Unknown\nNot enrolled here"
    assert desk.page.evaluate("document.activeElement.innerText") == "Another photo"


UNNAMED = """() => [...document.querySelectorAll('main button, main input:not([type=file]),' +
    'main select, header button, header select, a')].filter((each) => {
  const label = each.labels?.[0]?.textContent ?? '';
  return !(each.textContent || each.getAttribute('aria-label') || label).trim();
}).map((each) => each.outerHTML)"""


@pytest.mark.parametrize("view", VIEWS)
def test_views_have_names_and_fit_a_phone(browser: "Browser", server: Server, view: str) -> None:
    """Everything to press or fill has a name; one heading leads, and no view is too wide."""
    with at_desk(browser, server.url, str(server.key), viewport=PHONE) as desk:
        desk.sign_in()
        desk.page.goto(f"{desk.url}/#{view}")
        desk.page.get_by_role("heading", level=1, name=view.title()).wait_for(state="attached")
        desk.page.wait_for_load_state("networkidle")
        assert desk.page.evaluate(UNNAMED) == []
        assert desk.page.locator("h1").count() == 1
        width = desk.page.evaluate("document.documentElement.scrollWidth")
        assert width <= PHONE["width"]
        assert desk.complaints == []
