"""All templates of a gallery, read in order and verified against their checksums.

Shapes: N templates, D embedding dimension.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Executable, Row, select, type_coerce
from sqlalchemy.types import NullType

from embedding.errors import StoreCorrupt
from index.sealing import Sealer, TemplateContext
from index.store import template_rows
from index.store.database import Database
from index.store.stored_gallery import StoredGallery
from index.store.tables import subjects, templates

_ROWS_AT_A_TIME = 16_384
"""About 60 MB; read from SQLite in a tenth of a second."""

_IDS_IN_MESSAGE = 10

# As the driver gives them: turning a million times and blobs into themselves takes seconds.
_COLUMNS = [
    type_coerce(column, NullType()).label(name)
    for name, column in (
        *((name, templates.c[name]) for name in (*template_rows.CHECKED_FIELDS, "checksum", "id")),
        ("owner", subjects.c.public_id),
    )
]

Loaded = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Ids (N,) and embeddings (N, D)."""


class TemplateLoader:
    """Reads and verifies the templates of one gallery."""

    def __init__(self, database: Database, *, gallery: StoredGallery, sealer: Sealer) -> None:
        self._database = database
        self._gallery = gallery
        self._sealer = sealer

    def all(self, *, up_to: int) -> Iterator[Loaded]:
        """Yield the ids (N,) and embeddings (N, D) of all templates, some thousands at a time.

        Args:
            up_to: only templates whose number in the change log is at most this one.

        Raises:
            StoreCorrupt: rows do not fit their checksum; the message names template ids.
        """
        in_time = templates.c.sequence <= up_to
        rows = self.read(in_time)
        while rows:
            yield self.loaded(rows)
            # Not in a second thread: driver and checksums would hand the interpreter to and fro
            # at every row, which takes longer than both in turn.
            rows = self.read(templates.c.id > rows[-1].id, in_time)

    def some(self, row_ids: Sequence[int]) -> Iterator[Loaded]:
        """Yield those of the templates that are still there, ascending by id.

        Raises:
            StoreCorrupt: rows do not fit their checksum; the message names template ids.
        """
        for start in range(0, len(row_ids), _ROWS_AT_A_TIME):
            wanted = sorted(row_ids)[start : start + _ROWS_AT_A_TIME]
            rows = self.read(templates.c.id.in_(wanted))
            if rows:
                yield self.loaded(rows)

    def loaded(self, rows: Sequence[Row[Any]]) -> Loaded:
        """Return ids and embeddings of rows that `read` gave; raises as `unsealed_rows`."""
        return unsealed_rows(rows, gallery=self._gallery, sealer=self._sealer)

    def read(self, *conditions: ColumnElement[bool]) -> Sequence[Row[Any]]:
        """Return the first some thousand rows of the gallery that meet conditions, by id."""
        query = (
            select(*_COLUMNS)
            .outerjoin_from(templates, subjects)
            .where(templates.c.gallery_id == self._gallery.row_id, *conditions)
            .order_by(templates.c.id)
            .limit(_ROWS_AT_A_TIME)
        )
        return _all_rows(self._database, query)


def unsealed_rows(rows: Sequence[Row[Any]], *, gallery: StoredGallery, sealer: Sealer) -> Loaded:
    """Return ids (N,) and embeddings (N, D) of rows, verified.

    Args:
        rows: with `CHECKED_FIELDS` first, `checksum`, `id`, and the subject's id as `owner`.
        gallery: of the rows.
        sealer: unseals them.

    Raises:
        StoreCorrupt: a row does not fit its checksum, its gallery or its place.
        SealKeyMissing: one is sealed with a key that is not at hand.
    """
    _verify(rows, gallery_id=gallery.id)
    foreign = [row for row in rows if row.space_id != gallery.space_id]
    if foreign:
        raise StoreCorrupt(
            f"template {foreign[0].public_id} and {len(foreign) - 1} more are of another "
            f"gallery space than their gallery; restore the data folder from a backup"
        )
    if sealer.encrypts:
        clear = [_unsealed(row, gallery=gallery, sealer=sealer) for row in rows]
    else:
        clear = [row.sealed_embedding for row in rows]
    ids = np.array([row.id for row in rows], dtype=np.int64)
    return ids, template_rows.embeddings(clear)


def _unsealed(row: Row[Any], *, gallery: StoredGallery, sealer: Sealer) -> bytes:
    context = TemplateContext(
        gallery_id=gallery.id,
        subject_id=row.owner,
        template_id=row.public_id,
        fingerprint=row.fingerprint,
        space_id=row.space_id,
    )
    return sealer.unseal(row.sealed_embedding, context=context)


def _all_rows(database: Database, query: Executable) -> Sequence[Row[Any]]:
    try:
        with database.transaction() as connection:
            return connection.execute(query).all()
    except (TypeError, ValueError) as error:
        # A damaged time or number, which the driver cannot read at all.
        raise StoreCorrupt(
            "a template holds a value that cannot be read; restore the data folder from a backup"
        ) from error


def _verify(rows: Sequence[Row[Any]], *, gallery_id: str) -> None:
    damaged = template_rows.damaged(rows, gallery_id=gallery_id)
    if damaged:
        named = ", ".join(str(row.public_id) for row in damaged[:_IDS_IN_MESSAGE])
        more = len(damaged) - _IDS_IN_MESSAGE
        raise StoreCorrupt(
            f"stored templates do not fit their checksums: {named}"
            + (f" and {more} more" if more > 0 else "")
            + "; restore the data folder from a backup"
        )
