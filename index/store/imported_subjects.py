"""Whose the rows of an exchange file are: subjects of the gallery, found or made."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, update

from embedding.errors import RequestInvalid
from index.details import Details, metadata_text
from index.exchange.rows import ExchangeRow
from index.store.bulk import driver_time, insert_numbered
from index.store.change_log import Change
from index.store.detail_rows import write_details
from index.store.subject_rows import (
    FoundSubject,
    existing_subjects,
    new_version,
    write_version,
)
from index.store.tables import subjects

_Label = Literal["id", "name", "external id"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """The subjects of some rows, all with their row ids.

    Attributes:
        by_id: by the ids of the file.
        num_created: made for the rows.
        num_without_templates: that had none.
        log: what making and relabeling them is in the change log.
    """

    by_id: Mapping[str, FoundSubject]
    num_created: int
    num_without_templates: int
    log: Sequence[Change]


def find_or_import(
    connection: Connection, gallery: int, rows: Sequence[ExchangeRow], *, now: datetime
) -> Owners:
    """Return whose the rows are, as if one after the other was written.

    A subject is the gallery's with the same id, or the one with the same name or external id;
    else it is made, with the id of the file. A label or detail that it lacks is taken over.

    Args:
        connection: in a transaction that holds the gallery.
        gallery: row id.
        rows: checked; no id of theirs is another gallery's.
        now: when a subject was made whose row does not say it.

    Raises:
        RequestInvalid: a name or external id is another subject's or another one than the
            gallery's.
    """
    wanted = _of_each_subject(rows)
    known = _Known(existing_subjects(connection, gallery, wanted))
    for row in wanted:
        known.take(row)
    _create(connection, gallery, known.new, now=now)
    _write_labels(connection, list(known.filled.values()))
    write_details(connection, [(each.row_id, each.details) for each in known.filled.values()])
    distinct = {owner.id: owner for owner in known.owners.values()}
    write_version(connection, [each.row_id for each in distinct.values() if not each.created])
    return Owners(
        by_id=known.owners,
        num_created=len(known.new),
        num_without_templates=sum(owner.num_templates == 0 for owner in distinct.values()),
        log=known.log,
    )


def _of_each_subject(rows: Sequence[ExchangeRow]) -> list[ExchangeRow]:
    """The first row of each subject, and those that call it something else."""
    first: dict[tuple[str | None, ...], ExchangeRow] = {}
    for row in rows:
        if row.subject_id is not None:
            first.setdefault((row.subject_id, row.name, row.external_id), row)
    return list(first.values())


class _Known:
    """The subjects that rows may mean, by id, name and external id."""

    def __init__(self, existing: Iterable[FoundSubject]) -> None:
        self.owners: dict[str, FoundSubject] = {}
        self.new: list[tuple[FoundSubject, ExchangeRow]] = []
        self.filled: dict[str, FoundSubject] = {}
        self.log: list[Change] = []
        self._by: dict[tuple[_Label, str], FoundSubject] = {}
        for subject in existing:
            # One that comes several times is, in the end, the same by all that it is called.
            self._enter(subject)

    def take(self, row: ExchangeRow) -> None:
        """Enter whose a row is.

        Raises:
            RequestInvalid: as `find_or_import`.
        """
        owner = self._find(row)
        if owner is None:
            owner = self._add(row)
        else:
            self._fill(owner, row)
        self.owners[str(row.subject_id)] = owner

    def _find(self, row: ExchangeRow) -> FoundSubject | None:
        """The subject that a row means; None where it has to be made."""
        found = {
            what: self._by[what, value]
            for what, value in _labels(row.subject_id, row)
            if value is not None and (what, value) in self._by
        }
        if not found:
            return None
        owner = next(iter(found.values()))
        for what, other in found.items():
            if other is not owner:
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

    def _add(self, row: ExchangeRow) -> FoundSubject:
        owner = FoundSubject(
            row_id=-1,
            id=str(row.subject_id),
            name=row.name,
            external_id=row.external_id,
            num_templates=0,
            created=True,
            details=row.details,
        )
        self._enter(owner)
        self.new.append((owner, row))
        self.log.append(Change(kind="subject_added", subject_id=owner.id))
        return owner

    def _fill(self, owner: FoundSubject, row: ExchangeRow) -> None:
        """Give the owner the labels and details that only the file has."""
        name = owner.name or row.name
        external_id = owner.external_id or row.external_id
        details = _filled(owner.details, row.details)
        if (name, external_id, details) == (owner.name, owner.external_id, owner.details):
            return
        owner.name, owner.external_id, owner.details = name, external_id, details
        self._enter(owner)
        # The row of a new one is not written yet.
        if not owner.created and owner.id not in self.filled:
            self.filled[owner.id] = owner
            self.log.append(Change(kind="subject_relabeled", subject_id=owner.id))

    def _enter(self, subject: FoundSubject) -> None:
        for what, value in _labels(subject.id, subject):
            if value is not None:
                self._by[what, value] = subject


def _filled(own: Details, given: Details) -> Details:
    """Own details, with those of another that are missing."""
    return Details(
        metadata={**given.metadata, **own.metadata},
        purpose=own.purpose or given.purpose,
        consent=own.consent or given.consent,
        expires_at=own.expires_at or given.expires_at,
    )


def _labels(
    subject_id: str | None, called: ExchangeRow | FoundSubject
) -> tuple[tuple[_Label, str | None], ...]:
    return ("id", subject_id), ("name", called.name), ("external id", called.external_id)


def _create(
    connection: Connection,
    gallery: int,
    new: Sequence[tuple[FoundSubject, ExchangeRow]],
    *,
    now: datetime,
) -> None:
    """Write new subjects, each with its first row in the file, and enter their row ids."""
    if not new:
        return
    version = new_version()
    rows = [
        {
            "public_id": owner.id,
            "gallery_id": gallery,
            "name": owner.name,
            "external_id": owner.external_id,
            "created_at": driver_time(connection, row.created_at or now),
            "metadata": metadata_text(owner.details.metadata),
            "purpose": owner.details.purpose,
            "consent": owner.details.consent,
            "expires_at": None
            if owner.details.expires_at is None
            else driver_time(connection, owner.details.expires_at),
            "version": version,
        }
        for owner, row in new
    ]
    row_ids = insert_numbered(connection, subjects, rows, gallery=gallery)
    for (owner, _), row_id in zip(new, row_ids, strict=True):
        owner.row_id = row_id


def _write_labels(connection: Connection, filled: Sequence[FoundSubject]) -> None:
    if not filled:
        return
    connection.execute(
        update(subjects)
        .where(subjects.c.id == bindparam("row"))
        .values(name=bindparam("given_name"), external_id=bindparam("given_external_id")),
        [
            {
                "row": each.row_id,
                "given_name": each.name,
                "given_external_id": each.external_id,
            }
            for each in filled
        ],
    )
