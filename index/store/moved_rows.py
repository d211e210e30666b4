"""Gives rows of templates another subject: sealed and summed anew, since both name the owner.

A row keeps its id, by which memories know its vector and ask SQL whose it is. So a move counts
at once in every process, and snapshots stay good.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, bindparam, literal, select, update

from embedding.errors import StoreCorrupt
from index.sealing import Sealer, TemplateContext
from index.store import template_rows
from index.store.crop_rows import move_crops
from index.store.stored_gallery import StoredGallery
from index.store.subject_rows import FoundSubject
from index.store.tables import templates

_ROWS_AT_A_TIME = 1_000


def move_rows(
    connection: Connection,
    gallery: StoredGallery,
    *conditions: ColumnElement[bool],
    old: tuple[int, str],
    new: FoundSubject,
    sealer: Sealer,
) -> list[Row[Any]]:
    """Give templates of one subject to another; returns their `id` and `public_id`, oldest first.

    Args:
        connection: in a transaction that holds the gallery; log and counters are the caller's.
        gallery: of both.
        conditions: which of the subject's templates; all without any.
        old: row and public id of whose they are.
        new: whose they become.
        sealer: of the gallery.

    Raises:
        StoreCorrupt: one does not fit its checksum.
        SealKeyMissing: one is sealed with a key that is not at hand.
    """
    moved: list[Row[Any]] = []
    for rows in _lots(connection, templates.c.subject_id == old[0], *conditions, owner=old[1]):
        connection.execute(
            update(templates)
            .where(templates.c.id == bindparam("row"))
            .values(
                subject_id=new.row_id,
                sealed_embedding=bindparam("sealed"),
                checksum=bindparam("new_checksum"),
            ),
            [_change(row, gallery, new=new, sealer=sealer) for row in rows],
        )
        move_crops(
            connection,
            "template",
            [(row.id, row.public_id) for row in rows],
            gallery_id=gallery.id,
            old=old[1],
            new=new.id,
            sealer=sealer,
        )
        moved += rows
    return moved


def _lots(
    connection: Connection, *conditions: ColumnElement[bool], owner: str
) -> Iterator[Sequence[Row[Any]]]:
    checked = [templates.c[name] for name in template_rows.CHECKED_FIELDS]
    query: Select[Any] = (
        select(*checked, templates.c.checksum, templates.c.id, literal(owner).label("owner"))
        .where(*conditions)
        .order_by(templates.c.id)
        .limit(_ROWS_AT_A_TIME)
        # Whoever seals them anew waits, or is waited for.
        .with_for_update()
    )
    last = -1
    while rows := connection.execute(query.where(templates.c.id > last)).all():
        last = rows[-1].id
        yield rows


def _change(
    row: Row[Any], gallery: StoredGallery, *, new: FoundSubject, sealer: Sealer
) -> dict[str, object]:
    if template_rows.damaged([row], gallery_id=gallery.id):
        raise StoreCorrupt(
            f"template {row.public_id} does not fit its checksum; restore from a backup"
        )
    before, after = (
        TemplateContext(
            gallery_id=gallery.id,
            subject_id=owner,
            template_id=row.public_id,
            fingerprint=row.fingerprint,
            space_id=row.space_id,
        )
        for owner in (row.owner, new.id)
    )
    sealed = sealer.seal(sealer.unseal(row.sealed_embedding, context=before), context=after)
    checksum = template_rows.checksum_with(row, sealed, gallery_id=gallery.id, owner=new.id)
    return {"row": row.id, "sealed": sealed, "new_checksum": checksum}
