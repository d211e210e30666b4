"""All templates of a gallery, read in order and verified against their checksums.

Shapes: N templates, D embedding dimension.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, select

from embedding.errors import StoreCorrupt
from index.sealing import Sealer, TemplateContext
from index.store import template_rows
from index.store.database import Database
from index.store.tables import subjects, templates

_ROWS_AT_A_TIME = 5_000
"""About 12 MB."""

_IDS_IN_MESSAGE = 10

_COLUMNS = [
    templates.c[name] for name in (*template_rows.CHECKED_FIELDS, "checksum", "id", "subject_id")
]

_Owners = Mapping[int | None, str]


def load_embeddings(
    database: Database, *, gallery: int, gallery_id: str, sealer: Sealer
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Yield the ids (N,) and embeddings (N, D) of all templates, some thousands at a time.

    Args:
        database: its lock is not held between two yields.
        gallery: row id.
        gallery_id: public id.
        sealer: unseals the embeddings.

    Raises:
        StoreCorrupt: rows do not fit their checksum; the message names template ids.
    """
    owners = _owners(database, gallery)
    last = -1
    while rows := _rows_after(database, gallery, last):
        _verify(rows, gallery_id=gallery_id, owners=owners)
        last = rows[-1].id
        clear = [
            sealer.unseal(
                row.sealed_embedding,
                context=TemplateContext(
                    gallery_id=gallery_id,
                    subject_id=owners.get(row.subject_id),
                    template_id=row.public_id,
                    fingerprint=row.fingerprint,
                ),
            )
            for row in rows
        ]
        ids = np.fromiter((row.id for row in rows), dtype=np.int64, count=len(rows))
        yield ids, template_rows.embeddings(clear)


def _owners(database: Database, gallery: int) -> _Owners:
    with database.transaction() as connection:
        rows = connection.execute(
            select(subjects.c.id, subjects.c.public_id).where(subjects.c.gallery_id == gallery)
        ).all()
    return {row.id: row.public_id for row in rows}


def _rows_after(database: Database, gallery: int, last: int) -> Sequence[Row[Any]]:
    query = (
        select(*_COLUMNS)
        .where(templates.c.gallery_id == gallery, templates.c.id > last)
        .order_by(templates.c.id)
        .limit(_ROWS_AT_A_TIME)
    )
    try:
        with database.transaction() as connection:
            return connection.execute(query).all()
    except (TypeError, ValueError) as error:
        # A damaged time or number, which the driver cannot read at all.
        raise StoreCorrupt(
            f"a template after row {last} holds a value that cannot be read; restore the data "
            f"folder from a backup"
        ) from error


def _verify(rows: Sequence[Row[Any]], *, gallery_id: str, owners: _Owners) -> None:
    damaged = [
        str(row.public_id)
        for row in rows
        if not template_rows.intact(
            row, gallery_id=gallery_id, subject_id=owners.get(row.subject_id)
        )
    ]
    if damaged:
        named = ", ".join(damaged[:_IDS_IN_MESSAGE])
        more = len(damaged) - _IDS_IN_MESSAGE
        raise StoreCorrupt(
            f"stored templates do not fit their checksums: {named}"
            + (f" and {more} more" if more > 0 else "")
            + "; restore the data folder from a backup"
        )
