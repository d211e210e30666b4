"""On whose behalf this thread or task works, for the audit log."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

LOCAL = "local"
"""Whoever works on the data folder itself: its owner's command line, or the program's upkeep."""


@dataclass(slots=True)
class Actor:
    """Filled in once it is known; worker threads share the one of their request.

    Attributes:
        id: of an API key, or `LOCAL`.
    """

    id: str = LOCAL


_actor: ContextVar[Actor | None] = ContextVar("actor", default=None)


def actor_id() -> str:
    """Return who acts."""
    actor = _actor.get()
    return LOCAL if actor is None else actor.id


def name_actor(key_id: str) -> None:
    """Say who acts from here on in what `acting` has begun; without that, nothing is changed."""
    actor = _actor.get()
    if actor is not None:
        actor.id = key_id


@contextmanager
def acting() -> Iterator[Actor]:
    """Run a block whose actor is told later, with `name_actor`."""
    actor = Actor()
    token = _actor.set(actor)
    try:
        yield actor
    finally:
        _actor.reset(token)
