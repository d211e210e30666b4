"""Seals stored templates anew, with another key or for the first time."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, bindparam, select, update

from embedding.errors import StoreCorrupt
from index.sealing import SealContext, Sealer, TemplateContext
from index.store import template_rows
from index.store.database import Database
from index.store.facts import reseal_facts
from index.store.spaces import resealed_space
from index.store.stored_gallery import StoredGallery
from index.store.tables import galleries, subjects, templates

_ROWS_AT_A_TIME = 1_000
"""In one transaction: others wait for some tens of milliseconds at most."""


class FirstSealing:
    """Opens templates of which some lie in the clear and some were sealed before a stop.

    Args:
        new: what some are sealed with, not always with its current key.
    """

    def __init__(self, new: Sealer) -> None:
        self._new = new

    @property
    def encrypts(self) -> bool:
        """False: it seals nothing."""
        return False

    def seal(self, clear: bytes, *, context: SealContext) -> bytes:  # noqa: ARG002
        """Return the bytes unchanged."""
        return clear

    def unseal(self, sealed: bytes, *, context: SealContext) -> bytes:
        """Return the clear bytes; only those in the clear have a vector's length."""
        if len(sealed) == template_rows.EMBEDDING_BYTES:
            return sealed
        return self._new.unseal(sealed, context=context)

    def is_current(self, sealed: bytes) -> bool:  # noqa: ARG002
        """False: everything is to be sealed."""
        return False


def reseal_gallery(database: Database, gallery: StoredGallery, *, old: Sealer, new: Sealer) -> int:
    """Seal all of a gallery with the current key; returns how many templates were changed.

    May be stopped at any moment and called again: what is current already is left alone, and
    both keys open what they sealed.

    Args:
        database: of the gallery.
        gallery: its row.
        old: opens what is there.
        new: seals it.

    Raises:
        StoreCorrupt: a template does not fit its checksum.
        SealKeyMissing: a template is sealed with a key that `old` has not.
    """
    num_changed = 0
    last = -1
    while True:
        with database.transaction() as connection:
            rows = connection.execute(_query(gallery, last)).all()
            if not rows:
                # Whoever enrolls now may have begun with the key of before: waited for.
                connection.execute(_held(gallery))
                rows = connection.execute(_query(gallery, last)).all()
            if not rows:
                break
            if any(row.owner is None for row in rows):
                # Moved to another subject while the query waited for its row: read again, held.
                rows = connection.execute(_query(gallery, last)).all()
            last = rows[-1].id
            changes = _changes(rows, gallery, old=old, new=new)
            if changes:
                connection.execute(
                    update(templates)
                    .where(templates.c.id == bindparam("row"))
                    .values(
                        sealed_embedding=bindparam("sealed"), checksum=bindparam("new_checksum")
                    ),
                    changes,
                )
        num_changed += len(changes)
    with database.transaction() as connection:
        # Whoever calibrates now may have begun with the key of before: waited for.
        connection.execute(_held(gallery))
        reseal_facts(connection, gallery.id, old=old, new=new)
    sealed_space = resealed_space(gallery, old=old, new=new)
    if sealed_space is not None:
        with database.transaction() as connection:
            connection.execute(
                update(galleries)
                .where(galleries.c.id == gallery.row_id)
                .values(sealed_space=sealed_space)
            )
    return num_changed


def _query(gallery: StoredGallery, last: int) -> Any:  # noqa: ANN401 - a long Select
    checked = [templates.c[name] for name in template_rows.CHECKED_FIELDS]
    return (
        select(*checked, templates.c.checksum, templates.c.id, subjects.c.public_id.label("owner"))
        .outerjoin_from(templates, subjects)
        .where(templates.c.gallery_id == gallery.row_id, templates.c.id > last)
        .order_by(templates.c.id)
        .limit(_ROWS_AT_A_TIME)
        # A removal waits, or is waited for: it must not be undone by a row written again.
        .with_for_update(of=templates)
    )


def _held(gallery: StoredGallery) -> Any:  # noqa: ANN401 - a long Select
    return select(galleries.c.id).where(galleries.c.id == gallery.row_id).with_for_update()


def _changes(
    rows: Sequence[Row[Any]], gallery: StoredGallery, *, old: Sealer, new: Sealer
) -> list[dict[str, object]]:
    changes: list[dict[str, object]] = []
    for row in rows:
        if new.encrypts and new.is_current(row.sealed_embedding):
            continue
        if template_rows.damaged([row], gallery_id=gallery.id):
            raise StoreCorrupt(
                f"template {row.public_id} does not fit its checksum; restore from a backup"
            )
        context = TemplateContext(
            gallery_id=gallery.id,
            subject_id=row.owner,
            template_id=row.public_id,
            fingerprint=row.fingerprint,
            space_id=row.space_id,
        )
        sealed = new.seal(old.unseal(row.sealed_embedding, context=context), context=context)
        checksum = template_rows.checksum_with(row, sealed, gallery_id=gallery.id)
        changes.append({"row": row.id, "sealed": sealed, "new_checksum": checksum})
    return changes
