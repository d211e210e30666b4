"""Sessions on the page: begun, ended, and kept from everybody else."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service.session_cookie import SECURE_COOKIE
from service.settings import Settings
from tests.service.browsing import Desk, at_desk, write_certificate
from tests.service.server_process import Server, start

if TYPE_CHECKING:
    from playwright.sync_api import Browser


pytestmark = pytest.mark.browser


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
