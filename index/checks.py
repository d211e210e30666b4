"""What comes in is checked here, before anything is written or searched.

Messages never hold the value: a name is a person's, and an embedding is a face.

Shapes: N vectors, D embedding dimension.
"""

import math
import re
import unicodedata
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from embedding.errors import EmbeddingInvalid, ModelMismatch, NameInvalid, RequestInvalid
from index.characters import forbidden_in
from index.details import check_details
from index.records import NewSubject, NewTemplate

UNIT_TOLERANCE = 1e-3
"""How far a length may be from 1: what float32 and ONNX Runtime leave is a thousandth of it."""

MAX_HASH_BYTES = 64
"""A keyed hash is at most as long as HMAC-SHA-512."""

MAX_PAGE = 1000
"""Most of a list on one page: of subjects about 200 kB of JSON, up to 4 MB with large metadata."""

# They make paths.
_SLASHES = "/\\"
# They show nothing, in any script: soft hyphen, space and joiner of no width, byte order mark. Two
# people would be listed by one name, of whom a search or removal by that name finds one.
_INVISIBLE = "\u00ad\u200b\u2060\ufeff"
GALLERY_NAME: Final = r"^(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}$"
"""Regular expression, for whoever checks before it is sent."""

_GALLERY_NAME = re.compile(GALLERY_NAME)
# What needs no look at each character; most ids of machines are so.
_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9 ._:-]*[A-Za-z0-9_-]")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


class FaceFigures(Protocol):
    """What was measured on a face; `NewTemplate` explains the fields."""

    @property
    def norm(self) -> float: ...  # noqa: D102
    @property
    def confidence(self) -> float: ...  # noqa: D102
    @property
    def quality(self) -> float: ...  # noqa: D102
    @property
    def box(self) -> tuple[float, float, float, float]: ...  # noqa: D102
    @property
    def photo_size(self) -> tuple[int, int]: ...  # noqa: D102
    @property
    def landmarks(self) -> NDArray[np.float32]: ...  # noqa: D102


def check_name(text: str, *, what: str = "name", max_length: int = 200) -> str:
    """Return the name as it is stored: stripped and in Unicode's form NFC.

    Args:
        text: 1 to max_length characters after stripping; no control characters, none that are
            invisible in every script, no slashes or backslashes, and not ``.`` or ``..``.
        what: for the message.
        max_length: in characters.

    Raises:
        NameInvalid: says which rule is broken.
    """
    if len(text) > 4 * max_length:  # Normalising a megabyte is work that nobody asked for.
        raise NameInvalid(_too_long(what, max_length, len(text)))
    if _PLAIN.fullmatch(text) and len(text) <= max_length:
        return text
    name = unicodedata.normalize("NFC", text.strip())
    if not name:
        raise NameInvalid(f"the {what} is empty; give 1 to {max_length} characters")
    if len(name) > max_length:
        raise NameInvalid(_too_long(what, max_length, len(name)))
    character = forbidden_in(name, besides=_SLASHES + _INVISIBLE)
    if character is not None:
        raise NameInvalid(
            f"the {what} holds the character U+{ord(character):04X}; control and invisible "
            f"characters, slashes and backslashes are not allowed"
        )
    if name in {".", ".."}:
        raise NameInvalid(f"the {what} must not be a dot or two dots")
    return name


def check_external_id(text: str) -> str:
    """Return the external id as it is stored; the rules are a name's, up to 255 characters.

    Raises:
        NameInvalid: says which rule is broken.
    """
    return check_name(text, what="external id", max_length=255)


