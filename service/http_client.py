"""The client that works through a running service."""

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from embedding.choosing import FaceChoice
from embedding.errors import ServerUnreachable
from service import schemas
from service.auth import Role
from service.errors import error_of_problem
from service.limits import Allowance

AnyAnswer = TypeVar("AnyAnswer", bound=BaseModel)

TIMEOUT_S = 120.0
"""A large photo on a busy two-core machine takes seconds; a dead service is noticed at once."""


class HttpClient:
    """A `Client` that sends requests with a key."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def enroll(
        self,
        photos: Sequence[bytes],
        *,
        gallery: str,
        subject: str,
        face: FaceChoice = "only",
        force: bool = False,
        dry_run: bool = False,
    ) -> schemas.EnrollAnswer:
        """As in `Client`."""
        fields = {
            "gallery": gallery,
            "subject": subject,
            "force": str(force).lower(),
            "dry_run": str(dry_run).lower(),
        }
        if isinstance(face, str):
            fields["face"] = face
        else:
            fields["box"] = f"{face.left},{face.top},{face.right},{face.bottom}"
        files = [("photos", (f"photo-{n}", photo)) for n, photo in enumerate(photos)]
        return self._post(schemas.EnrollAnswer, "/v1/enroll", fields, files)

    def identify(
        self, photo: bytes, *, gallery: str, turns: bool = False, num_candidates: int = 5
    ) -> schemas.IdentifyAnswer:
        """As in `Client`."""
        fields = {
            "gallery": gallery,
            "turns": str(turns).lower(),
            "num_candidates": str(num_candidates),
        }
        files = [("photo", ("photo", photo))]
        return self._post(schemas.IdentifyAnswer, "/v1/identify", fields, files)

    def galleries(self) -> schemas.GalleriesAnswer:
        """As in `Client`."""
        return self._ask(schemas.GalleriesAnswer, "GET", "/v1/galleries")

    def create_gallery(self, name: str, *, model: str | None = None) -> schemas.GalleryAnswer:
        """As in `Client`."""
        body = {"name": name, "model": model}
        return self._ask(schemas.GalleryAnswer, "POST", "/v1/galleries", body=body)

    def delete_gallery(self, name: str) -> schemas.RemovedAnswer:
        """As in `Client`."""
        return self._ask(schemas.RemovedAnswer, "DELETE", f"/v1/galleries/{_part(name)}")

    def subjects(
        self, gallery: str, *, limit: int = 100, cursor: str | None = None
    ) -> schemas.SubjectsAnswer:
        """As in `Client`."""
        query = {"limit": str(limit)} | ({} if cursor is None else {"cursor": cursor})
        path = f"/v1/galleries/{_part(gallery)}/subjects"
        return self._ask(schemas.SubjectsAnswer, "GET", path, query=query)

    def remove_subject(self, gallery: str, subject_id: str) -> schemas.ErasedAnswer:
        """As in `Client`."""
        path = f"/v1/galleries/{_part(gallery)}/subjects/{_part(subject_id)}"
        return self._ask(schemas.ErasedAnswer, "DELETE", path)

    def keys(self) -> schemas.KeysAnswer:
        """As in `Client`."""
        return self._ask(schemas.KeysAnswer, "GET", "/v1/keys")

    def create_key(
        self,
        *,
        role: Role,
        label: str = "",
        galleries: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        allowance: Allowance | None = None,
    ) -> schemas.NewKeyAnswer:
        """As in `Client`."""
        body = {
            "role": role.value,
            "label": label,
            "galleries": None if galleries is None else list(galleries),
            "expires_at": None if expires_at is None else expires_at.isoformat(),
            "max_per_minute": None if allowance is None else allowance.per_minute,
            "max_per_day": None if allowance is None else allowance.per_day,
        }
        return self._ask(schemas.NewKeyAnswer, "POST", "/v1/keys", body=body)

    def revoke_key(self, key_id: str) -> schemas.KeyAnswer:
        """As in `Client`."""
        return self._ask(schemas.KeyAnswer, "DELETE", f"/v1/keys/{_part(key_id)}")

    def models(self) -> schemas.ModelsAnswer:
        """As in `Client`."""
        return self._ask(schemas.ModelsAnswer, "GET", "/v1/models")

    def _post(
        self,
        answer_class: type[AnyAnswer],
        path: str,
        fields: Mapping[str, str],
        files: list[tuple[str, tuple[str, bytes]]],
    ) -> AnyAnswer:
        request = self._http.build_request("POST", path, data=dict(fields), files=files)
        return self._send(answer_class, request)

    def _ask(
        self,
        answer_class: type[AnyAnswer],
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
    ) -> AnyAnswer:
        request = self._http.build_request(method, path, params=query, json=body)
        return self._send(answer_class, request)

    def _send(self, answer_class: type[AnyAnswer], request: httpx.Request) -> AnyAnswer:
        try:
            response = self._http.send(request)
            if response.is_success:
                return answer_class.model_validate_json(response.content)
            document = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise ServerUnreachable(
                f"no service answers at {self._http.base_url}: {type(error).__name__}; is it "
                "running, and is it this version?"
            ) from error
        raise error_of_problem(document if isinstance(document, dict) else {})


def _part(text: str) -> str:
    """One segment of a path."""
    return quote(text, safe="")


@contextmanager
def connect(url: str, *, key: str, certificate: Path | None = None) -> Iterator[HttpClient]:
    """A client of the service at an address.

    Args:
        url: of the service.
        key: sent with every request.
        certificate: PEM file that is trusted for HTTPS, beside the authorities that always are.
    """
    trusted = ssl.create_default_context()
    if certificate is not None:
        trusted.load_verify_locations(cafile=certificate)
    # A proxy of the environment must never see a key that is meant for this machine.
    with httpx.Client(
        base_url=url,
        headers={"Authorization": f"Bearer {key}"},
        timeout=TIMEOUT_S,
        trust_env=False,
        verify=trusted,
    ) as http:
        yield HttpClient(http)
