"""The galleries of a store as this process knows them: found by name, and followed.

Others change them too where a database is shared: they make, delete and rename galleries.
"""

import logging
import threading
from collections.abc import Callable

from embedding.errors import GalleryFilling, GalleryNotFound, GalleryReplaced, StoreError
from index.checks import check_gallery_name, check_limit
from index.filling import is_filling
from index.following import Follower
from index.gallery import Gallery
from index.memory import MemoryOptions
from index.store.store import Store
from index.store.stored_gallery import StoredGallery

logger = logging.getLogger(__name__)

_CURSOR = "galleries"


class KnownGalleries:
    """All galleries of an open store, loaded; thread safe."""

    def __init__(self, store: Store, *, options: MemoryOptions) -> None:
        self._store = store
        self._options = options
        self._galleries: dict[str, Gallery] = {}
        self._lock = threading.Lock()
        # Held while the list is compared with SQL, which can take long: loading a gallery does.
        self._syncing = threading.Lock()
        # Set where a change found out that a gallery has another name.
        self._outdated = threading.Event()
        self._follower: Follower | None = None
        self._closed = False

    @property
    def store(self) -> Store:
        """The store, for other parts of this package; a change there is not followed."""
        return self._store

    def get(self, name: str) -> Gallery:
        """Return the gallery; the same object at every call until it gets another name.

        Changes through an object with the old name are refused (`GalleryReplaced`).

        Raises:
            GalleryFilling: it is being filled to take another one's place.
            GalleryNotFound: no gallery with this name.
        """
        gallery = self._found(name)
        if is_filling(name):
            raise GalleryFilling(
                "this gallery is being filled to take another one's place; use the one with the "
                "name before the ~ until then"
            )
        return gallery

    def _found(self, name: str) -> Gallery:
        self._know_names()
        with self._lock:
            self._check_open()
            gallery = self._galleries.get(name)
        if gallery is None and self._store.database.shared:
            # Another process may have made it a moment ago.
            self.sync()
            gallery = self._galleries.get(name)
        if gallery is None:
            raise GalleryNotFound("no gallery with this name; create it, or list those there are")
        return gallery

    def list(self) -> tuple[Gallery, ...]:
        """Return all galleries by name, also those that are being filled (`index.filling`)."""
        with self._lock:
            self._check_open()
            return tuple(gallery for _, gallery in sorted(self._galleries.items()))

    def page(
        self, *, limit: int, cursor: str | None = None, shown: Callable[[str], bool] | None = None
    ) -> tuple[tuple[Gallery, ...], str | None]:
        """Return galleries by name, and the cursor of the next page; None at the end.

        Args:
            limit: at most so many, 1 to 1000.
            cursor: of the page before.
            shown: tells of a name whether it is to be listed; None for all.

        Raises:
            RequestInvalid: the limit is out of range, or the cursor is not of this list.
        """
        check_limit(limit)
        cursors = self._store.cursors
        after = "" if cursor is None else cursors.read_text(cursor, list_name=_CURSOR)
        found = [
            each
            for each in self.list()
            if each.name > after and (shown is None or shown(each.name))
        ]
        more = len(found) > limit
        page = tuple(found[:limit])
        return page, cursors.write_text(page[-1].name, list_name=_CURSOR) if more else None

    def rename(self, name: str, new_name: str) -> Gallery:
        """Give a gallery another name; keys that are tied to it are tied to that from then on.

        Other processes know the name within half a second; a change by the old name is refused.

        Raises:
            GalleryExists: another gallery has the new name.
            GalleryFilling: one of the two is being filled to take a gallery's place.
            GalleryNotFound: no gallery with this name.
            GalleryReplaced: it has got another name a moment ago.
            NameInvalid: the new name cannot be one.
            RequestInvalid: a key is tied to the new name, and would reach the gallery by it.
        """
        check_gallery_name(new_name)
        gallery = self.get(name)
        if new_name == name:
            return gallery
        with self._lock:
            self._check_open()
            try:
                self._store.rename(gallery.stored, new_name)
            except GalleryReplaced:
                self._outdated.set()
                raise
            renamed = gallery.under_name(new_name)
            self._galleries.pop(name, None)
            self._galleries[new_name] = renamed
        self._tell_others()
        logger.info("renamed gallery %s", gallery.id)
        return renamed

    def sync(self) -> None:
        """Follow what other processes changed since the last time; the follower's work.

        Raises:
            StoreError: the database cannot be read; the next call goes on where this one ended.
        """
        with self._syncing:
            with self._lock:
                self._check_open()
                known = {gallery.id: gallery for gallery in self._galleries.values()}
            standings = self._store.standings()
            for gallery in known.values():
                if gallery.id not in standings:
                    self._drop(gallery)
                elif gallery.sequence < standings[gallery.id].sequence:
                    self._catch_up(gallery)
            if standings.keys() - known.keys():
                for stored in self._store.galleries():
                    if stored.id not in known:
                        self._load(self._gallery(stored))
            elif any(
                standings[each.id].name != each.name
                for each in known.values()
                if each.id in standings
            ):
                self._know()

    @property
    def staleness_s(self) -> float:
        """How many seconds ago this process knew all that others had changed; 0 when alone."""
        return 0.0 if self._follower is None else self._follower.staleness_s

    def _catch_up(self, gallery: Gallery) -> None:
        try:
            gallery.catch_up()
        except GalleryNotFound:
            # Deleted since the sequences were read.
            self._drop(gallery)

    def _gallery(self, stored: StoredGallery) -> Gallery:
        return Gallery(
            stored,
            store=self._store,
            options=self._options,
            changed=self._tell_others,
            replaced=self._outdated.set,
        )

    def _know_names(self) -> None:
        """Follow at once where a refused change says that names have changed."""
        if self._outdated.is_set():
            self._outdated.clear()
            self.sync()

    def _load(self, gallery: Gallery) -> None:
        gallery.load()
        self._know(gallery)

    def _know(self, *loaded: Gallery) -> None:
        """Have all galleries under the names that they have in SQL now, with new ones."""
        with self._lock:
            self._check_open()
            standings = self._store.standings()
            # By ids: its own process may have made one since the list was read. One that is in
            # SQL no more is dropped by the next sync, unless its name is another one's now.
            by_id = {each.id: each for each in (*loaded, *self._galleries.values())}
            gone = [each for each in self._galleries.values() if each.id not in standings]
            known = [
                each.under_name(standings[each.id].name)
                for each in by_id.values()
                if each.id in standings
            ]
            self._galleries = {each.name: each for each in (*gone, *known)}

    def _drop(self, gallery: Gallery) -> None:
        """Forget a gallery that another process deleted; once it is not listed it is gone."""
        gallery.forget()
        with self._lock:
            known = self._galleries.get(gallery.name)
            if known is not None and known.id == gallery.id:
                del self._galleries[gallery.name]

    def _tell_others(self) -> None:
        if self._follower is not None:
            self._follower.hint()

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the data folder was closed; open it again")
