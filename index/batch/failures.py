"""Lists of photos that failed, for people and for other programs."""

import csv
import io
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path

from embedding.errors import RequestInvalid, StoreError
from index.private_files import new_private_file
from index.store.batch_rows import FailedPhoto

SHOWN = 20
"""On a screen; a file has all."""


def failure_lines(failures: Iterable[FailedPhoto]) -> Iterator[str]:
    """Yield the first failures, a line each."""
    first = iter(failures)
    for each in itertools.islice(first, SHOWN):
        yield f"  {each.key}: {each.message} [{each.error}]"
    if next(first, None) is not None:
        yield "  ... and more; --failures FILE writes them all"


def write_failures(path: Path, failures: Iterable[FailedPhoto]) -> int:
    """Write failures to a new CSV file, mode 0600; returns how many there were.

    Raises:
        RequestInvalid: the file exists.
        StoreError: it cannot be written.
    """
    num = 0
    try:
        with new_private_file(path) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
            lines = csv.writer(text)
            lines.writerow(["path", "error", "message"])
            for num, each in enumerate(failures, start=1):  # noqa: B007 - returned
                lines.writerow([each.key, each.error, each.message])
            text.detach()
    except FileExistsError as error:
        raise RequestInvalid(f"{path} exists already; give the name of a new file") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
    return num
