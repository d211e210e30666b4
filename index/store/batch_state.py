"""What a batch knows of its photos: a SQLite file that any kill leaves in order.

The gallery and this file are committed one after the other. Before the gallery's commit photos
are written here as a lot in state ``writing``; whoever comes after a kill follows the gallery's
change log and tells from it whether the lot was committed.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import (
    Connection,
    bindparam,
    func,
    insert,
    inspect,
    select,
    true,
    update,
)
from sqlalchemy.dialects.sqlite import insert as upsert

from embedding.errors import RequestInvalid, StoreNewer
from index.store.batch_carrying import keep_out, kept_out
from index.store.batch_following import follow
from index.store.batch_rows import (
    FailedPhoto,
    FollowedChange,
    KnownPhoto,
    Lot,
    PhotoRecord,
    PhotoState,
    SubjectDigest,
)
from index.store.batch_statements import UPSERT, contains, known_of, row_of_record
from index.store.batch_tables import METADATA, VERSION, facts, photos, sources
from index.store.database import begun
from index.store.held import hold
from index.store.lots import in_lots
from index.store.sqlite import sqlite_engine


class BatchState:
    """The state file of the batches into one gallery; thread safe, for one process at a time."""

    def __init__(self, path: Path, *, gallery_id: str) -> None:
        """Open or make the file.

        Args:
            path: mode 0600; its folder is made when it is missing.
            gallery_id: of the gallery that all of it is about.

        Raises:
            RequestInvalid: the file is the state of another gallery.
            StoreCorrupt: it is no SQLite database, or a damaged one.
            StoreError: it cannot be read or written.
            StoreInUse: another process has it open.
            StoreNewer: a newer version of this program wrote it.
        """
        self._transactions = threading.Lock()
        self._held = hold(path)
        try:
            self._engine = sqlite_engine(path)
            with self._transaction() as connection:
                _prepare(connection, gallery_id)
        except BaseException:
            os.close(self._held)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back."""
        with self._transactions:
            self._engine.dispose()
            os.close(self._held)

    def begin_run(self, address: str) -> tuple[int, int]:
        """Return the source's id, made on first use, and the number of the run that begins."""
        with self._transaction() as connection:
            number = int(_fact(connection, "run") or 0) + 1
            _set_fact(connection, "run", str(number))
            statement = upsert(sources).values(address=address).on_conflict_do_nothing()
            connection.execute(statement)
            source = connection.scalar(select(sources.c.id).where(sources.c.address == address))
        return int(source or 0), number

    def known(self, source: int, keys: Sequence[str]) -> dict[str, KnownPhoto]:
        """Return what is known of photos of a source, by key."""
        found: dict[str, KnownPhoto] = {}
        with self._transaction() as connection:
            for some in in_lots(keys):
                rows = connection.execute(
                    select(photos).where(photos.c.source_id == source, photos.c.key.in_(some))
                )
                found |= {row.key: known_of(row) for row in rows}
        return found

    def met(self, source: int, keys: Sequence[str], *, run: int) -> None:
        """Keep that a run met photos of which nothing else changed."""
        with self._transaction() as connection:
            for some in in_lots(keys):
                connection.execute(
                    update(photos)
                    .where(photos.c.source_id == source, photos.c.key.in_(some))
                    .values(run=run)
                )

    def contained(
        self, some: Iterable[tuple[bytes, SubjectDigest]]
    ) -> set[tuple[bytes, SubjectDigest]]:
        """Return those of many photos, by hash and subject, that are in the gallery for it."""
        with self._transaction() as connection:
            return {each for each in some if contains(connection, *each)}

    def record(
        self,
        source: int,
        records: Iterable[PhotoRecord],
        *,
        run: int,
        lot_sequence: int | None = None,
    ) -> int:
        """Keep what became of photos, in one transaction.

        Args:
            source: its id.
            records: in any order; a photo that is ``writing`` belongs to a new lot.
            run: that met them.
            lot_sequence: where the gallery's log stands before the lot is committed.

        Returns:
            The number of the lot.
        """
        with self._transaction() as connection:
            lot = int(_fact(connection, "lot") or 0) + 1
            _set_fact(connection, "lot", str(lot))
            rows = [
                row_of_record(each, source=source, run=run, lot=lot, sequence=lot_sequence)
                for each in records
            ]
            if rows:
                connection.execute(UPSERT, rows)
        return lot

    def committed(self, lot: int, template_ids: Mapping[str, str]) -> None:
        """Keep that a lot is in the gallery.

        Args:
            lot: its number.
            template_ids: by image id.
        """
        statement = (
            update(photos)
            .where(photos.c.lot == lot, photos.c.image_id == bindparam("of_image"))
            .values(state="done", template_id=bindparam("new_template"))
        )
        rows = [{"of_image": image, "new_template": id_} for image, id_ in template_ids.items()]
        with self._transaction() as connection:
            connection.execute(statement, rows)

    def settle(self, lot: int, state: PhotoState) -> None:
        """Give those photos of a lot a state that are still ``writing``."""
        with self._transaction() as connection:
            connection.execute(
                update(photos)
                .where(photos.c.lot == lot, photos.c.state == "writing")
                .values(state=state)
            )

    def unsettled(self) -> list[Lot]:
        """Return the lots with photos that are still ``writing``."""
        num_writing = func.sum(photos.c.state == "writing")
        with self._transaction() as connection:
            lots = select(photos.c.lot).where(photos.c.state == "writing").distinct()
            rows = connection.execute(
                select(
                    photos.c.lot,
                    func.min(photos.c.lot_sequence),
                    num_writing,
                    func.count() - num_writing,
                )
                .where(photos.c.state.in_(("writing", "done", "removed")), photos.c.lot.in_(lots))
                .group_by(photos.c.lot)
            )
            return [
                Lot(number=lot, sequence=sequence, num_photos=num, num_committed=done)
                for lot, sequence, num, done in rows
            ]

    def replaced(self) -> list[str]:
        """Return templates whose photo changed, now that its new one is in the gallery."""
        with self._transaction() as connection:
            rows = connection.scalars(
                select(photos.c.replaced_id).where(
                    photos.c.replaced_id.is_not(None), photos.c.state.in_(("done", "duplicate"))
                )
            )
            return [each for each in rows if each is not None]

    def replaced_is_gone(self, template_id: str) -> None:
        """Keep that a replaced template is out of the gallery."""
        with self._transaction() as connection:
            connection.execute(
                update(photos).where(photos.c.replaced_id == template_id).values(replaced_id=None)
            )

    def revive_duplicates(self) -> int:
        """Have duplicates indexed whose original is another photo by now; returns how many.

        Where the original was removed by somebody, its duplicates stay out too.
        """
        other = photos.alias()
        original = select(other.c.id).where(
            other.c.content_hash == photos.c.content_hash,
            other.c.state.in_(("done", "writing", "removed")),
        )
        statement = (
            update(photos)
            .where(photos.c.state == "duplicate", ~original.exists())
            .values(state="pending")
        )
        with self._transaction() as connection:
            return connection.execute(statement).rowcount

    def position(self) -> tuple[int, str]:
        """Return up to where the gallery's log was followed, and the anchor of that entry."""
        with self._transaction() as connection:
            return int(_fact(connection, "sequence") or 0), _fact(connection, "anchor") or ""

    def follow(self, some: Sequence[FollowedChange], *, sequence: int, anchor: str) -> list[str]:
        """Follow changes of the gallery, up to a number of its log with this anchor.

        Returns:
            Templates that came and went without being known here.
        """
        with self._transaction() as connection:
            unknown = follow(connection, some)
            _set_fact(connection, "sequence", str(sequence))
            _set_fact(connection, "anchor", anchor)
        return unknown

    def carry_removed_to(self, other: "BatchState") -> None:
        """Have another gallery's batches keep out what this one's keep out, in one transaction.

        What was carried over before and is not kept out any more is forgotten there.
        """
        with self._transaction() as connection, other._transaction() as target:
            keep_out(target, kept_out(connection))

    def start_over(self) -> None:
        """Doubt everything: the gallery went back to another state, and is to be followed anew."""
        with self._transaction() as connection:
            connection.execute(
                update(photos)
                .where(photos.c.state.in_(("writing", "done", "duplicate")))
                .values(state="pending")
            )
            _set_fact(connection, "sequence", "0")
            _set_fact(connection, "anchor", "")

    def failed(self, source: int, *, run: int | None = None) -> Iterator[FailedPhoto]:
        """Yield what failed of a source, oldest first; with a run, only what it met."""
        in_run = true() if run is None else photos.c.run == run
        last = 0
        while True:
            with self._transaction() as connection:
                rows = connection.execute(
                    select(photos)
                    .where(
                        photos.c.source_id == source,
                        photos.c.state == "failed",
                        in_run,
                        photos.c.id > last,
                    )
                    .order_by(photos.c.id)
                    .limit(1000)
                ).all()
            if not rows:
                return
            for row in rows:
                yield FailedPhoto(key=row.key, error=row.error, message=row.message)
            last = rows[-1].id

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with self._transactions, begun(self._engine) as connection:
            yield connection


