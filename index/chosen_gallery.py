"""What people have chosen and declared about an open gallery."""

from index.checks import check_limit
from index.loaded_gallery import LoadedGallery
from index.rules import GalleryRules
from index.store.change_log import Committed


class ChosenGallery(LoadedGallery):
    """A gallery with how it decides, and with who was declared a look-alike."""

    def rules(self) -> GalleryRules:
        """Return how the gallery decides; other processes see a change at their next call."""
        self._check_exists()
        return self._store.rules()

    def set_rules(self, rules: GalleryRules) -> None:
        """Choose how the gallery decides; templates that are there stay until the next enroll.

        Raises:
            GalleryNotFound: the gallery was deleted.
        """
        with self._changing():
            self._chosen(self._store.set_rules(rules))

    def look_alikes(self) -> tuple[tuple[str, str], ...]:
        """Return the pairs of subjects, by id, that were declared look-alikes."""
        self._check_exists()
        return tuple(self._store.look_alikes())

    def look_alikes_page(
        self, *, limit: int = 100, cursor: str | None = None
    ) -> tuple[list[tuple[str, str]], str | None]:
        """Return some declared pairs, and the cursor of the next page; None on the last.

        Args:
            limit: pairs, 1 to 1000.
            cursor: of the page before; None for the first.

        Raises:
            RequestInvalid: the limit is out of range, or the cursor is not of this list.
        """
        self._check_exists()
        check_limit(limit)
        return self._store.look_alikes_page(limit=limit, cursor=cursor)

    def look_alikes_of(self, subject_id: str) -> tuple[str, ...]:
        """Return the ids of those who were declared look-alikes of a subject."""
        self._check_exists()
        return tuple(self._store.look_alikes_of(subject_id))

    def declare_look_alikes(self, one: str, other: str) -> bool:
        """Say that a photo may not tell two subjects apart, such as twins; until one is removed.

        Returns:
            Whether that is new.

        Raises:
            RequestInvalid: both are the same subject.
            SubjectNotFound: one of them is not in the gallery.
        """
        with self._changing():
            return self._chosen(self._store.declare_look_alikes(one, other))

    def withdraw_look_alikes(self, one: str, other: str) -> bool:
        """Take such a declaration back; returns whether there was one. Raises as the other."""
        with self._changing():
            return self._chosen(self._store.withdraw_look_alikes(one, other))

    def _chosen(self, done: Committed | None) -> bool:
        if done is not None:
            self._made(done)
        return done is not None
