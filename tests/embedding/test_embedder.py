"""``FaceEmbedder``: from the bytes of a photo to faces."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedding.align import ARCFACE_TEMPLATE
from embedding.detect import Box, DetectedFace
from embedding.embedder import FaceEmbedder
from embedding.errors import (
    ModelInvalid,
    ModelNotFound,
    PhotoError,
    PhotoTooManyPixels,
    RequestInvalid,
)
from embedding.photo import PhotoLimits, quarter_turn
from embedding.quality import QualityLimits
from embedding.turning import turn_back
from tests.fakes import FakeDetector, fake_face, make_photo, photo_bytes, write_fake_model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model directory."""
    return write_fake_model(tmp_path_factory.mktemp("models") / "m")


@pytest.fixture(scope="module")
def embedder(model: Path) -> FaceEmbedder:
    """A tiny model behind the fake detector."""
    return FaceEmbedder.open(model, detector=FakeDetector(), num_threads=1)


def test_analyze_gives_every_face(embedder: FaceEmbedder) -> None:
    """Each face has a box, landmarks, quality and a unit embedding of its own."""
    found = embedder.analyze(make_photo(["ann", "ben", "cat"]))
    assert len(found.faces) == 3
    for face in found.faces:
        assert face.embedding.shape == (512,)
        assert np.linalg.norm(face.embedding) == pytest.approx(1.0, abs=1e-5)
        assert face.landmarks.shape == (5, 2)
        assert face.quality.norm == face.norm > 0
        assert face.num_quarter_turns == 0
    assert set(found.timings_ms) == {"decode", "detect", "align", "embed"}
    assert (found.width, found.height) == (448, 196)


def test_no_face(embedder: FaceEmbedder) -> None:
    """A photo without faces gives none, after all turns as well."""
    for turns in (False, True):
        found = embedder.analyze(make_photo([]), turns=turns)
        assert found.faces == ()
        assert found.num_quarter_turns == 0


def test_face_alone_or_in_company(embedder: FaceEmbedder) -> None:
    """A person's embedding does not depend on who else is in the photo."""
    alone = embedder.analyze(make_photo(["ben"])).faces[0]
    together = embedder.analyze(make_photo(["ann", "ben", "cat"])).faces
    assert max(float(alone.embedding @ face.embedding) for face in together) > 0.999


@pytest.mark.parametrize(("stored_turns", "found_turns"), [(1, 3), (3, 1)])
def test_turned_photos(embedder: FaceEmbedder, stored_turns: int, found_turns: int) -> None:
    """A photo turned by a quarter shows its face on request only, in its own frame."""
    photo = make_photo(["ann"], turns=stored_turns)
    assert embedder.analyze(photo).faces == ()
    upright = embedder.analyze(make_photo(["ann"])).faces[0]
    found = embedder.analyze(photo, turns=True)
    face = found.faces[0]
    assert found.num_quarter_turns == face.num_quarter_turns
    assert found.num_quarter_turns in (found_turns, stored_turns)
    assert (found.width, found.height) == (196, 168)
    assert face.box.width == pytest.approx(upright.box.height)
    assert face.box.left == pytest.approx(28.0)


def test_exif_turned_photo_is_the_upright_photo(embedder: FaceEmbedder) -> None:
    """A photo turned by its EXIF flag gives the faces of the upright one, exactly."""
    upright = embedder.analyze(make_photo(["ann", "ben"]))
    flagged = embedder.analyze(make_photo(["ann", "ben"], turns=1, exif_orientation=6))
    assert (flagged.width, flagged.height) == (upright.width, upright.height)
    for one, other in zip(upright.faces, flagged.faces, strict=True):
        assert one.box == other.box
        assert np.array_equal(one.embedding, other.embedding)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_turn_back_follows_the_pixels(turns: int) -> None:
    """Boxes and landmarks go back to where the turned pixels came from."""
    photo = np.zeros((30, 50, 3), np.uint8)
    photo[7:12, 20:40] = 255
    turned = quarter_turn(photo, turns)
    rows, columns = np.nonzero(turned[..., 0])
    box = Box(
        left=float(columns.min()),
        top=float(rows.min()),
        right=float(columns.max() + 1),
        bottom=float(rows.max() + 1),
    )
    dots = np.array([[box.left, box.top], [box.right, box.bottom], *[box.center] * 3])
    face = DetectedFace(box=box, landmarks=dots.astype(np.float32), confidence=1.0)
    back = turn_back(face, turns, size=(50, 30))
    assert back.box == Box(left=20, top=7, right=40, bottom=12)
    assert back.landmarks[2].tolist() == [30.0, 9.5]
    corner = {0: (20, 7), 1: (40, 7), 2: (40, 12), 3: (20, 12)}[turns]
    assert back.landmarks[0].tolist() == list(corner)


class _SidewaysDetector(FakeDetector):
    """Finds a doubtful face in every photo, and a sure upright one in tall photos."""

    def detect(self, photo_HWC: np.ndarray) -> list[DetectedFace]:
        box = Box(left=10, top=10, right=60, bottom=70)
        tall = photo_HWC.shape[0] > photo_HWC.shape[1]
        return [fake_face(box, confidence=0.999 if tall else 0.92)]