def check_limit(limit: int) -> None:
    """Pass how many of a list are wanted on one page.

    Raises:
        RequestInvalid: not 1 to 1000.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise RequestInvalid(f"limit must be 1 to {MAX_PAGE}, but is {limit}")


def check_gallery_name(name: str) -> None:
    """Pass a name that can stand in a path as it is.

    Raises:
        NameInvalid: not 1 to 255 of ``A-Z a-z 0-9 . _ -``, or ``.`` or ``..``.
    """
    if not _GALLERY_NAME.fullmatch(name):
        raise NameInvalid(
            "a gallery's name must be 1 to 255 of the characters A-Z a-z 0-9 . _ -, and not "
            "a dot or two dots"
        )


def check_fingerprint(fingerprint: str) -> None:
    """Pass a model's fingerprint.

    Raises:
        RequestInvalid: not 64 lower-case hexadecimal digits.
    """
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise RequestInvalid("a fingerprint is 64 lower-case hexadecimal digits (a sha256)")


def check_model(fingerprint: str, *, expected: str) -> None:
    """Pass the fingerprint of the gallery's own model.

    Raises:
        ModelMismatch: it is of another model.
    """
    if fingerprint != expected:
        raise ModelMismatch(
            f"the gallery holds embeddings of model {expected[:12]}, but this one is of model "
            f"{fingerprint[:12]}; use the gallery's model, or another gallery"
        )


def check_new_subject(new: NewSubject, *, fingerprint: str) -> NewSubject:
    """Return the subject with its names as they are stored; embeddings are not looked at.

    Args:
        new: to be enrolled.
        fingerprint: of the gallery's model.

    Raises:
        ModelMismatch: a template of another model.
        NameInvalid: the name or external id is empty, too long or holds forbidden characters.
        RequestInvalid: no templates, an id beside a name or external id, or details that cannot
            be kept.
    """
    if not new.templates:
        raise RequestInvalid("a subject was given without templates; give at least one")
    for template in new.templates:
        check_model(template.fingerprint, expected=fingerprint)
    if new.subject_id is not None and (new.name, new.external_id) != (None, None):
        raise RequestInvalid("give the subject by its id, or by name and external id")
    return NewSubject(
        subject_id=new.subject_id,
        name=None if new.name is None else check_name(new.name),
        external_id=None if new.external_id is None else check_external_id(new.external_id),
        templates=new.templates,
        details=None if new.details is None else check_details(new.details),
    )


def check_unit_vectors(vectors_ND: NDArray[np.float32], *, dimension: int) -> None:
    """Pass vectors that can be compared by cosine.

    Raises:
        EmbeddingInvalid: not two-dimensional of this width, not float32, not finite, or not of
            unit length within 1e-3.
    """
    if vectors_ND.ndim != 2 or vectors_ND.shape[1] != dimension:
        expected = f"(any number, {dimension})"
        raise EmbeddingInvalid(f"expected vectors of shape {expected}, got {vectors_ND.shape}")
    if vectors_ND.dtype != np.float32:
        raise EmbeddingInvalid(f"expected float32 vectors, got {vectors_ND.dtype}")
    # NaN and infinity survive the sum, and neither is close to 1.
    with np.errstate(over="ignore"):
        lengths_N = np.sqrt(np.einsum("nd,nd->n", vectors_ND, vectors_ND))
    good_N = np.abs(lengths_N - 1.0) <= UNIT_TOLERANCE
    if not good_N.all():
        place = int(np.argmin(good_N))
        length = float(lengths_N[place])
        problem = f"has length {length:.4g}" if math.isfinite(length) else "is not finite"
        raise EmbeddingInvalid(
            f"vector {place} of {len(vectors_ND)} {problem}, but must be of unit length"
        )


def check_new_templates(
    templates: Sequence[NewTemplate], *, dimension: int
) -> NDArray[np.float32]:
    """Return the embeddings (N, dimension) float32 of templates that can be stored.

    Raises:
        EmbeddingInvalid: an embedding is not a unit vector of this dimension.
        NameInvalid: a face id or image id is empty, too long or holds forbidden characters.
        RequestInvalid: there is none, or a figure is out of range.
    """
    if not templates:
        raise RequestInvalid("no templates were given; give at least one")
    embeddings_ND = _stacked([np.asarray(each.embedding) for each in templates], dimension)
    check_unit_vectors(embeddings_ND, dimension=dimension)
    for template in templates:
        check_figures(template)
        check_name(template.face_id, what="face id", max_length=255)
        check_name(template.image_id, what="image id", max_length=255)
        if not 1 <= len(template.image_hash) <= MAX_HASH_BYTES:
            raise RequestInvalid(
                f"the image hash must have 1 to {MAX_HASH_BYTES} bytes, but has "
                f"{len(template.image_hash)}"
            )
        if template.created_at is not None and template.created_at.tzinfo is None:
            raise RequestInvalid("the time of a template has no time zone")
    return embeddings_ND


def _stacked(embeddings: Sequence[NDArray[np.float32]], dimension: int) -> NDArray[np.float32]:
    for each in embeddings:
        if each.shape != (dimension,) or each.dtype != np.float32:
            raise EmbeddingInvalid(
                f"expected an embedding of shape ({dimension},) and float32, got {each.shape} "
                f"and {each.dtype}"
            )
    return np.stack(embeddings)


def check_figures(template: FaceFigures) -> None:
    """Pass what was measured on a face.

    Raises:
        RequestInvalid: a figure is not finite, out of range, or of another shape.
    """
    if not (math.isfinite(template.norm) and template.norm > 0):
        raise RequestInvalid("the norm must be a positive number")
    for what in ("confidence", "quality"):
        if not 0.0 <= getattr(template, what) <= 1.0:
            raise RequestInvalid(f"the {what} must be in [0, 1]")
    box = template.box
    if len(box) != 4 or not all(map(math.isfinite, box)) or box[0] > box[2] or box[1] > box[3]:
        raise RequestInvalid("the box must be four finite numbers: left, top, right, bottom")
    if len(template.photo_size) != 2 or min(template.photo_size) < 1:
        raise RequestInvalid("the photo's size must be its width and height, each at least 1")
    landmarks = np.asarray(template.landmarks)
    if landmarks.shape != (5, 2) or not np.isfinite(landmarks).all():
        raise RequestInvalid("the landmarks must be five finite points (x, y)")


def _too_long(what: str, max_length: int, length: int) -> str:
    return f"the {what} has {length} characters, but at most {max_length} are allowed"
