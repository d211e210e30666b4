"""Processes that do one thing to many items, each with tools that it loaded once.

Unlike the pool of `concurrent.futures`, a worker that dies (out of memory, a bug in a library)
costs the item that it had, not the run, and never more items wait than there are workers.
"""

import logging
import multiprocessing
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Generic, TypeVar

from embedding.errors import FaceGalleryError, TrainingError

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Answer = TypeVar("Answer")

# A run whose workers die one after the other lacks memory or has a broken library.
MAX_DEATHS_IN_A_ROW: Final = 8
# A worker may finish what it has: about a second, more for a large photo on a busy machine.
_STOP_TIMEOUT_S: Final = 15.0
_READY: Final = "ready"


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A worker cannot go on, and no other could."""

    error: FaceGalleryError


def each_in_processes(
    items: Iterable[Item],
    make_work: Callable[[], Callable[[Item], Answer]],
    *,
    num_processes: int,
) -> Generator[tuple[Item, Answer | None], None, None]:
    """Pairs of an item and what became of it, in the order in which they finish.

    The answer is None for an item whose worker died. Items are taken from the iterable one by
    one. Closing the iterator, or Ctrl-C, lets every worker finish the item that it has and
    drops the answer; should this process be killed, they do the same.

    Args:
        items: can be pickled.
        make_work: called once in every process; can be pickled, as what it returns need not.
            An error of ours that it, or the work, raises ends the run and is raised here.
        num_processes: none is started where this is 0, for no items.

    Raises:
        TrainingError: workers die while they start, or `MAX_DEATHS_IN_A_ROW` in a row.
    """
    pool = _Pool(make_work, iter(items))
    try:
        for _ in range(num_processes):
            pool.start_worker()
        while pool.workers:
            speaking = wait(list(pool.workers))
            for connection in [one for one in pool.workers if one in speaking]:
                yield from pool.hear(connection)
    finally:
        pool.stop()


@dataclass(slots=True, eq=False)
class _Worker(Generic[Item]):
    process: multiprocessing.process.BaseProcess
    ready: bool = False
    items: tuple[Item, ...] = ()


class _Pool(Generic[Item, Answer]):
    """The workers of one run, by the parent's end of their pipe."""

    def __init__(
        self, make_work: Callable[[], Callable[[Item], Answer]], items: Iterator[Item]
    ) -> None:
        self.workers: dict[Connection, _Worker[Item]] = {}
        self._make_work = make_work
        self._items = items
        self._num_deaths = 0
        self._leaving: list[multiprocessing.process.BaseProcess] = []
        # A forked worker would inherit locks that other threads hold.
        self._context = multiprocessing.get_context("spawn")

    def start_worker(self) -> None:
        """Starts a worker; it says when it is ready."""
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_serve, args=(theirs, self._make_work), daemon=True)
        # Ctrl-C reaches the whole group of processes, and the parent ends its workers: without
        # this, those that still start would each print a traceback. The tracker is a helper of
        # the library that lets signals through again when it starts.
        resource_tracker.ensure_running()
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        # So that the worker's death closes the pipe.
        theirs.close()
        self.workers[ours] = _Worker(process)

    def hear(self, connection: Connection) -> Iterator[tuple[Item, Answer | None]]:
        """What a worker said, which may be its death; then it gets its next item."""
        worker = self.workers[connection]
        try:
            message = connection.recv()
        except (EOFError, OSError):
            yield from self._bury(connection, worker)
            return
        if isinstance(message, _Refusal):
            raise message.error
        if worker.ready:
            self._num_deaths = 0
        worker.ready = True
        done, worker.items = worker.items, ()
        # First, so that it works while the caller looks at the answer.
        self._give(connection, worker)
        for item in done:
            yield item, message

    def _give(self, connection: Connection, worker: _Worker[Item]) -> None:
        for item in self._items:
            worker.items = (item,)
            try:
                connection.send(item)
            except OSError:
                # It died while it waited; its end of the pipe tells so in the next round.
                logger.debug("worker %s is gone", worker.process.pid)
            return
        self._dismiss(connection)

    def _dismiss(self, connection: Connection) -> None:
        connection.close()
        self._leaving.append(self.workers.pop(connection).process)

    def _bury(
        self, connection: Connection, worker: _Worker[Item]
    ) -> Iterator[tuple[Item, Answer | None]]:
        self._dismiss(connection)
        worker.process.join(_STOP_TIMEOUT_S)
        code = worker.process.exitcode
        if not worker.ready:
            raise TrainingError(
                f"a worker process died while it started (exit code {code}); its own message "
                "stands above"
            )
        self._num_deaths += 1
        logger.warning("a worker process died (exit code %s); another takes its place", code)
        for item in worker.items:
            yield item, None
        if self._num_deaths >= MAX_DEATHS_IN_A_ROW:
            raise TrainingError(
                f"{self._num_deaths} worker processes died in a row (exit code {code}; -9 means "
                "out of memory, as a rule); use fewer processes"
            )
        self.start_worker()

    def stop(self) -> None:
        """Ends all workers: gently, for they may be writing, then not."""
        for connection in list(self.workers):
            self._dismiss(connection)
        for process in self._leaving:
            process.join(_STOP_TIMEOUT_S)
            if process.is_alive():
                process.kill()
                process.join()


def _serve(connection: Connection, make_work: Callable[[], Callable[[Any], Any]]) -> None:
    """What a worker does until the parent closes the pipe or is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        work = make_work()
    except FaceGalleryError as error:
        _say(connection, _Refusal(error))
        return
    is_heard = _say(connection, _READY)
    while is_heard:
        try:
            item = connection.recv()
        except (EOFError, OSError):
            return
        try:
            answer = work(item)
        except FaceGalleryError as error:
            answer = _Refusal(error)
        is_heard = _say(connection, answer)


def _say(connection: Connection, message: object) -> bool:
    """Whether the parent was still there to hear it."""
    try:
        connection.send(message)
    except OSError:
        return False
    return True
