"""Galleries out to exchange files, and in from them."""

import logging
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from embedding.errors import FaceGalleryError, GalleryNotFound, StoreError, SubjectNotFound
from index.audit.entries import DONE, AuditEvent
from index.checks import check_gallery_name
from index.exchange.files import read_gallery, stream_gallery, verify, write_gallery
from index.exchange.rows import ExchangeHeader, ExchangeRow, Source
from index.ids import id_bytes
from index.known_galleries import KnownGalleries
from index.ledger.entries import Removal
from index.store.store import Store
from index.store.stored_gallery import StoredGallery
from index.store.tables import utc_now
from index.store.template_export import export_rows
from index.store.template_import import Imported

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred:
    """What an import did.

    Attributes:
        imported: the figures.
        left_out: ids of the templates that were erased here, or whose person has expired, and so
            were not written.
        created: whether the gallery was made.
    """

    imported: Imported
    left_out: tuple[str, ...]
    created: bool


def export_gallery(store: Store, name: str, target: Path) -> ExchangeHeader:
    """Write a gallery to a new Parquet file in clear text; returns its header.

    Raises:
        GalleryNotFound: no gallery with this name.
        RequestInvalid: the file exists.
        SettingsInvalid: the extra package is not installed.
        StoreCorrupt: a template does not fit its checksum; no file is left.
        StoreError: the file cannot be written.
    """
    gallery = _gallery(store, name)
    if gallery is None:
        raise GalleryNotFound("no gallery with this name; give the name of one that is there")
    header = _header(store, gallery)
    # Before the file: whatever happens then, the log tells that somebody began.
    store.audit.record(AuditEvent(action="gallery.export", outcome="begun", gallery_id=gallery.id))
    rows = export_rows(store.database, gallery, sealer=store.sealer)
    written = write_gallery(target, rows, header=header)
    store.audit.record(
        AuditEvent(
            action="gallery.export",
            gallery_id=gallery.id,
            facts={"num_templates": written.count},
        )
    )
    return written


def export_stream(galleries: KnownGalleries, name: str) -> Generator[bytes]:
    """Return the parts of a gallery's file in clear text, made when they are asked for.

    Nothing is written to a disk. Changes go on meanwhile: see `export_rows`. How it ended is in
    the audit log, too; it has to be closed if it is not read to its end.

    Args:
        galleries: open.
        name: of the gallery.

    Raises:
        GalleryNotFound: no gallery with this name.
        SettingsInvalid: the extra package is not installed.
        RequestInvalid: two people changed names meanwhile, so that it cannot be ended.
        StoreCorrupt: a template does not fit its checksum.
    """
    store, gallery = galleries.store, galleries.get(name).stored
    header = _header(store, gallery)
    rows = export_rows(store.database, gallery, sealer=store.sealer, whole=False)
    return _audited(store, gallery, stream_gallery(rows, header=header))


def _header(store: Store, gallery: StoredGallery) -> ExchangeHeader:
    known = store.gallery_store(gallery)
    return ExchangeHeader(
        fingerprint=gallery.fingerprint,
        gallery=gallery.name,
        exported_at=utc_now(),
        look_alikes=tuple(known.look_alikes()),
        merged=tuple(known.merged()),
        rules=known.rules(),
    )


def _audited(
    store: Store, gallery: StoredGallery, parts: Iterator[tuple[bytes, int]]
) -> Generator[bytes]:
    action, outcome, num_rows = "gallery.export", "stopped", 0
    store.audit.record(AuditEvent(action=action, outcome="begun", gallery_id=gallery.id))
    try:
        for part, num_so_far in parts:
            num_rows = num_so_far
            yield part
        outcome = DONE
    except FaceGalleryError as error:
        outcome = error.code
        raise
    finally:
        facts = {"num_templates": num_rows}
        store.audit.record(
            AuditEvent(action=action, outcome=outcome, gallery_id=gallery.id, facts=facts)
        )


