"""The `Idempotency-Key` of a request, and the header that says that an answer is one of before."""

from typing import Annotated, Final

from fastapi import Depends, Header, Request

from embedding.errors import RequestInvalid

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
"""`true` on an answer of before."""


async def sent_key(
    request: Request,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=255,
            pattern=r"^[\x21-\x7e]+$",
            description="Makes the request safe to send again: a value of your own that no other "
            "request has, such as a UUID. Sent again with the same body it does nothing, and "
            "answers as the first time.",
            examples=["3f0c8a52-d1b9-4e5c-8a7b-6d5e4f3a2b1c"],
        ),
    ] = None,
) -> str | None:
    """A dependency: the request's key; None without one.

    Raises:
        RequestInvalid: it was sent twice.
    """
    if len(request.headers.getlist(HEADER)) > 1:
        raise RequestInvalid(f"the header {HEADER} is sent once")
    return idempotency_key


SentKey = Annotated[str | None, Depends(sent_key)]


async def refuse_key(request: Request) -> None:
    """A dependency of routes whose answer must not be kept, since it holds a secret.

    Raises:
        RequestInvalid: the request has a key, and its caller might rely on it.
    """
    if HEADER in request.headers:
        raise RequestInvalid(
            f"{HEADER} does not go with this request: its answer holds a secret, which is not kept"
        )
