"""Which face of a photo becomes a template."""

import math
from collections.abc import Sequence
from typing import Literal

from embedding.detect import Box
from embedding.errors import (
    FaceNotAtBox,
    FaceQualityTooLow,
    NoFace,
    RequestInvalid,
    SeveralFaces,
)
from embedding.faces import Face, PhotoFaces

MIN_BOX_IOU = 0.3
"""Between a caller's box and a face's: a box drawn by hand around the whole head still fits, a
neighbour's face in a group photo does not."""

FaceChoice = Literal["only", "largest"] | Box


def choose_face(found: PhotoFaces, choice: FaceChoice, *, force: bool = False) -> Face:
    """The face of a photo that is to become a template.

    Raises:
        NoFace: there is none.
        SeveralFaces: there are several and ``choice`` is ``only``.
        FaceNotAtBox: no face overlaps the box with an IoU of at least 0.3.
        FaceQualityTooLow: the face has reasons against it, and ``force`` is not given.
    """
    face = found.faces[choose_position([each.box for each in found.faces], choice)]
    if not force:
        check_quality(face)
    return face


def choose_position(boxes: Sequence[Box], choice: FaceChoice) -> int:
    """Which of a photo's faces is chosen, before any is embedded.

    Args:
        boxes: of the faces, largest first.
        choice: the only one, the largest, or the one at a box.

    Raises:
        NoFace: there is none.
        SeveralFaces: there are several and ``choice`` is ``only``.
        FaceNotAtBox: no face overlaps the box with an IoU of at least 0.3.
    """
    if isinstance(choice, Box):
        _check_box(choice)
    if not boxes:
        raise NoFace("no face was found, in none of the four quarter turns; use another photo")
    if isinstance(choice, Box):
        ious = [each.iou(choice) for each in boxes]
        if max(ious) < MIN_BOX_IOU:
            raise FaceNotAtBox(
                f"none of the {len(boxes)} faces is at the box; detect gives their boxes"
            )
        return ious.index(max(ious))
    if choice == "only" and len(boxes) > 1:
        raise SeveralFaces(
            f"{len(boxes)} faces were found where one was expected; say which with a box, "
            "or take the largest"
        )
    return 0


def check_quality(face: Face) -> None:
    """Pass a face that makes a good template.

    Raises:
        FaceQualityTooLow: it has reasons against it.
    """
    if face.quality.reasons:
        raise FaceQualityTooLow(
            f"the face would make a poor template: {', '.join(face.quality.reasons)}; use a "
            "better photo, or force it",
            reasons=face.quality.reasons,
        )


def _check_box(box: Box) -> None:
    edges = (box.left, box.top, box.right, box.bottom)
    if not all(map(math.isfinite, edges)) or box.area <= 0:
        raise RequestInvalid(
            "a box is left, top, right, bottom in pixels, with left < right and top < bottom"
        )
