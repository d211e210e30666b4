"""A browser at the page: what its tests share. It drives the machine's own Chromium."""

import importlib.util
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    # It would look for its maker's hosts.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
)
VIEWS = ("identify", "enroll", "people", "galleries", "keys", "about")


@contextmanager
def open_browser() -> Iterator["Browser"]:
    """A headless Chromium; the test skips where there is none."""
    path = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if path is None:
        pytest.skip("needs a browser: install the package chromium")
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("needs playwright; run make test")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


def expect(locator: "Locator") -> Any:
    """What is to become of an element; waits for it.

    Playwright's waits for functions would evaluate text in the page, which its policy stops
    whenever they are not true at once.
    """
    from playwright.sync_api import expect as expect_of

    expect_of.set_options(timeout=30_000)
    return expect_of(locator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A person at a browser, before a running service.

    Attributes:
        page: of the browser.
        url: of the service.
        admin_key: the first key.
        complaints: what the browser's console said that no request's answer explains, such as
            scripts that the policy stopped.
        addresses: of everything that was asked for.
    """

    page: "Page"
    url: str
    admin_key: str
    complaints: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    def api(self, method: str, path: str, **given: Any) -> Any:
        """What the service answers to a program with the admin's key."""
        headers = {"Authorization": f"Bearer {self.admin_key}"}
        answer = httpx.request(method, f"{self.url}{path}", headers=headers, **given)
        if not answer.is_success:
            raise AssertionError(answer.text)
        return answer.json()

    def key(self, role: str, galleries: Sequence[str] | None = None) -> Any:
        """A new key, with its id."""
        return self.api("POST", "/v1/keys", json={"role": role, "galleries": galleries})

    def gallery(self, name: str) -> str:
        """A new gallery."""
        return str(self.api("POST", "/v1/galleries", json={"name": name})["name"])

    def enroll(self, photo: bytes, name: str, *, gallery: str) -> str:
        """Enrolls somebody; the id."""
        answer = self.api(
            "POST",
            "/v1/enroll",
            data={"subject": name, "gallery": gallery},
            files=[("photos", ("photo", photo))],
        )
        return str(answer["subject_id"])

    def open(self, *, gallery: str = "default", view: str = "") -> None:
        """Opens the page."""
        self.page.goto(f"{self.url}/?gallery={gallery}#{view}")

    def sign_in(self, key: str | None = None, *, gallery: str = "default") -> None:
        """Opens the page and signs in, as the admin unless with another key."""
        self.open(gallery=gallery)
        self.page.get_by_label("Key").fill(key or self.admin_key)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_role("navigation").wait_for()

    def go(self, view: str) -> None:
        """Chooses a view."""
        self.page.get_by_role("link", name=view, exact=True).click()
        self.page.get_by_role("heading", level=1, name=view).wait_for(state="attached")

    def give(self, *photos: bytes | Path) -> None:
        """Chooses photos in the view's file dialog."""
        files: list[Any] = [
            photo
            if isinstance(photo, Path)
            else {"name": "photo.png", "mimeType": "image/png", "buffer": photo}
            for photo in photos
        ]
        self.page.locator("input[type=file]").set_input_files(files)

    def verdict(self) -> str:
        """What the page says of the photo, once it does."""
        told = self.page.locator(
            ".verdict.match, .verdict.review, .verdict.unknown, .verdict.several, .verdict.none"
        )
        told.wait_for()
        return told.inner_text()


@contextmanager
def at_desk(browser: "Browser", url: str, admin_key: str, **options: Any) -> Iterator[Desk]:
    """A fresh browser profile before the service; options are those of Playwright's contexts."""
    context = browser.new_context(**options)
    context.set_default_timeout(30_000)
    page = context.new_page()
    desk = Desk(page=page, url=url, admin_key=admin_key)
    page.on("request", lambda request: desk.addresses.append(request.url))
    page.on("pageerror", lambda error: desk.complaints.append(str(error)))

    def on_console(message: Any) -> None:
        # The browser notes each answer of 4xx by itself; the page tells it in its own words.
        refused = message.text.startswith("Failed to load resource: the server responded")
        if message.type in {"error", "warning"} and not refused:
            desk.complaints.append(message.text)

    page.on("console", on_console)
    yield desk
    context.close()


def write_certificate(*, certificate: Path, key: Path) -> None:
    """A certificate of its own issue for 127.0.0.1, good for an hour, and its key."""
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
