"""The shared fakes keep their word."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedding.detect import Box
from embedding.embedder import FaceEmbedder
from embedding.photo import decode_photo
from tests.fakes import PEOPLE, FakeDetector, fake_face, make_photo, write_fake_model


@pytest.mark.parametrize("num", [0, 1, 2, 6])
def test_the_detector_finds_the_drawn_faces(num: int) -> None:
    """As many faces as people were drawn, none without people."""
    photo = decode_photo(make_photo(list(PEOPLE)[:num]))
    assert len(FakeDetector().detect(photo)) == num


def test_the_detector_survives_jpeg() -> None:
    """A JPEG's noise does not hide or add faces."""
    photo = decode_photo(make_photo(["ann", "ben"], kind="JPEG"))
    assert len(FakeDetector().detect(photo)) == 2


def test_given_faces_are_the_answer() -> None:
    """A detector that was given faces returns them for any photo."""
    face = fake_face(Box(left=0, top=0, right=9, bottom=9))
    assert FakeDetector([face]).detect(np.zeros((5, 5, 3), np.uint8)) == [face]


def test_sideways_faces_are_not_found() -> None:
    """A photo turned by a quarter shows the detector no face."""
    assert FakeDetector().detect(decode_photo(make_photo(turns=1))) == []


def test_photos_carry_their_orientation() -> None:
    """The EXIF flag of a fake photo is in the file."""
    data = make_photo(kind="JPEG", exif_orientation=6)
    assert Image.open(io.BytesIO(data)).getexif()[0x0112] == 6


def test_people_are_told_apart(tmp_path: Path) -> None:
    """Photos of one person are similar, of two people are not; with a margin for thresholds."""
    model = write_fake_model(tmp_path / "m")
    embedder = FaceEmbedder.open(model, detector=FakeDetector())
    first = {p: embedder.analyze(make_photo([p])).faces[0].embedding for p in PEOPLE}
    again = {p: embedder.analyze(make_photo([p], variant=5)).faces[0].embedding for p in PEOPLE}
    for one in PEOPLE:
        for other in PEOPLE:
            similarity = float(first[one] @ again[other])
            assert similarity > 0.95 if one == other else similarity < 0.7


def test_seeds_are_other_models(tmp_path: Path) -> None:
    """Another seed has another fingerprint, the same seed the same one."""
    prints = [
        FaceEmbedder.open(
            write_fake_model(tmp_path / str(i), seed=seed), detector=FakeDetector()
        ).fingerprint
        for i, seed in enumerate((0, 0, 1))
    ]
    assert prints[0] == prints[1] != prints[2]
