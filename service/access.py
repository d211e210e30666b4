"""Who is asking: the key of a request, checked before its body is read."""

import time
from collections.abc import Callable
from functools import partial
from typing import Annotated, Final, ParamSpec, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from embedding.errors import KeyLimited, RequestInvalid, StoreError
from index.audit.actor import name_actor
from service.assembly import Parts
from service.auth import Caller, Permission
from service.session_cookie import session_token
from service.sessions import Session

_MAX_NAME = 100

CHECK: Final = "facegallery.check"
"""In the scope of a request with a key: passes while it is in force; waits for the database."""

KEY_HOLDS_S: Final = 2.0
"""After a longer wait, for a body or for a worker, a key is asked for again."""

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

bearer = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    bearerFormat="fg_<key id>_<secret>",
    description="A key that `facegallery serve` printed at its first start, or that "
    "`facegallery keys create` made.",
)


async def parts_of(request: Request) -> Parts:
    """The opened parts of the app that answers.

    A coroutine, for a plain function would be sent through a thread at every request.

    Raises:
        StoreError: the app was not started, or is shutting down.
    """
    parts: Parts | None = getattr(request.app.state, "parts", None)
    if parts is None:
        raise StoreError("the service is not open")
    return parts


PartsOf = Annotated[Parts, Depends(parts_of)]


def asking(
    request: Request,
    parts: PartsOf,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)],
) -> Session:
    """A dependency: who asks, by a key in the header or else by the cookie of a session.

    Raises:
        KeyMissing: with neither.
        KeyInvalid: malformed, unknown, expired or revoked.
        SessionEnded: the cookie's session is over.
        CrossOrigin: the cookie came with a request of another page.
        KeyLimited: the key has asked too often.
        RequestInvalid: something after the ``?`` that the route does not know, or has twice.
    """
    token = session_token(request)
    try:
        if token is None:
            caller = parts.keys.authenticate(credentials.credentials if credentials else None)
            session = Session(caller=caller, expires_at=caller.expires_at)
        else:
            session = parts.sessions.resume(token)
    except KeyLimited as error:
        # Who asks too often is what an operator looks for in the log.
        request.scope["facegallery.key_id"] = error.key_id
        raise
    request.scope["facegallery.key_id"] = session.caller.key_id
    request.scope[CHECK] = partial(_check, parts, token, session.caller.key_id)
    name_actor(session.caller.key_id)
    _check_query(request)
    return session


async def check_since(request: Request, begun_s: float) -> None:
    """Passes unless the key or session of a request ended while the request waited.

    Args:
        request: whose key was good when it came.
        begun_s: when the wait began, by `time.monotonic`.

    Raises:
        KeyInvalid, SessionEnded: it ended meanwhile.
    """
    check = request.scope.get(CHECK)
    if check is not None and time.monotonic() - begun_s >= KEY_HOLDS_S:
        await to_thread.run_sync(check)


def _check_query(request: Request) -> None:
    """Refuses what would be without effect: a typing error, or a field of the body."""
    given = [name for name, _ in request.query_params.multi_items()]
    if not given:
        return
    path = getattr(request.scope.get("route"), "path", "")
    operations = request.app.openapi()["paths"].get(path, {})
    operation = operations.get(request.method.lower(), {})
    known = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"]
    for name in given:
        if name not in known:
            there = f"there are: {', '.join(known)}" if known else "there are none"
            body = ", and fields go into the body" if "requestBody" in operation else ""
            raise RequestInvalid(f"no query parameter {name[:_MAX_NAME]} here; {there}{body}")
        if given.count(name) > 1:
            raise RequestInvalid(f"the query parameter {name} was given twice")


def _check(parts: Parts, token: str | None, key_id: str) -> None:
    """Passes while the session of a token goes on, and the key is in force.

    Raises:
        KeyInvalid: the key was revoked, or has expired.
        SessionEnded: likewise, or the session was signed out.
    """
    if token is None:
        parts.keys.holder(key_id)
    else:
        parts.sessions.check(token)


def allowed(permission: Permission) -> Callable[..., Caller]:
    """A dependency: the caller, whose key is valid and whose role has the permission.

    Raises:
        AccessError: as `asking` does, when asked.
        KeyForbidden: the role does not have the permission.
    """

    def caller_with_permission(session: Annotated[Session, Depends(asking)]) -> Caller:
        session.caller.require(permission)
        return session.caller

    return caller_with_permission


async def in_worker(
    request: Request,
    work: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """The result of slow work, done in one of the app's worker threads."""
    limiter: CapacityLimiter = request.app.state.workers
    return await to_thread.run_sync(partial(work, *args, **kwargs), limiter=limiter)
