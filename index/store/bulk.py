"""Inserts of many rows without the work that SQLAlchemy does for each value."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, insert

from index.store.tables import UtcTime

_TIME = UtcTime()


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; their values go to the driver as they are.

    Args:
        connection: in a transaction.
        table: of the rows.
        rows: at least one, all with the same columns; times as `driver_time` returns them.
    """
    columns = list(rows[0])
    compiled = insert(table).compile(dialect=connection.dialect, column_keys=columns)
    if compiled.positional:
        order = compiled.positiontup or columns
        connection.exec_driver_sql(
            str(compiled), [tuple(row[name] for name in order) for row in rows]
        )
    else:
        connection.exec_driver_sql(str(compiled), [dict(row) for row in rows])


def driver_time(connection: Connection, time: datetime) -> Any:  # noqa: ANN401 - the driver's
    """Return the time as the driver writes it."""
    processor = _TIME.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    return time if processor is None else processor(time)
