"""The galleries of one data folder: opened, made, listed and deleted here."""

import logging
import threading
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from embedding.errors import GalleryExists, GalleryNotFound, StoreError
from index.checks import check_fingerprint, check_gallery_name
from index.gallery import Gallery
from index.sealing import ClearSealer, Sealer
from index.store.folder import DataFolder
from index.store.keys import ApiKeys
from index.store.store import Store

logger = logging.getLogger(__name__)


class Galleries:
    """A data folder that this process holds, with its galleries loaded; thread safe.

    Use it as a context manager, or call `close`. While it is open no other process can open the
    same folder.
    """

    def __init__(self, folder: DataFolder, store: Store) -> None:
        self._folder = folder
        self._store = store
        self._galleries: dict[str, Gallery] = {}
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def open(
        cls, data_folder: Path, *, url: str | None = None, sealer: Sealer | None = None
    ) -> Self:
        """Return the folder's galleries, loaded and verified; an empty folder is set up.

        Args:
            data_folder: created with mode 0700 when it does not exist.
            url: where this process serves HTTP, for others that find the folder in use; may be
                given later with `set_url`.
            sealer: seals every template that is written; in the clear by default.

        Raises:
            StoreInUse: another process holds the folder; carries its `url`.
            StoreNewer: written by a newer version of this program.
            StoreCorrupt: a template does not fit its checksum, or the database is damaged.
            StoreError: the folder cannot be created, read or written.
        """
        with ExitStack() as undo:
            folder = DataFolder.open(data_folder, url=url)
            undo.callback(folder.close)
            store = Store(folder, sealer=sealer or ClearSealer())
            undo.callback(store.close)
            galleries = cls(folder, store)
            for stored in store.galleries():
                galleries._load(Gallery(store.gallery_store(stored)))
            undo.pop_all()
        logger.info("opened the data folder with %s galleries", len(galleries._galleries))
        return galleries

    @property
    def path(self) -> Path:
        """The data folder."""
        return self._folder.path

    @property
    def keys(self) -> ApiKeys:
        """The API keys of this data folder."""
        return self._store.keys

    def secret(self, name: str) -> bytes:
        """Return the folder's 32 random bytes for one purpose, made on first use.

        Args:
            name: lower-case letters, digits and hyphens; one name, one purpose.
        """
        with self._lock:
            self._check_open()
            return self._folder.secret(name)

    def set_url(self, url: str | None) -> None:
        """Tell other processes where this one serves HTTP, through the folder's lock file."""
        with self._lock:
            self._check_open()
            self._folder.set_url(url)

    def create(self, name: str, *, fingerprint: str) -> Gallery:
        """Return a new, empty gallery, committed.

        Args:
            name: 1 to 255 of the characters A-Z a-z 0-9 . _ -
            fingerprint: of the model whose embeddings it will hold.

        Raises:
            GalleryExists: there is one with this name.
            NameInvalid: other characters, or too long.
            RequestInvalid: the fingerprint is not a hexadecimal sha256.
        """
        check_gallery_name(name)
        check_fingerprint(fingerprint)
        with self._lock:
            self._check_open()
            if name in self._galleries:
                raise GalleryExists("a gallery with this name exists already; take another name")
            stored = self._store.create_gallery(name, fingerprint=fingerprint)
            gallery = Gallery(self._store.gallery_store(stored))
            self._galleries[name] = gallery
        logger.info("created gallery %s", gallery.id)
        return gallery

    def get(self, name: str) -> Gallery:
        """Return the gallery; the same object at every call.

        Raises:
            GalleryNotFound: no gallery with this name.
        """
        with self._lock:
            self._check_open()
            gallery = self._galleries.get(name)
        if gallery is None:
            raise GalleryNotFound("no gallery with this name; create it, or list those there are")
        return gallery

    def list(self) -> tuple[Gallery, ...]:
        """Return all galleries by name."""
        with self._lock:
            self._check_open()
            return tuple(gallery for _, gallery in sorted(self._galleries.items()))

    def delete(self, name: str) -> int:
        """Delete the gallery with all that it holds; returns the number of templates removed.

        Raises:
            GalleryNotFound: no gallery with this name.
        """
        with self._lock:
            self._check_open()
            gallery = self._galleries.get(name)
            if gallery is None:
                raise GalleryNotFound("no gallery with this name; list those there are")
            num_templates = gallery.delete()
            del self._galleries[name]
        logger.info("deleted gallery %s", gallery.id)
        return num_templates

    def close(self) -> None:
        """Give the folder back; later calls raise `StoreError`. A second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for gallery in self._galleries.values():
                gallery.close()
            self._store.close()
            self._folder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _load(self, gallery: Gallery) -> None:
        gallery.load()
        self._galleries[gallery.name] = gallery

    def _check_open(self) -> None:
        if self._closed:
            raise StoreError("the data folder was closed; open it again")
