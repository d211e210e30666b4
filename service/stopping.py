"""The end of a service: what was accepted is finished, newcomers are sent away."""

import asyncio
import time
from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from embedding.errors import ServiceStopping
from service.errors import problem_of

_POLL_S = 0.02
_ALWAYS_ANSWERED = frozenset({"/healthz"})
"""It says that the process answers, which it does to the end."""


class Stopping:
    """Whether the service stops, and how many requests it still answers."""

    def __init__(self) -> None:
        self.begun = False
        self.num_open = 0

    def begin(self) -> None:
        """Refuses every request from now on; may be called from a signal handler."""
        self.begun = True

    async def drained(self, *, within_s: float, hurry: Callable[[], bool]) -> bool:
        """Whether all open requests were answered in time; returns as soon as they are.

        Args:
            within_s: how long they are waited for.
            hurry: asked again and again; nobody is waited for once it says yes.
        """
        end = time.monotonic() + within_s
        while self.num_open and time.monotonic() < end and not hurry():
            await asyncio.sleep(_POLL_S)
        return not self.num_open


class RefuseWhenStopping:
    """Answers 503 to what comes after the stop, so that a balancer goes elsewhere."""

    def __init__(self, app: ASGIApp, *, stopping: Stopping) -> None:
        self._app = app
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Runs the app, or answers at once."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if self._stopping.begun and scope["path"] not in _ALWAYS_ANSWERED:
            error = ServiceStopping("the service shuts down; send the request again")
            await problem_of(error)(scope, receive, send)
            return
        self._stopping.num_open += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._stopping.num_open -= 1
