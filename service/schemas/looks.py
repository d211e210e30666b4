"""People whom a photo may not tell apart."""

from typing import Annotated

from pydantic import Field, WithJsonSchema

from service.schemas.base import SUBJECT_ID, Answer, NextCursor

_PAIR = {"type": "array", "items": {"type": "string"}, "minItems": 2, "maxItems": 2}


class LookAlikesAnswer(Answer):
    """A page of the pairs that were declared look-alikes."""

    pairs: Annotated[
        list[tuple[str, str]],
        # Tools of older drafts cannot read what a tuple becomes.
        WithJsonSchema({"type": "array", "items": _PAIR}),
        Field(description="Ids of subjects.", examples=[[(SUBJECT_ID, SUBJECT_ID)]]),
    ]
    next_cursor: NextCursor


class SubjectLookAlikesAnswer(Answer):
    """Who was declared a look-alike of one person."""

    subject_ids: Annotated[list[str], Field(examples=[[SUBJECT_ID]])]


class LookAlikeAnswer(Answer):
    """Whether two people are declared look-alikes."""

    declared: bool
    changed: Annotated[bool, Field(description="False where it was so before.")]
