"""People and reviews on the page, in a real browser, before a real server."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import make_photo
from tests.service.browsing import Desk, expect
from tests.service.page.whole_page import ANN, BEN, gallery_with_twins, queue, whole_service
from tests.service.server_process import Server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fake_model: Path) -> Iterator[Server]:
    """One service for all tests here; each works in a gallery of its own."""
    with whole_service(tmp_path_factory.mktemp("people"), fake_model) as running:
        yield running


def names(desk: Desk) -> list[str]:
    """Who stands in the list."""
    return desk.page.locator("tbody th").all_inner_texts()


def person(desk: Desk, gallery: str, name: str) -> dict[str, Any]:
    """What the service has of somebody."""
    found = desk.api("GET", f"/v1/galleries/{gallery}/subjects", params={"name": name})
    (subject,) = found["subjects"]
    return dict(subject)


def _limit(desk: Desk, num: int) -> None:
    """The service is asked for so many people at a time, whatever the page wants."""
    desk.page.route(
        "**/subjects?limit=*",
        lambda route: route.continue_(
            url=re.sub(r"limit=[0-9]+", f"limit={num}", route.request.url)
        ),
    )


def open_person(desk: Desk, gallery: str, name: str) -> None:
    """Signs in and opens somebody in the list."""
    desk.sign_in(gallery=gallery)
    desk.go("People")
    desk.page.get_by_role("button", name=name, exact=True).click()
    desk.page.get_by_role("button", name="Save").wait_for()


def test_people_are_found_by_a_part_of_name_or_id(desk: Desk) -> None:
    """Whatever the letter case and accents, on all pages; an empty field shows all again."""
    gallery = desk.gallery("found")
    for name in ("José Núñez", "Ann Berg", "Ben Berger", "Zoë"):
        desk.enroll(ANN, name, gallery=gallery)
    zoe = person(desk, gallery, "Zoë")["id"]
    desk.api("PATCH", f"/v1/galleries/{gallery}/subjects/{zoe}", json={"external_id": "T-77"})
    # Two at a time instead of a hundred, and of a thousand.
    _limit(desk, 2)
    desk.sign_in(gallery=gallery)
    desk.go("People")
    desk.page.get_by_role("button", name="Show more").wait_for()
    assert names(desk) == ["José Núñez", "Ann Berg"]
    field = desk.page.get_by_role("searchbox", name=f"Find in {gallery}")
    for typed, found in (
        ("BERG", ["Ann Berg", "Ben Berger"]),
        ("nunez", ["José Núñez"]),
        ("t-7", ["Zoë"]),
        ("n b", ["Ann Berg", "Ben Berger"]),
    ):
        field.fill(typed)
        expect(desk.page.locator("tbody th")).to_have_text(found)
    field.fill("nobody")
    desk.page.get_by_text("Nobody here has this in the name or id.").wait_for()
    field.fill("")
    desk.page.locator("tbody tr").first.wait_for()
    assert names(desk)[:2] == ["José Núñez", "Ann Berg"]
    # Parts of names are looked for in the browser: none goes into an address.
    assert not [each for each in desk.addresses if "name=" in each]


def test_whoever_comes_late_in_a_huge_gallery_is_found_by_the_whole_name(desk: Desk) -> None:
    """After so many people that were looked through, the service is asked for the exact name."""
    gallery = desk.gallery("huge")
    for name in ("First", "Second", "Third"):
        desk.enroll(ANN, name, gallery=gallery)
    desk.page.route("**/page/people.js", lambda route: _with_fewer(route))
    _limit(desk, 1)
    desk.sign_in(gallery=gallery)
    desk.go("People")
    field = desk.page.get_by_role("searchbox")
    field.fill("Third")
    desk.page.get_by_role("button", name="Third", exact=True).wait_for()
    assert "whole name or id alone" in desk.page.get_by_role("status").inner_text()


def _with_fewer(route: Any) -> None:
    """The script, but looking through one person instead of 20,000."""
    answer = route.fetch()
    body = answer.text().replace("MOST_SEARCHED = 20_000", "MOST_SEARCHED = 1")
    route.fulfill(response=answer, body=body)


def test_a_person_is_changed(desk: Desk) -> None:
    """Name, own id, purpose, consent, expiry and own fields; what was not touched stays."""
    gallery = desk.gallery("changed")
    subject_id = desk.enroll(ANN, "Ann", gallery=gallery)
    path = f"/v1/galleries/{gallery}/subjects/{subject_id}"
    desk.api("PATCH", path, json={"metadata": {"badge": 17, "vip": True, "old": "x"}})
    open_person(desk, gallery, "Ann")
    dialog = desk.page.get_by_role("dialog", name="Ann")
    dialog.get_by_label("Name").fill("Ann King")
    dialog.get_by_label("Your own id").fill("T-1")
    dialog.get_by_label("Purpose").fill("access")
    dialog.get_by_label("Consent").fill("consents/1")
    dialog.get_by_label("Erased at the end of").fill("2090-01-31")
    dialog.get_by_role("button", name="Take out the field old").click()
    dialog.get_by_label("Value").first.fill("18")
    dialog.get_by_role("button", name="Add a field").click()
    dialog.get_by_label("Field", exact=True).last.fill("team")
    dialog.get_by_label("Value").last.fill("night")
    dialog.get_by_role("button", name="Save").click()
    desk.page.get_by_text("Saved.").wait_for()
    found = desk.api("GET", path)
    assert {each: found[each] for each in ("name", "external_id", "purpose")} == {
        "name": "Ann King", "external_id": "T-1", "purpose": "access"
    }  # fmt: skip
    assert found["consent_reference"] == "consents/1"
    assert found["expires_at"].startswith("2090-01-31")
    assert found["metadata"] == {"badge": 18, "vip": True, "team": "night"}
    desk.page.get_by_role("dialog").get_by_role("button", name="Close").click()
    assert names(desk) == ["Ann King"]
    assert desk.page.evaluate("document.activeElement.innerText") == "Ann King"


def test_nothing_is_sent_when_nothing_was_changed(desk: Desk) -> None:
    """So that no version is used up and the audit log has no empty change."""
    gallery = desk.gallery("untouched")
    subject_id = desk.enroll(ANN, "Ann", gallery=gallery)
    before = desk.api(
        "PATCH",
        f"/v1/galleries/{gallery}/subjects/{subject_id}",
        json={"metadata": {"note": " x ", "share": 0.5}, "expires_at": "2090-01-31T12:00:00Z"},
    )
    open_person(desk, gallery, "Ann")
    desk.page.get_by_role("button", name="Save").click()
    desk.page.get_by_text("Nothing was changed.").wait_for()
    assert person(desk, gallery, "Ann") == before


def test_a_change_of_somebody_else_is_not_overwritten(desk: Desk) -> None:
    """The page says so, and shows the person as it is now."""
    gallery = desk.gallery("raced")
    subject_id = desk.enroll(ANN, "Ann", gallery=gallery)
    path = f"/v1/galleries/{gallery}/subjects/{subject_id}"
    open_person(desk, gallery, "Ann")
    desk.api("PATCH", path, json={"purpose": "theirs"})
    desk.page.get_by_label("Purpose").fill("mine")
    desk.page.get_by_role("button", name="Save").click()
    desk.page.get_by_role("button", name="Show it as it is now").click()
    expect(desk.page.get_by_label("Purpose")).to_have_value("theirs")
    assert desk.api("GET", path)["purpose"] == "theirs"


def test_a_single_photo_is_looked_at_and_removed(desk: Desk) -> None:
    """Its kept face is shown on request alone; the removal gives a receipt, the person stays."""
    gallery = desk.gallery("photos")
    desk.enroll(ANN, "Ann", gallery=gallery)
    desk.enroll(BEN, "Ann", gallery=gallery)
    open_person(desk, gallery, "Ann")
    desk.page.get_by_text("2 photos", exact=True).click()
    assert desk.page.locator("img.crop").count() == 0
    desk.page.get_by_role("button", name="Show the face").first.click()
    desk.page.get_by_role("img", name="Face of photo 1").wait_for()
    desk.page.get_by_role("button", name="Remove photo 2").click()
    asked = desk.page.get_by_role("dialog", name="Remove photo 2 of Ann?")
    asked.get_by_role("button", name="Remove").click()
    with desk.page.expect_download() as told:
        desk.page.get_by_role("button", name="Save the receipt").click()
    assert json.loads(Path(told.value.path()).read_text())["content"]["template_id"]
    assert person(desk, gallery, "Ann")["num_templates"] == 1


def test_an_enroll_keeps_what_is_said_of_the_person(desk: Desk) -> None:
    """Own id, purpose, consent and expiry of the form stand with the person."""
    gallery = desk.gallery("terms")
    desk.sign_in(gallery=gallery)
    desk.go("Enroll")
    desk.give(ANN)
    desk.page.get_by_label("Name").fill("Ann")
    desk.page.get_by_text("More, all optional").click()
    desk.page.get_by_label("Your own id").fill("T-2")
    desk.page.get_by_label("Purpose").fill("visit")
    desk.page.get_by_label("Consent").fill("consents/2")
    desk.page.get_by_label("Erased at the end of").fill("2090-02-28")
    desk.page.get_by_role("button", name="Check").click()
    desk.page.get_by_role("button", name="Enroll Ann").click()
    desk.page.get_by_role("heading", name="Ann is enrolled").wait_for()
    found = person(desk, gallery, "Ann")
    assert (found["external_id"], found["purpose"]) == ("T-2", "visit")
    assert found["consent_reference"] == "consents/2"
    assert found["expires_at"].startswith("2090-02-28")


def test_of_several_faces_one_is_chosen(desk: Desk) -> None:
    """Numbered from the left; only the one that was chosen is enrolled."""
    gallery = desk.gallery("chosen")
    desk.sign_in(gallery=gallery)
    desk.go("Enroll")
    desk.give(make_photo(["ann", "ben", "cat"]))
    desk.page.get_by_label("Name").fill("Ben")
    desk.page.get_by_role("button", name="Check").click()
    assert "several people" in desk.page.get_by_role("alert").inner_text()
    desk.page.get_by_role("button", name="Choose the face").click()
    desk.page.get_by_role("button", name="Face 2").click()
    desk.page.get_by_role("button", name="Enroll Ben").click()
    desk.page.get_by_role("heading", name="Ben is enrolled").wait_for()
    desk.go("Identify")
    desk.give(BEN)
    assert desk.verdict() == "Match\nBen"
    desk.give(ANN)
    desk.page.locator(".verdict.unknown").wait_for()


def test_when_the_service_is_gone_the_list_can_be_asked_again(desk: Desk) -> None:
    """The page says what happened, and its button goes on where it stood."""
    gallery = desk.gallery("gone")
    desk.enroll(ANN, "Ann", gallery=gallery)
    desk.sign_in(gallery=gallery)
    desk.page.route("**/subjects?*", lambda route: route.abort())
    desk.go("People")
    alert = desk.page.get_by_role("alert")
    assert "not reached" in alert.inner_text()
    desk.page.unroute("**/subjects?*")
    desk.page.get_by_role("button", name="Try again").click()
    desk.page.get_by_role("button", name="Ann", exact=True).wait_for()
    # The browser's own words about the request that was broken off.
    desk.complaints.clear()


def test_a_face_is_queued_compared_and_decided(desk: Desk) -> None:
    """From Identify to the queue, both faces side by side, and the verdict that stands."""
    gallery = gallery_with_twins(desk, "queued")
    desk.sign_in(gallery=gallery)
    desk.give(ANN)
    assert desk.verdict().startswith("Review")
    desk.page.get_by_role("button", name="Ask somebody else to look").click()
    desk.page.get_by_text("1 face waits in the queue now.").wait_for()
    desk.go("Reviews")
    desk.page.get_by_role("button", name="Compare with").click()
    dialog = desk.page.get_by_role("dialog")
    dialog.get_by_role("img", name="The face that was seen").wait_for()
    dialog.get_by_role("img", name="Enrolled face of").wait_for()
    (review,) = desk.api("GET", "/v1/reviews", params={"gallery": gallery})["reviews"]
    assert review["state"] == "claimed"
    dialog.get_by_role("button", name="Same person").click()
    desk.page.get_by_text("Nothing waits for a look.").wait_for()
    desk.page.get_by_label("Show").select_option("decided")
    desk.page.get_by_text("the same person").wait_for()
    (review,) = desk.api("GET", "/v1/reviews", params={"gallery": gallery})["reviews"]
    assert (review["verdict"], review["source"]) == ("same", "page")


def test_a_review_that_is_closed_goes_back(desk: Desk) -> None:
    """Escape gives it back to all, and the next face is one press away."""
    gallery = gallery_with_twins(desk, "given-back")
    for source in ("door-1", "door-2"):
        queue(desk, gallery, source=source)
    desk.sign_in(gallery=gallery)
    desk.go("Reviews")
    desk.page.get_by_role("button", name="Compare with").first.click()
    desk.page.get_by_role("button", name="Not sure").wait_for()
    with desk.page.expect_response(lambda answer: answer.request.method == "DELETE") as told:
        desk.page.keyboard.press("Escape")
    assert told.value.ok
    expect(desk.page.get_by_role("button", name="Compare with").first).to_be_focused()
    found = desk.api("GET", "/v1/reviews", params={"gallery": gallery})["reviews"]
    assert [each["state"] for each in found] == ["open", "open"]


def test_what_somebody_else_took_is_told(desk: Desk) -> None:
    """Two desks cannot have one face; the later one hears why."""
    gallery = gallery_with_twins(desk, "taken")
    queue(desk, gallery)
    desk.sign_in(desk.key("operator")["key"], gallery=gallery)
    desk.go("Reviews")
    compare = desk.page.get_by_role("button", name="Compare with")
    compare.wait_for()
    (review,) = desk.api("GET", "/v1/reviews", params={"gallery": gallery})["reviews"]
    desk.api("POST", f"/v1/reviews/{review['id']}/claim")
    compare.click()
    assert desk.page.get_by_role("alert").inner_text() != ""
    desk.page.get_by_role("button", name="Try again").click()
    desk.page.get_by_text("Nothing waits for a look.").wait_for()


def test_an_identifier_queues_and_sees_no_queue(desk: Desk) -> None:
    """A door's key asks others to look, and is shown neither whom it may be nor the list."""
    gallery = gallery_with_twins(desk, "door")
    desk.sign_in(desk.key("identifier", [gallery])["key"], gallery=gallery)
    desk.give(make_photo(["ann"]))
    assert desk.verdict() == "Review\nMay be somebody enrolled"
    desk.page.get_by_role("button", name="Ask somebody else to look").click()
    desk.page.get_by_text("1 face waits in the queue now.").wait_for()
    assert desk.page.get_by_role("navigation").inner_text().split() == ["Identify", "About"]
