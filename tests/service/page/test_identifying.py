"""Identifying on the page: faces, decisions, and the camera."""

import io

import pytest
from PIL import Image

from tests.fakes import BACKGROUND, make_photo, photo_bytes
from tests.service.browsing import Desk

pytestmark = pytest.mark.browser

CAMERA_SHOWS = """() => new Promise((done) => {
  const video = document.querySelector("video");
  if (video.videoWidth > 0) done();
  else video.addEventListener("loadeddata", () => done(), { once: true });
})"""

ANN = make_photo(["ann"])


def test_faces_are_numbered_from_the_left(desk: Desk) -> None:
    """As people look at a photo, whatever the sizes of the faces."""
    gallery = desk.gallery("numbers")
    desk.enroll(ANN, "Ann", gallery=gallery)
    small, large = (
        Image.open(io.BytesIO(make_photo([name], face_px=face_px)))
        for name, face_px in (("ben", 60), ("ann", 112))
    )
    both = Image.new("RGB", (small.width + large.width, large.height), BACKGROUND)
    both.paste(small, (0, 0))
    both.paste(large, (small.width, 0))
    desk.sign_in(gallery=gallery)
    desk.give(photo_bytes(both))
    desk.verdict()
    assert desk.page.locator(".decision").all_inner_texts() == ["1\nUnknown", "2\nMatch"]


def test_faces_are_framed_where_they_are(desk: Desk) -> None:
    """Each face has a frame over it, numbered from the left, with its decision in words."""
    gallery = desk.gallery("frames")
    desk.enroll(ANN, "Ann", gallery=gallery)
    desk.sign_in(gallery=gallery)
    desk.give(make_photo(["ben", "ann"]))
    assert desk.verdict() == "2 faces: 1 match, 1 unknown\nAnn"
    frames = desk.page.locator(".box")
    assert [each.split() for each in frames.all_inner_texts()] == [["1", "Unknown"], ["2", "Ann"]]
    image = desk.page.locator(".photo img").bounding_box()
    places = [each.bounding_box() for each in frames.all()]
    assert image
    # Faces of 112 px, 28 px apart, in a picture 308 px wide: see `make_photo`.
    for place, left in zip(places, (28, 168), strict=True):
        assert place
        assert (place["x"] - image["x"]) / image["width"] == pytest.approx(left / 308, abs=0.02)
        assert place["width"] / image["width"] == pytest.approx(112 / 308, abs=0.03)


def test_an_identifier_sees_decisions_only(desk: Desk) -> None:
    """Names of matches, and no similarity, candidate, person or key of anybody."""
    gallery = desk.gallery("decisions")
    desk.enroll(ANN, "Ann", gallery=gallery)
    desk.sign_in(desk.key("identifier", [gallery])["key"])
    assert desk.page.get_by_role("navigation").inner_text().split() == ["Identify", "About"]
    assert desk.page.get_by_label("Gallery").input_value() == gallery
    desk.give(ANN)
    assert desk.verdict() == "Match\nAnn"
    shown = desk.page.locator("main").inner_text()
    assert "Similarity" not in shown
    assert "Who is closest" not in shown
    desk.page.goto(f"{desk.url}/#keys")
    desk.page.get_by_role("heading", level=1, name="Identify").wait_for(state="attached")


def test_an_operator_sees_similarities(desk: Desk) -> None:
    """With the threshold, what it stands for, the gallery's size and the model."""
    gallery = desk.gallery("figures")
    desk.enroll(ANN, "Ann", gallery=gallery)
    desk.sign_in(desk.key("operator")["key"], gallery=gallery)
    desk.give(ANN)
    desk.verdict()
    shown = desk.page.locator("main").inner_text()
    for told in ("Similarity 1.00; a match from", "1 in 100 strangers", "1 person", "fake"):
        assert told in shown


def test_the_camera_takes_a_photo(desk: Desk) -> None:
    """It runs when it is asked for, sends one picture, and is off when the view is left."""
    desk.page.context.grant_permissions(["camera"])
    desk.sign_in()
    desk.page.get_by_role("button", name="Use the camera").click()
    shoot = desk.page.get_by_role("button", name="Take the photo")
    shoot.wait_for()
    track = "document.querySelector('video').srcObject.getVideoTracks()[0]"
    desk.page.evaluate(f"window.track = {track}")
    desk.page.evaluate(CAMERA_SHOWS)
    shoot.click()
    desk.verdict()
    assert desk.page.evaluate("window.track.readyState") == "live"
    desk.page.get_by_role("button", name="Next person").click()
    shoot.wait_for()
    desk.go("About")
    assert desk.page.evaluate("window.track.readyState") == "ended"


def test_a_camera_that_is_refused_is_told(desk: Desk) -> None:
    """The page says what to allow, and goes on without it."""
    desk.sign_in()
    desk.page.get_by_role("button", name="Use the camera").click()
    assert "does not let this page use the camera" in desk.page.get_by_role("alert").inner_text()
    assert desk.page.get_by_role("button", name="Choose a photo").is_visible()
