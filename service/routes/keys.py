"""Keys: made, listed and revoked by an admin whose key is tied to no gallery."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from service import schemas
from service.access import PartsOf, allowed, in_worker
from service.answers.keys import key_answer, keys_answer, new_key_answer
from service.auth import Caller, Permission
from service.bodies.keys import KeyBody
from service.idempotency_key import refuse_key
from service.limits import Allowance
from service.openapi import body_of, problems
from service.paging import PageCursor, PageLimit
from service.reading import SMALL_BODY_BYTES, read_body

router = APIRouter(prefix="/v1/keys", tags=["keys"])

KeyManager = Annotated[Caller, Depends(allowed(Permission.MANAGE_KEYS))]


@router.get("", responses=problems())
def list_keys(
    parts: PartsOf, caller: KeyManager, limit: PageLimit = 100, cursor: PageCursor = None
) -> schemas.KeysAnswer:
    """List keys, page by page, the oldest first: revoked ones too, without their secrets."""
    caller.require_all_galleries()
    return keys_answer(*parts.keys.page(limit=limit, cursor=cursor))


@router.post(
    "",
    status_code=201,
    responses=problems(413, 415),
    openapi_extra=body_of(KeyBody),
    dependencies=[Depends(refuse_key)],
)
async def create_key(request: Request, parts: PartsOf, caller: KeyManager) -> schemas.NewKeyAnswer:
    """Make a key, with no more than one's own; only this answer ever shows it."""
    caller.require_all_galleries()
    body = await read_body(request, KeyBody, max_bytes=SMALL_BODY_BYTES)
    key, secret_key = await in_worker(
        request,
        parts.keys.create,
        role=body.role,
        label=body.label,
        galleries=body.galleries,
        expires_at=body.expires_at,
        allowance=Allowance(per_minute=body.max_per_minute, per_day=body.max_per_day),
        maker=caller,
    )
    return new_key_answer(key, secret_key)


@router.delete("/{key_id}", responses=problems(404))
def revoke_key(
    key_id: Annotated[str, Path(max_length=255, description="Public part of the key.")],
    parts: PartsOf,
    caller: KeyManager,
) -> schemas.KeyAnswer:
    """Revoke a key: its next request is refused. A key cannot revoke itself."""
    caller.require_all_galleries()
    return key_answer(parts.keys.revoke(key_id, caller=caller))
