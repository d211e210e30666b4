"""How the service logs: one line or one JSON object an event, without anything personal in it.

The text of an error that is not the project's own is left out, wherever it comes from: drivers and
parsers quote what they were given, which may be a name. Its type and where it was raised stay.
"""

import json
import logging
import os
import re
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Literal

from embedding.errors import FaceGalleryError

LogFormat = Literal["text", "json"]

request_in_hand: ContextVar[str | None] = ContextVar("request_in_hand", default=None)
"""Id of the request that the code at hand works for; worker threads see it, too."""

OWN_LOGGERS: Final = frozenset({"embedding", "index", "service"})
TEXT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
# The words before the arguments of a message, such as in "enrolled gallery=%s templates=%d".
_NAMED = re.compile(r"(\w+(?: id)?)=%[-+#0]*\d*(?:\.\d+)?[sdfr]")
_ANY = re.compile(r"%[^%]")

_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class SafeFormatter(logging.Formatter):
    """Lines of text."""

    def __init__(self) -> None:
        super().__init__(TEXT)

    def format(self, record: logging.LogRecord) -> str:
        """The line; of a request, with its id."""
        line = super().format(_fit(record))
        request_id = request_in_hand.get()
        if request_id is None or request_id in line:
            return line
        head, separator, rest = line.partition("\n")
        return f"{head} request id={request_id}{separator}{rest}"

    def formatException(self, ei: _Raised) -> str:  # noqa: N802 (the name of the base class)
        """Types and places of an error and of what led to it."""
        return "" if ei[1] is None else told(ei[1])


class JsonFormatter(SafeFormatter):
    """JSON objects, one a line: time, level, logger, message, request id, and named arguments."""

    def format(self, record: logging.LogRecord) -> str:
        """The object."""
        record = _fit(record)
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = request_in_hand.get()
        if request_id is not None:
            entry["request_id"] = request_id
        for name, value in named_arguments(record).items():
            entry.setdefault(name, value)
        if record.exc_info and record.exc_info[1] is not None:
            entry["exception"] = told(record.exc_info[1])
        return json.dumps(entry, ensure_ascii=True, default=str)


def configure(level: str, *, form: LogFormat = "text") -> None:
    """Logs to stderr from now on, where nothing else was set up before.

    Args:
        level: debug, info, warning or error.
        form: lines of text or of JSON.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else SafeFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("alembic").setLevel(logging.WARNING)  # eight lines at each first start


def named_arguments(record: logging.LogRecord) -> dict[str, object]:
    """The arguments of a message by the words before them: ``templates=%d`` gives ``templates``.

    A message whose arguments do not all have a word has none.
    """
    message, arguments = str(record.msg), record.args
    names = _NAMED.findall(message)
    if not isinstance(arguments, tuple) or not (
        len(names) == len(arguments) == len(_ANY.findall(message))
    ):
        return {}
    plain = (int, float, str, bool, type(None))
    return {
        name.replace(" ", "_"): value if isinstance(value, plain) else str(value)
        for name, value in zip(names, arguments, strict=True)
    }


def told(error: BaseException) -> str:
    """An error and what led to it, without the words of errors that are not the project's own."""
    parts = []
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        where = "".join(traceback.format_tb(current.__traceback__))
        parts.append(f"{where}{_kind(current)}")
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return "\nbecause of\n".join(parts)


def _kind(error: BaseException) -> str:
    name = type(error).__name__
    if isinstance(error, FaceGalleryError):  # their tree promises that they name nobody
        return f"{name}: {error}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{name} ({os.strerror(error.errno)})"
    return name


def _fit(record: logging.LogRecord) -> logging.LogRecord:
    """The record without an error's text that another handler wrote into it, to be used again.

    One of a library also loses what follows its first line: asyncio, for one, goes on there with
    the error in full.
    """
    copy = logging.makeLogRecord(record.__dict__)
    copy.exc_text = None
    own = record.name.split(".")[0] in OWN_LOGGERS
    if not own and "\n" in (message := record.getMessage()):
        copy.msg, copy.args = message.partition("\n")[0], ()
    return copy
