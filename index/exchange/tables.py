"""Tables of plain values as new CSV and Parquet files."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from embedding.errors import RequestInvalid, StoreError
from index.exchange.files import extra_package
from index.private_files import new_private_file

PARQUET_SUFFIX = ".parquet"
CSV_SUFFIX = ".csv"

_AT_A_TIME = 10_000

Columns = Mapping[str, type]
"""Names with ``str``, ``int`` or ``float``; any value may be None."""


def check_table_file(path: Path) -> None:
    """Pass a file that a table may be written to.

    Raises:
        RequestInvalid: it exists, or is neither ``.csv`` nor ``.parquet``.
        SettingsInvalid: Parquet needs an extra package.
    """
    if path.suffix.lower() not in (CSV_SUFFIX, PARQUET_SUFFIX):
        raise RequestInvalid(f"{path.name} must end with .csv or .parquet")
    if path.suffix.lower() == PARQUET_SUFFIX:
        with extra_package():
            import pyarrow as pa  # noqa: F401 - whether it is there
    if path.exists():
        raise RequestInvalid(f"{path} exists already; give the name of a new file")


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], columns: Columns) -> int:
    """Write a new file, mode 0600, whole or not at all; returns the number of rows.

    Args:
        path: ``.csv`` or ``.parquet``.
        rows: by column; some thousand are in memory at a time.
        columns: in their order.

    Raises:
        RequestInvalid: as `check_table_file`.
        StoreError: it cannot be written.
    """
    check_table_file(path)
    write = _write_csv if path.suffix.lower() == CSV_SUFFIX else _write_parquet
    try:
        with new_private_file(path) as stream:
            return write(stream, rows, columns)
    except FileExistsError as error:
        raise RequestInvalid(f"{path} exists already; give the name of a new file") from error
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}") from error


def _write_csv(stream: Any, rows: Iterable[Mapping[str, Any]], columns: Columns) -> int:  # noqa: ANN401
    text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
    lines = csv.DictWriter(text, list(columns))
    lines.writeheader()
    num = 0
    for row in rows:
        lines.writerow({name: row.get(name) for name in columns})
        num += 1
    text.detach()
    return num


def _write_parquet(stream: Any, rows: Iterable[Mapping[str, Any]], columns: Columns) -> int:  # noqa: ANN401
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64()}
    schema = pa.schema([pa.field(name, kinds[kind]) for name, kind in columns.items()])
    num, source = 0, iter(rows)
    with pq.ParquetWriter(stream, schema, compression="zstd", write_page_checksum=True) as writer:
        while some := list(islice(source, _AT_A_TIME)):
            writer.write_batch(pa.RecordBatch.from_pylist(_plain(some, columns), schema=schema))
            num += len(some)
    return num


def _plain(rows: Sequence[Mapping[str, Any]], columns: Columns) -> list[dict[str, Any]]:
    return [{name: row.get(name) for name in columns} for row in rows]
