"""Which face of a photo becomes a template, and whom it shows."""

import math
from dataclasses import dataclass
from typing import Literal

from embedding.detect import Box
from embedding.embedder import Face, PhotoFaces
from embedding.errors import (
    FaceNotAtBox,
    FaceQualityTooLow,
    NoFace,
    RequestInvalid,
    SeveralFaces,
)

MIN_BOX_IOU = 0.3
"""Between a caller's box and a face's: a box drawn by hand around the whole head still fits, a
neighbour's face in a group photo does not."""

FaceChoice = Literal["only", "largest"] | Box


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectChoice:
    """Whom photos show: an existing subject by id, or one found or created by name or external id.

    Attributes:
        subject_id: opaque id; excludes the other two.
        name: found or created.
        external_id: the caller's own id; found or created.
    """

    subject_id: str | None = None
    name: str | None = None
    external_id: str | None = None


def choose_face(found: PhotoFaces, choice: FaceChoice, *, force: bool = False) -> Face:
    """The face of a photo that is to become a template.

    Raises:
        NoFace: there is none.
        SeveralFaces: there are several and ``choice`` is ``only``.
        FaceNotAtBox: no face overlaps the box with an IoU of at least 0.3.
        FaceQualityTooLow: the face has reasons against it, and ``force`` is not given.
    """
    if isinstance(choice, Box):
        _check_box(choice)
    if not found.faces:
        raise NoFace("no face was found, in none of the four quarter turns; use another photo")
    if isinstance(choice, Box):
        face = max(found.faces, key=lambda each: each.box.iou(choice))
        if face.box.iou(choice) < MIN_BOX_IOU:
            raise FaceNotAtBox(
                f"none of the {len(found.faces)} faces is at the box; detect gives their boxes"
            )
    elif choice == "only" and len(found.faces) > 1:
        raise SeveralFaces(
            f"{len(found.faces)} faces were found where one was expected; say which with a box, "
            "or take the largest"
        )
    else:
        face = found.faces[0]
    if face.quality.reasons and not force:
        raise FaceQualityTooLow(
            f"the face would make a poor template: {', '.join(face.quality.reasons)}; use a "
            "better photo, or force it",
            reasons=face.quality.reasons,
        )
    return face


def _check_box(box: Box) -> None:
    edges = (box.left, box.top, box.right, box.bottom)
    if not all(map(math.isfinite, edges)) or box.area <= 0:
        raise RequestInvalid(
            "a box is left, top, right, bottom in pixels, with left < right and top < bottom"
        )
