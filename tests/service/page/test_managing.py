"""People, galleries and keys on the page."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fakes import make_photo
from tests.service.browsing import Desk, expect

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = pytest.mark.browser

ANN = make_photo(["ann"])


def test_people_come_page_by_page_and_go_with_a_receipt(desk: Desk) -> None:
    """A removal asks first, then gives the signed receipt as a file."""
    gallery = desk.gallery("people")
    for number in range(3):
        desk.enroll(ANN, f"Person {number}", gallery=gallery)
    # Two at a time instead of a hundred.
    desk.page.route(
        "**/subjects?*",
        lambda route: route.continue_(url=route.request.url.replace("limit=100", "limit=2")),
    )
    desk.sign_in(gallery=gallery)
    desk.go("People")
    rows = desk.page.locator("tbody tr")
    rows.nth(1).wait_for()
    assert rows.count() == 2
    desk.page.get_by_role("button", name="Show more").click()
    rows.nth(2).wait_for()
    assert not desk.page.get_by_role("button", name="Show more").is_visible()
    desk.page.get_by_role("button", name="Remove Person 1", exact=True).click()
    desk.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    with desk.page.expect_download() as told:
        desk.page.get_by_role("button", name="Save the receipt").click()
    receipt = json.loads(Path(told.value.path()).read_text())
    assert receipt["content"]["num_templates"] == 1
    assert len(receipt["signature"]) == 128
    desk.page.get_by_role("button", name="Close").click()
    names = desk.page.locator("tbody th").all_inner_texts()
    assert names == ["Person 0", "Person 2"]


def test_a_gallery_is_deleted_by_its_name(desk: Desk) -> None:
    """It is made in the form, and goes only when its name is typed."""
    desk.sign_in()
    desk.go("Galleries")
    desk.page.get_by_label("Name").fill("short-lived")
    desk.page.get_by_role("button", name="Make the gallery").click()
    desk.page.get_by_role("button", name="Delete short-lived").click()
    dialog = desk.page.get_by_role("dialog")
    go = dialog.get_by_role("button", name="Delete the gallery")
    dialog.get_by_label("Type short-lived to go on").fill("short")
    go.click()
    assert "not the name" in dialog.get_by_role("alert").inner_text()
    assert "short-lived" in str(desk.api("GET", "/v1/galleries"))
    dialog.get_by_label("Type short-lived to go on").fill("short-lived")
    go.click()
    desk.page.locator("dialog").wait_for(state="detached")
    assert "short-lived" not in str(desk.api("GET", "/v1/galleries"))


def test_a_key_is_shown_once_and_revoked(desk: Desk) -> None:
    """A made key works, is nowhere once its dialog is closed, and ends when revoked."""
    desk.sign_in()
    desk.go("Keys")
    desk.page.get_by_label("What it is for").fill("front desk")
    desk.page.get_by_role("button", name="Make the key").click()
    dialog = desk.page.get_by_role("dialog")
    made = dialog.get_by_label("Key").input_value()
    assert made.startswith("fg_")
    dialog.get_by_role("button", name="Done").click()
    desk.page.locator("dialog").wait_for(state="detached")
    assert made not in desk.page.content()
    desk.page.get_by_role("button", name="Revoke front desk").click()
    dialog.get_by_role("button", name="Revoke").click()
    desk.page.locator("dialog").wait_for(state="detached")
    (key,) = [
        each for each in desk.api("GET", "/v1/keys")["keys"] if each["label"] == "front desk"
    ]
    assert key["revoked_at"]


def test_the_page_shows_lists_of_several_pages(desk: Desk) -> None:
    """Galleries and keys beyond the service's first page are there, too."""
    for name in ("attic", "cellar"):
        desk.gallery(name)
        desk.key("auditor")

    def ask_for_less(route: "Route") -> None:
        route.continue_(url=route.request.url.replace("limit=1000", "limit=1"))

    for path in ("galleries", "keys"):
        desk.page.route(f"**/v1/{path}?*", ask_for_less)
    desk.sign_in()
    desk.go("Galleries")
    expect(desk.page.get_by_role("row", name="cellar")).to_be_visible()
    expect(desk.page.get_by_role("row", name="attic")).to_be_visible()
    desk.go("Keys")
    expect(desk.page.get_by_role("row", name="auditor")).to_have_count(2)
    assert [each for each in desk.addresses if "cursor=" in each]
