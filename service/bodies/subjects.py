"""What the service is asked about people: the body of a change, and what an enroll says of one."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import Field, ValidationError

from embedding.errors import RequestInvalid
from index.details import (
    UNCHANGED,
    DetailChange,
    SubjectChange,
    Unchanged,
    check_details,
    check_future,
)
from service.bodies.base import Body
from service.bodies.faces import EnrollBody
from service.people_calls import patch_json
from service.person_fields import ConsentReference, ExpiryTime, MetadataPatch, Purpose

_Value = TypeVar("_Value")


class SubjectChangeBody(Body):
    """A JSON merge patch (RFC 7396) of a subject: null takes away, what is absent stays."""

    merge_patch: ClassVar[bool] = True

    name: Annotated[str | None, Field(description="Another name.", examples=["Ada King"])] = None
    external_id: Annotated[str | None, Field(description="Your own id.")] = None
    metadata: Annotated[
        MetadataPatch | None,
        Field(description="Keys to set, with null keys to take away; null for all keys."),
    ] = None
    purpose: Annotated[Purpose | None, Field(description="Why the person is there.")] = None
    consent_reference: Annotated[
        ConsentReference | None, Field(description="Where the person's consent is kept.")
    ] = None
    expires_at: Annotated[
        ExpiryTime | None,
        Field(description="When the person is erased: in the future, with a time zone."),
    ] = None

    def _field(self, name: str, value: _Value) -> _Value | Unchanged:
        return value if name in self.model_fields_set else UNCHANGED

    def change(self) -> SubjectChange:
        """What is to become of the subject; not checked."""
        field = self._field
        return SubjectChange(
            name=field("name", self.name),
            external_id=field("external_id", self.external_id),
            details=DetailChange(
                metadata=field("metadata", self.metadata),
                purpose=field("purpose", self.purpose),
                consent=field("consent_reference", self.consent_reference),
                expires_at=field("expires_at", self.expires_at),
            ),
        )


def change_of(patch: Mapping[str, object]) -> SubjectChange:
    """The change that a merge patch asks for, read as the service reads its body.

    Raises:
        RequestInvalid: a field that there is not, or a value of another kind.
    """
    try:
        return SubjectChangeBody.model_validate_json(
            json.dumps(patch_json(patch)), strict=True
        ).change()
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"][:1])
        raise RequestInvalid(f"{where}: {error.errors()[0]['msg']}") from None


def details_of(body: EnrollBody) -> DetailChange | None:
    """What an enroll says of the person; None for nothing. A null there is as good as absent.

    Raises:
        RequestInvalid: something cannot be kept, the expiry has passed, or a term was given, too.
    """
    return enrolled_details(
        metadata=body.metadata,
        purpose=body.purpose,
        consent_reference=body.consent_reference,
        expires_at=body.expires_at,
        expires_in_days=body.expires_in_days,
    )


def enrolled_details(
    *,
    metadata: Mapping[str, Any] | None = None,
    purpose: str | None = None,
    consent_reference: str | None = None,
    expires_at: datetime | None = None,
    expires_in_days: int | None = None,
) -> DetailChange | None:
    """As `details_of`, from the values themselves."""
    now = datetime.now(UTC)
    if expires_in_days is not None:
        if expires_at is not None:
            raise RequestInvalid("give either expires_at or expires_in_days")
        expires_at = now + timedelta(days=expires_in_days)
    if (metadata, purpose, consent_reference, expires_at) == (None,) * 4:
        return None
    change = check_details(
        DetailChange(
            metadata=UNCHANGED if metadata is None else metadata,
            purpose=UNCHANGED if purpose is None else purpose,
            consent=UNCHANGED if consent_reference is None else consent_reference,
            expires_at=UNCHANGED if expires_at is None else expires_at,
        )
    )
    check_future(change, now=now)
    return change
