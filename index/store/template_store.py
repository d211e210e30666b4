"""One gallery in SQL, with single templates as they are shown, given out and erased.

Every public method is one transaction and thread safe.
"""

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from embedding.errors import TemplateNotFound
from index.moves import TemplatePage
from index.store import template_rows
from index.store.importing_store import ImportingStore
from index.store.removed_subjects import RemovedSubject, removed_template
from index.store.subject_rows import row_of
from index.store.tables import templates


class TemplateStore(ImportingStore):
    """One gallery in SQL, with its templates one by one."""

    def template_page(self, subject_id: str, *, limit: int, cursor: str | None) -> TemplatePage:
        """Return templates of a subject, the oldest first.

        Raises:
            RequestInvalid: the cursor is not of this subject.
            SubjectNotFound: no subject with this id.
        """
        scope = f"{self.gallery.id} templates of {subject_id}"
        after = -1 if cursor is None else self._cursors.read(cursor, gallery_id=scope)
        with self._reading() as connection:
            row_id = row_of(connection, self._row, subject_id, now=self.clock.now())
            rows = connection.execute(
                select(templates)
                .where(templates.c.subject_id == row_id, templates.c.id > after)
                .order_by(templates.c.id)
                .limit(limit + 1)
            ).all()
        more = len(rows) > limit
        rows = rows[:limit]
        return TemplatePage(
            templates=tuple(template_rows.unpack(row, subject_id=subject_id) for row in rows),
            next_cursor=self._cursors.write(rows[-1].id, gallery_id=scope) if more else None,
        )

    def removed_template(self, public_id: str, *, sequence: int | None = None) -> RemovedSubject:
        """Return what is remembered of a template's removal; see `removed_template`.

        Raises:
            TemplateNotFound: none with this id was removed.
        """
        with self._reading() as connection:
            return removed_template(connection, self._row, public_id, sequence=sequence)

    def ledger_entry_of_template(self, public_id: str) -> int | None:
        """Return the number of a removed template's entry in the ledger, from 1 on, or None."""
        for number, removal in enumerate(self._erasures.all(), start=1):
            if removal.kind == "template" and removal.template_id == public_id:
                return number
        return None

    def embedding(self, public_id: str) -> NDArray[np.float32]:
        """Return a template's vector (D,) as it is stored, verified.

        Raises:
            TemplateNotFound: no template with this id.
            StoreCorrupt: it does not fit its checksum.
        """
        with self._reading() as connection:
            row_id = self._template_row(connection, public_id, now=self.clock.now()).id
        for _, embeddings_ND in self.load_some([row_id]):
            found: NDArray[np.float32] = embeddings_ND[0]
            return found
        raise TemplateNotFound("no template with this id in the gallery")
