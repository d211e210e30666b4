"""Requests with an `Idempotency-Key`: done once, and answered the same when they come again.

Nothing that was sent is kept: of caller, key and body there are only codes, HMAC-SHA-256 under
the data folder's secret.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from pydantic import BaseModel

from embedding.errors import IdempotencyKeyInUse, IdempotencyKeyReused, IdempotencyKeySpent
from index.galleries import Galleries
from index.repeats import Repeatable, UsedKey
from index.store.tables import utc_now
from service.settings import Settings

Done = TypeVar("Done")
Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Generic[Done, Answer]):
    """A request that may come again.

    Attributes:
        route: that it was sent to.
        caller: id of the API key.
        key: that it was sent with; None without one.
        gallery: name of the one that it is about.
        body: of the request.
        do: does it; given how that is to be remembered.
        kept: what is kept of what was done, without photo, embedding and name.
        again: the answer of before, made of what was kept.
    """

    route: str
    caller: str
    key: str | None
    gallery: str
    body: BaseModel
    do: Callable[[Repeatable[Done] | None], Answer]
    kept: Callable[[Done], str]
    again: Callable[[str], Answer]


class Repeats:
    """Does requests once; thread safe.

    Args:
        galleries: of the data folder.
        settings: how long, and how many.
        secret: of the data folder.
    """

    def __init__(self, galleries: Galleries, *, settings: Settings, secret: bytes) -> None:
        self._galleries = galleries
        self._remembered_for = timedelta(hours=settings.idempotency_hours)
        self._max_keys = settings.idempotency_max_keys
        self._secret = secret

    def once(self, asked: Asked[Done, Answer]) -> tuple[Answer, bool]:
        """The answer, and whether it is one of before. What fails is not remembered.

        Raises:
            IdempotencyKeyInUse: a request with the key is being worked on.
            IdempotencyKeyReused: the key came with another request.
            IdempotencyKeySpent: what was done with it was erased since, or its gallery renamed.
        """
        if asked.key is None:
            return asked.do(None), False
        code = self._code(b"key", (asked.caller.encode(), asked.key.encode()))
        body_code = self._code(b"body", (asked.route.encode(), *_parts(asked.body)))
        with self._galleries.claims.claimed(code) as free:
            if not free:
                raise IdempotencyKeyInUse(
                    "a request with this Idempotency-Key is being worked on; send it again for "
                    "its answer"
                )
            known = self._galleries.kept_answers.find(code)
            if known is not None:
                if not hmac.compare_digest(known.request_code, body_code):
                    raise IdempotencyKeyReused(
                        "this Idempotency-Key came with another request before; take a new one "
                        "for each request"
                    )
                if known.gallery != asked.gallery:
                    raise IdempotencyKeySpent(
                        "the gallery in which this Idempotency-Key did something has another name "
                        "since; nothing was done now"
                    )
                return asked.again(known.answer), True
            key = UsedKey(
                caller=asked.caller,
                code=code,
                request_code=body_code,
                expires_at=utc_now() + self._remembered_for,
                max_keys=self._max_keys,
            )
            return asked.do(Repeatable(key=key, answer=asked.kept)), False

    def _code(self, purpose: bytes, parts: tuple[bytes, ...]) -> bytes:
        """HMAC-SHA-256 over parts, each with its length before it; 32 bytes."""
        found = hmac.new(self._secret, b"idempotency " + purpose + b"\0", hashlib.sha256)
        for part in parts:
            found.update(len(part).to_bytes(8, "big"))
            found.update(part)
        return found.digest()


def _parts(body: BaseModel) -> Iterator[bytes]:
    """What a body says, field by field, whether it came as a form or as JSON."""
    for name, value in body:
        yield name.encode()
        values = value if isinstance(value, list) else [value]
        yield str(len(values)).encode()
        for each in values:
            yield each if isinstance(each, bytes) else repr(each).encode("utf-8", "surrogatepass")
