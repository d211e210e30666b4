"""Files of the exchange format into one gallery, in SQL."""

from collections.abc import Callable, Iterable, Sequence

from sqlalchemy import Connection

from index.exchange.rows import ExchangeHeader, ExchangeRow
from index.ledger.chain import LedgerHead
from index.ledger.entries import Removal
from index.rules import NEW_GALLERY_LEAD, GalleryRules
from index.store.capping import remove_surplus
from index.store.change_log import Change, write_changes
from index.store.gallery_store import GalleryStore
from index.store.merged_elsewhere import merged_pairs
from index.store.rule_rows import read_rules, write_rules
from index.store.tables import utc_now
from index.store.template_import import GalleryImport, Imported

Batches = Callable[[], Iterable[Sequence[ExchangeRow]]]
"""Gives checked rows from the first on, each time that it is called."""


class ImportingStore(GalleryStore):
    """One gallery in SQL, with imports."""

    def merged(self) -> list[tuple[str, str]]:
        """Return who was merged into whom, as public ids; nobody who is there again."""
        with self._reading() as connection:
            return merged_pairs(connection, self._row)

    def import_rows(self, batches: Batches, *, header: ExchangeHeader | None = None) -> Imported:
        """Write rows of an exchange file, all or none; see `GalleryImport` for the rules.

        Of somebody who gets templates, and then has more than the gallery keeps, the surplus is
        removed as after an enroll. An empty gallery that nobody chose rules for takes those of
        the file over, and keeps all templates: they were within them, or older than they are.

        Args:
            batches: asked for within the transaction, which holds the gallery: nobody is removed
                from it meanwhile. What they raise undoes everything.
            header: with what the file says beside its rows; None for nothing.

        Raises:
            GalleryNotFound: the gallery was deleted.
            ModelMismatch: a row is of another model.
            RequestInvalid: the rows contradict each other or what the gallery holds.
        """

        def change(connection: Connection) -> tuple[Imported, list[Removal]]:
            rules = read_rules(connection, self._row)
            work = GalleryImport(connection, self.gallery, header=header, sealer=self._sealer)
            was_empty = work.was_empty
            for batch in batches():
                work.add(batch)
            work.finish()
            given = None if header is None else header.rules
            untouched = rules == GalleryRules(smallest_lead=NEW_GALLERY_LEAD)
            if was_empty and untouched and given is not None:
                if given != rules:
                    self._take_over(connection, work, given)
                return work.done, []
            if rules.max_templates is None:
                return work.done, []
            return work.done, self._cap(connection, work, rules.max_templates)

        def finish(connection: Connection, done: Imported, _: LedgerHead | None) -> Imported:
            facts = {
                "num_templates": done.num_templates,
                "num_subjects": done.num_subjects,
                "num_dropped": done.num_dropped,
                "rules": done.rules_taken_over,
            }
            self._enter(connection, "gallery.import", facts=facts)
            return done

        return self._erasures.removing(self.gallery.id, change, finish=finish)

    def _take_over(self, connection: Connection, work: GalleryImport, rules: GalleryRules) -> None:
        write_rules(connection, self._row, rules)
        log = [Change(kind="rules_changed", subject_id=None)]
        work.state = write_changes(connection, self._row, log, before=work.state, at=utc_now())
        work.done.rules_taken_over = True

    def _cap(self, connection: Connection, work: GalleryImport, cap: int) -> list[Removal]:
        """Remove what people of the file have too many of now; returns the ledger's entries."""
        surplus = remove_surplus(connection, self._row, work.owner_ids, cap=cap)
        if not surplus:
            return []
        removed = self._surplus_removed(connection, surplus, before=work.state)
        work.state = removed.after
        work.done.num_dropped = len(surplus)
        return self._entries(removed)
