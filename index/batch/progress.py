"""How far a batch is, for whoever sits in front of it; nothing is shown to files and pipes."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from index.batch.sources.source import Source
from index.batch.tally import Tally

_EVERY_S = 0.5
_COUNT_AT_ONCE = 1000


class _Rate(ProgressColumn):
    """Photos a second over the last half minute."""

    def render(self, task: Task) -> Text:
        """Return the text."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.1f} photos/s")


@contextmanager
def shown_progress(source: Source, tally: Tally, *, console: Console) -> Iterator[None]:
    """Show the tally while a block runs, if the console is a terminal.

    How many photos there are is counted meanwhile, by going through the source once more.
    """
    if not console.is_terminal:
        yield
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]} failed"),
    )
    ended = threading.Event()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("photos", total=None, failed=0)

        def total(num: int) -> None:
            progress.update(task, total=num)

        def follow() -> None:
            while not ended.wait(_EVERY_S):
                progress.update(task, completed=tally.num_passed, failed=tally.num_failed)

        threads = [
            threading.Thread(target=follow, daemon=True),
            threading.Thread(target=lambda: _count(source, ended, total), daemon=True),
        ]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            ended.set()
            for each in threads:
                each.join()


@contextmanager
def shown_share(what: str, *, console: Console) -> Iterator[Callable[[int, int], None]]:
    """Give what is to be called with how much is done of how much; shown on a terminal only."""
    if not console.is_terminal:
        yield lambda _done, _all: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None)

        def tell(done: int, everything: int) -> None:
            progress.update(task, completed=done, total=everything)

        yield tell


def _count(source: Source, ended: threading.Event, total: Callable[[int], None]) -> None:
    """Tell how many photos there are, unless the batch ends first."""
    num, photos = 0, source.photos()
    while not ended.is_set():
        some = sum(1 for _ in islice(photos, _COUNT_AT_ONCE))
        num += some
        if some < _COUNT_AT_ONCE:
            total(num)
            return
