"""A list of photos: CSV with a header, or JSON lines; one line a photo.

``path`` names the photo, ``subject`` (or ``name``) and ``external_id`` say whom it shows; whatever
else a line has is the photo's metadata.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from embedding.errors import RequestInvalid
from index.batch.sources.lines import LineFile, metadata_of, owned_by, subject_of, text_of
from index.batch.sources.paths import is_inside, printable, reader
from index.batch.sources.source import Skip, SourcePhoto, SourceRules, SubjectKey, skip


class Manifest:
    """The photos that a CSV or JSON-lines file lists; read line by line, never as a whole."""

    def __init__(
        self, path: Path, *, root: Path | None = None, rules: SourceRules | None = None
    ) -> None:
        """Take a file.

        Args:
            path: ends with ``.csv``, ``.jsonl`` or ``.ndjson``.
            root: folder that paths are relative to; None for the one that the file lies in.
            rules: how it is read.

        Raises:
            RequestInvalid: no such file, no such folder, another suffix, not UTF-8 from the first
                line on, or a header without ``path``, or with a field twice.
        """
        self._file = LineFile(path, needed="path")
        self._root = os.path.realpath(path.parent if root is None else root)
        self._rules = rules or SourceRules()
        if not Path(self._root).is_dir():
            raise RequestInvalid(f"{printable(str(root))} is not a folder")

    @property
    def address(self) -> str:
        """The file's real path, and the folder's where it is another one than the file's."""
        path = printable(str(self._file.path))
        return (
            path
            if self._root == str(self._file.path.parent)
            else f"{path} {printable(self._root)}"
        )

    def photos(self) -> Iterator[SourcePhoto | Skip]:
        """See `Source`."""
        try:
            for place, fields in self._file.lines():
                yield fields if isinstance(fields, Skip) else self._photo(place, fields)
        except OSError as error:
            yield skip(printable(self._file.path.name), "unreadable", error.strerror)

    def _photo(self, place: str, fields: Mapping[str, Any]) -> SourcePhoto | Skip:
        try:
            path, subject = text_of(fields, "path"), subject_of(fields)
            metadata = metadata_of(fields, "path")
        except UnicodeEncodeError:
            return skip(place, "bad_encoding")
        except ValueError as error:
            return skip(place, "bad_line", str(error))
        if path is None or "\0" in path:
            return skip(place, "bad_line", "it has no path" if path is None else "a NUL byte")
        key = path if ".." in path.split("/") else os.path.normpath(path)
        owned = owned_by(self._rules, key, subject, metadata)
        return owned if isinstance(owned, Skip) else self._found(key, path, *owned)

    def _found(
        self, key: str, path: str, subject: SubjectKey, metadata: str | None
    ) -> SourcePhoto | Skip:
        """The photo, if its file is there and may be read."""
        full = os.path.join(self._root, path)  # noqa: PTH118 - a million of them
        if not self._rules.outside:
            leads_out = path.startswith("/") or ".." in path.split("/")
            if leads_out or not is_inside(os.path.realpath(full), self._root):
                return skip(key, "outside")
        try:
            status = os.stat(full)  # noqa: PTH116
        except (FileNotFoundError, NotADirectoryError):
            return skip(key, "missing")
        except OSError as error:
            return skip(key, "unreadable", error.strerror)
        if not stat.S_ISREG(status.st_mode):
            return skip(key, "no_file")
        return SourcePhoto(
            key=key,
            subject=subject,
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            read=reader(full),
            metadata=metadata,
        )
