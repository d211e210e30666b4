"""HTTP/1.1 towards callers who may be slow, broken or hostile: a time limit, and a clear 4xx.

uvicorn waits for the rest of a request for as long as it takes, and a caller who sends a byte now
and then keeps a connection for good. Here a request has so long to come.
"""

import asyncio
import sys
from typing import Any, Final

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from service.errors import CODE_BY_STATUS, problem
from service.headers import set_safe_headers

HEADERS_WITHIN_S = 20.0
"""From the opening of a connection, or from a request's first byte, to the end of its headers."""

_SPARE_S = 5.0
"""The app tells of a slow body by itself; only where it does not read one is the line cut."""

_PIECE_BYTES: Final = 4096

_MALFORMED: Final = 400
_TOO_SLOW: Final = 408
_TOO_LARGE: Final = 431
_DETAILS: Final = {
    _MALFORMED: "this is no HTTP/1.1 request",
    _TOO_SLOW: "the headers of the request did not come in time",
    _TOO_LARGE: "the headers of the request are larger than 64 KiB",
}


def protocol_within(*, body_timeout_s: float, transfer_timeout_s: float) -> type[H11Protocol]:
    """The protocol that uvicorn makes for each connection.

    Args:
        body_timeout_s: how long the app waits for the body of most requests.
        transfer_timeout_s: how long for a gallery's file.
    """

    class Timed(PatientProtocol):
        """With these limits."""

        headers_s = HEADERS_WITHIN_S
        request_s = HEADERS_WITHIN_S + max(body_timeout_s, transfer_timeout_s) + _SPARE_S
        rest_s = body_timeout_s

    return Timed


class PatientProtocol(H11Protocol):
    """Cuts off who takes too long to send a request, and answers problem documents.

    Attributes:
        headers_s: from a request's first byte, or the connection's opening, to its headers' end.
        request_s: to the end of its body.
        rest_s: from an answer to the end of a body that nobody read.
    """

    headers_s = HEADERS_WITHIN_S
    request_s = 2 * HEADERS_WITHIN_S
    rest_s = HEADERS_WITHIN_S

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._cut_at: asyncio.TimerHandle | None = None
        self._headers_due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """Waits no longer."""
        self._end()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Takes bytes; a request that is whole has no limit any more."""
        # h11 looks at the size of headers that are not whole yet, and up to 256 KiB come at once.
        while len(data) > _PIECE_BYTES and self.conn.their_state is h11.IDLE:
            super().data_received(data[:_PIECE_BYTES])
            data = data[_PIECE_BYTES:]
            if self.transport.is_closing():
                return
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """Goes on to the next request, whose beginning may have come already."""
        super().on_response_complete()
        self._look()
        if self.conn.their_state is h11.SEND_BODY and self._cut_at is not None:
            # Whoever was refused has no key to have a gallery's file waited for.
            self._cut_at.cancel()
            self._cut_at = self.loop.call_later(self.rest_s, self._cut)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Answers what h11 refuses, as a problem document; 431 for headers without end."""
        hint = getattr(sys.exception(), "error_status_hint", _MALFORMED)
        self._refuse(hint if hint in _DETAILS else _MALFORMED)

    def _look(self) -> None:
        """Sees how much of a request is there."""
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            self._begin()
            self._headers_came()
        elif state is h11.IDLE and self.conn.trailing_data[0]:
            self._begin()
        else:  # whole, or between two requests, where uvicorn's own limit holds
            self._end()

    def _begin(self) -> None:
        if self._cut_at is None and not self.transport.is_closing():
            self._headers_due = self.loop.call_later(self.headers_s, self._headers_too_slow)
            self._cut_at = self.loop.call_later(self.request_s, self._cut)

    def _headers_came(self) -> None:
        if self._headers_due is not None:
            self._headers_due.cancel()
            self._headers_due = None

    def _end(self) -> None:
        self._headers_came()
        if self._cut_at is not None:
            self._cut_at.cancel()
            self._cut_at = None

    def _headers_too_slow(self) -> None:
        if self.conn.trailing_data[0]:
            self._refuse(_TOO_SLOW)
        else:
            self._cut()

    def _cut(self) -> None:
        self._end()
        self.transport.close()

    def _refuse(self, status: int) -> None:
        """Answers where nothing was answered yet, and closes."""
        self._end()
        if self.cycle is not None and not self.cycle.response_complete:
            # Its caller can send nothing that makes sense any more.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            answer = problem(
                status, CODE_BY_STATUS[status], _DETAILS[status], headers={"Connection": "close"}
            )
            set_safe_headers(answer.headers, scheme=self.scheme or "http")
            response = h11.Response(status_code=status, headers=answer.raw_headers)
            for event in (response, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
