"""Writes rows of an exchange file into a gallery, with the ids that they have there.

The ids stay, so that a removal ledger goes on to tell who was erased, and a file that is imported
twice changes nothing the second time.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

from sqlalchemy import Connection, Table, select

from embedding.errors import ModelMismatch, RequestInvalid
from index.exchange.rows import ExchangeRow
from index.sealing import Sealer
from index.store.change_log import Change, GalleryState, begin_change, write_changes
from index.store.imported_subjects import Owners, find_or_import
from index.store.imported_templates import TemplateWriter
from index.store.look_alike_rows import declare_known
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
        num_look_alikes: pairs of subjects that were not declared look-alikes before.
    """

    num_templates: int = 0
    num_subjects: int = 0
    num_present: int = 0
    num_look_alikes: int = 0


def import_rows(
    connection: Connection,
    gallery: StoredGallery,
    batches: Iterable[Sequence[ExchangeRow]],
    *,
    sealer: Sealer,
    look_alikes: Collection[tuple[str, str]] = (),
) -> Imported:
    """Write rows into a gallery; what is raised leaves the transaction to be rolled back.

    A subject is the gallery's subject with the same id, or the one with the same name or external
    id; else it is made, with the id of the file. A label that the gallery's subject lacks is
    taken over.

    Args:
        connection: in a transaction.
        gallery: its row.
        batches: checked.
        sealer: seals the vectors.
        look_alikes: pairs of subject ids of the file; of those whose subjects are in the gallery
            afterwards, a declaration is taken over.

    Raises:
        ModelMismatch: a row is of another model.
        RequestInvalid: a name or external id is another subject's or another one than the
            gallery's, or an id is in use in another gallery.
    """
    state = begin_change(connection, gallery.row_id, name=gallery.name)
    paired = frozenset(chain.from_iterable(look_alikes))
    work = _Import(connection, gallery, state, sealer=sealer, paired=paired)
    for batch in batches:
        work.add(batch)
    work.declare(look_alikes)
    return work.done


class _Import:
    def __init__(
        self,
        connection: Connection,
        gallery: StoredGallery,
        state: GalleryState,
        *,
        sealer: Sealer,
        paired: Collection[str],
    ) -> None:
        self.done = Imported()
        self._paired = paired
        self._ids_here: dict[str, str] = {}
        self._connection = connection
        self._gallery = gallery
        self._state = state
        self._now = utc_now()
        self._templates = TemplateWriter(connection, gallery, sealer=sealer, now=self._now)

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
        first = self._state.sequence + len(owners.log) + 1
        row_ids = self._templates.write(new, owners.by_id, first=first)
        self._log(new, owners, row_ids)
        self._ids_here.update(
            (given, owner.id) for given, owner in owners.by_id.items() if given in self._paired
        )
        self.done.num_templates += len(new)
        self.done.num_subjects += owners.num_created

    def declare(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Declare the file's pairs look-alikes, as the gallery calls them, after all rows."""
        here = self._ids_here
        new = declare_known(
            self._connection,
            self._gallery.row_id,
            ((here.get(one, one), here.get(other, other)) for one, other in pairs),
        )
        if new:
            write_changes(
                self._connection,
                self._gallery.row_id,
                [Change(kind="look_alike_declared", subject_id=one) for one, _ in new],
                before=self._state,
                at=self._now,
            )
        self.done.num_look_alikes = len(new)

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
        self._state = write_changes(
            self._connection,
            self._gallery.row_id,
            [*owners.log, *added],
            before=self._state,
            at=self._now,
            num_templates=len(rows),
            num_subjects=owners.num_without_templates,
        )
