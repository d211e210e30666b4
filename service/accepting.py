"""A listening socket that turns callers away before the process has no file descriptor left.

asyncio bears the lack badly: it is to come again in a second, but tries as many times before as
connections may wait, and each try makes it come again. And a process without descriptors reaches
neither database nor files.
"""

import errno
import logging
import resource
import socket
import sys
import time
from typing import Any, Final

logger = logging.getLogger(__name__)

SHARE_FOR_CALLERS: Final = 0.75
"""Of the descriptors that a process may have; the rest is for database, files and models."""

_TELL_EVERY_S = 10.0

_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""After these the event loop leaves a listener alone for a second."""


class Accepting(socket.socket):
    """A listening socket whose connections leave descriptors for everything else.

    Args:
        listener: listens already; this one takes its place.
        num_descriptors: of connections and all else that is open; None for the share above.
    """

    def __init__(self, listener: socket.socket, *, num_descriptors: int | None = None) -> None:
        family, kind, protocol = listener.family, listener.type, listener.proto
        super().__init__(family, kind, protocol, fileno=listener.detach())
        self._num_descriptors = num_descriptors or _share()
        self._num_closed = 0
        self._told_at = -_TELL_EVERY_S
        self._resting = False

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection.

        Raises:
            ConnectionAbortedError: it was closed at once, since there are too many.
            BlockingIOError: nobody waits.
            OSError: no descriptor is left at all; the next call does not try.
        """
        if self._resting:
            # The loop knows, and tries again all the same before it rests.
            self._resting = False
            raise BlockingIOError
        try:
            connection, address = super().accept()
        except OSError as error:
            if error.errno in _NO_ROOM:
                self._resting = True
                self._tell()
                raise
            if isinstance(error, BlockingIOError | InterruptedError):
                raise
            # Whatever befell a connection that waited is no fault of the listener.
            raise ConnectionAbortedError(error.errno, "the connection was lost") from error
        # The system gives out the lowest number that is free.
        if connection.fileno() < self._num_descriptors:
            return connection, address
        connection.close()
        self._num_closed += 1
        self._tell()
        raise ConnectionAbortedError("as many connections are open as may")

    def _tell(self) -> None:
        """Logs it, not for each connection."""
        if time.monotonic() - self._told_at >= _TELL_EVERY_S:
            self._told_at = time.monotonic()
            logger.warning(
                "too many connections: closed=%d since the start; %d descriptors may be open",
                self._num_closed,
                self._num_descriptors,
            )


def _share() -> int:
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if limit == resource.RLIM_INFINITY else int(limit * SHARE_FOR_CALLERS)
