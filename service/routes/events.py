"""What was decided, for doors and desks: a stream to follow, or a page at a time."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Header, Query, Request, Response

from service import schemas
from service.access import CHECK, PartsOf, allowed
from service.assembly import Parts
from service.auth import Caller, Permission
from service.event_stream import EVENT_STREAM, EventStream
from service.listening import Listeners
from service.openapi import problems
from service.recording import check_on

router = APIRouter(prefix="/v1", tags=["events"])

MAX_CURSOR = 1000


@router.get(
    "/events",
    response_model=schemas.EventsAnswer,
    responses={
        200: {
            "description": "Server-sent events, each with its id; or a page with `wait=0`.",
            "content": {EVENT_STREAM: {"schema": {"type": "string"}}},
        },
        **problems(404, 409, 410, 503),
    },
)
async def events(
    request: Request,
    parts: PartsOf,
    caller: Annotated[Caller, Depends(allowed(Permission.FOLLOW_EVENTS))],
    after: Annotated[
        str | None,
        Query(
            max_length=MAX_CURSOR,
            description="Id of an event, or `next_cursor`: what comes behind it. `oldest`: all "
            "that is kept. Absent: what comes from now on.",
        ),
    ] = None,
    last_event_id: Annotated[
        str | None,
        Header(max_length=MAX_CURSOR, description="As `after`, and before it; browsers send it."),
    ] = None,
    gallery: Annotated[
        str | None, Query(description="Only events of this gallery; all of the key's if absent.")
    ] = None,
    wait: Annotated[
        Literal["0", "1"], Query(description="`0` gives a page of events at once.")
    ] = "1",
    limit: Annotated[int, Query(ge=1, le=1000, description="Events on the page.")] = 100,
) -> Response | schemas.EventsAnswer:
    """Follow what was decided, as it is decided; ids only."""
    check_on(parts.settings, "events")
    if gallery is not None:
        caller.require_gallery(gallery)
        await to_thread.run_sync(parts.galleries.get, gallery)
    start = after if last_event_id is None else last_event_id
    if wait == "0":
        return await to_thread.run_sync(
            lambda: _page(parts, caller, after=start, gallery=gallery, limit=limit)
        )
    listeners: Listeners = request.app.state.listeners
    return EventStream(
        listeners,
        check=_check_of(request, parts, caller, gallery=gallery),
        reached=partial(parts.keys.reached, caller.key_id),
        stopping=request.app.state.stopping,
        caller=caller,
        after=start,
        gallery=gallery,
    )


def _check_of(
    request: Request, parts: Parts, caller: Caller, *, gallery: str | None
) -> Callable[[], None]:
    """What passes while the caller's session goes on, its key is in force, and the gallery is.

    Whoever asked for a gallery that is renamed would else wait for ever, or hear of the next one
    of that name.
    """
    key_is_good: Callable[[], None] = request.scope[CHECK]

    def check() -> None:
        key_is_good()
        if gallery is not None:
            parts.keys.holder(caller.key_id).require_gallery(gallery)
            parts.galleries.get(gallery)

    return check


def _page(
    parts: Parts, caller: Caller, *, after: str | None, gallery: str | None, limit: int
) -> schemas.EventsAnswer:
    names = caller.galleries if gallery is None else [gallery]
    page = parts.galleries.events.page(after=after, limit=limit, gallery_names=names)
    similarities = caller.may(Permission.SEE_SIMILARITIES)
    return schemas.EventsAnswer(
        events=[schemas.EventAnswer.of(e, similarities=similarities) for e in page.events],
        next_cursor=page.cursor,
        more=page.more,
    )
