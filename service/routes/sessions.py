"""Sessions of the page: a key is traded for a cookie that scripts cannot read."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from index.audit.actor import name_actor
from index.audit.entries import AuditEvent
from service import schemas
from service.access import PartsOf, asking, in_worker
from service.bodies.sessions import SessionBody
from service.openapi import body_of, problems
from service.reading import SMALL_BODY_BYTES, read_body
from service.session_cookie import check_page, clear_cookie, session_token, set_cookie
from service.sessions import Session
from service.settings import Settings

router = APIRouter(prefix="/session", tags=["page"])


@router.post("", responses=problems(413, 415), openapi_extra=body_of(SessionBody))
async def begin_session(
    request: Request, response: Response, parts: PartsOf
) -> schemas.SessionAnswer:
    """Sign in on the page with a key; the answer sets a cookie.

    For the service's own page alone. Programs send the key in a header instead.
    """
    body = await read_body(request, SessionBody, max_bytes=SMALL_BODY_BYTES)
    scheme = check_page(request)
    token, session = await in_worker(request, parts.sessions.begin, body.key)
    request.scope["facegallery.key_id"] = session.caller.key_id
    name_actor(session.caller.key_id)
    parts.galleries.audit.note(AuditEvent(action="session.begin"))
    set_cookie(response, token, scheme=scheme)
    return _answer(session, parts.settings)


@router.get("", responses=problems())
def show_session(
    session: Annotated[Session, Depends(asking)], parts: PartsOf
) -> schemas.SessionAnswer:
    """Tell whose key it is, and what it may do."""
    return _answer(session, parts.settings)


@router.delete("", status_code=204, responses=problems())
def end_session(request: Request, response: Response, parts: PartsOf) -> None:
    """Sign out; without a session nothing happens."""
    token = session_token(request)
    if token is None:
        return
    key_id = parts.sessions.end(token)
    if key_id is not None:
        request.scope["facegallery.key_id"] = key_id
        name_actor(key_id)
        parts.galleries.audit.note(AuditEvent(action="session.end"))
    clear_cookie(response, scheme=check_page(request))


def _answer(session: Session, settings: Settings) -> schemas.SessionAnswer:
    caller = session.caller
    features: list[schemas.Feature] = []
    if settings.reviews:
        features.append("reviews")
    if settings.keep_crops:
        features.append("crops")
    return schemas.SessionAnswer(
        key_id=caller.key_id,
        role=caller.role,
        galleries=None if caller.galleries is None else sorted(caller.galleries),
        permissions=caller.permissions,
        features=features,
        expires_at=session.expires_at,
    )
