"""Writes rows of an exchange file into a gallery, with the ids that they have there.

The ids stay, so that a removal ledger goes on to tell who was erased, and a file that is imported
twice changes nothing the second time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from sqlalchemy import Connection, Table, select

from embedding.errors import ModelMismatch, RequestInvalid
from index.exchange.rows import ExchangeHeader, ExchangeRow
from index.sealing import Sealer
from index.store.change_log import Change, begin_change, write_changes
from index.store.imported_subjects import Owners, find_or_import
from index.store.imported_templates import TemplateWriter
from index.store.look_alike_rows import declare_known
from index.store.lots import in_lots
from index.store.merged_elsewhere import note_known
from index.store.stored_gallery import StoredGallery
from index.store.tables import subjects, templates, utc_now


@dataclass(slots=True, kw_only=True)
class Imported:
    """What an import did.

    Attributes:
        num_templates: written.
        num_subjects: made.
        num_present: templates that were there already, left as they are.
        num_look_alikes: pairs of subjects that were not declared look-alikes before.
        num_merged: subjects of which it was not known before that they were merged into another.
        num_dropped: of the templates of these people, written now or before, that were removed
            since the gallery keeps no more of a person.
        rules_taken_over: whether the gallery decides as the file says from now on.
    """

    num_templates: int = 0
    num_subjects: int = 0
    num_present: int = 0
    num_look_alikes: int = 0
    num_merged: int = 0
    num_dropped: int = 0
    rules_taken_over: bool = False


class GalleryImport:
    """An import under way; what is raised leaves the transaction to be rolled back.

    A subject is the gallery's subject with the same id, or the one with the same name or external
    id; else it is made, with the id of the file. A label that the gallery's subject lacks is
    taken over.

    Args:
        connection: in a transaction, which holds the gallery from here on.
        gallery: its row.
        header: of the file. Of its pairs of look-alikes, and of merged subjects, those are taken
            over whose subjects are in the gallery afterwards; None for none.
        sealer: seals the vectors.

    Raises:
        ModelMismatch: a row is of another model.
        RequestInvalid: a name or external id is another subject's or another one than the
            gallery's, or an id is in use in another gallery.
    """

    def __init__(
        self,
        connection: Connection,
        gallery: StoredGallery,
        *,
        header: ExchangeHeader | None,
        sealer: Sealer,
    ) -> None:
        self.done = Imported()
        self.state = begin_change(connection, gallery.row_id, name=gallery.name)
        """Where the gallery's counter stands."""
        self.owner_ids: set[str] = set()
        """Of the gallery's subjects that got templates."""
        self._look_alikes = () if header is None else header.look_alikes
        self._merged = () if header is None else header.merged
        self._paired = frozenset(chain(*self._look_alikes, (into for _, into in self._merged)))
        self._ids_here: dict[str, str] = {}
        self._connection = connection
        self._gallery = gallery
        self._now = utc_now()
        self._templates = TemplateWriter(connection, gallery, sealer=sealer, now=self._now)

    @property
    def was_empty(self) -> bool:
        """Whether nobody is in the gallery; to be asked before the first rows."""
        own = select(subjects.c.id).where(subjects.c.gallery_id == self._gallery.row_id).limit(1)
        return self.state.num_templates == 0 and self._connection.scalar(own) is None

    def add(self, rows: Sequence[ExchangeRow]) -> None:
        """Write the next rows."""
        self._check_model(rows)
        new = self._absent(rows)
        if not new:
            return
        self._check_elsewhere(
            subjects, {row.subject_id for row in new if row.subject_id is not None}
        )
        owners = find_or_import(self._connection, self._gallery.row_id, new, now=self._now)
        first = self.state.sequence + len(owners.log) + 1
        row_ids = self._templates.write(new, owners.by_id, first=first)
        self._log(new, owners, row_ids)
        self._ids_here.update(
            (given, owner.id) for given, owner in owners.by_id.items() if given in self._paired
        )
        self.owner_ids.update(owner.id for owner in owners.by_id.values())
        self.done.num_templates += len(new)
        self.done.num_subjects += owners.num_created

    def finish(self) -> None:
        """Take over what the file says of its people together, after all rows."""
        new = declare_known(self._connection, self._gallery.row_id, self._here(self._look_alikes))
        self._write([Change(kind="look_alike_declared", subject_id=one) for one, _ in new])
        self.done.num_look_alikes = len(new)
        known = self._here(self._merged)
        self.done.num_merged = note_known(self._connection, self._gallery.row_id, known)

    def _here(self, pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Pairs of the file's ids as the gallery calls them."""
        here = self._ids_here
        return [(here.get(one, one), here.get(other, other)) for one, other in pairs]

    def _write(self, log: Sequence[Change]) -> None:
        if log:
            self.state = write_changes(
                self._connection, self._gallery.row_id, log, before=self.state, at=self._now
            )

    def _check_model(self, rows: Sequence[ExchangeRow]) -> None:
        for row in rows:
            if row.fingerprint != self._gallery.fingerprint:
                raise ModelMismatch(
                    f"the gallery holds embeddings of model {self._gallery.fingerprint[:12]}, but "
                    f"the file's are of model {row.fingerprint[:12]}"
                )

    def _absent(self, rows: Sequence[ExchangeRow]) -> list[ExchangeRow]:
        """The rows whose template is not there yet."""
        there = self._check_elsewhere(templates, {row.template_id for row in rows})
        self.done.num_present += len(there)
        return [row for row in rows if row.template_id not in there]

    def _check_elsewhere(self, table: Table, ids: set[str]) -> set[str]:
        """Pass ids that no other gallery has; returns those that this gallery has."""
        there: set[str] = set()
        for some in in_lots(list(ids)):
            for public_id, gallery in self._connection.execute(
                select(table.c.public_id, table.c.gallery_id).where(table.c.public_id.in_(some))
            ):
                if gallery != self._gallery.row_id:
                    raise RequestInvalid(
                        f"{table.name.removesuffix('s')} {public_id} of the file is in another "
                        f"gallery of this database; an id is there once, so import the file into "
                        f"that gallery, or into another database"
                    )
                there.add(public_id)
        return there

    def _log(self, rows: Sequence[ExchangeRow], owners: Owners, row_ids: Sequence[int]) -> None:
        added = (
            Change(
                kind="template_added",
                subject_id=None if row.subject_id is None else owners.by_id[row.subject_id].id,
                template_id=row.template_id,
                template_row=row_id,
            )
            for row, row_id in zip(rows, row_ids, strict=True)
        )
        self.state = write_changes(
            self._connection,
            self._gallery.row_id,
            [*owners.log, *added],
            before=self.state,
            at=self._now,
            num_templates=len(rows),
            num_subjects=owners.num_without_templates,
        )
