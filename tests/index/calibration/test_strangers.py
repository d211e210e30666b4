"""Tests of strangers from photos, crops and files of embeddings."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from embedding.embedder import FaceEmbedder
from embedding.errors import EmbeddingInvalid, ModelMismatch, RequestInvalid
from index.calibration.strangers import (
    Strangers,
    strangers_of_crops,
    strangers_of_file,
    strangers_of_photos,
)
from index.tracks import track_embedding
from tests.index.samples import BAD_EMBEDDINGS, FINGERPRINT, OTHER_FINGERPRINT, unit_vectors


@pytest.fixture(scope="module")
def embedder() -> FaceEmbedder:
    """The shipped default model."""
    return FaceEmbedder.open()


def write_crop(file: Path, *, seed: int, size: int = 112) -> None:
    """Write noise as a picture."""
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file)


def of_file(file: Path, *, people: Path | None = None) -> Strangers:
    """Strangers of a file of the gallery's own model."""
    return strangers_of_file(file, fingerprint=FINGERPRINT, expected=FINGERPRINT, people=people)


def test_photos_give_their_largest_faces(
    tmp_path: Path, sample_photos: Mapping[str, Path], embedder: FaceEmbedder
) -> None:
    """One probe a photo; a folder is one person, and what gives no face is counted."""
    folder = tmp_path / "strangers"
    (folder / "one" / "deep").mkdir(parents=True)
    group = sample_photos["t1"]
    shutil.copy(group, folder / f"alone{group.suffix}")
    shutil.copy(group, folder / "one" / group.name)
    shutil.copy(group, folder / "one" / "deep" / f"again{group.suffix}")
    write_crop(folder / "noise.png", seed=0, size=300)
    (folder / "broken.jpg").write_bytes(b"no photo")
    (folder / "notes.txt").write_text("no photo either")
    found = strangers_of_photos(folder, embedder)
    faces = embedder.analyze(group.read_bytes(), turns=True).faces
    np.testing.assert_allclose(found.vectors_PD, [faces[0].embedding] * 3, atol=1e-4)
    assert len(set(found.person_P.tolist())) == 2
    assert found.left_out == {"no_face": 1, "photo_unreadable": 1}


def test_crops_are_embedded_as_they_are(tmp_path: Path, embedder: FaceEmbedder) -> None:
    """Nothing is detected, other sizes are counted, and links are not followed."""
    for number in range(3):
        write_crop(tmp_path / "in" / f"p{number}" / "0.png", seed=number)
    write_crop(tmp_path / "in" / "p0" / "1.png", seed=9)
    write_crop(tmp_path / "in" / "large.png", seed=1, size=113)
    write_crop(tmp_path / "outside" / "0.png", seed=7)
    (tmp_path / "in" / "linked").symlink_to(tmp_path / "outside")
    (tmp_path / "in" / "loop").symlink_to(tmp_path / "in")
    found = strangers_of_crops(tmp_path / "in", embedder)
    assert found.vectors_PD.shape == (4, 512)
    people = found.person_P.tolist()
    assert people[0] == people[1]
    assert len(set(people)) == 3
    assert found.left_out == {"not_aligned": 1}


def test_a_folder_without_photos_is_refused(tmp_path: Path, embedder: FaceEmbedder) -> None:
    """With the reasons why nothing was left of it; so is one that is not there."""
    write_crop(tmp_path / "small.png", seed=1, size=20)
    with pytest.raises(RequestInvalid, match="left out: not_aligned 1"):
        strangers_of_crops(tmp_path, embedder)
    with pytest.raises(RequestInvalid, match="there is no folder"):
        strangers_of_photos(tmp_path / "missing", embedder)


