"""The page's files without a browser: how they are served, what they may load, their colours."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from tests.service.support import FakeService

WEB = Path(str(files("service") / "web"))
NAMES = sorted(path.name for path in WEB.iterdir())
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

_VARIABLE = re.compile(r"(--[a-z-]+): (#[0-9a-f]{6});")
_PAIRS = [
    ("--ink", "--ground"), ("--ink", "--surface"), ("--ink", "--warn-ground"),
    ("--ink", "--unknown-ground"), ("--soft", "--ground"), ("--soft", "--surface"),
    ("--accent", "--ground"), ("--accent", "--surface"), ("--on-accent", "--accent"),
    ("--on-danger", "--danger"), ("--match", "--match-ground"), ("--match", "--surface"),
    ("--review", "--review-ground"), ("--review", "--surface"),
    ("--unknown", "--unknown-ground"), ("--unknown", "--surface"),
]  # fmt: skip
"""Colour of a text, and what it stands on."""


def test_the_page_runs_its_own_files_alone(shared_service: FakeService) -> None:
    """Nothing inline, no other host, no frame, no markup from text; only it has the camera."""
    answer = shared_service.http.get("/")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    policy = dict(
        each.split(" ", 1) for each in answer.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["permissions-policy"].startswith("camera=(self), microphone=()")
    assert not re.search(r"<script(?![^>]*src)|\bon\w+=|\bstyle=", answer.text)


@pytest.mark.parametrize("name", NAMES)
def test_files_are_served_and_lead_nowhere_else(shared_service: FakeService, name: str) -> None:
    """Each has its kind, and names no other host than that of SVG's elements."""
    answer = shared_service.http.get(f"/static/page/{name}")
    assert answer.status_code == 200
    kind = KINDS.get(Path(name).suffix, "text/html")
    assert answer.headers["content-type"].startswith(kind)
    assert set(re.findall(r"\w+://[^\s\"'`]+", answer.text)) <= {"http://www.w3.org/2000/svg"}


@pytest.mark.parametrize("name", [each for each in NAMES if each.endswith(".js")])
def test_scripts_make_no_markup_and_keep_nothing(name: str) -> None:
    """No way from text to markup or code is used, and no storage of the browser."""
    text = (WEB / name).read_text()
    sinks = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc"
    assert not re.search(rf"{sinks}|localStorage|sessionStorage|indexedDB|document\.cookie", text)


@pytest.mark.parametrize("name", [each for each in NAMES if each.endswith((".js", ".html"))])
def test_what_is_loaded_is_there(name: str) -> None:
    """Modules and styles that a file names are files of the package."""
    loaded = re.findall(r'from "\./([^"]+)"|"static/page/([^"]+)"', (WEB / name).read_text())
    assert {one or other for one, other in loaded} <= set(NAMES)


@pytest.mark.parametrize("dark", [False, True])
def test_texts_stand_out(dark: bool) -> None:
    """Texts have a contrast of 4.5 to what they stand on, light and dark (WCAG 2.2, 1.4.3)."""
    light, _, rest = (WEB / "style.css").read_text().partition("prefers-color-scheme: dark")
    colours = dict(_VARIABLE.findall(light))
    if dark:
        colours |= dict(_VARIABLE.findall(rest))
    poor = {pair: _contrast(*(colours[each] for each in pair)) for pair in _PAIRS}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}


def _contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2.2, 1 to 21."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2, of #rrggbb."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
