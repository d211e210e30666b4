"""The people of an open gallery: found, called something else, and erased when they expire."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from embedding.errors import RequestInvalid, SubjectNotFound
from index.checks import check_external_id, check_limit, check_name
from index.chosen_gallery import ChosenGallery
from index.details import (
    DetailChange,
    Details,
    SubjectChange,
    Unchanged,
    check_details,
    check_future,
)
from index.records import NewSubject, Page, Subject
from index.store.detail_rows import ExpiredFirstError

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")


class PeopleOfGallery(ChosenGallery):
    """A gallery with its people, apart from their templates.

    Who has expired is found by nothing from that moment on, and erased by the upkeep soon after.
    """

    def subject(self, subject_id: str) -> Subject:
        """Return the subject.

        Raises:
            SubjectNotFound: no subject with this id.
        """
        self._check_exists()
        return self._store.subject(subject_id)

    def find_subject(
        self, *, name: str | None = None, external_id: str | None = None
    ) -> Subject | None:
        """Return the subject with this name or external id; None when there is none.

        Raises:
            RequestInvalid: not exactly one of the two was given.
        """
        self._check_exists()
        if name is not None and external_id is None:
            return self._store.find("name", check_name(name))
        if external_id is not None and name is None:
            return self._store.find("external_id", check_external_id(external_id))
        raise RequestInvalid("give either a name or an external id")

    def subjects(
        self,
        *,
        limit: int = 100,
        cursor: str | None = None,
        name: str | None = None,
        external_id: str | None = None,
    ) -> Page:
        """Return a page of subjects in the order of their enrollment.

        Args:
            limit: subjects on the page, 1 to 1000.
            cursor: `Page.next_cursor` of the page before; None for the first.
            name: only the subject with exactly this name, without a cursor.
            external_id: only the subject with exactly this external id; with both, the one that
                has both.

        Raises:
            NameInvalid: no subject can have such a name or external id.
            RequestInvalid: the limit is out of range, or the cursor is not of this gallery.
        """
        self._check_exists()
        check_limit(limit)
        if name is None and external_id is None:
            return self._store.page(limit=limit, cursor=cursor)
        if cursor is not None:
            raise RequestInvalid("a cursor does not go with a name or external id")
        found = [] if name is None else [self.find_subject(name=name)]
        found += [] if external_id is None else [self.find_subject(external_id=external_id)]
        meant = {None if each is None else each.id for each in found}
        only = found[0] if len(meant) == 1 else None
        return Page(subjects=() if only is None else (only,), next_cursor=None)

    def change_subject(
        self, subject_id: str, change: SubjectChange, *, versions: Collection[str] | None = None
    ) -> Subject:
        """Change what the subject is called and what is kept of it; returns it afterwards.

        Args:
            subject_id: whose.
            change: what is not given stays.
            versions: the subject must have one of these (`Subject.version`); None for any.

        Raises:
            NameInvalid: empty, too long or with forbidden characters.
            RequestInvalid: a detail cannot be kept.
            SubjectChanged: it has none of the versions.
            SubjectExists: another subject of the gallery has the name or external id.
            SubjectNotFound: no subject with this id.
        """
        checked = _checked(change)
        check_future(checked.details, now=self._store.clock.now())
        with self._changing():
            subject, done = self._without_expired(
                lambda: self._store.change_subject(subject_id, checked, versions=versions)
            )
            self._chosen(done)
        return subject

    def rename(self, subject_id: str, *, name: str | None) -> Subject:
        """Give the subject another name, or erase it with None; raises as `change_subject`."""
        return self.change_subject(subject_id, SubjectChange(name=name))

    def set_external_id(self, subject_id: str, *, external_id: str | None) -> Subject:
        """Give the subject another external id, or erase it; raises as `change_subject`."""
        return self.change_subject(subject_id, SubjectChange(external_id=external_id))

    def change_details(self, wanted: Sequence[tuple[NewSubject, DetailChange]]) -> None:
        """Change details of people by name and external id, in one commit.

        Args:
            wanted: whom, without templates; who is not there is passed over.

        Raises:
            NameInvalid: a name or external id cannot be one.
            RequestInvalid: a name and an external id belong to different subjects, or a detail
                cannot be kept.
        """
        checked = [
            replace(
                whom,
                name=None if whom.name is None else check_name(whom.name),
                external_id=None
                if whom.external_id is None
                else check_external_id(whom.external_id),
                details=check_details(change),
            )
            for whom, change in wanted
        ]
        if checked:
            with self._changing():
                self._chosen(self._store.change_details(checked))

    def set_details(self, details: Mapping[str, Details]) -> None:
        """Give people exactly these details, by id, in one commit; for who takes them over."""
        if details:
            with self._changing():
                self._chosen(self._store.set_details(details))

    def expire(self) -> int:
        """Erase those who have expired, each as a removal does; returns how many.

        Raises:
            StoreError: the ledger or the database cannot be written; the next call goes on.
        """
        num_erased = 0
        for subject_id in self._store.expired():
            with self._changing():
                num_erased += self._erase_expired(subject_id)
        if num_erased:
            logger.info("erased %s subjects of gallery %s that expired", num_erased, self.id)
        return num_erased

    def _without_expired(self, change: Callable[[], _Result]) -> _Result:
        """Make a change; who has expired and stands in its way is erased before."""
        while True:
            try:
                return change()
            except ExpiredFirstError as error:
                for subject_id in error.subject_ids:
                    self._erase_expired(subject_id)

    def _erase_expired(self, subject_id: str) -> bool:
        # Another process may have been quicker.
        with suppress(SubjectNotFound):
            removed = self._store.remove_expired(subject_id)
            self._made(removed, removed=removed.row_ids, erases=True)
            return True
        return False


def _checked(change: SubjectChange) -> SubjectChange:
    name, external_id = change.name, change.external_id
    return SubjectChange(
        name=name if name is None or isinstance(name, Unchanged) else check_name(name),
        external_id=external_id
        if external_id is None or isinstance(external_id, Unchanged)
        else check_external_id(external_id),
        details=check_details(change.details),
    )
