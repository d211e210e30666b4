"""The audit log on the page, in a real browser, before a real server."""

import json
from pathlib import Path

import pytest

from tests.fakes import make_photo
from tests.service.browsing import Desk, expect

pytestmark = pytest.mark.browser

ANN = make_photo(["ann"])


def numbers(desk: Desk) -> list[int]:
    """Of the entries that are shown."""
    shown = desk.page.locator("tbody th").all_inner_texts()
    return [int(each.replace(",", "")) for each in shown]


def shown(desk: Desk, column: str) -> set[str]:
    """What stands in a column."""
    return set(desk.page.locator(f"td[data-heading='{column}']").all_inner_texts())


def choose(desk: Desk, kind: str) -> None:
    """Filters by what was done, and waits for the answer."""
    with desk.page.expect_response("**/v1/audit?*"):
        desk.page.get_by_label("What").select_option(kind)
    desk.page.get_by_role("status").get_by_text("entr").wait_for()


def test_an_auditor_reads_the_log_and_nothing_else(desk: Desk) -> None:
    """The newest entry leads; no name stands anywhere, and no other view is there."""
    desk.enroll(ANN, "Ann Berg", gallery=desk.gallery("read"))
    desk.sign_in(desk.key("auditor")["key"])
    assert desk.page.get_by_role("navigation").inner_text().split("\n") == ["Audit log", "About"]
    desk.page.locator("tbody tr").first.wait_for()
    found = numbers(desk)
    assert found == sorted(found, reverse=True)
    assert {"gallery.create", "subject.enroll", "key.create"} <= shown(desk, "What")
    assert "Ann" not in desk.page.locator("main").inner_text()
    desk.page.get_by_label("Order").select_option("Oldest first")
    desk.page.get_by_role("row").nth(1).get_by_role("rowheader", name="1", exact=True).wait_for()


def test_an_admin_sees_the_names_of_galleries(desk: Desk) -> None:
    """Where the key may list them, names stand instead of ids."""
    desk.gallery("named-here")
    desk.sign_in()
    desk.go("Audit log")
    desk.page.locator("tbody tr").first.wait_for()
    assert "named-here" in shown(desk, "Gallery")


def test_entries_are_filtered(desk: Desk) -> None:
    """By what was done, by key, and refusals alone."""
    gallery = desk.gallery("filtered")
    desk.enroll(ANN, "Ann", gallery=gallery)
    made = desk.key("identifier")
    refused = desk.page.request.get(
        f"{desk.url}/v1/galleries", headers={"Authorization": f"Bearer {made['key']}"}
    )
    assert refused.status == 403
    desk.sign_in()
    desk.go("Audit log")
    choose(desk, "Galleries")
    assert {each.split(".")[0] for each in shown(desk, "What")} == {"gallery"}
    choose(desk, "Refusals")
    assert "GET /v1/galleries" in shown(desk, "What")
    assert shown(desk, "How it went") == {"key forbidden"}
    choose(desk, "Everything")
    desk.page.get_by_label("Id of a key").fill(made["key_id"])
    desk.page.keyboard.press("Enter")
    who = desk.page.locator("td[data-heading='Who']")
    expect(who.filter(has_not_text=made["key_id"])).to_have_count(0)
    expect(who).not_to_have_count(0)
    desk.page.get_by_label("Id of a key").fill("nobody")
    desk.page.keyboard.press("Enter")
    desk.page.get_by_text("There is no such entry.").wait_for()


def test_pages_follow_each_other(desk: Desk) -> None:
    """Show more goes on where the page ended, without gap or repetition."""
    for number in range(5):
        desk.gallery(f"page-{number}")
    # Two at a time instead of a hundred.
    desk.page.route(
        "**/v1/audit?*",
        lambda route: route.continue_(url=route.request.url.replace("limit=100", "limit=2")),
    )
    desk.sign_in()
    desk.go("Audit log")
    more = desk.page.get_by_role("button", name="Show more")
    for length in (2, 4, 6):
        expect(desk.page.locator("tbody tr")).to_have_count(length)
        found = numbers(desk)
        assert found == list(range(found[0], found[0] - length, -1))
        more.click()


def test_the_log_is_saved_with_its_codes(desk: Desk) -> None:
    """One line an entry from the first on, as the verify command reads it."""
    desk.sign_in()
    desk.go("Audit log")
    with desk.page.expect_download() as told:
        desk.page.get_by_role("button", name="Save the whole log").click()
    lines = Path(told.value.path()).read_text().splitlines()
    entries = [json.loads(each) for each in lines]
    assert [each["number"] for each in entries] == list(range(1, len(entries) + 1))
    assert all(len(each["code"]) == 64 for each in entries)
    assert told.value.suggested_filename.endswith(".jsonl")


def test_a_tied_key_sees_its_own_galleries_entries(desk: Desk) -> None:
    """And is told that a part of the log cannot be verified."""
    mine, other = desk.gallery("mine"), desk.gallery("other")
    desk.enroll(ANN, "Ann", gallery=mine)
    desk.enroll(ANN, "Ann", gallery=other)
    desk.sign_in(desk.key("auditor", [mine])["key"])
    desk.page.locator("tbody tr").first.wait_for()
    assert len(shown(desk, "Gallery")) == 1
    assert shown(desk, "What") == {"gallery.create", "subject.enroll"}
    assert desk.page.get_by_text("a part of the log alone").is_visible()
