"""Who of an old gallery is who in the new one, as a file for other systems."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from embedding.errors import RequestInvalid, StoreError
from index.private_files import new_private_file


def check_new(path: Path) -> None:
    """Pass a path without a file.

    Raises:
        RequestInvalid: there is one.
    """
    if path.exists():
        raise RequestInvalid(f"{path} exists already; give the name of a new file")


def write_mapping(path: Path, pairs: Iterable[tuple[str, str]]) -> None:
    """Write pairs of old and new ids to a new CSV file, mode 0600, whole or not at all.

    Raises:
        RequestInvalid: the file exists.
        StoreError: it cannot be written.
    """
    try:
        with new_private_file(path) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
            lines = csv.writer(text)
            lines.writerow(["old_id", "new_id"])
            lines.writerows(pairs)
            text.detach()
    except FileExistsError as error:
        raise RequestInvalid(f"{path} exists already; give the name of a new file") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error
