"""What schemathesis loads before it begins: good values for formats that it cannot guess.

Without them hardly a request would get past the reading of its photo.
"""

import base64
import io
import os
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st
from PIL import Image

from service.examples import PHOTO

PORTRAIT_VARIABLE = "SCHEMATHESIS_PORTRAIT"
"""Names the file of a photo with one face."""

_KEPT_GALLERY = "default"


def _photos() -> list[bytes]:
    stream = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 140, 90)).save(stream, "WEBP")
    photos = [base64.b64decode(PHOTO), stream.getvalue()]
    portrait = os.environ.get(PORTRAIT_VARIABLE)
    # Most of them with a face, for an enroll of several needs one in each.
    return [*photos, *([Path(portrait).read_bytes()] * 8 if portrait else [])]


PHOTOS = st.sampled_from(_photos())
schemathesis.openapi.format("binary", PHOTOS)
schemathesis.openapi.format("byte", PHOTOS.map(lambda photo: base64.b64encode(photo).decode()))
NEW_GALLERIES = st.from_regex(r"\A[A-Za-z0-9_-][A-Za-z0-9._-]{0,20}\Z")
schemathesis.openapi.format("gallery-name", st.just("default") | NEW_GALLERIES)
schemathesis.openapi.format("name", st.from_regex(r"\A\w[\w .'-]{0,40}\w\Z"))


@schemathesis.serializer("application/vnd.apache.parquet")
def as_it_is(_context: Any, value: Any) -> bytes:  # noqa: ANN401
    """A file's bytes, or the text of what is none."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:  # noqa: ANN401
    """Keeps the gallery of all the other requests, and says whom a good enroll shows."""
    operation = case.operation
    positive = all(each.mode.is_positive for each in case.meta.components.values())
    deletes = operation.method.upper() == "DELETE"
    if deletes and operation.path == "/v1/galleries/{gallery}":
        if case.path_parameters.get("gallery") == _KEPT_GALLERY:
            case.path_parameters["gallery"] = "absent"
    elif operation.path == "/v1/enroll" and positive and case.media_type == "application/json":
        # Not of a form: its photos are bytes, which schemathesis, looking again, takes for wrong.
        # Of a name, an id of ours and one of the caller's some exclude each other.
        case.body.pop("subject_id", None)
        if not case.body.get("external_id"):
            case.body["subject"] = case.body.get("subject") or "Ada Lovelace"
        if not case.body.get("force"):
            case.body.pop("box", None)
            case.body["photos"] = [base64.b64encode(_photos()[-1]).decode()]
