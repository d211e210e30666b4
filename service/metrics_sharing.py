"""Processes that answer behind one address and count together.

A reading of the metrics reaches any one of them. So each keeps its counts in files of one folder,
and whichever is asked adds up all of them. The files hold counts and the labels of metrics.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

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


def counts_of_all() -> CollectorRegistry | None:
    """The counts of all processes as they are now; None where this one counts alone."""
    if FOLDER_VARIABLE not in os.environ:
        return None
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return registry
