"""What can be asked of one gallery in SQL.

Every public method is one transaction and thread safe.
"""

import copy
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, Select, bindparam, select

from embedding.errors import TemplateNotFound
from index.decision import TemplateHit
from index.exchange.rows import ExchangeRow
from index.records import OwnedTemplate, Page, Subject, Template
from index.sealing import Sealer
from index.space import GallerySpace
from index.store import template_rows
from index.store.change_log import (
    GalleryState,
    RowChanges,
    anchor_at,
    has_moves,
    read_state,
    rows_changed,
)
from index.store.clock import ForwardClock
from index.store.cursors import Cursors
from index.store.database import Database
from index.store.facts import GalleryFact, gallery_fact, read_fact, unseal_fact
from index.store.loading import Loaded, TemplateLoader
from index.store.lots import LOOKUP_ROWS, in_lots
from index.store.merged_subjects import merged_into
from index.store.photo_changes import PhotoChange, photo_changes
from index.store.removed_subjects import RemovedSubject, removed_subject
from index.store.spaces import space_of
from index.store.stored_gallery import StoredGallery
from index.store.subject_rows import (
    not_expired,
    row_of,
    select_subjects,
    subject_not_found,
    subject_of,
)
from index.store.tables import UtcTime, subjects, templates
from index.store.template_export import export_rows

_CHANGES_AT_A_TIME = 10_000

# Both are asked at every identification, and making a query takes longer than running it.
_HITS = (
    select(
        templates.c.id,
        templates.c.public_id,
        templates.c.quality,
        templates.c.sequence,
        subjects.c.public_id.label("owner"),
    )
    .outerjoin_from(templates, subjects)
    .where(
        templates.c.gallery_id == bindparam("gallery"),
        templates.c.id.in_(bindparam("ids", expanding=True)),
        not_expired(bindparam("now", type_=UtcTime())),
    )
)
# Asked for together with the gallery, SQLite would read all subjects of the gallery.
_SUBJECTS = select_subjects().where(
    subjects.c.public_id.in_(bindparam("public_ids", expanding=True)),
    not_expired(bindparam("now", type_=UtcTime())),
)


