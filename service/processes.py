"""Runs the service in several processes behind one address, on a database that they share."""

import logging
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import FrameType

from embedding.cores import num_cores
from embedding.detect import Detector
from embedding.errors import FaceGalleryError, ServiceError
from service.metrics_sharing import counting_together, process_ended
from service.serving import STOP_WITHIN_S, Started, listen, start_logging
from service.serving import serve as serve_here
from service.settings import Settings, check_settings

logger = logging.getLogger(__name__)

_POLL_S = 0.2
_RESTART_S = 1.0
"""Between the end of a process and the start of the next one: the cause may last."""

_KILL_AFTER_S = STOP_WITHIN_S + 20
"""Work that was begun is finished; what takes longer than this hangs."""

_EXIT_FAILED = 1


def serve(
    settings: Settings,
    *,
    on_started: Callable[[Started], None],
    detector: Detector | None = None,
) -> None:
    """Serves until SIGINT or SIGTERM, in as many processes as the settings say.

    Args:
        settings: where and how.
        on_started: called once all processes accept requests.
        detector: finds faces instead of the built-in one.

    Raises:
        SettingsInvalid: settings that do not fit, or an address that cannot be listened on.
        StoreError: the data folder or database is in use, damaged or not reached.
        ModelError: a model cannot be opened.
        ServiceError: a process ended at its start; the log says why.
    """
    check_settings(settings)
    if settings.num_processes == 1:
        serve_here(settings, on_started=on_started, detector=detector)
        return
    start_logging(settings)
    with listen(settings) as listener, counting_together(), _signals() as caught:
        crew = _Crew(shared_out(settings), listener, detector, is_over=lambda: bool(caught))
        try:
            started = crew.start()
            if started is not None:
                on_started(started)
                crew.keep_up()
        finally:
            # None of ours accepts any more, so what still comes is refused and does not hang.
            listener.close()
            crew.stop()


def shared_out(settings: Settings) -> Settings:
    """Settings of each process: where nothing was chosen, its share of the cores."""
    share = max(1, num_cores() // settings.num_processes)
    return settings.model_copy(
        update={
            "num_workers": settings.num_workers or share,
            "num_threads": settings.num_threads or share,
        }
    )


class _Member:
    """One process, and the pipe that it tells through; the pipe's end tells it that we ended."""

    def __init__(
        self, settings: Settings, listener: socket.socket, detector: Detector | None
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: SpawnProcess = context.Process(
            target=_serve_as_member, args=(settings, listener, detector, theirs)
        )
        self.process.start()
        theirs.close()
        self.began_at = time.monotonic()

    def heard(self) -> Started | FaceGalleryError | None:
        """What it said since the last time; None for nothing."""
        try:
            said: Started | FaceGalleryError | None = (
                self.pipe.recv() if self.pipe.poll() else None
            )
        except (EOFError, OSError):
            return None
        return said


class _Crew:
    """All processes of a service."""

    def __init__(
        self,
        settings: Settings,
        listener: socket.socket,
        detector: Detector | None,
        *,
        is_over: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._detector = detector
        self._is_over = is_over
        self._members: list[_Member] = []

    def start(self) -> Started | None:
        """Starts all; what the first one told, or None when it was over before.

        The first one alone brings the database up to date and makes the first key.
        """
        first = self._started(self._add())
        others = [self._add() for _ in range(self._settings.num_processes - 1)] if first else []
        for member in others:
            if self._started(member) is None:
                return None
        return first

    def keep_up(self) -> None:
        """Starts processes that end again, until it is over."""
        while not self._is_over():
            wait([each.process.sentinel for each in self._members], timeout=_POLL_S)
            for position, member in enumerate(self._members):
                said = member.heard()
                if isinstance(said, FaceGalleryError):
                    logger.error("a process cannot serve: %s", said)
                ended = member.process.exitcode is not None and not self._is_over()
                if ended and time.monotonic() - member.began_at > _RESTART_S:
                    logger.error(
                        "process %s ended with %s; another one takes its place",
                        member.process.pid,
                        member.process.exitcode,
                    )
                    member.pipe.close()
                    if member.process.pid is not None:
                        process_ended(member.process.pid)
                    self._members[position] = self._new()
                elif ended:
                    time.sleep(_POLL_S)

    def stop(self) -> None:
        """Ends all: each finishes what it accepted."""
        for member in self._members:
            if member.process.exitcode is None and member.process.pid is not None:
                os.kill(member.process.pid, signal.SIGTERM)
        end = time.monotonic() + _KILL_AFTER_S
        for member in self._members:
            member.process.join(max(0.0, end - time.monotonic()))
            if member.process.exitcode is None:
                logger.error("process %s hangs and is killed", member.process.pid)
                member.process.kill()
                member.process.join()
            member.pipe.close()

    def _add(self) -> _Member:
        self._members.append(self._new())
        return self._members[-1]

    def _new(self) -> _Member:
        return _Member(self._settings, self._listener, self._detector)

    def _started(self, member: _Member) -> Started | None:
        """What a process tells once it serves; None when it is over before."""
        while not self._is_over():
            wait([member.pipe, member.process.sentinel], timeout=_POLL_S)
            # Asked before the pipe: what it says at its end must not be missed.
            ended = member.process.exitcode
            said = member.heard()
            if isinstance(said, FaceGalleryError):
                raise said
            if said is not None:
                return said
            if ended is not None:
                raise ServiceError(
                    f"a process ended with {ended} at its start; its last lines on stderr say why"
                )
        return None


def _serve_as_member(
    settings: Settings,
    listener: socket.socket,
    detector: Detector | None,
    pipe: Connection,
) -> None:
    """What each process runs."""
    # A Ctrl-C of the terminal reaches all; until this one serves, its end is told by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(pipe,), daemon=True).start()
    try:
        serve_here(settings, on_started=pipe.send, detector=detector, listener=listener)
    except FaceGalleryError as error:
        pipe.send(error)
        sys.exit(_EXIT_FAILED)


def _end_with_parent(pipe: Connection) -> None:
    """Ends this process when the one that started it is gone."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)


@contextmanager
def _signals() -> Iterator[list[int]]:
    """The signals that ask for the end, as they come."""
    caught: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        caught.append(number)

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