def _prepare(connection: Connection, gallery_id: str) -> None:
    METADATA.create_all(connection)
    _add_later_columns(connection)
    for index in photos.indexes:
        # A table that is there gets no index that came later.
        index.create(connection, checkfirst=True)
    version = _fact(connection, "version")
    if version is None:
        _set_fact(connection, "version", str(VERSION))
        _set_fact(connection, "gallery", gallery_id)
        # Templates that did not come from a source of a batch.
        connection.execute(insert(sources).values(id=0, address=""))
    elif int(version) != VERSION:
        raise StoreNewer("a newer version of FaceGallery wrote this state; use that version")
    elif _fact(connection, "gallery") != gallery_id:
        raise RequestInvalid(
            "this state belongs to another gallery; give each gallery a state file of its own"
        )


def _add_later_columns(connection: Connection) -> None:
    """Give a file of an earlier version the columns that it lacks, empty."""
    column = photos.c.metadata_digest
    known = {each["name"] for each in inspect(connection).get_columns(photos.name)}
    if column.name not in known:
        kind = column.type.compile(connection.dialect)
        connection.exec_driver_sql(f"ALTER TABLE {photos.name} ADD COLUMN {column.name} {kind}")


def _fact(connection: Connection, name: str) -> str | None:
    value: str | None = connection.scalar(select(facts.c.value).where(facts.c.name == name))
    return value


def _set_fact(connection: Connection, name: str, value: str) -> None:
    statement = upsert(facts).values(name=name, value=value)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"value": value})
    )
