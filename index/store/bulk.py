"""Inserts of many rows without the work that SQLAlchemy does for each value."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Dialect, Table, insert

from index.store.tables import UtcTime

_TIME = UtcTime()


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows; their values go to the driver as they are.

    Args:
        connection: in a transaction.
        table: of the rows.
        rows: at least one, all with the same columns; times as `driver_time` returns them.
    """
    statement, order = _statement(connection.dialect, table, tuple(rows[0]))
    if order is None:
        connection.exec_driver_sql(statement, [dict(row) for row in rows])
    else:
        take = itemgetter(*order)
        connection.exec_driver_sql(statement, [take(row) for row in rows])


@lru_cache(maxsize=64)
def _statement(
    dialect: Dialect, table: Table, columns: tuple[str, ...]
) -> tuple[str, tuple[str, ...] | None]:
    """The insert, and the order of its parameters; None where they have names."""
    compiled = insert(table).compile(dialect=dialect, column_keys=list(columns))
    order = tuple(compiled.positiontup or columns) if compiled.positional else None
    return str(compiled), order


def driver_time(connection: Connection, time: datetime) -> Any:  # noqa: ANN401 - the driver's
    """Return the time as the driver writes it."""
    processor = _TIME.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    return time if processor is None else processor(time)
