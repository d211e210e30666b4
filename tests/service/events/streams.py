"""Connections to the stream of events, as tests read them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from tests.service.own_server import Heard

Block = dict[str, str]


class Stream:
    """A connection to the stream, read block by block."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.iter_lines()

    def block(self) -> Block:
        """The next block: the fields of its lines, comments under an empty name."""
        found: Block = {}
        for line in self._lines:
            if not line:
                return found
            name, _, value = line.partition(":")
            found[name] = value.strip()
        raise EOFError

    def event(self) -> dict[str, Any]:
        """The next block with data."""
        while "data" not in (found := self.block()):
            pass
        content: dict[str, Any] = json.loads(found["data"])
        if found["event"] != "end" and content["id"] != found["id"]:
            raise AssertionError(found)
        return content | {"event": found["event"]}

    def rest(self) -> list[Block]:
        """All blocks until the service ends the stream."""
        found = []
        try:
            while True:
                found.append(self.block())
        except EOFError:
            return found


@contextmanager
def listen(
    service: Heard, headers: dict[str, str] | None = None, **query: str
) -> Iterator[Stream]:
    """A stream, which has begun."""
    with httpx.stream(
        "GET",
        f"{service.url}/v1/events",
        headers=headers or service.headers(),
        params=query,
        timeout=30.0,
    ) as response:
        if response.status_code != 200:
            response.read()
            raise AssertionError(response.text)
        stream = Stream(response)
        if "retry" not in stream.block():
            raise AssertionError("no beginning")
        yield stream


def end_of(stream: Stream) -> dict[str, Any]:
    """What the last block says, which is the stream's own end."""
    blocks = stream.rest()
    content: dict[str, Any] = json.loads(blocks[-1]["data"])
    if blocks[-1]["event"] != "end":
        raise AssertionError(blocks)
    return content
