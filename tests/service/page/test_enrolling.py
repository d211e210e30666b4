"""Enrolling on the page: checked first, once, and refused in words."""

from collections.abc import Callable

import pytest

from tests.fakes import make_photo
from tests.service.browsing import Desk

pytestmark = pytest.mark.browser

ANN = make_photo(["ann"])
BEN = make_photo(["ben"])

LOSE_ONE_ANSWER = """() => {
  const real = window.fetch;
  window.fetch = async (...given) => {
    window.fetch = real;
    await real(...given);
    throw new TypeError("lost");
  };
}"""


def test_enroll_checks_first(desk: Desk) -> None:
    """The check saves nothing and names a look-alike; the second press enrolls."""
    gallery = desk.gallery("checks")
    desk.enroll(ANN, "Ann", gallery=gallery)
    desk.sign_in(gallery=gallery)
    desk.go("Enroll")
    desk.give(ANN)
    desk.page.get_by_label("Name").fill("Another")
    desk.page.get_by_role("button", name="Check").click()
    desk.page.get_by_role("heading", name="Look at this first").wait_for()
    assert "somebody else who is enrolled: Ann" in desk.page.locator(".concerns").inner_text()
    subjects = f"/v1/galleries/{gallery}/subjects"
    assert [each["name"] for each in desk.api("GET", subjects)["subjects"]] == ["Ann"]
    desk.page.get_by_role("button", name="Enroll Another").click()
    desk.page.get_by_role("heading", name="Another is enrolled").wait_for()
    assert len(desk.api("GET", subjects)["subjects"]) == 2


def test_the_view_begins_anew_when_it_is_chosen_again(desk: Desk) -> None:
    """Whoever has enrolled somebody and chooses the view again gets an empty form."""
    desk.sign_in(gallery=desk.gallery("anew"))
    desk.go("Enroll")
    desk.give(ANN)
    name = desk.page.get_by_label("Name")
    name.fill("Ann")
    desk.page.get_by_role("button", name="Check").click()
    desk.page.get_by_role("button", name="Enroll Ann").click()
    desk.page.get_by_role("heading", name="Ann is enrolled").wait_for()
    desk.go("Enroll")
    name.wait_for()
    assert name.input_value() == ""


def test_what_was_changed_after_a_check_is_checked_again(desk: Desk) -> None:
    """Another name or photo takes the button to enroll away."""
    gallery = desk.gallery("changes")
    desk.sign_in(gallery=gallery)
    desk.go("Enroll")
    desk.give(ANN)
    name = desk.page.get_by_label("Name")
    changes: list[Callable[[], None]] = [lambda: name.fill("Ben"), lambda: desk.give(BEN)]
    for change in changes:
        name.fill("Ann")
        desk.page.get_by_role("button", name="Check").click()
        enroll = desk.page.get_by_role("button", name="Enroll Ann")
        enroll.wait_for()
        change()
        assert enroll.count() == 0


def test_a_broken_connection_enrolls_once(desk: Desk) -> None:
    """When the answer is lost, the same button sends the same request, which is done once."""
    gallery = desk.gallery("broken")
    desk.sign_in(gallery=gallery)
    desk.go("Enroll")
    desk.give(ANN)
    desk.page.get_by_label("Name").fill("Ann")
    desk.page.get_by_role("button", name="Check").click()
    enroll = desk.page.get_by_role("button", name="Enroll Ann")
    enroll.wait_for()
    desk.page.evaluate(LOSE_ONE_ANSWER)
    enroll.click()
    assert "not reached" in desk.page.get_by_role("alert").inner_text()
    enroll.click()
    desk.page.get_by_role("heading", name="Ann is enrolled").wait_for()
    (subject,) = desk.api("GET", f"/v1/galleries/{gallery}/subjects")["subjects"]
    assert subject["num_templates"] == 1


def test_refused_photos_say_why_and_what_helps(desk: Desk) -> None:
    """Several faces, poor ones and none are told in words, with a way on where there is one."""
    gallery = desk.gallery("refusals")
    desk.sign_in(gallery=gallery)
    desk.go("Enroll")
    desk.page.get_by_label("Name").fill("Ann")
    alert, check = desk.page.get_by_role("alert"), desk.page.get_by_role("button", name="Check")
    desk.give(make_photo([]))
    check.click()
    alert.get_by_text("face").wait_for()
    desk.page.get_by_role("button", name="Take out").click()
    desk.give(make_photo(["ann", "ben"]))
    check.click()
    desk.page.get_by_role("button", name="Take the largest face of each photo").click()
    desk.page.get_by_role("button", name="Enroll Ann").wait_for()
    desk.page.get_by_role("button", name="Take out").click()
    desk.give(make_photo(["ann"], face_px=16))
    check.click()
    assert "the face is too small" in alert.inner_text()
    desk.page.get_by_role("button", name="Take poor photos, too").click()
    desk.page.get_by_role("button", name="Enroll Ann").wait_for()


def test_a_stranger_s_face_goes_on_to_enroll(desk: Desk) -> None:
    """Of several faces the one that was chosen is enrolled, and no other."""
    gallery = desk.gallery("onward")
    desk.enroll(ANN, "Ann", gallery=gallery)
    desk.sign_in(gallery=gallery)
    desk.give(make_photo(["ann", "ben"]))
    desk.verdict()
    desk.page.get_by_role("link", name="Enroll this person").click()
    desk.page.get_by_label("Name").fill("Ben")
    desk.page.get_by_role("button", name="Check").click()
    desk.page.get_by_role("heading", name="Nothing speaks against it").wait_for()
    desk.page.get_by_role("button", name="Enroll Ben").click()
    desk.page.get_by_role("heading", name="Ben is enrolled").wait_for()
    desk.go("Identify")
    desk.give(BEN)
    assert desk.verdict() == "Match\nBen"
