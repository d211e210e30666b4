"""Refuses files that unpack to far more than they hold, before anything of them is unpacked.

A Parquet file is cut into pages, each packed by itself. What its table of contents at the end says
may be anything, so the pages' own headers are read, too (parquet-format, parquet.thrift): how many
bytes each unpacks to, and how many values it has. Not by pyarrow, which ends the process where a
file contradicts itself.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from embedding.errors import RequestInvalid
from index.exchange.thrift import (
    Content,
    NoThriftError,
    ThriftReader,
    Value,
    list_of,
    number_of,
    struct_of,
)

MAX_PAGE_BYTES: Final = 128 << 20
"""Unpacked; writers take 1 MB, one of them up to 100."""

MAX_TEXT_BYTES: Final = 32_768
"""Of one value; metadata, the longest text of the format, have an eighth of it."""

_MIN_ROW_BYTES: Final = 8
"""Packed: a row has an id of its own, also where one photo was enrolled
again and again. A reader keeps 80 bytes of each."""

_MAX_RATIO: Final = 16
"""Unpacked to packed, beyond `_FREE_BYTES`: figures hardly shrink, and are most of a row."""

_FREE_BYTES: Final = 4 << 30
"""They pass through the memory page by page, in some seconds."""

_FREE_ROWS: Final = 1_024

_TAIL_BYTES: Final = 8
"""At the end of the file: length of the table of contents, and a mark."""

_MAX_CONTENTS_BYTES: Final = 64 << 20
_MAX_CONTENTS_VALUES: Final = 2_000_000
"""Some 80 bytes of memory each; a file of ours has so many with 15 million rows."""

_MAX_HEADER_BYTES: Final = 1 << 16
_MAX_HEADER_VALUES: Final = 200

_DELTA_BYTE_ARRAY: Final = 7
"""Encoding of texts of which each repeats the beginning of the one before: few bytes become many,
and nothing tells how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """A column in a group of rows.

    Attributes:
        column: its name.
        most: so many values it may have.
        start: of its first page in the file.
        end: behind its last page.
    """

    column: str
    most: int
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    packed: int
    unpacked: int
    num_values: int
    encoding: int


def check_unpacking(content: Content, *, columns: Collection[str], width: int) -> None:
    """Pass a file that unpacks to what its size lets expect.

    Args:
        content: of the file, whose end was read before.
        columns: that are going to be read, by name.
        width: most numbers in a list of a row.

    Raises:
        RequestInvalid: it has more rows, values or unpacked bytes than it can hold, or its pages
            cannot be found.
    """
    contents = _table_of_contents(content)
    groups = list_of(contents, 4)
    num_rows = max(number_of(contents, 3), sum(max(number_of(each, 3), 0) for each in groups))
    if num_rows > _FREE_ROWS + len(content) // _MIN_ROW_BYTES:
        raise _bomb(f"{num_rows} rows in {len(content)} bytes")
    unpacked = 0
    for chunk in _chunks(groups, columns, width=width):
        num_values = 0
        for page in _pages(content, chunk):
            unpacked += page.unpacked
            num_values += page.num_values
            if page.unpacked > MAX_PAGE_BYTES:
                raise _bomb(f"a page of {page.unpacked} bytes in the column {chunk.column}")
            if num_values > chunk.most:
                raise _bomb(f"more values in the column {chunk.column} than rows have")
            if page.encoding == _DELTA_BYTE_ARRAY:
                raise RequestInvalid(
                    f"the column {chunk.column} is encoded as DELTA_BYTE_ARRAY, which is not "
                    f"read; write the file with plain texts or dictionaries"
                )
    if unpacked > _FREE_BYTES + _MAX_RATIO * len(content):
        raise _bomb(f"{unpacked} bytes out of {len(content)}")


def _table_of_contents(content: Content) -> dict[int, Value]:
    """The file's metadata: 3 is its number of rows, 4 its groups of rows."""
    end = len(content) - _TAIL_BYTES
    size = int.from_bytes(content[end : end + 4], "little")
    if not 0 < size <= min(end, _MAX_CONTENTS_BYTES):
        raise _lost()
    reader = ThriftReader(content, end - size, end=end, max_values=_MAX_CONTENTS_VALUES)
    try:
        return reader.struct()
    except NoThriftError:
        raise _lost() from None


def _chunks(groups: list[Value], columns: Collection[str], *, width: int) -> Iterator[_Chunk]:
    """The columns of each group of rows.

    Of a RowGroup 1 are its columns and 3 its number of rows. Of a ColumnChunk's 3, its metadata,
    3 is the path, 7 its packed bytes, 9 and 11 where data and dictionary begin.
    """
    for group in groups:
        num_rows = max(number_of(group, 3), 0)
        for column in list_of(group, 1):
            known = struct_of(column, 3)
            name, *below = [
                each.decode(errors="replace") for each in list_of(known, 3) if type(each) is bytes
            ] or [""]
            if name not in columns:
                continue
            start, dictionary = number_of(known, 9), number_of(known, 11)
            if 0 < dictionary < start:
                start = dictionary
            yield _Chunk(
                column=name,
                # Where a list has another length the rows say so, if it is of some length.
                most=num_rows * (4 * width if below else 1),
                start=start,
                end=start + number_of(known, 7),
            )


def _pages(content: Content, chunk: _Chunk) -> Iterator[_Page]:
    """The pages of a column, as their own headers describe them.

    Of a PageHeader 2 are its unpacked and 3 its packed bytes, 5 and 8 belong to a data page in
    the first and the second form: 1 there is the number of values, 2 or 4 the encoding.
    """
    if not 0 < chunk.start <= chunk.end <= len(content):
        raise _lost()
    position = chunk.start
    while position < chunk.end:
        reader = ThriftReader(
            content,
            position,
            end=min(chunk.end, position + _MAX_HEADER_BYTES),
            max_values=_MAX_HEADER_VALUES,
        )
        try:
            header = reader.struct()
        except NoThriftError:
            raise _lost() from None
        first, second = struct_of(header, 5), struct_of(header, 8)
        page = _Page(
            unpacked=number_of(header, 2),
            packed=number_of(header, 3),
            num_values=max(number_of(first, 1), number_of(second, 1), 0),
            encoding=max(number_of(first, 2), number_of(second, 4)),
        )
        if min(page.packed, page.unpacked) < 0:
            raise _lost()
        yield page
        position = reader.position + page.packed


def _bomb(what: str) -> RequestInvalid:
    return RequestInvalid(f"the file would unpack to far more than it holds: {what}")


def _lost() -> RequestInvalid:
    return RequestInvalid(
        "the file is damaged or incomplete: a page is not where its table of contents says; "
        "export it again"
    )
