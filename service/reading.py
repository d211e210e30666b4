"""Reads the body of a request: within its limits, in memory, strictly.

Photos never touch the disk: the parts of a form are kept in memory, whose use the byte limit
bounds. A form and JSON are read into the same body class; unknown and repeated fields are refused.
"""

import math
import time
from collections.abc import AsyncGenerator
from typing import Final, TypeVar

from anyio import to_thread
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from embedding.errors import RequestInvalid
from service.access import check_since
from service.admission import admission_of
from service.bodies.base import Body

AnyBody = TypeVar("AnyBody", bound=Body)

FILE_FIELDS: Final = frozenset({"photo", "photos"})
MAX_FIELDS: Final = 32
MAX_FIELD_BYTES: Final = 64 * 1024
SMALL_BODY_BYTES: Final = 64 * 1024
"""For bodies without a photo; also what the fields around photos may take."""
MAX_JSON_COMMAS: Final = 10_000
"""Each further value has a comma before it, and base64 has none: a thousand photos and a long name
pass, and what is told of millions of wrong values never fills the memory."""

_MAX_TOLD: Final = 100


def photo_body_bytes(num_photo_bytes: int) -> int:
    """Largest body that can hold photos of so many bytes, as base64 too."""
    return math.ceil(num_photo_bytes / 3) * 4 + SMALL_BODY_BYTES


class MemoryMultiPartParser(MultiPartParser):
    """A form parser that never spools to a file and insists on UTF-8 and on the form's end."""

    spool_max_size = 1 << 62

    def __init__(self, request: Request, stream: AsyncGenerator[bytes], max_files: int) -> None:
        super().__init__(
            request.headers,
            stream,
            max_files=max_files,
            max_fields=MAX_FIELDS,
            max_part_size=MAX_FIELD_BYTES,
        )
        self._ended = False

    def on_part_end(self) -> None:
        """Keeps a part; refuses text that is not UTF-8 instead of guessing."""
        if self._current_part.file is None:
            try:
                self._current_part.data.decode("utf-8")
            except UnicodeDecodeError as error:
                raise MultiPartException("a field of the form is not UTF-8") from error
        super().on_part_end()

    def on_headers_finished(self) -> None:
        """Begins a part; one photo too many is told as in JSON, since the form is whole."""
        try:
            super().on_headers_finished()
        except MultiPartException as error:
            if self._current_files <= self.max_files:
                raise
            most = "one photo" if self.max_files == 1 else f"at most {self.max_files} photos"
            raise RequestInvalid(
                f"this takes {most}; all other fields of the form are text, not files"
            ) from error

    def on_end(self) -> None:
        """Notes that the last boundary came."""
        self._ended = True

    async def parse(self) -> FormData:
        """The form.

        Raises:
            MultiPartException: not a whole form, or over a limit.
            RequestInvalid: more photos than may be.
        """
        form = await super().parse()
        if not self._ended:
            raise MultiPartException("the form ends before its last boundary")
        return form

    def close(self) -> None:
        """Frees the memory of all parts, also of one that did not end."""
        for file in self._files_to_close_on_error:
            file.close()


async def read_body(
    request: Request, body_class: type[AnyBody], *, max_bytes: int, max_photos: int = 1
) -> AnyBody:
    """The body of a request as an instance of its class.

    Raises:
        BodyTooSlow: it did not come within the time of the settings.
        HTTPException: 413 over ``max_bytes``, 415 neither a form nor JSON in UTF-8, or
            compressed, 400 a broken form.
        RequestInvalid: a field twice, a photo that is not a file, a file that is not a photo,
            more photos than ``max_photos`` in a form, or JSON with thousands of values.
        RequestValidationError: fields that are missing, unknown or of another kind.
    """
    # Bodies without photos take no place, yet may not take for ever either.
    reading = _read(request, body_class, max_bytes=max_bytes, max_photos=max_photos)
    return await admission_of(request).read(reading)


async def _read(
    request: Request, body_class: type[AnyBody], *, max_bytes: int, max_photos: int
) -> AnyBody:
    kind_bytes, options = parse_options_header(request.headers.get("content-type"))
    kind = kind_bytes.decode("latin-1").lower()
    allowed = ["application/json"]
    if body_class.merge_patch:
        allowed.append("application/merge-patch+json")
    if FILE_FIELDS & body_class.model_fields.keys():
        allowed.append("multipart/form-data")
    if kind not in allowed:
        got = kind[:_MAX_TOLD] or "nothing"
        raise HTTPException(415, f"expected {' or '.join(allowed)}, got {got}")
    # The parser of forms would look any other name up among Python's codecs.
    if options.get(b"charset", b"utf-8").lower() not in {b"utf-8", b"utf8"}:
        raise HTTPException(415, "expected text in UTF-8, which is the only charset read here")
    stream = limited(request, max_bytes)
    try:
        if kind.endswith("json"):
            content = b"".join([chunk async for chunk in stream])
            # A large body takes a while to decode, and the event loop serves everybody.
            return await to_thread.run_sync(_from_json, body_class, content)
        values = await _read_form(request, stream, body_class, max_photos)
        return body_class.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from error


def _from_json(body_class: type[AnyBody], content: bytes) -> AnyBody:
    if content.count(b",") > MAX_JSON_COMMAS:
        raise RequestInvalid(f"JSON here has at most {MAX_JSON_COMMAS} commas")
    return body_class.model_validate_json(content, strict=True)


async def limited(request: Request, max_bytes: int) -> AsyncGenerator[bytes]:
    """The body's chunks; stops reading as soon as there are too many bytes.

    Raises:
        HTTPException: 413, as soon as that is known; 415 where it is compressed.
        KeyInvalid, SessionEnded: it took a while, and the key or session ended meanwhile.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise HTTPException(415, "send the body as it is: no Content-Encoding is read here")
    announced = request.headers.get("content-length", "0")
    num_bytes = 0
    begun_s = time.monotonic()
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)
    async for chunk in request.stream():
        num_bytes += len(chunk)
        if num_bytes > max_bytes:
            raise _too_large(max_bytes)
        yield chunk
    await check_since(request, begun_s)


def _too_large(max_bytes: int) -> HTTPException:
    return HTTPException(413, f"the request is larger than {max_bytes} bytes")


async def _read_form(
    request: Request, stream: AsyncGenerator[bytes], body_class: type[Body], max_photos: int
) -> dict[str, object]:
    """The fields of a form: text as str, photos as bytes; ``photos`` is a list."""
    parser = MemoryMultiPartParser(request, stream, max_photos)
    try:
        form = await parser.parse()
        parts = [
            (name, await value.read() if isinstance(value, UploadFile) else value)
            for name, value in form.multi_items()
        ]
    except MultiPartException as error:
        raise HTTPException(400, f"the form cannot be read: {error.message}") from error
    finally:
        parser.close()
    values: dict[str, object] = {}
    photos: list[bytes] = []
    for name, content in parts:
        is_file = isinstance(content, bytes)
        if name in body_class.model_fields and is_file != (name in FILE_FIELDS):
            kind = "a file" if name in FILE_FIELDS else "text"
            raise RequestInvalid(f"the field {name} of the form must be {kind}")
        if name == "photos" and isinstance(content, bytes):
            photos.append(content)
            values[name] = photos
        elif name in values:
            raise RequestInvalid("a field of the form was given twice")
        else:
            values[name] = content
    return values
