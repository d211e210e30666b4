"""What people have chosen and declared about a gallery, in SQL.

Every public method is one transaction and thread safe.
"""

from index.rules import GalleryRules
from index.store import look_alike_rows
from index.store.change_log import begin_change
from index.store.gallery_reads import GalleryReads
from index.store.rule_rows import read_rules, write_rules


class GalleryChoices(GalleryReads):
    """One gallery in SQL, with how it decides and who was declared a look-alike."""

    def rules(self) -> GalleryRules:
        """Return how the gallery decides.

        Raises:
            GalleryNotFound: the gallery was deleted.
        """
        with self._database.transaction() as connection:
            return read_rules(connection, self._row)

    def look_alikes(self) -> list[tuple[str, str]]:
        """Return all declared pairs, as public ids."""
        with self._database.transaction() as connection:
            return look_alike_rows.pairs_of(connection, self._row)

    def look_alikes_of(self, public_id: str) -> list[str]:
        """Return the public ids of a subject's declared look-alikes."""
        with self._database.transaction() as connection:
            return look_alike_rows.partners_of(connection, self._row, public_id)

    def set_rules(self, rules: GalleryRules) -> None:
        """Choose how the gallery decides; what is stored stays as it is.

        Raises:
            GalleryNotFound: the gallery was deleted.
        """
        with self._database.transaction() as connection:
            begin_change(connection, self._row)
            write_rules(connection, self._row, rules)

    def declare_look_alikes(self, one: str, other: str) -> bool:
        """Write that a photo may not tell two subjects apart; returns whether that is new.

        Raises:
            RequestInvalid: both are the same subject.
            SubjectNotFound: one of them is not in the gallery.
        """
        with self._database.transaction() as connection:
            # Held, so that neither is removed meanwhile.
            begin_change(connection, self._row)
            return look_alike_rows.declare(connection, self._row, one, other)

    def withdraw_look_alikes(self, one: str, other: str) -> bool:
        """Take a declaration back; returns whether there was one. Raises as the other."""
        with self._database.transaction() as connection:
            begin_change(connection, self._row)
            return look_alike_rows.withdraw(connection, self._row, one, other)
