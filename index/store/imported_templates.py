"""The templates of an exchange file as rows of the gallery's table.

Shapes: N rows, D embedding dimension.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from index.exchange.rows import ExchangeRow
from index.records import NewTemplate
from index.sealing import Sealer, TemplateContext
from index.space import GallerySpace
from index.store import template_rows
from index.store.bulk import driver_time, insert_numbered
from index.store.spaces import space_of
from index.store.stored_gallery import StoredGallery
from index.store.subject_rows import FoundSubject
from index.store.tables import templates


class TemplateWriter:
    """Writes templates of exchange rows, sealed and in the gallery's space.

    Args:
        connection: in a transaction that holds the gallery.
        gallery: its row.
        sealer: seals the vectors.
        now: when a template was enrolled whose row does not say it; UTC.
    """

    def __init__(
        self,
        connection: Connection,
        gallery: StoredGallery,
        *,
        sealer: Sealer,
        now: datetime,
    ) -> None:
        self._connection = connection
        self._gallery = gallery
        self._sealer = sealer
        self._space: GallerySpace | None = space_of(gallery, sealer)
        self._now = now

    def write(
        self, rows: Sequence[ExchangeRow], owners: Mapping[str, FoundSubject], *, first: int
    ) -> list[int]:
        """Write the rows' templates; returns their row ids, in the order of the rows.

        Args:
            rows: checked, at least one; none is there already.
            owners: all their subjects, by the ids of the file.
            first: number of the first one in the change log; those of the others follow.
        """
        whose = [None if row.subject_id is None else owners[row.subject_id] for row in rows]
        times = [self._time(row) for row in rows]
        packed = [
            template_rows.pack(
                _template(row),
                embedding=embedding.tobytes(),
                context=self._context(row, owner),
                sealer=self._sealer,
                sequence=sequence,
                created_at=time.isoformat(),
            )
            for sequence, (row, owner, time, embedding) in enumerate(
                zip(rows, whose, times, self._embeddings(rows), strict=True), start=first
            )
        ]
        template_rows.add_checksums(
            packed,
            gallery_id=self._gallery.id,
            owners=[None if owner is None else owner.id for owner in whose],
        )
        for one, owner, time in zip(packed, whose, times, strict=True):
            one["created_at"] = driver_time(self._connection, time)
            one["gallery_id"] = self._gallery.row_id
            one["subject_id"] = None if owner is None else owner.row_id
        return insert_numbered(self._connection, templates, packed, gallery=self._gallery.row_id)

    def _time(self, row: ExchangeRow) -> datetime:
        """When the row's template was enrolled, in UTC."""
        return row.created_at.astimezone(UTC) if row.created_at is not None else self._now

    def _embeddings(self, rows: Sequence[ExchangeRow]) -> NDArray[np.float32]:
        """The vectors to store, (N, D) little-endian."""
        embeddings_ND = np.stack([row.embedding for row in rows])
        if self._space is not None:
            embeddings_ND = self._space.rotate(embeddings_ND)
        return embeddings_ND.astype("<f4", copy=False)

    def _context(self, row: ExchangeRow, owner: FoundSubject | None) -> TemplateContext:
        return TemplateContext(
            gallery_id=self._gallery.id,
            subject_id=None if owner is None else owner.id,
            template_id=row.template_id,
            fingerprint=self._gallery.fingerprint,
            space_id=self._gallery.space_id,
        )


def _template(row: ExchangeRow) -> NewTemplate:
    return NewTemplate(
        embedding=row.embedding,
        norm=row.norm,
        fingerprint=row.fingerprint,
        box=row.box,
        photo_size=row.photo_size,
        landmarks=row.landmarks,
        confidence=row.confidence,
        quality=row.quality,
        face_id=row.face_id,
        image_id=row.image_id,
        # Keyed by another data folder, and so not in the file.
        image_hash=b"",
    )
