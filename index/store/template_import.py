"""Writes rows of an exchange file into a gallery, with the ids that they have there.

The ids stay, so that a removal ledger goes on to tell who was erased, and a file that is imported
twice changes nothing the second time.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Connection, func, insert, select, update

from embedding.errors import ModelMismatch, RequestInvalid
from index.exchange.rows import ExchangeRow
from index.records import NewTemplate
from index.sealing import Sealer, TemplateContext
from index.space import GallerySpace
from index.store import template_rows
from index.store.bulk import driver_time, insert_rows
from index.store.change_log import Change, GalleryState, begin_change, write_changes
from index.store.database import Database
from index.store.spaces import space_of
from index.store.stored_gallery import StoredGallery
from index.store.subject_rows import in_lots
from index.store.tables import subjects, templates, utc_now


@dataclass(slots=True, kw_only=True)
class Imported:
    """What an import did.

    Attributes:
        num_templates: written.
        num_subjects: made.
        num_present: templates that were there already, left as they are.
    """

    num_templates: int = 0
    num_subjects: int = 0
    num_present: int = 0


def import_rows(
    database: Database,
    gallery: StoredGallery,
    batches: Iterable[Sequence[ExchangeRow]],
    *,
    sealer: Sealer,
) -> Imported:
    """Write rows in one transaction, all or none.

    A subject is the gallery's subject with the same id, or the one with the same name or external
    id; else it is made, with the id of the file. A label that the gallery's subject lacks is
    taken over.

    Args:
        database: of the gallery.
        gallery: its row.
        batches: checked; what they raise undoes everything.
        sealer: seals the vectors.

    Raises:
        ModelMismatch: a row is of another model.
        RequestInvalid: a name or external id is another subject's or another one than the
            gallery's, or an id is in use in another gallery.
    """
    with database.transaction() as connection:
        state = begin_change(connection, gallery.row_id)
        work = _Import(connection, gallery, state, sealer=sealer)
        for batch in batches:
            work.add(batch)
    return work.done


@dataclass(frozen=True, slots=True, kw_only=True)
class _Owner:
    """A subject as far as an import needs it."""

    row_id: int
    id: str
    name: str | None
    external_id: str | None


class _Import:
    def __init__(
        self,
        connection: Connection,
        gallery: StoredGallery,
        state: GalleryState,
        *,
        sealer: Sealer,
    ) -> None:
        self.done = Imported()
        self._connection = connection
        self._gallery = gallery
        self._state = state
        self._sealer = sealer
        self._space: GallerySpace | None = space_of(gallery, sealer)
        self._now = utc_now()

    def add(self, rows: Sequence[ExchangeRow]) -> None:
        """Write the next rows."""
        for row in rows:
            if row.fingerprint != self._gallery.fingerprint:
                raise ModelMismatch(
                    f"the gallery holds embeddings of model {self._gallery.fingerprint[:12]}, but "
                    f"the file's are of model {row.fingerprint[:12]}"
                )
        new = self._absent(rows)
        if not new:
            return
        owners, log = self._owners(new)
        num_filled = self._num_without_templates(owners.values())
        packed, added = self._packed(new, owners, first=self._state.sequence + len(log) + 1)
        row_ids = self._insert(packed)
        log += [
            dataclasses.replace(one, template_row=row_id)
            for one, row_id in zip(added, row_ids, strict=True)
        ]
        self._state = write_changes(
            self._connection,
            self._gallery.row_id,
            log,
            before=self._state,
            at=self._now,
            num_templates=len(new),
            num_subjects=num_filled,
        )
        self.done.num_templates += len(new)

    def _absent(self, rows: Sequence[ExchangeRow]) -> list[ExchangeRow]:
        """The rows whose template is not there yet."""
        there: set[str] = set()
        for some in in_lots([row.template_id for row in rows]):
            for public_id, gallery in self._connection.execute(
                select(templates.c.public_id, templates.c.gallery_id).where(
                    templates.c.public_id.in_(some)
                )
            ):
                if gallery != self._gallery.row_id:
                    raise _in_other_gallery("template", public_id)
                there.add(public_id)
        self.done.num_present += len(there)
        return [row for row in rows if row.template_id not in there]

    def _owners(self, rows: Sequence[ExchangeRow]) -> tuple[dict[str, _Owner], list[Change]]:
        """The gallery's subjects by the ids of the file, and what making them is in the log."""
        wanted = {row.subject_id: row for row in rows if row.subject_id is not None}
        known = _Labels(self._existing(wanted))
        owners: dict[str, _Owner] = {}
        log: list[Change] = []
        for subject_id, row in wanted.items():
            owner = known.find(row)
            if owner is None:
                owner = self._create(subject_id, row)
                known.enter(owner)
                log.append(Change(kind="subject_added", subject_id=subject_id))
            else:
                filled = self._filled(owner, row)
                if filled is not owner:
                    owner = filled
                    known.enter(owner)
                    log.append(Change(kind="subject_relabeled", subject_id=owner.id))
            owners[subject_id] = owner
        return owners, log

    def _existing(self, wanted: Mapping[str, ExchangeRow]) -> list[_Owner]:
        found: list[_Owner] = []
        for field, values in (
            ("public_id", set(wanted)),
            ("name", {row.name for row in wanted.values()}),
            ("external_id", {row.external_id for row in wanted.values()}),
        ):
            for some in in_lots([each for each in values if each is not None]):
                for row in self._connection.execute(
                    select(subjects).where(subjects.c[field].in_(some))
                ):
                    if row.gallery_id != self._gallery.row_id:
                        # Only ids are unique over all galleries.
                        if field == "public_id":
                            raise _in_other_gallery("subject", row.public_id)
                        continue
                    found.append(
                        _Owner(
                            row_id=row.id,
                            id=row.public_id,
                            name=row.name,
                            external_id=row.external_id,
                        )
                    )
        return found

    def _create(self, subject_id: str, row: ExchangeRow) -> _Owner:
        key = self._connection.execute(
            insert(subjects).values(
                public_id=subject_id,
                gallery_id=self._gallery.row_id,
                name=row.name,
                external_id=row.external_id,
                created_at=row.created_at or self._now,
            )
        ).inserted_primary_key
        self.done.num_subjects += 1
        return _Owner(
            row_id=int(key[0]) if key else -1,
            id=subject_id,
            name=row.name,
            external_id=row.external_id,
        )

    def _filled(self, owner: _Owner, row: ExchangeRow) -> _Owner:
        """The owner with the labels that only the file has."""
        filled = dataclasses.replace(
            owner,
            name=owner.name or row.name,
            external_id=owner.external_id or row.external_id,
        )
        if filled == owner:
            return owner
        self._connection.execute(
            update(subjects)
            .where(subjects.c.id == owner.row_id)
            .values(name=filled.name, external_id=filled.external_id)
        )
        return filled

    def _num_without_templates(self, owners: Iterable[_Owner]) -> int:
        ids = {each.row_id for each in owners}
        with_templates = 0
        for some in in_lots(sorted(ids)):
            with_templates += (
                self._connection.scalar(
                    select(func.count(templates.c.subject_id.distinct())).where(
                        templates.c.subject_id.in_(some)
                    )
                )
                or 0
            )
        return len(ids) - with_templates

    def _packed(
        self, rows: Sequence[ExchangeRow], owners: Mapping[str, _Owner], *, first: int
    ) -> tuple[list[dict[str, Any]], list[Change]]:
        """The rows for the table, and their entries in the log without row ids."""
        embeddings_ND = np.stack([row.embedding for row in rows])
        if self._space is not None:
            embeddings_ND = self._space.rotate(embeddings_ND)
        packed, added = [], []
        for sequence, (row, embedding) in enumerate(
            zip(rows, embeddings_ND.astype("<f4", copy=False), strict=True), start=first
        ):
            owner = None if row.subject_id is None else owners[row.subject_id]
            at = (
                self._now
                if row.created_at is None
                else row.created_at.astimezone(self._now.tzinfo)
            )
            one = self._row(row, owner, embedding.tobytes(), sequence=sequence, at=at)
            one["created_at"] = driver_time(self._connection, at)
            packed.append(one)
            added.append(
                Change(
                    kind="template_added",
                    subject_id=None if owner is None else owner.id,
                    template_id=row.template_id,
                )
            )
        return packed, added

    def _row(
        self,
        row: ExchangeRow,
        owner: _Owner | None,
        embedding: bytes,
        *,
        sequence: int,
        at: datetime,
    ) -> dict[str, Any]:
        packed = template_rows.pack(
            NewTemplate(
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
            ),
            embedding=embedding,
            context=TemplateContext(
                gallery_id=self._gallery.id,
                subject_id=None if owner is None else owner.id,
                template_id=row.template_id,
                fingerprint=self._gallery.fingerprint,
                space_id=self._gallery.space_id,
            ),
            sealer=self._sealer,
            sequence=sequence,
            created_at=at.isoformat(),
        )
        owner_id = None if owner is None else owner.id
        template_rows.add_checksums([packed], gallery_id=self._gallery.id, owners=[owner_id])
        packed["gallery_id"] = self._gallery.row_id
        packed["subject_id"] = None if owner is None else owner.row_id
        return packed

    def _insert(self, packed: Sequence[dict[str, Any]]) -> list[int]:
        """Write the rows; returns their ids, which ascend with their sequence."""
        own = templates.c.gallery_id == self._gallery.row_id
        newest = self._connection.scalar(select(func.max(templates.c.id)).where(own)) or 0
        insert_rows(self._connection, templates, packed)
        return list(
            self._connection.scalars(
                select(templates.c.id).where(own, templates.c.id > newest).order_by(templates.c.id)
            )
        )


