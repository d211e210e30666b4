"""Looks whether what SQL holds of a gallery fits together, some thousand rows at a time.

Shapes: N templates, D embedding dimension.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import Row, and_, func, select, update

from embedding.errors import EmbeddingInvalid, SealKeyMissing, StoreCorrupt
from index.checks import check_unit_vectors
from index.findings import Report
from index.ledger.entries import Removal
from index.records import EMBEDDING_DIMENSION
from index.sealing import ClearSealer, Sealer
from index.store import template_rows
from index.store.change_log import begin_change
from index.store.database import Database
from index.store.loading import TemplateLoader
from index.store.seal_mark import mark_is_current
from index.store.spaces import space_of
from index.store.stored_gallery import StoredGallery
from index.store.tables import changes, galleries, subjects, templates

_REMOVALS_AT_A_TIME = 5_000


class GalleryVerification:
    """Verifies one gallery.

    Args:
        database: of the gallery.
        gallery: its row.
        sealer: unseals its templates; None where the key is missing: then only checksums are
            looked at, which cover the sealed bytes.
        report: takes what is found.
    """

    def __init__(
        self, database: Database, gallery: StoredGallery, *, sealer: Sealer | None, report: Report
    ) -> None:
        self._database = database
        self._gallery = gallery
        self._sealer = sealer
        self._report = report
        self._loader = TemplateLoader(database, gallery=gallery, sealer=sealer or ClearSealer())

    def run(self, *, repair: bool) -> None:
        """Look at space, templates, counters and change log; counters may be repaired."""
        try:
            self._space()
            self._templates()
            self._places()
            self._change_log()
            self._counters(repair=repair)
        except StoreCorrupt as error:
            # A page that cannot be read at all.
            self._report.add("database", f"gallery {self._gallery.id}: {error}")

    def _space(self) -> None:
        if (self._gallery.space_id is None) != (self._gallery.sealed_space is None):
            self._report.add("sealing", f"gallery {self._gallery.id} has half a gallery space")
        if self._sealer is not None:
            try:
                space_of(self._gallery, self._sealer)
            except (StoreCorrupt, SealKeyMissing) as error:
                self._report.add("sealing", f"space of gallery {self._gallery.id}: {error}")

    def _templates(self) -> None:
        last = -1
        num_behind = 0
        current = self._mark_is_current()
        while rows := self._loader.read(templates.c.id > last):
            last = rows[-1].id
            self._report.num_templates += len(rows)
            if not self._all_good(rows):
                # One by one, to tell which.
                for row in rows:
                    problem = self._problem(row)
                    if problem is not None:
                        self._report.add("template", f"template {row.public_id} {problem}")
            if self._sealer is not None and current:
                num_behind += sum(
                    not self._sealer.is_current(row.sealed_embedding) for row in rows
                )
        if num_behind:
            self._report.add(
                "sealing",
                f"{num_behind} templates of gallery {self._gallery.id} are sealed with another "
                f"key than the one that the database says all are sealed with",
            )

    def _mark_is_current(self) -> bool:
        if self._sealer is None or not self._sealer.encrypts:
            return False
        with self._database.transaction() as connection:
            return mark_is_current(connection, self._sealer)

    def _all_good(self, rows: Sequence[Row[Any]]) -> bool:
        if self._sealer is None:
            return False
        try:
            _, embeddings_ND = self._loader.loaded(rows)
            check_unit_vectors(embeddings_ND, dimension=EMBEDDING_DIMENSION)
        except (StoreCorrupt, SealKeyMissing, EmbeddingInvalid):
            return False
        return all(row.fingerprint == self._gallery.fingerprint for row in rows)

    def _problem(self, row: Row[Any]) -> str | None:
        if template_rows.damaged([row], gallery_id=self._gallery.id):
            return "does not fit its checksum"
        if row.fingerprint != self._gallery.fingerprint:
            return "is of another model than its gallery"
        if self._sealer is None:
            return None
        try:
            _, embeddings_ND = self._loader.loaded([row])
            check_unit_vectors(embeddings_ND, dimension=EMBEDDING_DIMENSION)
        except EmbeddingInvalid as error:
            return f"holds no embedding: {error}"
        except (StoreCorrupt, SealKeyMissing) as error:
            return f"cannot be used: {error}"
        return None

    def _places(self) -> None:
        """Templates of a subject of another gallery, or without their entry in the log."""
        own = templates.c.gallery_id == self._gallery.row_id
        foreign = (
            select(templates.c.public_id)
            .join_from(templates, subjects, templates.c.subject_id == subjects.c.id)
            .where(own, subjects.c.gallery_id != templates.c.gallery_id)
        )
        entry = and_(
            changes.c.gallery_id == templates.c.gallery_id,
            changes.c.sequence == templates.c.sequence,
            changes.c.kind == "template_added",
            changes.c.template == templates.c.public_id,
        )
        unlogged = (
            select(templates.c.public_id)
            .outerjoin_from(templates, changes, entry)
            .where(own, changes.c.sequence.is_(None))
        )
        for query, problem in (
            (foreign, "belongs to a subject of another gallery"),
            (unlogged, "is not in the change log where its row says"),
        ):
            with self._database.transaction() as connection:
                for public_id in connection.scalars(query):
                    self._report.add("template", f"template {public_id} {problem}")

    def _change_log(self) -> None:
        with self._database.picture() as connection:
            own = changes.c.gallery_id == self._gallery.row_id
            first, last, num = connection.execute(
                select(
                    func.min(changes.c.sequence), func.max(changes.c.sequence), func.count()
                ).where(own)
            ).one()
            counter = connection.scalar(
                select(galleries.c.sequence).where(galleries.c.id == self._gallery.row_id)
            )
        if (num and first != 1) or num != (last or 0):
            self._report.add(
                "change_log",
                f"the change log of gallery {self._gallery.id} has {num} entries from {first} to "
                f"{last}, but must have all from 1 on",
            )
        if (last or 0) != counter:
            self._report.add(
                "change_log",
                f"the change log of gallery {self._gallery.id} ends at {last or 0}, but its "
                f"counter says {counter}",
            )

    def _counters(self, *, repair: bool) -> None:
        row_id = self._gallery.row_id
        with self._database.transaction() as connection:
            before = begin_change(connection, row_id)
            num_templates, num_subjects = connection.execute(
                select(func.count(), func.count(templates.c.subject_id.distinct())).where(
                    templates.c.gallery_id == row_id
                )
            ).one()
            counted = {"num_templates": num_templates, "num_subjects": num_subjects}
            wrong = {what: num for what, num in counted.items() if num != getattr(before, what)}
            if wrong and repair:
                connection.execute(update(galleries).where(galleries.c.id == row_id).values(wrong))
        for what, num in wrong.items():
            self._report.add(
                "counter",
                f"{what} of gallery {self._gallery.id} is {getattr(before, what)}, but there are "
                f"{num}",
                repaired=repair,
            )


def removals_not_done(database: Database, removals: Iterable[Removal]) -> Iterator[Removal]:
    """Yield removals of the ledger whose subject, template or gallery is there all the same."""
    remaining = iter(removals)
    while some := list(islice(remaining, _REMOVALS_AT_A_TIME)):
        there: set[str] = set()
        with database.transaction() as connection:
            for column, ids in (
                (templates.c.public_id, {each.template_id for each in some}),
                (subjects.c.public_id, {_subject(each) for each in some}),
                (galleries.c.public_id, {_gallery(each) for each in some}),
            ):
                there.update(
                    connection.scalars(select(column).where(column.in_(ids - {None}))).all()
                )
        yield from (each for each in some if _removed(each) in there)


def _subject(removal: Removal) -> str | None:
    return removal.subject_id if removal.kind == "subject" else None


def _gallery(removal: Removal) -> str | None:
    return removal.gallery_id if removal.kind == "gallery" else None


def _removed(removal: Removal) -> str | None:
    return removal.template_id or _subject(removal) or _gallery(removal)