def import_into(galleries: KnownGalleries, name: str, content: bytes | bytearray) -> Transferred:
    """Write a file that is in memory into a gallery that is there, all or nothing.

    Args:
        galleries: open.
        name: of the gallery.
        content: of the file.

    Raises:
        GalleryNotFound: no gallery with this name.
        EmbeddingInvalid, NameInvalid, ModelMismatch, RequestInvalid, SettingsInvalid: as
            `import_gallery`.
    """
    gallery = galleries.get(name)
    # All of it, before anything is written.
    header = verify(content, fingerprint=gallery.fingerprint)
    # Templates that would be written for who has expired would go with them.
    gallery.expire()
    erased = _Erased(galleries.store.removals, content, header)
    imported = gallery.import_rows(erased.rest, header=header)
    return Transferred(imported=imported, left_out=tuple(erased.left_out), created=False)


def import_gallery(store: Store, name: str, source: Path, *, space: bool = False) -> Transferred:
    """Write a Parquet file into a gallery, all or nothing; who was erased here is left out.

    Args:
        store: to write into.
        name: of the gallery; it is made when it is missing.
        source: of the file.
        space: keep the gallery in a secret space of its own, where it is made.

    Raises:
        EmbeddingInvalid, NameInvalid: a value of the file cannot be used; says which row.
        ModelMismatch: the file is of another model than the gallery.
        RequestInvalid: the file is damaged, or contradicts what the gallery holds.
        SettingsInvalid: the extra package is not installed.
    """
    check_gallery_name(name)
    gallery = _gallery(store, name)
    # All of it, before anything is written.
    header = verify(source, fingerprint=None if gallery is None else gallery.fingerprint)
    created = gallery is None
    if gallery is None:
        gallery = store.create_gallery(name, fingerprint=header.fingerprint, space=space)
    erased = _Erased(store.removals, source, header)
    _erase_expired(store, gallery)
    try:
        imported = store.gallery_store(gallery).import_rows(erased.rest, header=header)
    except BaseException:
        if created:
            _delete(store, gallery)
        raise
    return Transferred(imported=imported, left_out=tuple(erased.left_out), created=created)


def _gallery(store: Store, name: str) -> StoredGallery | None:
    return next((each for each in store.galleries() if each.name == name), None)


def _erase_expired(store: Store, gallery: StoredGallery) -> None:
    """Erase who has expired: templates that would be written for them would go with them."""
    people = store.gallery_store(gallery)
    for subject_id in people.expired():
        with suppress(SubjectNotFound):
            people.remove_expired(subject_id)


def _delete(store: Store, gallery: StoredGallery) -> None:
    """Delete the empty gallery of an import that failed."""
    try:
        store.gallery_store(gallery).delete()
    except StoreError as error:
        # Why the import failed matters more; a later import of the same file finds it and goes on.
        logger.warning("the empty gallery %s is left: %s", gallery.id, error)


class _Erased:
    """The rows of a file without whom a ledger remembers as erased: about 100 bytes an entry.

    Somebody whom others were merged into is one person with them: who was erased under any of
    these ids stays out.
    """

    def __init__(
        self,
        removals: Callable[[], Iterator[Removal]],
        source: Source,
        header: ExchangeHeader,
    ) -> None:
        self._removals = removals
        self._source = source
        self._header = header
        self.left_out: list[str] = []

    def rest(self) -> Iterator[list[ExchangeRow]]:
        """Yield the rows of those who were not erased, from the first on.

        The ledger is read when the first rows are asked for. The import holds the gallery then,
        so nobody is removed from it any more whom the ledger did not name yet.
        """
        self.left_out.clear()
        erased = self._ids()
        now = utc_now()
        _, batches = read_gallery(self._source, fingerprint=self._header.fingerprint)
        for rows in batches:
            kept = []
            for row in rows:
                ids = (each for each in (row.template_id, row.subject_id) if each is not None)
                expired = row.expires_at is not None and row.expires_at <= now
                if expired or any(id_bytes(each) in erased for each in ids):
                    self.left_out.append(row.template_id)
                else:
                    kept.append(row)
            yield kept

    def _ids(self) -> set[bytes]:
        ids: set[bytes] = set()
        for removal in self._removals():
            gone = removal.template_id if removal.kind == "template" else removal.subject_id
            if gone is not None:
                ids.add(id_bytes(gone))
        ids |= {id_bytes(into) for gone, into in self._header.merged if id_bytes(gone) in ids}
        return ids
