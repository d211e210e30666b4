"""Keys, as they are answered."""

from collections.abc import Sequence

from service import schemas
from service.keys import KeyInfo


def key_answer(key: KeyInfo) -> schemas.KeyAnswer:
    """A key, without its secret."""
    return schemas.KeyAnswer(
        key_id=key.key_id,
        role=key.role,
        label=key.label,
        galleries=None if key.galleries is None else list(key.galleries),
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        max_per_minute=key.allowance.per_minute,
        max_per_day=key.allowance.per_day,
    )


def keys_answer(keys: Sequence[KeyInfo], next_cursor: str | None) -> schemas.KeysAnswer:
    """A page of keys."""
    return schemas.KeysAnswer(keys=list(map(key_answer, keys)), next_cursor=next_cursor)


def new_key_answer(key: KeyInfo, secret_key: str) -> schemas.NewKeyAnswer:
    """A new key, this once with its secret."""
    return schemas.NewKeyAnswer(key=secret_key, **key_answer(key).model_dump())
