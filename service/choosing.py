"""Whom a photo shows, as a caller says it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectChoice:
    """Whom photos show: an existing subject by id, or one found or created by name or external id.

    Attributes:
        subject_id: opaque id; excludes the other two.
        name: found or created.
        external_id: the caller's own id; found or created.
    """

    subject_id: str | None = None
    name: str | None = None
    external_id: str | None = None
