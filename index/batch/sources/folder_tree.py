"""A folder with one folder a subject, and the subject's photos at any depth in it."""

import os
from collections.abc import Iterator
from pathlib import Path

from embedding.errors import RequestInvalid
from index.batch.sources.paths import is_inside, is_photo_name, printable, reader
from index.batch.sources.source import (
    Skip,
    SourcePhoto,
    SourceRules,
    SubjectKey,
    skip,
    subject_or_skip,
)

_MAX_DEPTH = 64
"""Folders within each other; deeper ones are a mistake."""


class FolderTree:
    """Photos of ``<root>/<subject>/.../<photo>``; folders are never listed as a whole."""

    def __init__(self, root: Path, *, rules: SourceRules | None = None) -> None:
        """Take a folder.

        Raises:
            RequestInvalid: it is none.
        """
        self._root = os.path.realpath(root)
        self._rules = rules or SourceRules()
        if not Path(self._root).is_dir():
            raise RequestInvalid(f"{printable(str(root))} is not a folder")

    @property
    def address(self) -> str:
        """The folder's real path."""
        return printable(self._root)

    def photos(self) -> Iterator[SourcePhoto | Skip]:
        """See `Source`; files with other suffixes than photos have are passed over."""
        if self._rules.without_subjects:
            yield from self._of_folder(self._root, SubjectKey(), above=())
            return
        try:
            with os.scandir(self._root) as entries:
                for entry in entries:
                    yield from self._of_entry(entry)
        except OSError as error:
            yield skip(".", "unreadable", error.strerror)

    def _of_entry(self, entry: os.DirEntry[str]) -> Iterator[SourcePhoto | Skip]:
        """What an entry of the root gives: a subject's folder, or a stray file."""
        key = self._key(entry.path)
        if not _is_folder(entry):
            if is_photo_name(entry.name):
                yield skip(key, "no_subject")
            return
        subject = subject_or_skip(key, self._rules.subject(entry.name))
        if isinstance(subject, Skip):
            yield subject
            return
        inside = self._of_folder(entry.path, subject, above=(self._root,))
        first = next(inside, None)
        if first is None:
            yield skip(key, "empty_folder")
            return
        yield first
        yield from inside

    def _of_folder(
        self, path: str, subject: SubjectKey, *, above: tuple[str, ...]
    ) -> Iterator[SourcePhoto | Skip]:
        """The photos in a folder and below; `above` are the real paths of those it lies in."""
        real = os.path.realpath(path)
        key = self._key(path)
        if real in above or len(above) > _MAX_DEPTH:
            yield skip(key, "symlink_loop")
            return
        if not self._allowed(real):
            yield skip(key, "outside")
            return
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if _is_folder(entry):
                        yield from self._of_folder(entry.path, subject, above=(*above, real))
                    elif is_photo_name(entry.name):
                        yield self._photo(entry, subject)
        except OSError as error:
            yield skip(key, "unreadable", error.strerror)

    def _photo(self, entry: os.DirEntry[str], subject: SubjectKey) -> SourcePhoto | Skip:
        key = self._key(entry.path)
        try:
            if not entry.is_file():
                dangling = entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110
                return skip(key, "missing" if dangling else "no_file")
            if entry.is_symlink() and not self._allowed(os.path.realpath(entry.path)):
                return skip(key, "outside")
            status = entry.stat()
        except OSError as error:
            return skip(key, "unreadable", error.strerror)
        return SourcePhoto(
            key=key,
            subject=subject,
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            read=reader(entry.path),
        )

    def _allowed(self, real: str) -> bool:
        return self._rules.outside or is_inside(real, self._root)

    def _key(self, path: str) -> str:
        return printable(os.path.relpath(path, self._root))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        # A link to itself: what it is as a file tells.
        return False
