"""The columns of an exchange file, from Parquet and to Parquet.

Shapes: N rows, W numbers a row.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from embedding.errors import RequestInvalid
from index.exchange.pages import MAX_TEXT_BYTES
from index.exchange.rows import ExchangeColumns, ExchangeHeader
from index.records import EMBEDDING_DIMENSION
from index.times import from_microseconds

_WIDTHS = {"embedding": EMBEDDING_DIMENSION, "box": 4, "photo_size": 2, "landmarks": 10}

SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.string()),
        pa.field("name", pa.string()),
        pa.field("external_id", pa.string()),
        pa.field("template_id", pa.string(), nullable=False),
        pa.field("embedding", pa.list_(pa.float32(), EMBEDDING_DIMENSION), nullable=False),
        pa.field("norm", pa.float64(), nullable=False),
        pa.field("quality", pa.float64(), nullable=False),
        pa.field("confidence", pa.float64(), nullable=False),
        pa.field("box", pa.list_(pa.float64(), 4), nullable=False),
        pa.field("photo_size", pa.list_(pa.int64(), 2), nullable=False),
        pa.field("landmarks", pa.list_(pa.float32(), 10), nullable=False),
        pa.field("face_id", pa.string(), nullable=False),
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("fingerprint", pa.string(), nullable=False),
        pa.field("created_at", pa.timestamp("us", tz="UTC")),
        pa.field("metadata", pa.string()),
        pa.field("purpose", pa.string()),
        pa.field("consent", pa.string()),
        pa.field("expires_at", pa.timestamp("us", tz="UTC")),
    ]
)
"""What this program writes; `check_schema` says what it reads."""

TEXTS = [field.name for field in SCHEMA if pa.types.is_string(field.type)]
"""The columns that hold text."""

_DETAILS = frozenset({"metadata", "purpose", "consent", "expires_at"})
"""What version 1 knows nothing of: there such a column is another tool's own."""

OPTIONAL = _DETAILS | {
    "name",
    "external_id",
    "face_id",
    "image_id",
    "fingerprint",
    "created_at",
}
"""Columns that a file of another tool may leave out."""

_NULLABLE = _DETAILS | {"subject_id", "name", "external_id", "created_at"}
_TIMES = frozenset({"created_at", "expires_at"})


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float64(kind) or pa.types.is_float32(kind))


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) and not pa.types.is_uint64(kind))


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


_Accepts = Callable[[pa.DataType], bool]
# What is accepted in each column, or in its lists, and how a message calls it.
_KINDS: dict[str, tuple[_Accepts, str]] = {
    # Rounding from float64 is left to who wrote the file: it would change what is compared.
    "embedding": (pa.types.is_float32, "float32"),
    "norm": (_is_number, "float64 or float32"),
    "quality": (_is_number, "float64 or float32"),
    "confidence": (_is_number, "float64 or float32"),
    "box": (_is_number, "float64 or float32"),
    "photo_size": (_is_whole, "int64 or a smaller integer"),
    "landmarks": (_is_number, "float32 or float64"),
    "created_at": (_is_time, "a timestamp with a time zone"),
    "expires_at": (_is_time, "a timestamp with a time zone"),
}


def columns_of(header: ExchangeHeader) -> list[str]:
    """Return the columns that a file with this header, of its version, has."""
    return [each for each in SCHEMA.names if header.has_details or each not in _DETAILS]


def check_schema(schema: pa.Schema, header: ExchangeHeader) -> None:
    """Pass the columns of a file that rows can be read from.

    Raises:
        RequestInvalid: a column is missing, there twice, or of another type.
    """
    for name in columns_of(header):
        num = schema.names.count(name)
        if num == 0 and name in OPTIONAL:
            continue
        if num != 1:
            what = "has no column" if num == 0 else f"has {num} columns"
            raise RequestInvalid(f"the file {what} {name}; there must be one")
        accepts, expected = _KINDS.get(name, (_is_text, "text"))
        kind = schema.field(name).type
        inner = kind
        if name in _WIDTHS:
            expected = f"lists of {_WIDTHS[name]} numbers, {expected}"
            inner = _element(kind, width=_WIDTHS[name])
        if inner is None or not accepts(inner):
            raise RequestInvalid(f"the column {name} must hold {expected}, but holds {kind}")


