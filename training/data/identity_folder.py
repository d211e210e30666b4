"""Identity folders: one subfolder a person, aligned 112x112 crops inside."""

import logging
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from embedding.errors import DataInvalid
from training.data.decoding import IMAGE_SUFFIXES

logger = logging.getLogger(__name__)

NUM_NAMED = 5  # names in a message that speaks of many


class IdentityFolder:
    """A folder with one subfolder for each person, sorted by name (see `CropStore`).

    Subfolders without an image are named in the log and left out.

    Raises:
        DataInvalid: no such folder, or not one image in it.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataInvalid(
                f"{folder} is not a folder; give one with a subfolder for each person"
            )
        self.folder = folder
        people = [
            (person.name, _images(person))
            for person in sorted(entry for entry in folder.iterdir() if entry.is_dir())
        ]
        empty = [name for name, paths in people if not paths]
        if empty:
            logger.warning(
                "%d subfolders hold no image and are left out, such as %s",
                len(empty),
                ", ".join(empty[:NUM_NAMED]),
            )
        people = [(name, paths) for name, paths in people if paths]
        if not people:
            raise DataInvalid(
                f"{folder} holds no subfolder with images ({', '.join(IMAGE_SUFFIXES)}); it needs "
                "one for each person"
            )
        self._names = [name for name, _ in people]
        self._paths = [path for _, paths in people for path in paths]
        counts = [len(paths) for _, paths in people]
        self._first_rows = np.array(list(accumulate(counts, initial=0)), np.int64)

    @property
    def names(self) -> list[str]:
        """The names of the subfolders, sorted."""
        return self._names

    @property
    def first_rows(self) -> NDArray[np.int64]:
        """(I + 1,) where each identity's rows begin."""
        return self._first_rows

    def path(self, row: int) -> Path:
        """The file of an image."""
        return self._paths[row]

    def read(self, row: int) -> bytes:
        """The bytes of the file."""
        try:
            return self._paths[row].read_bytes()
        except OSError as error:
            raise DataInvalid(f"{self._paths[row]} cannot be read: {error}") from error

    def key(self, row: int) -> str:
        """The path below the folder, with forward slashes."""
        return self._paths[row].relative_to(self.folder).as_posix()

    def num_bytes(self, row: int) -> int:
        """Size of the file."""
        try:
            return self._paths[row].stat().st_size
        except OSError as error:
            raise DataInvalid(f"{self._paths[row]} cannot be read: {error}") from error


def _images(person: Path) -> list[Path]:
    return sorted(path for path in person.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
