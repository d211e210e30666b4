"""The people of a gallery, and their removal."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from service.schemas.base import CREATED, FINGERPRINT, SUBJECT_ID, Answer, NextCursor


class IdentifiedSubject(Answer):
    """A person as an identification names them: nothing of what is kept besides."""

    id: Annotated[str, Field(examples=[SUBJECT_ID])]
    name: Annotated[str | None, Field(examples=["Ada Lovelace"])]
    external_id: Annotated[str | None, Field(examples=[None])]
    num_templates: Annotated[int, Field(examples=[3])]
    created_at: Annotated[datetime, Field(examples=[CREATED])]


class SubjectAnswer(IdentifiedSubject):
    """A person in a gallery."""

    metadata: Annotated[
        dict[str, str | int | float | bool], Field(examples=[{"badge": 17, "team": "night"}])
    ]
    purpose: Annotated[str | None, Field(examples=["access to building 7"])]
    consent_reference: Annotated[str | None, Field(examples=["consents/17"])]
    expires_at: Annotated[
        datetime | None, Field(description="When the person is erased.", examples=[None])
    ]
    version: Annotated[
        str,
        Field(
            description="Another one after each change of the person or their templates; in "
            "quotes it is the `ETag`.",
            examples=["9f86d081884c7d65-3"],
        ),
    ]


class SubjectsAnswer(Answer):
    """A page of subjects, in the order of their enrollment."""

    subjects: list[SubjectAnswer]
    next_cursor: NextCursor


class RemovedAnswer(Answer):
    """What a removal took away; none of it is ever matched again."""

    num_templates: Annotated[int, Field(examples=[3])]


class ErasureContent(Answer):
    """What was erased, and how far it is; this is what is signed."""

    gallery_id: Annotated[str, Field(examples=[SUBJECT_ID])]
    subject_id: Annotated[
        str | None,
        Field(description="None: the whole gallery.", examples=[SUBJECT_ID]),
    ]
    num_templates: Annotated[int, Field(examples=[3])]
    num_subjects: Annotated[int, Field(examples=[1])]
    removed_at: Annotated[str, Field(description="Never matched since then.", examples=[CREATED])]
    ledger_entry: Annotated[
        int | None, Field(description="Number in the removal ledger.", examples=[12])
    ]
    final: Annotated[
        bool, Field(description="The bytes are out of database, its log and snapshot, too.")
    ]
    template_id: Annotated[
        str | None,
        Field(description="The one that was removed; None for a whole person.", examples=[None]),
    ]
    database_id: Annotated[str, Field(examples=[SUBJECT_ID])]
    purge_due_at: Annotated[
        str,
        Field(
            description="From then on it is final, unless a backup, an open transaction or a "
            "table too large to write anew holds it up.",
            examples=[CREATED],
        ),
    ]
    issued_at: Annotated[str, Field(examples=[CREATED])]


class ReceiptAnswer(Answer):
    """A signed erasure receipt (Ed25519)."""

    content: ErasureContent
    signature: Annotated[
        str, Field(description="128 hexadecimal digits.", examples=[2 * FINGERPRINT])
    ]
    public_key: Annotated[str, Field(description="64 hexadecimal digits.", examples=[FINGERPRINT])]


class ErasedAnswer(RemovedAnswer):
    """What the removal of a person or gallery took away, with its receipt."""

    receipt: ReceiptAnswer
