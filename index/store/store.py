"""The store of one data folder: its galleries and API keys."""

import uuid

from sqlalchemy import insert, select

from index.sealing import Sealer
from index.store.cursors import Cursors
from index.store.database import Database
from index.store.folder import DataFolder
from index.store.gallery_reads import StoredGallery
from index.store.gallery_store import GalleryStore
from index.store.keys import ApiKeys
from index.store.tables import galleries, utc_now


class Store:
    """An open database in a held data folder; every method is thread safe."""

    def __init__(self, folder: DataFolder, *, sealer: Sealer) -> None:
        """Open the database, with its schema brought up to date.

        Raises:
            StoreNewer: written by a newer version of this program.
            StoreCorrupt: the database is damaged.
            StoreError: it cannot be read or written.
        """
        self._sealer = sealer
        self._cursors = Cursors(folder.secret("cursor"))
        self._database = Database(folder.database)
        self.keys = ApiKeys(self._database)

    def galleries(self) -> tuple[StoredGallery, ...]:
        """Return all galleries, oldest first."""
        with self._database.transaction() as connection:
            rows = connection.execute(select(galleries).order_by(galleries.c.id)).all()
        return tuple(
            StoredGallery(
                row_id=row.id,
                id=row.public_id,
                name=row.name,
                fingerprint=row.fingerprint,
                created_at=row.created_at,
            )
            for row in rows
        )

    def create_gallery(self, name: str, *, fingerprint: str) -> StoredGallery:
        """Return a new gallery, committed; the caller knows that the name is free."""
        public_id = str(uuid.uuid4())
        created_at = utc_now()
        with self._database.transaction() as connection:
            connection.execute(
                insert(galleries).values(
                    public_id=public_id,
                    name=name,
                    fingerprint=fingerprint,
                    sequence=0,
                    created_at=created_at,
                )
            )
            row_id = connection.scalars(
                select(galleries.c.id).where(galleries.c.public_id == public_id)
            ).one()
        return StoredGallery(
            row_id=row_id,
            id=public_id,
            name=name,
            fingerprint=fingerprint,
            created_at=created_at,
        )

    def gallery_store(self, gallery: StoredGallery) -> GalleryStore:
        """Return the subjects and templates of one gallery."""
        return GalleryStore(
            gallery, database=self._database, sealer=self._sealer, cursors=self._cursors
        )

    def close(self) -> None:
        """Close the database; a second call does nothing."""
        self._database.close()
