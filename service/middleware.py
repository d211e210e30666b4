"""Around every request: its id, its log line, safe headers, and faults that nobody foresaw."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from index.audit.actor import acting
from service.errors import internal_problem, two_lengths_problem
from service.headers import set_safe_headers
from service.logs import request_in_hand
from service.metrics import known_method

logger = logging.getLogger(__name__)

_REQUEST_ID = re.compile(r"(?!fg_)[A-Za-z0-9._-]{1,64}")  # a key by mistake is not logged

_LENGTHS = frozenset({"content-length", "transfer-encoding"})
"""Who sends both may have a proxy in front see the end of a request elsewhere (RFC 9112, 6.3)."""


class RequestEnvelope:
    """Gives every request an id and every answer its headers; logs one line a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the app; a fault in it becomes a 500 without a traceback."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given_headers = Headers(scope=scope)
        given = given_headers.get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope["facegallery.request_id"] = request_id
        in_hand = request_in_hand.set(request_id)
        start = time.perf_counter()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                set_safe_headers(headers, scheme=scope.get("scheme", "http"))
            await send(message)

        try:
            with acting():
                if set(given_headers.keys()) >= _LENGTHS:
                    await two_lengths_problem()(scope, receive, send_with_headers)
                else:
                    await self._app(scope, receive, send_with_headers)
        except ClientDisconnect:
            logger.info("request id=%s client gone", request_id)
        except Exception:
            logger.exception("fault request id=%s", request_id)
            if status == 0:
                await internal_problem()(scope, receive, send_with_headers)
        finally:
            # The path may hold ids; the route's own pattern tells as much.
            route = getattr(scope.get("route"), "path", "-")
            logger.info(
                "request id=%s method=%s route=%s status=%d ms=%.1f key=%s",
                request_id,
                known_method(scope["method"]),
                route,
                status,
                (time.perf_counter() - start) * 1000,
                scope.get("facegallery.key_id", "-"),
            )
            request_in_hand.reset(in_hand)
