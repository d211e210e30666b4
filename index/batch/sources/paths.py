"""Paths of photos: how they are written down, read, and kept inside their source."""

import os
from collections.abc import Callable
from pathlib import Path

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
"""Of files that are taken for photos; their bytes decide what they are."""


def is_photo_name(name: str) -> bool:
    """Return whether a file of this name is taken for a photo."""
    return os.path.splitext(name)[1].lower() in PHOTO_SUFFIXES  # noqa: PTH122 - a name, no path


def printable(path: str) -> str:
    r"""Return a path as text that can be written; bytes that are no UTF-8 become ``\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def reader(path: str | Path) -> Callable[[int], bytes]:
    """Return what reads at most so many bytes of a file."""

    def read(limit: int) -> bytes:
        with open(path, "rb") as stream:  # noqa: PTH123 - a million of them
            return stream.read(limit)

    return read


def is_inside(path: str, root: str) -> bool:
    """Return whether a real path lies in a real folder."""
    return path == root or path.startswith(root.rstrip("/") + "/")
