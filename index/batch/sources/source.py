"""What a source of photos gives, whatever it is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from embedding.detect import Box
from embedding.errors import NameInvalid
from index.checks import check_external_id, check_name


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectKey:
    """Whom a photo shows; a gallery's subject is found or made by it.

    Attributes:
        name: None without one.
        external_id: None without one.
    """

    name: str | None = None
    external_id: str | None = None

    def checked(self) -> "SubjectKey":
        """Return the same as a gallery keeps it.

        Raises:
            NameInvalid: neither is given, or one breaks the rules of `check_name`.
        """
        if self.name is None and self.external_id is None:
            raise NameInvalid("neither a name nor an external id says whom the photo shows")
        return SubjectKey(
            name=None if self.name is None else check_name(self.name),
            external_id=None if self.external_id is None else check_external_id(self.external_id),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SourcePhoto:
    """A photo that was not read yet.

    Attributes:
        key: names it in its source, for good; text that can be written to a file.
        subject: as given, not checked.
        size_bytes: of its file.
        mtime_ns: when the file was changed last, nanoseconds since 1970.
        read: returns at most so many bytes of it; raises OSError.
        metadata: what a manifest says of it beside, as JSON; None for nothing.
        box: of the face that is meant, in pixels of the upright photo; None leaves it to the
            rules.
        enrolled_at: when its template was enrolled first, aware; None for now.
    """

    key: str
    subject: SubjectKey
    size_bytes: int
    mtime_ns: int
    read: Callable[[int], bytes]
    metadata: str | None = None
    box: Box | None = None
    enrolled_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Something of a source that cannot be a photo of a subject, and why.

    Attributes:
        key: names it in its source.
        error: code, of `SKIPS` or of an error of the project.
        message: a sentence.
    """

    key: str
    error: str
    message: str


SKIPS = {
    "empty_folder": "a folder without a photo",
    "symlink_loop": "a link to a folder that it lies in",
    "outside": "a path that leads out of the source",
    "missing": "there is no such file",
    "no_subject": "nothing says whom it shows",
    "no_file": "neither a file nor a folder",
    "unreadable": "the file system refuses to read it",
    "bad_encoding": "a name or line that is no UTF-8",
    "bad_line": "a line of a manifest that cannot be understood",
    "repeated": "the same photo again",
    "damaged_shard": "a tar file that is damaged or cut off",
}
"""Codes of what a source leaves out, beside those of the project's errors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRules:
    """How a source is read.

    Attributes:
        subjects_are: what the name of a subject's folder is to the gallery.
        outside: follow links and paths that lead out of the source.
        without_subjects: take every photo, whomever it shows.
        metadata: give what is said of a photo besides, which must fit a gallery then.
    """

    subjects_are: Literal["name", "external-id"] = "name"
    outside: bool = False
    without_subjects: bool = False
    metadata: bool = True

    def subject(self, folder: str) -> SubjectKey:
        """Return whom a folder of this name stands for; not checked."""
        if self.subjects_are == "name":
            return SubjectKey(name=folder)
        return SubjectKey(external_id=folder)


class Source(Protocol):
    """Photos with their subjects."""

    @property
    def address(self) -> str:
        """What tells this source from others, such as an absolute path."""
        ...

    def photos(self) -> Iterator[SourcePhoto | Skip]:
        """Yield everything, one by one, in the same order each time if nothing changed."""
        ...


def subject_or_skip(key: str, subject: SubjectKey) -> SubjectKey | Skip:
    """Return the subject as a gallery keeps it, or why it cannot be one."""
    try:
        return subject.checked()
    except NameInvalid as error:
        return Skip(key=key, error=error.code, message=str(error))


def skip(key: str, error: str, reason: str | None = None) -> Skip:
    """Return a skip with the sentence of its code, and a reason beside it."""
    beside = "" if reason is None else f" ({reason})"
    return Skip(key=key, error=error, message=SKIPS[error] + beside)