class _Labels:
    """The subjects that a batch may mean, by id, name and external id."""

    def __init__(self, existing: Iterable[_Owner]) -> None:
        self._by: dict[tuple[str, str], _Owner] = {}
        for owner in existing:
            self.enter(owner)

    def enter(self, owner: _Owner) -> None:
        """Know a subject by all that it is called."""
        self._by["id", owner.id] = owner
        if owner.name is not None:
            self._by["name", owner.name] = owner
        if owner.external_id is not None:
            self._by["external id", owner.external_id] = owner

    def find(self, row: ExchangeRow) -> _Owner | None:
        """Return the subject that a row means; None where it has to be made.

        Raises:
            RequestInvalid: its id, name and external id mean different subjects.
        """
        keys = [("id", row.subject_id), ("name", row.name), ("external id", row.external_id)]
        found = {
            what: self._by[what, value]
            for what, value in keys
            if value is not None and (what, value) in self._by
        }
        if not found:
            return None
        owner = next(iter(found.values()))
        for what, other in found.items():
            if other.id != owner.id:
                raise RequestInvalid(
                    f"the {what} of the file's subject {row.subject_id} is in the gallery that of "
                    f"subject {other.id}, and not of {owner.id}; change one of them"
                )
        for what, mine, theirs in (
            ("name", owner.name, row.name),
            ("external id", owner.external_id, row.external_id),
        ):
            if mine is not None and theirs is not None and mine != theirs:
                raise RequestInvalid(
                    f"subject {owner.id} has another {what} in the gallery than in the file; "
                    f"change it in one of them"
                )
        return owner


def _in_other_gallery(what: str, public_id: str) -> RequestInvalid:
    return RequestInvalid(
        f"{what} {public_id} of the file is in another gallery of this database; an id is there "
        f"once, so import the file into that gallery, or into another database"
    )
