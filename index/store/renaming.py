"""Gives a gallery another name, and with it the keys that are tied to it by name."""

import json

from sqlalchemy import Connection, select, update
from sqlalchemy.exc import IntegrityError

from embedding.errors import GalleryExists, GalleryFilling, RequestInvalid
from index.filling import is_filling_for
from index.store.change_log import begin_change
from index.store.stored_gallery import StoredGallery
from index.store.tables import api_keys, galleries


def rename_gallery(connection: Connection, gallery: StoredGallery, name: str) -> int:
    """Write another name; returns how many keys were tied to it anew.

    Args:
        connection: in a transaction that changes no other gallery.
        gallery: its row.
        name: checked.

    Raises:
        GalleryExists: another gallery has it.
        GalleryFilling: one is being filled to take the gallery's place, and would not find it.
        GalleryReplaced: the gallery has got another name meanwhile.
        RequestInvalid: a key would reach the gallery only by its new name.
    """
    begin_change(connection, gallery.row_id, name=gallery.name)
    names = connection.scalars(select(galleries.c.name)).all()
    if name in names:
        raise _exists()
    if any(is_filling_for(each, gallery.name) for each in names):
        raise GalleryFilling(
            "another gallery is being filled to take this one's place; rename it afterwards"
        )
    num_keys = _retie(connection, gallery.name, name)
    try:
        connection.execute(
            update(galleries).where(galleries.c.id == gallery.row_id).values(name=name)
        )
    except IntegrityError:
        # Another process was quicker.
        raise _exists() from None
    return num_keys


def _retie(connection: Connection, old: str, new: str) -> int:
    """Tie the keys of one name to another, so that each reaches what it did before."""
    num = 0
    for row in connection.execute(
        select(api_keys.c.key_id, api_keys.c.galleries, api_keys.c.revoked_at)
        .where(api_keys.c.galleries.is_not(None))
        .with_for_update()
    ).all():
        tied = set(json.loads(row.galleries))
        if old in tied:
            names = json.dumps(sorted(tied - {old} | {new}))
            connection.execute(
                update(api_keys).where(api_keys.c.key_id == row.key_id).values(galleries=names)
            )
            num += 1
        elif new in tied and row.revoked_at is None:
            raise RequestInvalid(
                "a key is tied to this name, though no gallery has it, and would reach this one; "
                "revoke the key, or take another name"
            )
    return num


def _exists() -> GalleryExists:
    return GalleryExists("a gallery with this name exists already; take another name")
