"""Galleries as files over HTTP: given out part by part, taken in from memory.

A file of the exchange format ends with its table of contents: it can be written as it is sent, but
only read as a whole. What comes is held in memory, within a limit, and never on a disk, for it is
clear text.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Final

import anyio
from anyio import to_thread
from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from embedding.errors import BodyTooSlow, Overloaded, SettingsInvalid, TransferOff
from index.transfer import Transferred, export_stream, import_into
from service import schemas
from service.answers.galleries import import_answer
from service.assembly import Parts
from service.reading import limited

logger = logging.getLogger(__name__)

PARQUET: Final = "application/vnd.apache.parquet"
_KINDS: Final = frozenset({PARQUET, "application/octet-stream"})

_RETRY_AFTER_S = 30


class GalleryFile(StreamingResponse):
    """A gallery's file, sent as it is made.

    When it takes too long, or making it fails, the connection breaks before the file's end.

    Args:
        parts: of the file.
        end: called in the end, however it comes.
        within_s: how long it may take.
    """

    def __init__(
        self, parts: Iterator[bytes], *, end: Callable[[], None], within_s: float
    ) -> None:
        super().__init__(parts, media_type=PARQUET)
        self._end = end
        self._within_s = within_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        try:
            async with asyncio.timeout(self._within_s):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            logger.warning("an export was stopped, for it took more than %g s", self._within_s)
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(self._end)


def export_file(parts: Parts, gallery: str) -> GalleryFile:
    """A gallery's file as an answer.

    Raises:
        GalleryNotFound: no gallery with this name.
        Overloaded: it is being given out, or taken in, now.
        TransferOff: the settings do not allow it.
    """
    if not parts.settings.http_export:
        raise TransferOff(
            "this service does not give galleries out over HTTP; its operator can allow it, or "
            "use facegallery-index export"
        )
    with ExitStack() as stack:
        code = _code(parts.galleries.get(gallery).id)
        if not stack.enter_context(parts.galleries.claims.claimed(code)):
            raise _busy()
        try:
            content = export_stream(parts.galleries, gallery)
        except SettingsInvalid as error:
            raise _without_package() from error
        stack.callback(content.close)
        end = stack.pop_all().close
    return GalleryFile(content, end=end, within_s=parts.settings.transfer_timeout_s)


async def import_file(parts: Parts, gallery: str, request: Request) -> schemas.ImportAnswer:
    """What the import of a request's body did, all of it or nothing.

    Raises:
        BodyTooSlow: it did not come in time.
        GalleryNotFound: no gallery with this name.
        HTTPException: 413 over the limit, 415 of another kind.
        Overloaded: one is taken in now, or this gallery is given out.
        ModelMismatch, RequestInvalid, EmbeddingInvalid, NameInvalid: see `import_into`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _KINDS:
        raise HTTPException(415, f"expected {PARQUET}")
    importing: asyncio.Lock = request.app.state.importing
    if importing.locked():
        raise _busy()
    async with importing, _claimed(parts, _code(parts.galleries.get(gallery).id)):
        content = bytearray()
        try:
            async with asyncio.timeout(parts.settings.transfer_timeout_s):
                async for chunk in limited(request, parts.settings.max_import_bytes):
                    content += chunk
        except TimeoutError as error:
            raise BodyTooSlow(
                f"the file did not come within {parts.settings.transfer_timeout_s:g} s"
            ) from error
        done = await to_thread.run_sync(_imported, parts, gallery, content)
    return import_answer(done, has_ledger=parts.galleries.store.has_ledger)


def _imported(parts: Parts, gallery: str, content: bytearray) -> Transferred:
    try:
        return import_into(parts.galleries, gallery, content)
    except SettingsInvalid as error:
        raise _without_package() from error


@asynccontextmanager
async def _claimed(parts: Parts, code: bytes) -> AsyncIterator[None]:
    """Runs a block with a claim, asked for and given back in a thread.

    Raises:
        Overloaded: somebody else has it.
    """
    with ExitStack() as stack:
        free = await to_thread.run_sync(stack.enter_context, parts.galleries.claims.claimed(code))
        try:
            if not free:
                raise _busy()
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(stack.close)


def _code(gallery_id: str) -> bytes:
    return hashlib.sha256(b"transfer\0" + gallery_id.encode()).digest()


def _busy() -> Overloaded:
    return Overloaded(
        "a gallery is being given out or taken in; come again when that has ended",
        retry_after_s=_RETRY_AFTER_S,
    )


def _without_package() -> TransferOff:
    return TransferOff(
        "this service has not what reads and writes exchange files; its operator can install it"
    )
