"""How well the built-in detector finds the faces of the team's photos."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from embedding.detect import Box, DetectedFace, MtcnnDetector
from embedding.photo import decode_photo

pytestmark = pytest.mark.data

MIN_IOU = 0.4


@pytest.fixture(scope="module")
def detector() -> MtcnnDetector:
    """The built-in detector."""
    return MtcnnDetector()


def faces_of(detector: MtcnnDetector, photo: Path) -> list[DetectedFace]:
    """The faces of a photo file."""
    return detector.detect(decode_photo(photo.read_bytes()))


def count_hits(boxes: Sequence[Box], faces: Sequence[DetectedFace]) -> int:
    """Boxes that a face of their own covers with enough overlap."""
    left = list(faces)
    num_hits = 0
    for box in boxes:
        best = max(left, key=lambda face: box.iou(face.box), default=None)
        if best is not None and box.iou(best.box) >= MIN_IOU:
            left.remove(best)
            num_hits += 1
    return num_hits


def test_boxed_scenes(detector: MtcnnDetector, shared_data: Path) -> None:
    """At least 95 % of the boxed faces, at most two others, none where there is none."""
    scenes = json.loads((shared_data / "scenes" / "boxes.json").read_text())
    num_boxes = num_hits = num_false = 0
    for name, rows in scenes.items():
        faces = faces_of(detector, shared_data / "scenes" / name)
        if not rows:
            assert not faces, name
            continue
        boxes = [Box(left=r[0], top=r[1], right=r[2], bottom=r[3]) for r in rows]
        hits = count_hits(boxes, faces)
        num_boxes += len(boxes)
        num_hits += hits
        num_false += len(faces) - hits
    assert num_hits >= 0.95 * num_boxes
    assert num_false <= 2


def test_six_of_six(detector: MtcnnDetector, shared_data: Path) -> None:
    """The group photo of six people shows six faces."""
    assert len(faces_of(detector, shared_data / "scenes" / "group_t1.jpg")) == 6


def test_ordinary_photos_yield_a_face(detector: MtcnnDetector, shared_data: Path) -> None:
    """At least 98 % of ordinary photos yield a face, on every seventh of 400."""
    photos = sorted((shared_data / "photos").glob("*/*.jpg"))[::7]
    num_found = sum(bool(faces_of(detector, photo)) for photo in photos)
    assert num_found >= 0.98 * len(photos)
