"""Galleries given out and taken in, as tests ask for it."""

from typing import Any

from service.transfer import _code
from tests.index.samples import new_template, unit_vectors
from tests.service.support import FakeService

PARQUET = "application/vnd.apache.parquet"


def export_gallery(service: FakeService, gallery: str = "default", **headers: str) -> Any:
    """Ask for a gallery's file, with an admin's key unless headers are given."""
    return service.http.get(
        f"/v1/galleries/{gallery}/export", headers=headers or service.headers()
    )


def import_gallery(
    service: FakeService, content: bytes, gallery: str = "default", kind: str = PARQUET
) -> Any:
    """Have a file taken in."""
    return service.http.post(
        f"/v1/galleries/{gallery}/import",
        headers=service.headers() | {"Content-Type": kind},
        content=content,
    )


def actions(service: FakeService) -> list[tuple[str, str]]:
    """What the audit log says was done with galleries, and how it went."""
    entries = service.parts.galleries.audit.entries()
    return [(e.action, e.outcome) for e in entries if e.action.startswith("gallery.")]


def fill(service: FakeService, num: int) -> None:
    """More templates than one row group holds."""
    gallery = service.parts.galleries.get("default")
    template = new_template(unit_vectors(1)[0], fingerprint=gallery.fingerprint)
    gallery.enroll([template] * num, name="Many")


def claim_of_default(service: FakeService) -> bytes:
    """What the default gallery is claimed by while it is moved."""
    return _code(service.parts.galleries.get("default").id)
