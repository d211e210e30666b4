"""What a known key was refused, for the audit log."""

from fastapi import Request

from embedding.errors import FaceGalleryError, KeyForbidden, KeyLimited, ServiceError
from index.audit.entries import AuditEvent


def note_refusal(request: Request, error: FaceGalleryError) -> None:
    """Enter what a valid key tried and did not get: changes, identifications, what is forbidden.

    Requests without a valid key are in the log of the service alone: anybody could fill the audit
    log with them.
    """
    known = "facegallery.key_id" in request.scope
    parts = getattr(request.app.state, "parts", None)
    if not known or parts is None:
        return
    if isinstance(error, (ServiceError, KeyLimited)):
        # Nothing was begun, and many come at once.
        return
    if request.method == "GET" and not isinstance(error, KeyForbidden):
        return
    route = getattr(request.scope.get("route"), "path", "-")
    parts.galleries.audit.note(
        AuditEvent(action=f"{request.method} {route}"[:64], outcome=error.code)
    )
