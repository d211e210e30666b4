"""What people have chosen and declared about a gallery, in SQL.

Every public method is one transaction and thread safe.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from embedding.errors import CropNotFound
from index.audit.entries import AuditEvent, Fact
from index.rules import GalleryRules
from index.sealing import Sealer
from index.store import look_alike_rows
from index.store.audit_log import AuditLog
from index.store.change_log import (
    Change,
    Committed,
    GalleryState,
    begin_change,
    write_changes,
)
from index.store.clock import ForwardClock
from index.store.crop_rows import carry_crops, crop_context, template_crop
from index.store.cursors import Cursors
from index.store.database import Database
from index.store.erasures import Erasures
from index.store.gallery_reads import GalleryReads
from index.store.rule_rows import read_rules, write_rules
from index.store.stored_gallery import StoredGallery
from index.store.tables import utc_now


class GalleryChoices(GalleryReads):
    """One gallery in SQL, with how it decides and who was declared a look-alike."""

    def __init__(
        self,
        gallery: StoredGallery,
        *,
        database: Database,
        sealer: Sealer,
        cursors: Cursors,
        clock: ForwardClock,
        erasures: Erasures,
        audit: AuditLog,
    ) -> None:
        super().__init__(gallery, database=database, sealer=sealer, cursors=cursors, clock=clock)
        self._erasures = erasures
        self._audit = audit

    def rules(self) -> GalleryRules:
        """Return how the gallery decides.

        Raises:
            GalleryNotFound: the gallery was deleted.
        """
        with self._reading() as connection:
            return read_rules(connection, self._row)

    def look_alikes(self) -> list[tuple[str, str]]:
        """Return all declared pairs, as public ids."""
        with self._reading() as connection:
            return look_alike_rows.pairs_of(connection, self._row, now=self.clock.now())

    def look_alikes_page(
        self, *, limit: int, cursor: str | None
    ) -> tuple[list[tuple[str, str]], str | None]:
        """Return some declared pairs, as public ids, and the next page's cursor, if there is one.

        Raises:
            RequestInvalid: the cursor is not of this list.
        """
        scopes = [f"{self.gallery.id} look-alikes {each}" for each in ("first", "second")]
        first, second = 0, 0
        if cursor is not None:
            one, _, other = cursor.partition(".")
            first = self._cursors.read(one, gallery_id=scopes[0])
            second = self._cursors.read(other, gallery_id=scopes[1])
        with self._reading() as connection:
            rows = look_alike_rows.some_pairs(
                connection,
                self._row,
                after=(first, second),
                limit=limit + 1,
                now=self.clock.now(),
            )
        next_cursor = None
        if len(rows) > limit:
            last = rows[limit - 1]
            next_cursor = ".".join(
                self._cursors.write(row_id, gallery_id=scope)
                for row_id, scope in zip((last.first, last.second), scopes, strict=True)
            )
        return [(row.one, row.other) for row in rows[:limit]], next_cursor

    def look_alikes_of(self, public_id: str) -> list[str]:
        """Return the public ids of a subject's declared look-alikes."""
        with self._reading() as connection:
            return look_alike_rows.partners_of(
                connection, self._row, public_id, now=self.clock.now()
            )

    def set_rules(self, rules: GalleryRules) -> Committed | None:
        """Choose how the gallery decides; what is stored stays. None where it decides so already.

        Raises:
            GalleryNotFound: the gallery was deleted.
        """
        with self._erasures.changing(self.gallery.id) as connection:
            before = begin_change(connection, self._row, name=self.gallery.name)
            if read_rules(connection, self._row) == rules:
                return None
            write_rules(connection, self._row, rules)
            done = self._logged(connection, before, Change(kind="rules_changed", subject_id=None))
            self._enter(connection, "gallery.rules")
            return done

    def declare_look_alikes(self, one: str, other: str) -> Committed | None:
        """Write that a photo may not tell two subjects apart; None where that is known.

        Raises:
            RequestInvalid: both are the same subject.
            SubjectNotFound: one of them is not in the gallery.
        """
        with self._erasures.changing(self.gallery.id) as connection:
            # Held, so that neither is removed meanwhile.
            before = begin_change(connection, self._row, name=self.gallery.name)
            now = self.clock.now()
            if not look_alike_rows.declare(connection, self._row, one, other, now=now):
                return None
            change = Change(kind="look_alike_declared", subject_id=one)
            done = self._logged(connection, before, change)
            self._enter(connection, "look_alikes.declare", one, other)
            return done

    def withdraw_look_alikes(self, one: str, other: str) -> Committed | None:
        """Take a declaration back; None where there was none. Raises as the other."""
        with self._erasures.changing(self.gallery.id) as connection:
            before = begin_change(connection, self._row, name=self.gallery.name)
            now = self.clock.now()
            if not look_alike_rows.withdraw(connection, self._row, one, other, now=now):
                return None
            change = Change(kind="look_alike_withdrawn", subject_id=one)
            done = self._logged(connection, before, change)
            self._enter(connection, "look_alikes.withdraw", one, other)
            return done

    def show_crop(self, public_id: str) -> bytes:
        """Return a template's face as a PNG file, entered into the audit log before.

        Raises:
            CropNotFound: none was kept.
            TemplateNotFound: no template with this id.
            StoreCorrupt: it was changed.
            SealKeyMissing: it is sealed with a key that is not at hand.
        """
        with self._database.transaction() as connection:
            row = self._template_row(connection, public_id, now=self.clock.now())
            sealed = template_crop(connection, row.id)
            if sealed is None or row.owner is None:
                raise CropNotFound("no crop of this face was kept")
            context = crop_context(
                "template", public_id, gallery_id=self.gallery.id, subject_id=row.owner
            )
            crop = self._sealer.unseal(sealed, context=context)
            self._enter(connection, "crop.show", row.owner)
        return crop

    def carry_crops(self, old: StoredGallery, pairs: Sequence[tuple[str, str]]) -> int:
        """Give templates the crops of those of another gallery that they were made after.

        Args:
            old: the other gallery.
            pairs: see `index.store.crop_rows.carry_crops`; some hundred at a time.

        Raises:
            GalleryNotFound: the gallery was deleted.
            StoreCorrupt: a crop was changed.
            SealKeyMissing: one is sealed with a key that is not at hand.
        """
        with self._database.transaction() as connection:
            # Held, so that none of the templates is removed meanwhile.
            begin_change(connection, self._row)
            return carry_crops(
                connection,
                pairs,
                old_gallery=old.id,
                new_gallery=self.gallery.id,
                sealer=self._sealer,
            )

    def _enter(
        self,
        connection: Connection,
        action: str,
        *subject_ids: str,
        pseudonyms: tuple[str, ...] = (),
        facts: Mapping[str, Fact] | None = None,
    ) -> None:
        """Write an entry of the audit log, just before the commit of what it tells of."""
        event = AuditEvent(
            action=action,
            gallery_id=self.gallery.id,
            subject_ids=subject_ids,
            pseudonyms=pseudonyms,
            facts=facts or {},
        )
        self._audit.write(connection, event)

    def _logged(self, connection: Connection, before: GalleryState, change: Change) -> Committed:
        after = write_changes(connection, self._row, [change], before=before, at=utc_now())
        return Committed(before=before, after=after)
