"""Headers that every answer has, and who may ask from a page of another origin."""

import re
from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware

from embedding.errors import SettingsInvalid

_ALWAYS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}

_UNLESS_SAID: Final[Mapping[str, str]] = {
    "Cache-Control": "no-store",
    # Of JSON: a browser that is made to show it runs and loads nothing. Pages say their own.
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}

_HSTS = "max-age=31536000"
"""A year; without subdomains, which belong to others."""

_ORIGIN = re.compile(
    r"https?://"
    r"([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])"
    r"(:[1-9][0-9]{0,4})?"
)

_PREFLIGHT_S = 600


def set_safe_headers(headers: MutableHeaders, *, scheme: str) -> None:
    """Add what every answer has.

    Args:
        headers: of an answer, which may say some for itself.
        scheme: that the request came with.
    """
    for name, value in _ALWAYS.items():
        headers[name] = value
    for name, value in _UNLESS_SAID.items():
        headers.setdefault(name, value)
    if scheme == "https":
        headers["Strict-Transport-Security"] = _HSTS


def origins_of(given: str | None) -> list[str]:
    """The origins of a setting, commas between; none where it is unset.

    Raises:
        SettingsInvalid: one is not exactly as browsers send it, or a pattern.
    """
    origins = [each.strip() for each in (given or "").split(",") if each.strip()]
    for origin in origins:
        if not _ORIGIN.fullmatch(origin):
            raise SettingsInvalid(
                "cors_origins holds exact origins such as https://desk.example.org or "
                "http://localhost:3000, in lower case, without a path and never *, commas between"
            )
    return origins


def allow_origins(app: FastAPI, origins: list[str]) -> None:
    """Let pages of other origins ask with a key; never with cookies."""
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_credentials=False,
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Idempotency-Key",
                "If-Match",
                "If-None-Match",
                "Last-Event-ID",
                "X-Request-ID",
            ],
            expose_headers=["ETag", "Idempotency-Replayed", "Retry-After", "X-Request-ID"],
            max_age=_PREFLIGHT_S,
        )