class GalleryReads:
    """One gallery in SQL, as it is read."""

    def __init__(
        self,
        gallery: StoredGallery,
        *,
        database: Database,
        sealer: Sealer,
        cursors: Cursors,
        clock: ForwardClock,
    ) -> None:
        self.gallery = gallery
        self.clock = clock
        self._row = gallery.row_id
        self._database = database
        self._sealer = sealer
        self._cursors = cursors
        self._loader = TemplateLoader(database, gallery=gallery, sealer=sealer)
        self._held: Connection | None = None

    @contextmanager
    def reading(self) -> Iterator[Self]:
        """The same gallery, read in one transaction: its methods must only look rows up.

        Nothing may be changed, loaded or exported through it, nor asked of the store's other
        objects meanwhile, which SQLite would let wait for its end, and so forever.

        Raises:
            StoreError: the database cannot be read.
        """
        with self._reading() as connection:
            held = copy.copy(self)
            held._held = connection
            yield held

    def _reading(self) -> AbstractContextManager[Connection]:
        """A transaction that reads: one of its own, or that of `reading`."""
        return self._database.reading() if self._held is None else nullcontext(self._held)

    @property
    def purged_sequence(self) -> int:
        """Number of the change up to which what was removed is out of the database's files."""
        with self._reading() as connection:
            return int(read_fact(connection, gallery_fact("purged", self.gallery.id)) or b"0")

    def removed_subject(self, public_id: str, *, sequence: int | None = None) -> RemovedSubject:
        """Return what is remembered of a removal; see `removed_subject`.

        Raises:
            SubjectNotFound: nobody with this id was removed.
        """
        with self._reading() as connection:
            return removed_subject(connection, self._row, public_id, sequence=sequence)

    def under_name(self, name: str) -> Self:
        """Return the same for a gallery that has another name by now."""
        renamed = copy.copy(self)
        renamed.gallery = replace(self.gallery, name=name)
        return renamed

    def space(self) -> GallerySpace | None:
        """Return the gallery's space; None where vectors are stored as the model made them.

        Raises:
            StoreCorrupt: it was changed.
            SealKeyMissing: it is sealed with a key that is not at hand.
        """
        return space_of(self.gallery, self._sealer)

    def state(self) -> GalleryState:
        """Return where the gallery's change log stands, and its counts.

        Raises:
            GalleryNotFound: the gallery was deleted.
        """
        with self._reading() as connection:
            return read_state(connection, self._row)

    @property
    def shared(self) -> bool:
        """Whether other processes may change the gallery, too."""
        return self._database.shared

    @property
    def sealer(self) -> Sealer:
        """What seals the gallery's templates."""
        return self._sealer

    def load(self, *, up_to: int) -> Iterator[Loaded]:
        """Yield the ids (N,) and embeddings (N, D) of all templates, verified.

        Args:
            up_to: only templates whose number in the change log is at most this one.

        Raises:
            StoreCorrupt: rows do not fit their checksum; the message names template ids.
        """
        return self._loader.all(up_to=up_to)

    def load_some(self, row_ids: Sequence[int]) -> Iterator[Loaded]:
        """Yield ids and embeddings of those of the templates that are still there, verified.

        Raises:
            StoreCorrupt: rows do not fit their checksum; the message names template ids.
        """
        return self._loader.some(row_ids)

    def export(self) -> Iterator[ExchangeRow]:
        """Yield all templates with their subjects, verified, in the model's own space.

        A page at a time, so that nobody waits for its end: whoever is enrolled meanwhile is left
        out, and one whose templates move may be told with both owners (`moved_since`).

        Raises:
            StoreCorrupt: a template does not fit its checksum.
            SealKeyMissing: one is sealed with a key that is not at hand.
        """
        return export_rows(self._database, self.gallery, sealer=self._sealer, whole=False)

    def moved_since(self, sequence: int) -> bool:
        """Return whether a template got another subject after a number of the change log."""
        with self._reading() as connection:
            return has_moves(connection, self._row, after=sequence)

    def fact(self, kind: GalleryFact) -> bytes | None:
        """Return a fact of the gallery; None where it was never written.

        Raises:
            StoreCorrupt: one with embeddings was changed.
            SealKeyMissing: it is sealed with a key that is not at hand.
        """
        with self._reading() as connection:
            value = read_fact(connection, gallery_fact(kind, self.gallery.id))
        if value is None:
            return None
        return unseal_fact(kind, value, gallery_id=self.gallery.id, sealer=self._sealer)

    def anchor(self, sequence: int) -> str | None:
        """Return what tells the change at a number from that of any other history."""
        with self._reading() as connection:
            return anchor_at(connection, self._row, sequence)

    def changes(self, *, after: int) -> RowChanges:
        """Return what a copy in memory that stands at a number has to do next."""
        with self._reading() as connection:
            return rows_changed(connection, self._row, after=after, limit=_CHANGES_AT_A_TIME)

    def photo_changes(self, *, after: int) -> list[PhotoChange]:
        """Return the next templates that came or went after a number; empty at the end."""
        with self._reading() as connection:
            return photo_changes(connection, self._row, after=after, limit=_CHANGES_AT_A_TIME)

    def hits(self, similarities: Mapping[int, float]) -> list[TemplateHit]:
        """Return what is known of templates that a search found; what is gone is left out.

        So is everybody who has expired, erased or not.

        Args:
            similarities: by the matrix's id.
        """
        hits: list[TemplateHit] = []
        ids, now = iter(similarities), self.clock.now()
        with self._reading() as connection:
            while some := list(itertools.islice(ids, LOOKUP_ROWS)):
                given = {"gallery": self._row, "ids": some, "now": now}
                rows = connection.execute(_HITS, given)
                hits.extend(
                    TemplateHit(
                        template_id=row.public_id,
                        subject_id=row.owner,
                        similarity=similarities[row.id],
                        quality=row.quality,
                        sequence=row.sequence,
                    )
                    for row in rows
                )
        return hits

    def owned_templates(self, subject_ids: Iterable[str]) -> list[OwnedTemplate]:
        """Return all templates of those of the subjects that are still there, oldest first."""
        found: list[OwnedTemplate] = []
        with self._reading() as connection:
            for some in in_lots(list(subject_ids)):
                rows = connection.execute(self._select_owned(some))
                found.extend(
                    OwnedTemplate(
                        row_id=row.id,
                        template_id=row.public_id,
                        subject_id=row.owner,
                        quality=row.quality,
                        sequence=row.sequence,
                        created_at=row.created_at,
                    )
                    for row in rows
                )
        return sorted(found, key=lambda each: (each.sequence, each.row_id))

    def subjects_by_id(self, public_ids: Iterable[str]) -> dict[str, Subject]:
        """Return the subjects that are still there, by id."""
        given = {"public_ids": list(public_ids), "now": self.clock.now()}
        with self._reading() as connection:
            rows = connection.execute(_SUBJECTS, given).all()
        return {row.public_id: subject_of(row) for row in rows if row.gallery_id == self._row}

    def owners(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the matrix's ids (N,) of templates with a subject, ascending, and whose they are.

        Whose: numbers (N,) for `subjects_by_number`, which ascend with enrollment.
        """
        parts: list[NDArray[np.int64]] = [np.zeros((0, 2), np.int64)]
        last = -1
        while True:
            query = (
                select(templates.c.id, templates.c.subject_id)
                .where(
                    templates.c.gallery_id == self._row,
                    templates.c.subject_id.is_not(None),
                    templates.c.id > last,
                )
                .order_by(templates.c.id)
                .limit(_CHANGES_AT_A_TIME)
            )
            with self._reading() as connection:
                rows = connection.execute(query).all()
            if not rows:
                break
            parts.append(np.array([tuple(row) for row in rows], np.int64))
            last = rows[-1].id
        both = np.concatenate(parts)
        return both[:, 0].copy(), both[:, 1].copy()

    def subjects_by_number(self, numbers: Sequence[int]) -> dict[int, Subject]:
        """Return the subjects that are still there, by the numbers that `owners` gives."""
        found: dict[int, Subject] = {}
        with self._reading() as connection:
            for some in in_lots(numbers):
                query = select_subjects(self._row).where(
                    subjects.c.id.in_(some), not_expired(self.clock.now())
                )
                found |= {row.id: subject_of(row) for row in connection.execute(query)}
        return found

    def subject(self, public_id: str) -> Subject:
        """Return the subject.

        Raises:
            SubjectNotFound: no subject with this id.
        """
        found = self.subjects_by_id([public_id])
        if public_id not in found:
            with self._reading() as connection:
                raise subject_not_found(merged_into(connection, self._row, public_id))
        return found[public_id]

    def find(self, field: Literal["name", "external_id"], value: str) -> Subject | None:
        """Return the subject with this name or external id; None without one."""
        meant = subjects.c[field] == value
        query = select_subjects(self._row).where(meant, not_expired(self.clock.now()))
        with self._reading() as connection:
            row = connection.execute(query).first()
        return None if row is None else subject_of(row)

    def page(self, *, limit: int, cursor: str | None) -> Page:
        """Return subjects in the order in which they were created.

        Raises:
            RequestInvalid: the cursor is not of this gallery.
        """
        after = -1 if cursor is None else self._cursors.read(cursor, gallery_id=self.gallery.id)
        query = (
            select_subjects(self._row)
            .where(subjects.c.id > after, not_expired(self.clock.now()))
            .order_by(subjects.c.id)
            .limit(limit + 1)
        )
        with self._reading() as connection:
            rows = connection.execute(query).all()
        more = len(rows) > limit
        rows = rows[:limit]
        return Page(
            subjects=tuple(map(subject_of, rows)),
            next_cursor=self._cursors.write(rows[-1].id, gallery_id=self.gallery.id)
            if more
            else None,
        )

    def templates(self, subject_id: str) -> tuple[Template, ...]:
        """Return the subject's templates, oldest first.

        Raises:
            SubjectNotFound: no subject with this id.
        """
        with self._reading() as connection:
            row_id = row_of(connection, self._row, subject_id, now=self.clock.now())
            rows = connection.execute(
                select(templates)
                .where(templates.c.subject_id == row_id)
                .order_by(templates.c.sequence)
            ).all()
        return tuple(template_rows.unpack(row, subject_id=subject_id) for row in rows)

    def template(self, public_id: str) -> Template:
        """Return the template.

        Raises:
            TemplateNotFound: no template with this id.
        """
        with self._reading() as connection:
            row = self._template_row(connection, public_id, now=self.clock.now())
        return template_rows.unpack(row, subject_id=row.owner)

    def _select_owned(self, subject_ids: Sequence[str]) -> Select[Any]:
        return (
            select(
                templates.c.id,
                templates.c.public_id,
                templates.c.quality,
                templates.c.sequence,
                templates.c.created_at,
                subjects.c.public_id.label("owner"),
            )
            .join_from(templates, subjects)
            .where(
                subjects.c.gallery_id == self._row,
                subjects.c.public_id.in_(subject_ids),
                not_expired(self.clock.now()),
            )
        )

    def _template_row(
        self, connection: Connection, public_id: str, *, now: datetime | None = None
    ) -> Row[Any]:
        """The row with its `owner`; one of somebody who has expired by the time is not there."""
        query = (
            select(templates, subjects.c.public_id.label("owner"))
            .outerjoin_from(templates, subjects)
            .where(templates.c.gallery_id == self._row, templates.c.public_id == public_id)
        )
        row = connection.execute(query if now is None else query.where(not_expired(now))).first()
        if row is None:
            raise TemplateNotFound("no template with this id in the gallery")
        return row
