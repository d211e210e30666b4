"""Requests that callers may send again: which key they came with, and what they did."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

Done = TypeVar("Done")


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedKey:
    """An idempotency key as it is remembered: nothing that was sent can be read from it.

    Attributes:
        caller: id of the API key that sent it.
        code: 32 bytes, keyed, of caller and key.
        request_code: 32 bytes, keyed, of what was asked.
        expires_at: until then it is remembered. UTC.
        max_keys: that are remembered of a caller; the oldest make room.
    """

    caller: str
    code: bytes
    request_code: bytes
    expires_at: datetime
    max_keys: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeatable(Generic[Done]):
    """A change that is remembered in its own transaction.

    Attributes:
        key: that it came with.
        answer: makes the JSON that is kept of what was done; without photo, embedding and name.
    """

    key: UsedKey
    answer: Callable[[Done], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """What a key did.

    Attributes:
        request_code: of what was asked.
        gallery: name that the gallery has now in which it was done.
        answer: as it was kept.
    """

    request_code: bytes
    gallery: str
    answer: str
