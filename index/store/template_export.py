"""A gallery's templates with the people whose they are, in one picture of the database."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Row, Select, func, select

from index.exchange.rows import ExchangeRow
from index.sealing import Sealer
from index.store import template_rows
from index.store.database import Database
from index.store.loading import unsealed_rows
from index.store.spaces import space_of
from index.store.stored_gallery import StoredGallery
from index.store.subject_rows import not_expired
from index.store.tables import subjects, templates, utc_now

_ROWS_AT_A_TIME = 2_000
_DETAILS = ("metadata", "purpose", "consent", "expires_at")


def export_rows(
    database: Database, gallery: StoredGallery, *, sealer: Sealer, whole: bool = True
) -> Iterator[ExchangeRow]:
    """Yield all templates, verified, their vectors in the model's own space.

    Those of people who have expired are left out.

    Args:
        database: of the gallery.
        gallery: its row.
        sealer: unseals them.
        whole: as they are at one moment; on SQLite everybody else waits meanwhile. Else a page
            at a time, for a reader who may be slow: each person who is there from beginning to
            end is given, as the page is read; who is enrolled meanwhile is not.

    Raises:
        StoreCorrupt: a template does not fit its checksum.
        SealKeyMissing: one is sealed with a key that is not at hand.
    """
    space = space_of(gallery, sealer)
    checked = [templates.c[name] for name in template_rows.CHECKED_FIELDS]
    query: Select[Any] = (
        select(
            *checked,
            templates.c.checksum,
            templates.c.id,
            subjects.c.public_id.label("owner"),
            subjects.c.name,
            subjects.c.external_id,
            *(subjects.c[name] for name in _DETAILS),
        )
        .outerjoin_from(templates, subjects)
        .where(templates.c.gallery_id == gallery.row_id, not_expired(utc_now()))
        .order_by(templates.c.id)
        .limit(_ROWS_AT_A_TIME)
    )
    pages = _picture(database, query) if whole else _pages(database, query, gallery=gallery.row_id)
    # Closed with this one, which may be given up between two rows.
    with closing(pages):
        for rows in pages:
            _, embeddings_ND = unsealed_rows(rows, gallery=gallery, sealer=sealer)
            if space is not None:
                embeddings_ND = space.unrotate(embeddings_ND)
            for row, embedding in zip(rows, embeddings_ND, strict=True):
                known = template_rows.unpack(row, subject_id=row.owner)
                yield ExchangeRow(
                    subject_id=row.owner,
                    name=row.name,
                    external_id=row.external_id,
                    template_id=known.id,
                    embedding=embedding,
                    norm=known.norm,
                    quality=known.quality,
                    confidence=known.confidence,
                    box=known.box,
                    photo_size=known.photo_size,
                    landmarks=known.landmarks,
                    face_id=known.face_id,
                    image_id=known.image_id,
                    fingerprint=known.fingerprint,
                    created_at=known.created_at,
                    **{name: row._mapping[name] for name in _DETAILS},
                )


def _picture(database: Database, query: Select[Any]) -> Generator[Sequence[Row[Any]]]:
    last = -1
    with database.picture() as connection:
        while rows := connection.execute(query.where(templates.c.id > last)).all():
            last = rows[-1].id
            yield rows


def _pages(
    database: Database, query: Select[Any], *, gallery: int
) -> Generator[Sequence[Row[Any]]]:
    last = -1
    own = templates.c.gallery_id == gallery
    with database.transaction() as connection:
        end = connection.scalar(select(func.max(templates.c.id)).where(own)) or last
    query = query.where(templates.c.id <= end)
    while last < end:
        with database.transaction() as connection:
            rows = connection.execute(query.where(templates.c.id > last)).all()
        if not rows:
            return
        last = rows[-1].id
        yield rows