def to_batch(columns: ExchangeColumns) -> pa.RecordBatch:
    """Return checked rows as a batch of `SCHEMA`."""
    arrays = []
    for field in SCHEMA:
        values: Any = getattr(columns, field.name)
        if field.name in _WIDTHS:
            flat = np.asarray(values, dtype=field.type.value_type.to_pandas_dtype()).reshape(-1)
            arrays.append(pa.FixedSizeListArray.from_arrays(pa.array(flat), type=field.type))
        else:
            arrays.append(pa.array(values, type=field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def decoded(batch: pa.RecordBatch, *, first: int) -> pa.RecordBatch:
    """Return a batch with a text in each row, where rows may share one until then.

    Args:
        batch: of columns of the format only.
        first: number of its first row in the file.

    Raises:
        RequestInvalid: a text is so long that many of it would fill the memory.
    """
    arrays = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if pa.types.is_dictionary(column.type):
            lengths_N = pc.binary_length(column.dictionary).to_numpy(zero_copy_only=False)
            if (lengths_N > MAX_TEXT_BYTES).any():
                used_N = pc.take(pc.binary_length(column.dictionary), column.indices)
                row = pc.index(pc.greater(used_N, MAX_TEXT_BYTES), value=True).as_py()
                raise RequestInvalid(
                    f"row {first + max(row, 0)}: the column {name} has a text of more than "
                    f"{MAX_TEXT_BYTES} bytes"
                )
            arrays.append(column.dictionary_decode())
        else:
            arrays.append(column)
    return pa.RecordBatch.from_arrays(arrays, names=batch.schema.names)


def to_columns(batch: pa.RecordBatch, *, first: int, fingerprint: str) -> ExchangeColumns:
    """Return the rows of a batch whose schema was checked; values are not checked yet.

    Args:
        batch: at least one row, of columns of the format only.
        first: number of its first row in the file.
        fingerprint: for rows of a file without such a column.

    Raises:
        RequestInvalid: a value is missing, a list has another length, or a time is out of range.
    """
    values = {
        name: _values(batch.column(name), name=name, first=first)
        for name in SCHEMA.names
        if name in batch.schema.names
    }
    num = batch.num_rows
    for name in sorted(_NULLABLE - {"subject_id"}):
        values.setdefault(name, [None] * num)
    for name in ("face_id", "image_id"):
        values.setdefault(name, values["template_id"])
    values.setdefault("fingerprint", [fingerprint] * num)
    return ExchangeColumns(**values)


def _element(kind: pa.DataType, *, width: int) -> pa.DataType | None:
    """Return the type of a list's elements; None for no list, or one of a fixed other length."""
    if pa.types.is_fixed_size_list(kind):
        return kind.value_type if kind.list_size == width else None
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return kind.value_type
    return None


def _values(column: pa.Array, *, name: str, first: int) -> Any:  # noqa: ANN401 - see its caller
    if column.null_count and name not in _NULLABLE:
        row = first + int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise RequestInvalid(f"row {row}: the column {name} has no value")
    if name in _TIMES:
        return _times(column, first=first)
    if name not in _WIDTHS:
        return column.to_pylist()
    matrix_NW = _matrix(column, name=name, first=first)
    if name == "embedding":
        return matrix_NW
    if name == "landmarks":
        return matrix_NW.reshape(-1, 5, 2).astype(np.float32)
    return [tuple(each) for each in matrix_NW.tolist()]


def _matrix(column: pa.Array, *, name: str, first: int) -> NDArray[Any]:
    width = _WIDTHS[name]
    lengths_N = pc.list_value_length(column).to_numpy(zero_copy_only=False)
    wrong_N = lengths_N != width
    if wrong_N.any():
        place = int(np.argmax(wrong_N))
        raise RequestInvalid(
            f"row {first + place}: the column {name} must have {width} numbers, but has "
            f"{lengths_N[place]}"
        )
    flat = column.flatten()
    if flat.null_count:
        place = int(np.argmax(flat.is_null().to_numpy(zero_copy_only=False)))
        raise RequestInvalid(f"row {first + place // width}: the column {name} has an empty place")
    matrix_NW: NDArray[Any] = flat.to_numpy(zero_copy_only=False).reshape(-1, width)
    return matrix_NW


def _times(column: pa.Array, *, first: int) -> list[datetime | None]:
    times: list[datetime | None] = []
    # As numbers since 1970, whatever the zone's name: nothing has to know the zone.
    unit = column.type.unit
    per_second = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    for number, value in enumerate(column.cast(pa.int64()).to_pylist(), start=first):
        try:
            microseconds = None if value is None else value * 10**6 // per_second
            times.append(None if microseconds is None else from_microseconds(microseconds))
        except OverflowError:
            raise RequestInvalid(f"row {number}: the time is out of range") from None
    return times
