"""A list of photos: CSV with a header, or JSON lines; one line a photo.

``path`` names the photo, ``subject`` (or ``name``) and ``external_id`` say whom it shows; whatever
else a line has is the photo's metadata. A line that cannot be used is left out with its number;
those after it are read.
"""

import csv
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from embedding.errors import RequestInvalid
from index.batch.sources.paths import is_inside, printable, reader
from index.batch.sources.source import (
    Skip,
    SourcePhoto,
    SourceRules,
    SubjectKey,
    skip,
    subject_or_skip,
)

JSON_SUFFIXES = frozenset({".jsonl", ".ndjson"})
CSV_SUFFIX = ".csv"

_MAX_LINE_BYTES = 1 << 20
"""Longer lines are a mistake, and would be in memory whole."""

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"
_SUBJECT_FIELDS = ("subject", "name")

_Line = tuple[str, Mapping[str, Any] | Skip]
"""Where it is, for messages, and its fields."""


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
        self._path = Path(os.path.realpath(path))
        self._root = os.path.realpath(path.parent if root is None else root)
        self._rules = rules or SourceRules()
        self._is_json = path.suffix.lower() in JSON_SUFFIXES
        if not self._is_json and path.suffix.lower() != CSV_SUFFIX:
            raise RequestInvalid("a manifest is a .csv, .jsonl or .ndjson file")
        if not Path(self._root).is_dir():
            raise RequestInvalid(f"{printable(str(root))} is not a folder")
        try:
            with self._path.open("rb") as stream:
                start = stream.read(2)
                stream.seek(0)
                if start in _UTF16_MARKS:
                    raise RequestInvalid(f"{_shown(path)} is UTF-16; save it as UTF-8")
                self._fields = [] if self._is_json else _header(stream, path)
        except OSError as error:
            raise RequestInvalid(f"{_shown(path)} cannot be read: {error.strerror}") from error

    @property
    def address(self) -> str:
        """The file's real path, and the folder's where it is another one than the file's."""
        path = printable(str(self._path))
        return path if self._root == str(self._path.parent) else f"{path} {printable(self._root)}"

    def photos(self) -> Iterator[SourcePhoto | Skip]:
        """See `Source`."""
        try:
            with self._path.open("rb") as stream:
                lines = _json_lines(stream) if self._is_json else self._csv_lines(stream)
                for place, fields in lines:
                    yield fields if isinstance(fields, Skip) else self._photo(place, fields)
        except OSError as error:
            yield skip(printable(self._path.name), "unreadable", error.strerror)

    def _csv_lines(self, stream: BinaryIO) -> Iterator[_Line]:
        rows = csv.reader(_decoded(stream), strict=True)
        next(rows)
        while True:
            before = rows.line_num
            try:
                row = next(rows, None)
            except csv.Error as error:
                place = _place(before + 1, rows.line_num)
                yield place, skip(place, "bad_line", str(error))
                continue
            if row is None:
                return
            if row:
                place = _place(before + 1, rows.line_num)
                yield place, self._csv_fields(place, row)

    def _csv_fields(self, place: str, row: list[str]) -> Mapping[str, Any] | Skip:
        if len(row) != len(self._fields):
            reason = f"it has {len(row)} fields, but the header has {len(self._fields)}"
            return skip(place, "bad_line", reason)
        return dict(zip(self._fields, row, strict=True))

    def _photo(self, place: str, fields: Mapping[str, Any]) -> SourcePhoto | Skip:
        try:
            path = _text(fields, "path")
            subject = SubjectKey(
                name=_text(fields, *_SUBJECT_FIELDS), external_id=_text(fields, "external_id")
            )
            metadata = _metadata(fields)
            # Bytes that were no UTF-8, and halves of characters that JSON can spell.
            "".join([path or "", subject.name or "", subject.external_id or ""]).encode()
        except UnicodeEncodeError:
            return skip(place, "bad_encoding")
        except ValueError as error:
            return skip(place, "bad_line", str(error))
        if path is None or "\0" in path:
            return skip(place, "bad_line", "it has no path" if path is None else "a NUL byte")
        key = path if ".." in path.split("/") else os.path.normpath(path)
        if not self._rules.without_subjects:
            if subject == SubjectKey():
                return skip(key, "no_subject")
            checked = subject_or_skip(key, subject)
            if isinstance(checked, Skip):
                return checked
            subject = checked
        return self._found(key, path, subject, metadata)

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


def _header(stream: BinaryIO, path: Path) -> list[str]:
    """The names of a CSV file's columns, in lower case."""
    try:
        first = next(csv.reader(_decoded(stream), strict=True), [])
    except csv.Error as error:
        raise RequestInvalid(f"the header of {_shown(path)} is no CSV: {error}") from error
    names = [each.strip().lower() for each in first]
    if "path" not in names:
        raise RequestInvalid(
            f"the first line of {_shown(path)} must name the columns, and one of them path"
        )
    if len(set(names)) < len(names) or all(each in names for each in _SUBJECT_FIELDS):
        raise RequestInvalid(f"the header of {_shown(path)} names a column twice")
    return names


def _decoded(stream: BinaryIO) -> Iterator[str]:
    """Lines as text; what is no UTF-8 is kept as lone surrogates, so that one line is lost."""
    for number, line in _lines(stream):
        start = line.removeprefix(_UTF8_MARK) if number == 1 else line
        yield start.decode("utf-8", "surrogateescape")


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers, in pieces where one is longer than is sensible."""
    number, whole = 0, True
    while line := stream.readline(_MAX_LINE_BYTES):
        number += whole
        whole = line.endswith(b"\n")
        yield number, line


def _json_lines(stream: BinaryIO) -> Iterator[_Line]:
    rest = False
    for number, line in _lines(stream):
        place, is_rest = _place(number, number), rest
        rest = not line.endswith(b"\n") and len(line) == _MAX_LINE_BYTES
        if is_rest:
            continue
        if rest:
            yield place, skip(place, "bad_line", f"it is longer than {_MAX_LINE_BYTES} bytes")
            continue
        try:
            text = line.removeprefix(_UTF8_MARK if number == 1 else b"").decode("utf-8")
            if text.strip():
                yield place, _json_object(text)
        except UnicodeDecodeError:
            yield place, skip(place, "bad_encoding")
        except RecursionError:
            yield place, skip(place, "bad_line", "too many objects within each other")
        except ValueError as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
            yield place, skip(place, "bad_line", reason)


def _json_object(text: str) -> Mapping[str, Any]:
    fields = json.loads(text, object_pairs_hook=_without_doubles, parse_constant=_no_constant)
    if not isinstance(fields, dict):
        raise ValueError("it is no JSON object")
    return fields


def _without_doubles(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name in fields:
            raise ValueError("a field is there twice")
        fields[name] = value
    return fields


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _text(fields: Mapping[str, Any], *names: str) -> str | None:
    """The text of the field that has one of the names; None where it is empty or missing."""
    given = [fields[each] for each in names if fields.get(each) is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(names)} are the same; give one of them")
    if given and not isinstance(given[0], str):
        raise ValueError(f"{names[0]} must be text")
    return given[0] or None if given else None


def _metadata(fields: Mapping[str, Any]) -> str | None:
    known = {"path", "external_id", *_SUBJECT_FIELDS}
    rest = {name: each for name, each in fields.items() if name not in known}
    if not rest:
        return None
    text = json.dumps(rest, ensure_ascii=False, separators=(",", ":"))
    text.encode()
    return text


def _place(first: int, last: int) -> str:
    return f"line {last}" if first >= last else f"lines {first} to {last}"


def _shown(path: Path) -> str:
    return printable(path.name)
