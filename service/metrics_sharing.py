"""Processes that answer behind one address and count together.

A reading of the metrics reaches any one of them. So each keeps its counts in files of one folder,
and whichever is asked adds up all of them. The files hold counts and the labels of metrics.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from tempfile import TemporaryDirectory
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, ProcessCollector
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from index.faults import log_fault

logger = logging.getLogger(__name__)

TOLD_EVERY_S: Final = 1.0
"""How old what another process is doing may be when it is told; Prometheus asks less often."""

_OF_EACH_PROCESS: Final = frozenset({"process_start_time_seconds", "process_max_fds"})
"""Of which there is neither a sum nor a highest that means anything."""

# The library's own name; it looks for it when it is first imported, so it must be set before.
FOLDER_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def counting_together() -> Iterator[None]:
    """Has the processes that are spawned meanwhile (not forked) count together.

    To be used by the process that starts them and answers nothing itself.
    """
    with TemporaryDirectory(prefix="facegallery-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[FOLDER_VARIABLE]


def process_ended(pid: int) -> None:
    """Forgets what one of them was doing when it ended; what it had counted stays."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]


class Told:
    """What one process tells the others of itself, where it is not counted but looked up.

    Of gauges the processes that live are added up, but for those that say how late something is:
    there the latest counts. Counters keep what a process that ended had told.
    """

    def __init__(self) -> None:
        self._gauges: dict[str, Gauge] = {}
        self._counters: dict[str, tuple[Counter, list[float]]] = {}
        # Nobody reads it: what is told lies in the files.
        self._registry = CollectorRegistry()
        self._process = ProcessCollector(registry=None)

    def tell(self, families: Iterable[Metric], *, latest: Collection[str]) -> None:
        """Write down how things are now.

        Args:
            families: without labels.
            latest: names of gauges of which the highest counts.
        """
        for family in (*families, *self._process.collect()):
            if family.name in _OF_EACH_PROCESS:
                continue
            for sample in family.samples:
                if family.type == "counter":
                    self._count(family, sample.value)
                else:
                    self._gauge(family, highest=family.name in latest).set(sample.value)

    def _gauge(self, family: Metric, *, highest: bool) -> Gauge:
        known = self._gauges.get(family.name)
        if known is None:
            known = self._gauges[family.name] = Gauge(
                family.name,
                family.documentation,
                registry=self._registry,
                multiprocess_mode="livemax" if highest else "livesum",
            )
        return known

    def _count(self, family: Metric, value: float) -> None:
        if family.name not in self._counters:
            counter = Counter(family.name, family.documentation, registry=self._registry)
            self._counters[family.name] = (counter, [0.0])
        counter, told = self._counters[family.name]
        counter.inc(max(0.0, value - told[0]))
        told[0] = max(told[0], value)


@asynccontextmanager
async def telling(tell: Callable[[], None]) -> AsyncIterator[None]:
    """Has something told again and again within a block; does nothing where a process is alone."""
    if FOLDER_VARIABLE not in os.environ:
        yield
        return

    async def go_on() -> None:
        while True:
            try:
                tell()
            except Exception as error:
                # Ended, it would leave what is told here as it is now, for good.
                log_fault(logger, f"metrics are told again in {TOLD_EVERY_S} s", error)
            await asyncio.sleep(TOLD_EVERY_S)

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()


def counts_of_all() -> CollectorRegistry | None:
    """The counts of all processes as they are now; None where this one counts alone."""
    if FOLDER_VARIABLE not in os.environ:
        return None
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
