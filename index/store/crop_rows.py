"""Crops of faces, kept where the operator wants them: sealed, and gone with what they are of.

A crop is sealed for its gallery, its subject and its template or review; it opens as nothing else.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import Connection, Select, select, update

from embedding.errors import RequestInvalid
from index.sealing import ChunkContext, Sealer
from index.store.bulk import insert_rows
from index.store.database import Database
from index.store.lots import in_lots
from index.store.tables import crops, galleries, reviews, subjects, templates

Of = Literal["template", "review"]

_AT_A_TIME = 200


def crop_context(of: Of, public_id: str, *, gallery_id: str, subject_id: str) -> ChunkContext:
    """Return what a crop is bound to."""
    return ChunkContext(
        purpose=f"crop of a {of}",
        owner_id=gallery_id,
        file=f"{subject_id} {public_id}",
        chunk=0,
        last=True,
    )


def seal_crop(
    crop: bytes, of: Of, public_id: str, *, gallery_id: str, subject_id: str, sealer: Sealer
) -> bytes:
    """Return a crop as it goes to disk.

    Raises:
        RequestInvalid: the sealer does not encrypt.
    """
    if not sealer.encrypts:
        raise RequestInvalid("crops of faces are kept only where templates are sealed with a key")
    context = crop_context(of, public_id, gallery_id=gallery_id, subject_id=subject_id)
    return sealer.seal(crop, context=context)


def insert_crops(connection: Connection, of: Of, sealed: Mapping[int, bytes]) -> None:
    """Write sealed crops by the row ids of templates or reviews."""
    rows = [{f"{of}_id": row_id, "sealed": each} for row_id, each in sealed.items()]
    if rows:
        insert_rows(connection, crops, rows)


def template_crop(connection: Connection, template: int) -> bytes | None:
    """Return a template's sealed crop; None where none was kept."""
    found: bytes | None = connection.scalar(
        select(crops.c.sealed).where(crops.c.template_id == template)
    )
    return found


def review_crop(connection: Connection, review: int) -> bytes | None:
    """Return a review's sealed crop; None where none was kept."""
    found: bytes | None = connection.scalar(
        select(crops.c.sealed).where(crops.c.review_id == review)
    )
    return found


_CROP_OF = {"template": template_crop, "review": review_crop}


def move_crops(
    connection: Connection,
    of: Of,
    moved: Sequence[tuple[int, str]],
    *,
    gallery_id: str,
    old: str,
    new: str,
    sealer: Sealer,
) -> None:
    """Seal crops anew for another subject; for whoever moves what they are of.

    Args:
        connection: the transaction that moves it.
        of: what they are of.
        moved: row and public ids of the templates or reviews.
        gallery_id: of both subjects.
        old: public id of the subject that these were of.
        new: public id of the one that they are of now.
        sealer: of the gallery.

    Raises:
        StoreCorrupt: a crop was changed.
        SealKeyMissing: one is sealed with a key that is not at hand.
    """
    for row_id, public_id in moved:
        sealed = _CROP_OF[of](connection, row_id)
        if sealed is None:
            continue
        before, after = (
            crop_context(of, public_id, gallery_id=gallery_id, subject_id=each)
            for each in (old, new)
        )
        again = sealer.seal(sealer.unseal(sealed, context=before), context=after)
        which = crops.c[f"{of}_id"] == row_id
        connection.execute(update(crops).where(which).values(sealed=again))


def carry_crops(
    connection: Connection,
    pairs: Sequence[tuple[str, str]],
    *,
    old_gallery: str,
    new_gallery: str,
    sealer: Sealer,
) -> int:
    """Give templates of another gallery the crops of those that they were made after.

    Args:
        connection: in a transaction that holds the other gallery.
        pairs: public ids of a template and of the one made after it; one that is gone, or has a
            crop, is passed over.
        old_gallery: public id.
        new_gallery: public id.
        sealer: of both.

    Returns:
        How many crops were written.

    Raises:
        StoreCorrupt: a crop was changed.
        SealKeyMissing: one is sealed with a key that is not at hand.
    """
    query = (
        select(
            templates.c.id,
            templates.c.public_id,
            subjects.c.public_id.label("subject"),
            crops.c.sealed,
        )
        .join(subjects, subjects.c.id == templates.c.subject_id)
        .outerjoin(crops, crops.c.template_id == templates.c.id)
    )
    known = {
        row.public_id: row
        for some in in_lots([each for pair in pairs for each in pair])
        for row in connection.execute(query.where(templates.c.public_id.in_(some)))
    }
    written: dict[int, bytes] = {}
    for old_id, new_id in pairs:
        old, new = known.get(old_id), known.get(new_id)
        if old is None or old.sealed is None or new is None or new.sealed is not None:
            continue
        context = crop_context("template", old_id, gallery_id=old_gallery, subject_id=old.subject)
        written[new.id] = seal_crop(
            sealer.unseal(old.sealed, context=context),
            "template",
            new_id,
            gallery_id=new_gallery,
            subject_id=new.subject,
            sealer=sealer,
        )
    insert_crops(connection, "template", written)
    return len(written)


def reseal_crops(database: Database, *, old: Sealer, new: Sealer) -> int:
    """Seal all crops with the current key; returns how many were changed.

    May be stopped at any moment and called again. One of a review that is queued meanwhile may
    be sealed with the key of before: that key is needed until the next call, or until it expires.

    Raises:
        StoreCorrupt: a crop was changed.
        SealKeyMissing: one is sealed with a key that `old` has not.
    """
    of_template = (
        select(
            crops.c.id,
            crops.c.sealed,
            templates.c.public_id.label("item"),
            subjects.c.public_id.label("subject"),
            galleries.c.public_id.label("gallery"),
        )
        .join(templates, templates.c.id == crops.c.template_id)
        .join(subjects, subjects.c.id == templates.c.subject_id)
        .join(galleries, galleries.c.id == templates.c.gallery_id)
    )
    of_review = (
        select(
            crops.c.id,
            crops.c.sealed,
            reviews.c.public_id.label("item"),
            subjects.c.public_id.label("subject"),
            galleries.c.public_id.label("gallery"),
        )
        .join(reviews, reviews.c.id == crops.c.review_id)
        .join(subjects, subjects.c.id == reviews.c.subject_id)
        .join(galleries, galleries.c.id == subjects.c.gallery_id)
    )
    num_changed = 0
    queries: tuple[tuple[Of, Select[Any]], ...] = (
        ("template", of_template),
        ("review", of_review),
    )
    for of, query in queries:
        last = -1
        while True:
            with database.transaction() as connection:
                # A removal waits, or is waited for: it must not be undone by a row written again.
                rows = connection.execute(
                    query.where(crops.c.id > last)
                    .order_by(crops.c.id)
                    .limit(_AT_A_TIME)
                    .with_for_update(of=crops)
                ).all()
                if not rows:
                    break
                last = rows[-1].id
                for row in rows:
                    if new.is_current(row.sealed):
                        continue
                    context = crop_context(
                        of, row.item, gallery_id=row.gallery, subject_id=row.subject
                    )
                    sealed = new.seal(old.unseal(row.sealed, context=context), context=context)
                    connection.execute(
                        update(crops).where(crops.c.id == row.id).values(sealed=sealed)
                    )
                    num_changed += 1
    return num_changed