def test_a_doubtful_face_does_not_hide_the_right_turn(tmp_path: Path) -> None:
    """With turns, a doubtful face in a sideways photo gives way to a sure one."""
    detector = _SidewaysDetector()
    embedder = FaceEmbedder.open(write_fake_model(tmp_path / "m"), detector=detector)
    photo = make_photo(["ann", "ben"])
    assert embedder.analyze(photo).num_quarter_turns == 0
    assert embedder.analyze(photo, turns=True).num_quarter_turns == 1


def test_bad_photos_are_photo_errors(embedder: FaceEmbedder, model: Path) -> None:
    """Bytes that are no photo, and photos beyond the limits, are PhotoErrors."""
    with pytest.raises(PhotoError):
        embedder.analyze(b"no photo")
    small = FaceEmbedder.open(model, detector=FakeDetector(), limits=PhotoLimits(max_pixels=1000))
    with pytest.raises(PhotoTooManyPixels):
        small.analyze(make_photo())


def test_quality_limits_are_used(model: Path) -> None:
    """A face below the limits that were given has a reason."""
    strict = FaceEmbedder.open(
        model, detector=FakeDetector(), quality_limits=QualityLimits(min_size_px=500.0)
    )
    assert "too_small" in strict.analyze(make_photo()).faces[0].quality.reasons


def test_card_of_other_parts_is_refused(tmp_path: Path) -> None:
    """A card whose fingerprint is not that of its parts is refused."""
    folder = write_fake_model(tmp_path / "m")
    card = json.loads((folder / "card.json").read_text())
    card["mirrored"] = not card["mirrored"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelInvalid, match="fingerprint"):
        FaceEmbedder.open(folder, detector=FakeDetector())


def test_another_detector_is_refused(model: Path) -> None:
    """A model made with one detector does not open with another."""
    with pytest.raises(ModelInvalid, match="detector"):
        FaceEmbedder.open(model)


def test_unknown_model_is_refused() -> None:
    """A model that does not exist is ModelNotFound."""
    with pytest.raises(ModelNotFound):
        FaceEmbedder.open("no-such-model", detector=FakeDetector())


def test_crops_and_photos_agree(embedder: FaceEmbedder) -> None:
    """``embed_crops`` gives vectors of the same kind, one a crop."""
    found = embedder.embed_crops(np.full((2, 112, 112, 3), 200, np.uint8))
    assert found.vectors.shape == (2, 512)
    assert np.array_equal(found.vectors[0], found.vectors[1])


def test_threads_share_an_embedder(embedder: FaceEmbedder) -> None:
    """Threads that analyze at once each get the faces of their own photo."""
    photos = [make_photo(["ann"] * i) for i in range(5)]
    wrong: list[int] = []

    def work(i: int) -> None:
        for _ in range(5):
            if len(embedder.analyze(photos[i]).faces) != i:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_photos_embedded_together(embedder: FaceEmbedder) -> None:
    """Found one by one and embedded together, photos have the faces that analysis gives."""
    photos = [make_photo(["ann", "ben"]), make_photo([]), make_photo(["cat"])]
    together = embedder.embed([embedder.find(photo) for photo in photos])
    for photo, found in zip(photos, together, strict=True):
        alone = embedder.analyze(photo)
        assert [face.box for face in found.faces] == [face.box for face in alone.faces]
        for face, same in zip(found.faces, alone.faces, strict=True):
            assert float(face.embedding @ same.embedding) > 0.99999


def test_one_face_of_several(embedder: FaceEmbedder) -> None:
    """A face that was chosen before it was embedded is the one of the whole photo."""
    found = embedder.find(make_photo(["ann", "ben", "cat"]))
    whole = embedder.embed([found])[0]
    alone = embedder.embed([found.without_others(1)])[0]
    assert [face.box for face in alone.faces] == [whole.faces[1].box]
    assert float(alone.faces[0].embedding @ whole.faces[1].embedding) > 0.99999


def test_an_aligned_crop_is_its_own_face(embedder: FaceEmbedder) -> None:
    """A crop is embedded as it is, with the template's landmarks, and nothing is detected."""
    crop_HWC = np.random.default_rng(3).integers(0, 255, (112, 112, 3), np.uint8)
    face = embedder.embed([embedder.aligned(photo_bytes(Image.fromarray(crop_HWC)))])[0].faces[0]
    expected = embedder.embed_crops(crop_HWC[np.newaxis]).vectors[0]
    assert float(face.embedding @ expected) > 0.99999
    assert (face.landmarks == ARCFACE_TEMPLATE).all()


def test_only_a_crop_s_size_is_aligned(embedder: FaceEmbedder) -> None:
    """A photo of another size is no aligned crop."""
    with pytest.raises(RequestInvalid, match="112 x 112"):
        embedder.aligned(make_photo(["ann"]))
