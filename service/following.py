"""How a client follows events: reads the stream, and goes on where it broke."""

import json
import random
from typing import Final, TypedDict

import httpx

from embedding.errors import ServerUnreachable
from service.answering import refusal_of
from service.errors import error_of_problem
from service.retrying import PASSING, retry_after_s
from service.schemas import EventAnswer

EVENTS: Final = "/v1/events"

SILENT_S: Final = 45.0
"""Three heartbeats: whoever hears nothing so long connects again."""

_FIRST_WAIT_S = 0.25
_MAX_WAIT_S = 20.0

_PASSING_ENDS: Final = frozenset({"stopping", "internal"})
"""Codes of a stream's end after which the next connection goes on."""


class Request(TypedDict):
    """The arguments of a request that httpx makes."""

    params: dict[str, str]
    headers: dict[str, str]
    timeout: httpx.Timeout


class Following:
    """Where a client is in the stream, whatever becomes of its connections.

    Args:
        after: id of an event, ``oldest``, or None for what comes from now on.
        gallery: only its events; None for all that the key reaches.
    """

    def __init__(self, *, after: str | None, gallery: str | None) -> None:
        self._after = after
        self._gallery = gallery
        self._num_failures = 0
        self._kind = ""
        self._data: list[str] = []
        self._cursor: str | None = None

    def request(self) -> Request:
        """What is sent to begin, or to go on."""
        self._kind, self._data, self._cursor = "", [], None
        params = {} if self._gallery is None else {"gallery": self._gallery}
        if self._after is not None:
            params["after"] = self._after
        return Request(
            params=params,
            headers={"Accept": "text/event-stream"},
            timeout=httpx.Timeout(SILENT_S, connect=10.0),
        )

    def take(self, line: str) -> EventAnswer | None:
        """The event that ends with a line, if one does.

        Raises:
            FaceGalleryError: the service ended the stream for good.
            ServerUnreachable: it sends something else.
        """
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "id":
                self._cursor = value
            elif name == "event":
                self._kind = value
            elif name == "data":
                self._data.append(value)
            return None
        kind, data, cursor = self._kind, "\n".join(self._data), self._cursor
        self._kind, self._data, self._cursor = "", [], None
        if cursor is not None:
            self._num_failures = 0
            self._after = cursor
        if not data:
            return None
        try:
            if kind == "end":
                self._end(json.loads(data))
                return None
            return EventAnswer.model_validate_json(data)
        except ValueError as error:
            raise ServerUnreachable(
                "the service sends events of another form; is it of this version?"
            ) from error

    def wait_s(self, outcome: httpx.Response | httpx.TransportError | None) -> float:
        """Seconds to wait before the next connection.

        Args:
            outcome: why there is none: a refusal, an error, or None for a stream that ended.

        Raises:
            FaceGalleryError: the refusal is for good.
            ServerUnreachable: it is not of this service.
        """
        self._num_failures += 1
        asked_s = None
        if isinstance(outcome, httpx.Response):
            if outcome.status_code not in PASSING:
                raise refusal_of(outcome)
            asked_s = retry_after_s(outcome)
        longest_s = min(_MAX_WAIT_S, _FIRST_WAIT_S * 2.0 ** min(self._num_failures - 1, 10))
        own_s = longest_s * random.uniform(0.5, 1.0)  # noqa: S311 (spreads load, guards nothing)
        return own_s if asked_s is None else min(_MAX_WAIT_S, max(own_s, asked_s))

    def _end(self, document: object) -> None:
        if not isinstance(document, dict):
            raise ValueError("expected an object at the end of a stream")
        if document.get("code") not in _PASSING_ENDS:
            raise error_of_problem(document)
