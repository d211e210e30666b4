"""Events as a stream of server-sent events (HTML, 9.2): resumed with a cursor, ended in time."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing

from anyio import to_thread
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from embedding.errors import FaceGalleryError, ServiceStopping
from index.events import Event
from index.store.event_log import OLDEST
from service.auth import Caller, Permission
from service.errors import is_told, problem_of
from service.listening import Listener, Listeners
from service.schemas import EventAnswer
from service.stopping import Stopping

logger = logging.getLogger(__name__)

EVENT_STREAM = "text/event-stream"

HEARTBEAT_S = 15.0
"""So often something is sent, with the cursor of then: proxies close connections that are silent
for a minute, and a caller who hears nothing for longer knows that the connection is gone."""

TICK_S = 0.5
"""How late the end of the service is noticed."""

KEY_EVERY_S = 2.0
"""How late a revoked or expired key is noticed."""

SEND_WITHIN_S = 10.0
"""A caller who does not take what is sent within it is dropped."""

_RETRY_MS = 2000


class EventStream(Response):
    """The answer that goes on until its caller leaves, its key ends or the service stops.

    It reads a page of events when the one before was taken: nothing is buffered for a slow caller
    but what fits into its connection.

    Args:
        listeners: of the app.
        check: passes while the caller's key or session is in force; asked in a thread.
        reached: tells the ids of the galleries that a tied key reaches by then; asked in a
            thread. Names go to other galleries while a stream is open.
        stopping: of the app.
        caller: whose galleries' events are sent.
        after: cursor, `OLDEST`, or None for what comes from now on.
        gallery: only events of the gallery with this name.
    """

    media_type = EVENT_STREAM

    def __init__(
        self,
        listeners: Listeners,
        *,
        check: Callable[[], None],
        reached: Callable[[], frozenset[str]],
        stopping: Stopping,
        caller: Caller,
        after: str | None,
        gallery: str | None,
    ) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no"})
        # The length of a stream is not known.
        del self.headers["content-length"]
        self._listeners = listeners
        self._check = check
        self._reached = reached
        self._stopping = stopping
        self._caller = caller
        self._after = after
        self._gallery = gallery
        self._similarities = caller.may(Permission.SEE_SIMILARITIES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends events until the end.

        Raises:
            ClientDisconnect: the caller left, or was too slow.
        """
        try:
            with self._listeners.place(self._caller.key_id) as listener:
                # What is wrong with the cursor is a problem document still.
                start = self._after if self._after != OLDEST else None
                first = OLDEST if self._after == OLDEST else (await self._begin(start))
                await self._send_all(listener, first, receive=receive, send=send)
        except FaceGalleryError as error:
            await problem_of(error)(scope, receive, send)

    async def _begin(self, after: str | None) -> str:
        """The cursor to begin at, checked."""
        page = await self._listeners.read(after)
        return page.cursor if after is None else after

    async def _send_all(
        self, listener: Listener, cursor: str, *, receive: Receive, send: Send
    ) -> None:
        gone = asyncio.create_task(_until_gone(receive))
        sending = asyncio.create_task(self._send_chunks(listener, cursor, send))
        try:
            await asyncio.wait({gone, sending}, return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise ClientDisconnect
            await sending
        finally:
            for task in (gone, sending):
                task.cancel()
            await asyncio.gather(gone, sending, return_exceptions=True)

    async def _send_chunks(self, listener: Listener, cursor: str, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        try:
            async with aclosing(self._chunks(listener, cursor)) as chunks:
                async for chunk in chunks:
                    async with asyncio.timeout(SEND_WITHIN_S):
                        await send(
                            {"type": "http.response.body", "body": chunk, "more_body": True}
                        )
            async with asyncio.timeout(SEND_WITHIN_S):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        except TimeoutError as error:
            logger.warning("a slow listener was dropped key=%s", self._caller.key_id)
            raise ClientDisconnect from error

    async def _chunks(self, listener: Listener, cursor: str) -> AsyncGenerator[bytes]:
        """What is sent: events, heartbeats, and in the end why it ends."""
        loop = asyncio.get_running_loop()
        # At once, so that a caller can go on from here even if nothing comes.
        yield f"retry: {_RETRY_MS}\n".encode() + (b"\n" if cursor == OLDEST else _alive(cursor))
        sent_at = checked_at = loop.time()
        due = True
        try:
            while True:
                if self._stopping.begun:
                    raise ServiceStopping("the service shuts down; go on with the next one")
                if loop.time() - checked_at >= KEY_EVERY_S:
                    await to_thread.run_sync(self._check)
                    checked_at = loop.time()
                if due:
                    listener.woken.clear()
                    page = await self._listeners.read(cursor)
                    cursor = page.cursor
                    due = page.more
                    chunk = await self._blocks(page.events)
                    if chunk:
                        yield chunk
                        sent_at = loop.time()
                if loop.time() - sent_at >= HEARTBEAT_S:
                    yield _alive(cursor)
                    sent_at = loop.time()
                if not due:
                    due = await listener.wait(TICK_S)
        except FaceGalleryError as error:
            yield _end(error)

    async def _blocks(self, events: Sequence[Event]) -> bytes:
        """What is sent of some events."""
        wanted = [each for each in events if self._gallery in (None, each.gallery)]
        if wanted and self._caller.galleries is not None:
            reached = await to_thread.run_sync(self._reached)
            wanted = [each for each in wanted if each.gallery_id in reached]
        return b"".join(
            _block(EventAnswer.of(each, similarities=self._similarities)) for each in wanted
        )


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _block(event: EventAnswer) -> bytes:
    return _fields(event.id, event.kind, event.model_dump(mode="json"))


def _alive(cursor: str) -> bytes:
    """A comment with a cursor: nothing is told, but it is known where to go on."""
    return f": alive\nid: {cursor}\n\n".encode()


def _end(error: FaceGalleryError) -> bytes:
    """Why it ends; faults of the service are all ``internal`` to callers."""
    code, detail = error.code, str(error)
    if not is_told(type(error)):
        logger.error("a stream of events ends code=%s", code, exc_info=error)
        code, detail = "internal", "the service failed; go on from the last event"
    return _fields(None, "end", {"code": code, "detail": detail})


def _fields(cursor: str | None, kind: str, content: Mapping[str, object]) -> bytes:
    begin = "" if cursor is None else f"id: {cursor}\n"
    # ASCII, so that no line ends within it.
    return f"{begin}event: {kind}\ndata: {json.dumps(content)}\n\n".encode()
