"""The audit log, for auditors and admins; a tied key reads what was done in its galleries."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from index.audit.entries import AuditWanted
from service import schemas
from service.access import PartsOf, allowed
from service.assembly import Parts
from service.auth import Caller, Permission
from service.openapi import problems
from service.paging import PageCursor, PageLimit

router = APIRouter(prefix="/v1/audit", tags=["audit"])

JSON_LINES = "application/jsonl"

_PLAIN = "^[ -~]*$"
"""Printable ASCII: no entry has other characters, and PostgreSQL takes no U+0000."""

Reader = Annotated[Caller, Depends(allowed(Permission.READ_AUDIT))]


@router.get("", responses=problems())
def list_audit(
    parts: PartsOf,
    caller: Reader,
    limit: PageLimit = 100,
    cursor: PageCursor = None,
    newest_first: Annotated[bool, Query(description="Else the oldest entry leads.")] = False,
    actor: Annotated[
        str | None,
        Query(
            max_length=64,
            pattern=_PLAIN,
            description="Only what this key's id did.",
            examples=["0a1b2c3d4e5f"],
        ),
    ] = None,
    action: Annotated[
        str | None,
        Query(
            max_length=64,
            pattern=_PLAIN,
            description="Only this one and its family: `subject` means `subject.enroll`, too.",
            examples=["subject"],
        ),
    ] = None,
    refused: Annotated[bool, Query(description="Only what was refused.")] = False,
) -> schemas.AuditAnswer:
    """List what was done, page by page, the oldest entry first unless asked otherwise.

    A page may hold fewer entries than `limit`, even none, and still have a next one.
    """
    reached = _reached(parts, caller)
    entries, next_cursor = parts.galleries.audit.page(
        limit=limit,
        cursor=cursor,
        newest_first=newest_first,
        wanted=AuditWanted(
            gallery_ids=None if reached is None else tuple(reached),
            actor=actor,
            action=action,
            refused=refused,
        ),
    )
    return schemas.AuditAnswer(
        entries=[schemas.AuditEntryAnswer.of(entry) for entry in entries], next_cursor=next_cursor
    )


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "One JSON object a line, each with its code.",
            "content": {JSON_LINES: {"schema": {"type": "string"}}},
        },
        **problems(),
    },
)
def export_audit(parts: PartsOf, caller: Reader) -> StreamingResponse:
    """Give all entries as JSON lines, each with its code, the oldest first.

    That of a key that is tied to no gallery can be verified with `facegallery-index audit verify`.
    """
    reached = _reached(parts, caller)

    log = parts.galleries.audit

    def lines() -> Iterator[str]:
        if reached is None:
            yield from (f"{line}\n" for line in log.lines())
            return
        for entry in log.entries(gallery_ids=reached):
            yield entry.line() + "\n"

    return StreamingResponse(lines(), media_type=JSON_LINES)


def _reached(parts: Parts, caller: Caller) -> list[str] | None:
    """Ids of the galleries whose entries the key may read; None for all entries."""
    if caller.galleries is None:
        return None
    return [each.id for each in parts.galleries.list() if caller.sees(each.name)]
