"""Files with one thing a line: CSV with a header, or JSON lines; read line by line.

A line that cannot be used is given as a skip with its number; those after it are read.
"""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from embedding.errors import RequestInvalid
from index.batch.sources.paths import printable
from index.batch.sources.source import Skip, SourceRules, SubjectKey, skip, subject_or_skip
from index.details import given_metadata

JSON_SUFFIXES = frozenset({".jsonl", ".ndjson"})
CSV_SUFFIX = ".csv"

_MAX_LINE_BYTES = 1 << 20
"""Longer lines are a mistake, and would be in memory whole."""

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"
_SUBJECT_FIELDS = ("subject", "name")

Line = tuple[str, Mapping[str, Any] | Skip]
"""Where it is, for messages, and its fields."""


class LineFile:
    """The lines of a CSV or JSON-lines file."""

    def __init__(self, path: Path, *, needed: str | None = None) -> None:
        """Take a file.

        Args:
            path: ends with ``.csv``, ``.jsonl`` or ``.ndjson``.
            needed: column that a CSV file must have.

        Raises:
            RequestInvalid: no such file, another suffix, UTF-16, or a header without the needed
                column, or with a column twice.
        """
        self.path = Path(os.path.realpath(path))
        self._is_json = path.suffix.lower() in JSON_SUFFIXES
        if not self._is_json and path.suffix.lower() != CSV_SUFFIX:
            raise RequestInvalid(f"{_shown(path)} is no .csv, .jsonl or .ndjson file")
        try:
            with self.path.open("rb") as stream:
                start = stream.read(2)
                stream.seek(0)
                if start in _UTF16_MARKS:
                    raise RequestInvalid(f"{_shown(path)} is UTF-16; save it as UTF-8")
                self._fields = [] if self._is_json else _header(stream, path, needed)
        except OSError as error:
            raise RequestInvalid(f"{_shown(path)} cannot be read: {error.strerror}") from error

    def lines(self) -> Iterator[Line]:
        """Yield every line that is not empty.

        Raises:
            OSError: the file cannot be read any more.
        """
        with self.path.open("rb") as stream:
            yield from _json_lines(stream) if self._is_json else self._csv_lines(stream)

    def _csv_lines(self, stream: BinaryIO) -> Iterator[Line]:
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


def _header(stream: BinaryIO, path: Path, needed: str | None) -> list[str]:
    """The names of a CSV file's columns, in lower case."""
    try:
        first = next(csv.reader(_decoded(stream), strict=True), [])
    except csv.Error as error:
        raise RequestInvalid(f"the header of {_shown(path)} is no CSV: {error}") from error
    names = [each.strip().lower() for each in first]
    if needed is not None and needed not in names:
        raise RequestInvalid(
            f"the first line of {_shown(path)} must name the columns, and one of them {needed}"
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


def _json_lines(stream: BinaryIO) -> Iterator[Line]:
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


def text_of(fields: Mapping[str, Any], *names: str) -> str | None:
    """Return the text of the field that has one of the names; None where it is empty or missing.

    Raises:
        UnicodeEncodeError: bytes that were no UTF-8, or half a character that JSON can spell.
        ValueError: it is no text, or there under two names.
    """
    given = [fields[each] for each in names if fields.get(each) is not None]
    if len(given) > 1:
        raise ValueError(f"{' and '.join(names)} are the same; give one of them")
    if given and not isinstance(given[0], str):
        raise ValueError(f"{names[0]} must be text")
    text: str | None = given[0] or None if given else None
    (text or "").encode()
    return text


def subject_of(fields: Mapping[str, Any]) -> SubjectKey:
    """Return whom a line names; raises as `text_of`."""
    return SubjectKey(
        name=text_of(fields, *_SUBJECT_FIELDS), external_id=text_of(fields, "external_id")
    )


def metadata_of(fields: Mapping[str, Any], *known: str) -> str | None:
    """Return what a line has beside its subject and known fields, as JSON; None for nothing.

    Raises:
        UnicodeEncodeError: as `text_of`.
    """
    used = {*known, "external_id", *_SUBJECT_FIELDS}
    rest = {name: each for name, each in fields.items() if name not in used}
    if not rest:
        return None
    text = json.dumps(rest, ensure_ascii=False, separators=(",", ":"))
    text.encode()
    return text


def kept_of(metadata: str | None) -> dict[str, Any]:
    """Return what a gallery keeps of metadata: empty fields of a line say nothing."""
    given: dict[str, Any] = {} if metadata is None else json.loads(metadata)
    return {name: value for name, value in given.items() if value is not None and value != ""}


def owned_by(
    rules: SourceRules, key: str, subject: SubjectKey, metadata: str | None = None
) -> tuple[SubjectKey, str | None] | Skip:
    """Return whom a photo shows and what is said besides, or why a gallery cannot keep them.

    Args:
        rules: of the source; where they ask for no subjects, nothing is checked.
        key: of the photo.
        subject: as given.
        metadata: as given, as JSON.
    """
    if rules.without_subjects:
        return subject, metadata
    if subject == SubjectKey():
        return skip(key, "no_subject")
    checked = subject_or_skip(key, subject)
    if isinstance(checked, Skip):
        return checked
    kept = metadata if rules.metadata else None
    try:
        given_metadata(json.dumps(kept_of(kept)))
    except RequestInvalid as error:
        return Skip(key=key, error=error.code, message=str(error))
    return checked, kept


def _place(first: int, last: int) -> str:
    return f"line {last}" if first >= last else f"lines {first} to {last}"


def _shown(path: Path) -> str:
    return printable(path.name)
