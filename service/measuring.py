"""Around everything that answers a request: counts it, and gives it a span where one is wanted."""

import time
from contextlib import ExitStack

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.assembly import Parts
from service.metrics import known_method


class Measured:
    """Counts and times the requests of an app; the outermost, so that refusals count, too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the app; what it answers and raises is passed on."""
        parts: Parts | None = (
            getattr(scope["app"].state, "parts", None) if "app" in scope else None
        )
        if scope["type"] != "http" or parts is None:
            await self._app(scope, receive, send)
            return
        start = time.perf_counter()
        status = 0

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with ExitStack() as around:
            around.enter_context(parts.metrics.request_in_progress())
            span = parts.tracing and around.enter_context(
                parts.tracing.request(Headers(scope=scope))
            )
            try:
                await self._app(scope, receive, send_and_see)
            finally:
                method = known_method(scope["method"])
                # The path may hold ids; the route's own pattern tells as much.
                route = getattr(scope.get("route"), "path", "-")
                parts.metrics.answered(
                    method=method,
                    route=route,
                    status=status,
                    seconds=time.perf_counter() - start,
                )
                if span:
                    span.answered(
                        method=method,
                        route=route,
                        status=status,
                        request_id=scope.get("facegallery.request_id", ""),
                    )
