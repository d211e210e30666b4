"""The cookie of a session: how it is set, and from which requests it counts.

A browser adds a cookie by itself, also to what another page makes it send. So it counts only with
a header that pages of other origins cannot set, which says the origin of the page that asks; what
the browser itself says of the origin must agree.
"""

import re
from typing import Final

from fastapi import Request, Response

from embedding.errors import CrossOrigin

PAGE_HEADER: Final = "X-FaceGallery-Page"
"""Holds ``location.origin`` of the page. It is not among the headers that CORS may allow."""

COOKIE: Final = "facegallery-session"
SECURE_COOKIE: Final = f"__Host-{COOKIE}"
"""Browsers take this name only over TLS, and for this host alone."""

_ORIGIN = re.compile(r"(https?)://([^/\s]{1,300})")
_READING = frozenset({"GET", "HEAD"})


def session_token(request: Request) -> str | None:
    """The token of the cookie that counts; None without one, or where a header names a key.

    Raises:
        CrossOrigin: there is one, but the request does not surely come from the service's page.
    """
    if "authorization" in request.headers:
        return None
    if COOKIE not in request.cookies and SECURE_COOKIE not in request.cookies:
        return None
    # What was opened over TLS takes no cookie that plain HTTP could have planted.
    name = SECURE_COOKIE if check_page(request) == "https" else COOKIE
    return request.cookies.get(name)


def check_page(request: Request) -> str:
    """The scheme that the page was opened with, ``http`` or ``https``.

    The service may stand behind a proxy that terminates TLS, so the browser's word counts: whoever
    lies there has no browser to protect.

    Raises:
        CrossOrigin: the request does not surely come from the service's own page.
    """
    headers = request.headers
    said = headers.get(PAGE_HEADER, "").lower()
    match = _ORIGIN.fullmatch(said)
    if match is None:
        raise CrossOrigin(
            "a session counts only for the service's own page; programs send the header "
            "'Authorization: Bearer fg_...'"
        )
    if match[2] != headers.get("host", "").lower():
        raise CrossOrigin(
            "the page was opened at another address than the request came to; a proxy in front "
            "must pass the header Host on as it is"
        )
    origin, site = headers.get("origin"), headers.get("sec-fetch-site")
    silent = origin is None and site is None and request.method not in _READING
    downgraded = match[1] == "http" and request.url.scheme == "https"
    if silent or downgraded or origin not in {None, said} or site not in {None, "same-origin"}:
        raise CrossOrigin("the request comes from a page of another origin, or does not say whose")
    return match[1]


def set_cookie(response: Response, token: str, *, scheme: str) -> None:
    """Gives the browser a session, which it forgets when it is closed; scripts never see it."""
    response.set_cookie(
        SECURE_COOKIE if scheme == "https" else COOKIE,
        token,
        path="/",
        secure=scheme == "https",
        httponly=True,
        samesite="strict",
    )


def clear_cookie(response: Response, *, scheme: str) -> None:
    """Makes the browser forget it."""
    response.delete_cookie(
        SECURE_COOKIE if scheme == "https" else COOKIE,
        path="/",
        secure=scheme == "https",
        httponly=True,
        samesite="strict",
    )