def test_embeddings_come_from_a_file(tmp_path: Path) -> None:
    """Each is a person of its own, unless a second file says whose it is."""
    vectors = unit_vectors(4, seed=41)
    np.save(tmp_path / "faces.npy", vectors)
    np.save(tmp_path / "people.npy", np.array([7, 7, 2, 2], np.int32))
    alone = of_file(tmp_path / "faces.npy")
    np.testing.assert_array_equal(alone.vectors_PD, vectors)
    assert alone.person_P.tolist() == [0, 1, 2, 3]
    known = of_file(tmp_path / "faces.npy", people=tmp_path / "people.npy")
    assert known.person_P.tolist() == [7, 7, 2, 2]


def test_embeddings_of_another_model_are_refused(tmp_path: Path) -> None:
    """Before the file is read."""
    with pytest.raises(ModelMismatch):
        strangers_of_file(
            tmp_path / "missing.npy", fingerprint=OTHER_FINGERPRINT, expected=FINGERPRINT
        )


@pytest.mark.parametrize("problem", ["NaN", "too long", "other dimension", "other type"])
def test_embeddings_that_cannot_be_compared_are_refused(tmp_path: Path, problem: str) -> None:
    """Each must be a float32 unit vector."""
    np.save(tmp_path / "faces.npy", BAD_EMBEDDINGS[problem][np.newaxis])
    with pytest.raises(EmbeddingInvalid):
        of_file(tmp_path / "faces.npy")


def test_files_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    """Pickles, archives, single numbers, other bytes, and people that do not fit."""
    np.save(tmp_path / "good.npy", unit_vectors(3))
    np.save(tmp_path / "pickle.npy", np.array([{}], dtype=object))
    np.save(tmp_path / "number.npy", np.float32(1.0))
    np.savez(tmp_path / "archive", a=unit_vectors(3))
    (tmp_path / "text.npy").write_text("nothing")
    np.save(tmp_path / "two.npy", np.arange(2))
    np.save(tmp_path / "shares.npy", np.ones(3))
    for name in ("pickle.npy", "number.npy", "archive.npz", "text.npy", "missing.npy"):
        with pytest.raises(RequestInvalid):
            of_file(tmp_path / name)
    for name in ("two.npy", "shares.npy"):
        with pytest.raises(RequestInvalid):
            of_file(tmp_path / "good.npy", people=tmp_path / name)


def test_the_frames_of_a_track_are_one_probe(tmp_path: Path, embedder: FaceEmbedder) -> None:
    """Photos of one folder are one track, a person may have several, a loose photo is its own."""
    folder = tmp_path / "strangers"
    names = ["one/a/0.png", "one/a/1.png", "one/b/0.png", "two/0.png", "two/1.png", "loose.png"]
    for seed, name in enumerate(names):
        write_crop(folder / name, seed=seed)
    photos = strangers_of_crops(folder, embedder)
    tracks = strangers_of_crops(folder, embedder, unit="track")
    assert (photos.unit, tracks.unit) == ("photo", "track")
    assert (len(photos.vectors_PD), len(tracks.vectors_PD)) == (6, 4)
    # In the order of names: the loose one is first, and a number of its own.
    assert tracks.person_P.tolist() == [0, 1, 1, 2]
    expected_D = track_embedding(photos.vectors_PD[1:3], is_good_F=np.ones(2, bool))
    np.testing.assert_allclose(tracks.vectors_PD[1], expected_D, atol=1e-6)


def test_poor_frames_do_not_count(
    tmp_path: Path, sample_photos: Mapping[str, Path], embedder: FaceEmbedder
) -> None:
    """A blurred frame is counted by its reason, and a track of nothing else gives no probe."""
    folder = tmp_path / "strangers"
    for name in ("good/0.png", "good/1.png", "poor/0.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(sample_photos["t1"]) as photo:
            blurred = photo.filter(ImageFilter.GaussianBlur(6))
            (photo if name == "good/0.png" else blurred).save(folder / name)
    found = strangers_of_photos(folder, embedder, unit="track")
    face = embedder.analyze(sample_photos["t1"].read_bytes(), turns=True).faces[0]
    np.testing.assert_allclose(found.vectors_PD, [face.embedding], atol=1e-4)
    assert found.left_out == {"poor_frame": 2}
