"""What an identification of many photos has found so far: a SQLite file, until the end.

It holds names, and goes once the result is written.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    select,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from index.store.database import begun
from index.store.held import hold, lock_of
from index.store.lots import in_lots
from index.store.sqlite import sqlite_engine

_METADATA = MetaData()
_AT_A_TIME = 1000

_facts = Table(
    "facts",
    _METADATA,
    Column("name", String(64), primary_key=True),
    Column("value", String, nullable=False),
)
_photos = Table(
    "photos",
    _METADATA,
    Column("id", Integer, primary_key=True),
    Column("key", String, nullable=False, unique=True),
    Column("size_bytes", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    # The last run that met it.
    Column("run", BigInteger, nullable=False),
    # A JSON list of what was found in it.
    Column("answers", String, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentifiedPhoto:
    """A photo and who is in it.

    Attributes:
        key: names it in its source.
        size_bytes: of its file then.
        mtime_ns: of its file then.
        answers: as JSON.
    """

    key: str
    size_bytes: int
    mtime_ns: int
    answers: str


class IdentifiedPhotos:
    """The file; thread safe, for one process at a time."""

    def __init__(self, path: Path) -> None:
        """Open or make it, mode 0600.

        Raises:
            StoreError: it cannot be read or written.
            StoreInUse: another process has it open.
        """
        self._path = path
        self._lock = Lock()
        self._held = hold(path)
        try:
            self._engine = sqlite_engine(path)
            with self._transaction() as connection:
                _METADATA.create_all(connection)
        except BaseException:
            os.close(self._held)
            raise
        self._run = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._engine.dispose()
        os.close(self._held)

    def begin(self, conditions: str) -> bool:
        """Begin a run; what was found under other conditions is forgotten.

        Returns:
            Whether something was.
        """
        with self._transaction() as connection:
            facts = {row.name: row.value for row in connection.execute(select(_facts))}
            forgotten: bool = facts.get("conditions", conditions) != conditions
            if forgotten:
                connection.execute(delete(_photos))
            self._run = int(facts.get("run", 0)) + 1
            for name, value in (("conditions", conditions), ("run", str(self._run))):
                statement = upsert(_facts).values(name=name, value=value)
                connection.execute(
                    statement.on_conflict_do_update(index_elements=["name"], set_={"value": value})
                )
        return forgotten

    def known(self, keys: Sequence[str]) -> Mapping[str, tuple[int, int]]:
        """Return size and time of change of photos that were worked on, by key."""
        found: dict[str, tuple[int, int]] = {}
        with self._transaction() as connection:
            for some in in_lots(keys):
                columns = (_photos.c.key, _photos.c.size_bytes, _photos.c.mtime_ns)
                rows = connection.execute(select(*columns).where(_photos.c.key.in_(some)))
                found |= {row.key: (row.size_bytes, row.mtime_ns) for row in rows}
        return found

    def met(self, keys: Sequence[str]) -> None:
        """Keep that the run met photos that were worked on before."""
        with self._transaction() as connection:
            for some in in_lots(keys):
                connection.execute(
                    update(_photos).where(_photos.c.key.in_(some)).values(run=self._run)
                )

    def record(self, some: Sequence[IdentifiedPhoto]) -> None:
        """Keep what was found in photos, in one transaction."""
        statement = upsert(_photos)
        new = statement.excluded
        changed = {name: new[name] for name in ("size_bytes", "mtime_ns", "run", "answers")}
        rows = [
            {
                "key": each.key,
                "size_bytes": each.size_bytes,
                "mtime_ns": each.mtime_ns,
                "answers": each.answers,
                "run": self._run,
            }
            for each in some
        ]
        if rows:
            with self._transaction() as connection:
                connection.execute(
                    statement.on_conflict_do_update(index_elements=["key"], set_=changed), rows
                )

    def answers(self) -> Iterator[str]:
        """Yield what was found in each photo that this run met, in the order of the source."""
        last = 0
        while True:
            with self._transaction() as connection:
                rows = connection.execute(
                    select(_photos.c.id, _photos.c.answers)
                    .where(_photos.c.id > last, _photos.c.run == self._run)
                    .order_by(_photos.c.id)
                    .limit(_AT_A_TIME)
                ).all()
            if not rows:
                return
            yield from (row.answers for row in rows)
            last = rows[-1].id

    def delete(self) -> None:
        """Take the file from the disk; call it last."""
        self._engine.dispose()
        remove_identified(self._path)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._lock, begun(self._engine) as connection:
            yield connection


def remove_identified(path: Path) -> None:
    """Remove such a file with what SQLite keeps beside it."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    lock_of(path).unlink(missing_ok=True)
