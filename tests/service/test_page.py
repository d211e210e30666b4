"""The page in a real browser, before a real server with the fake detector."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from service.session_cookie import SECURE_COOKIE
from service.settings import Settings
from tests.fakes import BACKGROUND, make_photo, photo_bytes
from tests.service.browsing import VIEWS, Desk, at_desk, open_browser, write_certificate
from tests.service.server_process import Server, start

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog

pytestmark = pytest.mark.browser

ANN, BEN = make_photo(["ann"]), make_photo(["ben"])
PHONE = {"width": 390, "height": 844}
LOSE_ONE_ANSWER = """() => {
  const real = window.fetch;
  window.fetch = async (...given) => {
    window.fetch = real;
    await real(...given);
    throw new TypeError("lost");
  };
}"""
MARKUP = "<img src=x onerror=alert(1)><b>Ann"


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


def test_a_wrong_key_is_told_in_words(desk: Desk) -> None:
    """The problem's own words stand on the page, and the field is empty again."""
    desk.open()
    desk.page.get_by_label("Key").fill("fg_wrong")
    desk.page.keyboard.press("Enter")
    assert "not valid" in desk.page.get_by_role("alert").inner_text()
    assert desk.page.get_by_label("Key").input_value() == ""


def test_nothing_of_the_key_stays_in_the_browser(desk: Desk) -> None:
    """No storage, no cookie that a script sees, no address and no field holds it."""
    desk.sign_in()
    held = desk.page.evaluate(
        "() => [location.href, document.cookie, JSON.stringify({...localStorage}),"
        " JSON.stringify({...sessionStorage}), document.documentElement.outerHTML].join()"
    )
    secret = desk.admin_key.split("_", 2)[2]
    assert secret not in held
    (cookie,) = desk.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (True, "Strict", -1)
    assert secret not in cookie["value"]


def test_a_reload_stays_signed_in_and_signing_out_ends_it(desk: Desk) -> None:
    """A session outlives a reload; after signing out a copy of its cookie is worth nothing."""
    desk.sign_in()
    copied = desk.page.context.cookies()
    desk.page.reload()
    desk.page.get_by_role("button", name="Sign out").click()
    desk.page.get_by_text("You are signed out.").wait_for()
    assert desk.page.context.cookies() == []
    desk.page.context.add_cookies(copied)  # type: ignore[arg-type]
    desk.page.reload()
    desk.page.get_by_label("Key").wait_for()
    assert desk.page.get_by_role("navigation").count() == 0


def test_a_revoked_key_leads_back_to_signing_in(desk: Desk) -> None:
    """The next thing that is asked says that the session ended."""
    made = desk.key("operator")
    desk.sign_in(made["key"])
    desk.api("DELETE", f"/v1/keys/{made['key_id']}")
    desk.page.get_by_role("link", name="People").click()
    assert "session has ended" in desk.page.get_by_role("alert").inner_text()
    assert desk.page.get_by_label("Key").is_visible()


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


def test_the_camera_takes_a_photo(desk: Desk) -> None:
    """It runs when it is asked for, sends one picture, and is off when the view is left."""
    desk.page.context.grant_permissions(["camera"])
    desk.sign_in()
    desk.page.get_by_role("button", name="Use the camera").click()
    shoot = desk.page.get_by_role("button", name="Take the photo")
    shoot.wait_for()
    track = "document.querySelector('video').srcObject.getVideoTracks()[0]"
    desk.page.evaluate(f"window.track = {track}")
    desk.page.wait_for_function("document.querySelector('video').videoWidth > 0")
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


def test_over_tls_the_cookie_is_bound_to_tls(
    browser: "Browser", tmp_path: Path, fake_model: Path
) -> None:
    """Over HTTPS the browser takes the cookie as one that plain HTTP never sees."""
    files = {name: tmp_path / f"{name}.pem" for name in ("certificate", "key")}
    write_certificate(**files)
    settings = Settings(data_folder=tmp_path / "data", model=str(fake_model))
    options = [f"--tls-{name}={path}" for name, path in files.items()]
    running = start(settings, *options)
    try:
        with at_desk(browser, running.url, str(running.key), ignore_https_errors=True) as desk:
            desk.sign_in()
            (cookie,) = desk.page.context.cookies()
            assert (cookie["name"], cookie["secure"]) == (SECURE_COOKIE, True)
            desk.page.reload()
            desk.page.get_by_role("button", name="Sign out").click()
            desk.page.get_by_text("You are signed out.").wait_for()
            assert desk.page.context.cookies() == []
            assert desk.complaints == []
    finally:
        running.process.kill()
        running.process.communicate()


class _Elsewhere(BaseHTTPRequestHandler):
    """A page of another origin: the same host, another port, so that the cookie is sent."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><link rel=icon href=data:,>")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Says nothing."""


FORGED = """async (url) => {
  let numAnswers = 0;
  const attempts = [
    ["v1/galleries", {}],
    ["v1/galleries", {method: "POST", body: '{"name": "forged"}', mode: "no-cors"}],
    ["session", {method: "DELETE"}],
    ["v1/galleries", {headers: {"X-FaceGallery-Page": url}}],
  ];
  for (const [path, options] of attempts) {
    try {
      await fetch(`${url}/${path}`, {credentials: "include", ...options});
      numAnswers += 1;
    } catch {
      // The browser gives no answer away.
    }
  }
  return numAnswers;
}"""


FORGED_FORM = """(url) => {
  const form = document.createElement("form");
  form.method = "POST";
  form.action = `${url}/v1/galleries`;
  document.body.append(form);
  form.submit();
}"""


def test_a_page_of_another_origin_gets_nothing(browser: "Browser", server: Server) -> None:
    """Though its requests carry the cookie, it reads nothing, does nothing, ends nothing."""
    elsewhere = ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
    with elsewhere, at_desk(browser, server.url, str(server.key)) as desk:
        desk.sign_in()
        desk.page.goto(f"http://127.0.0.1:{elsewhere.server_port}/")
        assert desk.page.evaluate(FORGED, desk.url) == 0
        # A form leads there; were no cookie sent, the answer would be that a key is missing.
        with desk.page.expect_navigation():
            desk.page.evaluate(FORGED_FORM, desk.url)
        assert '"cross_origin"' in desk.page.content()
        assert "forged" not in str(desk.api("GET", "/v1/galleries"))
        desk.open()
        desk.page.get_by_role("navigation").wait_for()
        elsewhere.shutdown()
