"""The audit log."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field

from index.audit.entries import AuditEntry
from service.schemas.base import CREATED, SUBJECT_ID, Answer, NextCursor


class AuditEntryAnswer(Answer):
    """Something that was done, or refused."""

    number: Annotated[int, Field(description="From 1 on, without a gap.", examples=[17])]
    at: Annotated[datetime, Field(examples=[CREATED])]
    actor: Annotated[
        str,
        Field(
            description="Id of the key; `local` for the command line and the program itself.",
            examples=["0a1b2c3d4e5f"],
        ),
    ]
    action: Annotated[str, Field(examples=["subject.enroll"])]
    outcome: Annotated[
        str, Field(description="`done`, or the code of an error.", examples=["done"])
    ]
    gallery_id: Annotated[str | None, Field(examples=[SUBJECT_ID])]
    subjects: Annotated[
        list[str],
        Field(
            description="What stands for the people concerned; once they are removed nobody can "
            "tell whom.",
            examples=[["5f0c8a52d1b94e5c8a7b6d5e"]],
        ),
    ]
    facts: Annotated[dict[str, Any], Field(examples=[{"num_templates": 3}])]

    @classmethod
    def of(cls, entry: AuditEntry) -> Self:
        """An entry as it is shown."""
        return cls(
            number=entry.number,
            at=entry.at,
            actor=entry.actor,
            action=entry.action,
            outcome=entry.outcome,
            gallery_id=entry.gallery_id,
            subjects=list(entry.subjects),
            facts=dict(entry.facts),
        )


class AuditAnswer(Answer):
    """A page of the audit log, the oldest entry first."""

    entries: list[AuditEntryAnswer]
    next_cursor: NextCursor
