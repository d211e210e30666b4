"""Keys, the audit log, models, and whether the service is ready."""

from collections.abc import Sequence
from datetime import datetime

from service import schemas
from service.auth import Role
from service.calls.call import Call, delete, get, page, path_of, post
from service.limits import Allowance


def keys(*, limit: int = 100, cursor: str | None = None) -> Call[schemas.KeysAnswer]:
    """A page of the keys, the oldest first, without their secrets; ``limit`` is 1 to 1000."""
    return get(schemas.KeysAnswer, path_of("keys"), page(limit, cursor))


def create_key(
    *,
    role: Role,
    label: str = "",
    galleries: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    allowance: Allowance | None = None,
) -> Call[schemas.NewKeyAnswer]:
    """A new key; twice there would be two.

    Args:
        role: decides what it may do.
        label: what it is for.
        galleries: names of those that it is tied to; None for all.
        expires_at: aware, in the future; None for never.
        allowance: how often it may ask; the service's own limits where None.
    """
    return post(
        schemas.NewKeyAnswer,
        path_of("keys"),
        {
            "role": role.value,
            "label": label,
            "galleries": None if galleries is None else list(galleries),
            "expires_at": None if expires_at is None else expires_at.isoformat(),
            "max_per_minute": None if allowance is None else allowance.per_minute,
            "max_per_day": None if allowance is None else allowance.per_day,
        },
        repeatable=False,
    )


def revoke_key(key_id: str) -> Call[schemas.KeyAnswer]:
    """Revokes a key: its next request is refused. A second time changes nothing."""
    return delete(schemas.KeyAnswer, path_of("keys", key_id), repeatable=True)


def audit(
    *,
    limit: int = 100,
    cursor: str | None = None,
    newest_first: bool = False,
    actor: str | None = None,
    action: str | None = None,
    refused: bool = False,
) -> Call[schemas.AuditAnswer]:
    """A page of the audit log; with a condition it may be empty and still have a next one.

    Args:
        limit: at most so many entries.
        cursor: of the page before, asked likewise.
        newest_first: else the oldest one leads.
        actor: only what this key's id did.
        action: only this one and its family: ``subject`` means ``subject.enroll``, too.
        refused: only what was refused.
    """
    query = page(
        limit,
        cursor,
        newest_first="true" if newest_first else None,
        actor=actor,
        action=action,
        refused="true" if refused else None,
    )
    return get(schemas.AuditAnswer, path_of("audit"), query)


def models() -> Call[schemas.ModelsAnswer]:
    """The installed models, the one for new galleries first."""
    return get(schemas.ModelsAnswer, path_of("models"))


def ready() -> Call[schemas.ReadyAnswer]:
    """That photos can be answered, and how current the answers are."""
    return get(schemas.ReadyAnswer, "/readyz")
