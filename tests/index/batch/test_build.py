"""A folder of photos becomes a gallery, once."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from embedding.embedder import FaceEmbedder
from embedding.errors import ModelMismatch, PhotoUnreadable, RequestInvalid
from embedding.faces import FoundFaces
from embedding.photo import PhotoLimits
from index.batch.build import BuildOptions, state_path
from index.batch.stages import FaceRules
from index.galleries import Galleries
from index.store.batch_state import BatchState
from tests.fakes import FakeDetector, make_photo, photo_bytes, write_fake_model
from tests.index.batch.samples import NAMES, Place, people_tree, write_tree


def test_each_photo_is_a_template(place: Place, tree: Path) -> None:
    """Every photo becomes a template of the subject whose folder it lies in, at any depth."""
    people_tree(tree, num_each=3)
    write_tree(tree, {"ann/2020/summer/9.png": make_photo(["ann"], variant=9)})
    built = place.build(tree)
    assert place.num_templates() == dict.fromkeys(NAMES, 3) | {"ann": 4}
    assert built.tally.num_indexed == built.tally.num_met == built.tally.num_passed == 19
    assert built.tally.num_new_subjects == 6
    assert built.tally.num_failed == 0


def test_a_photo_that_was_indexed_is_identified(place: Place, tree: Path) -> None:
    """Who is in the folder is found by the embedding of the photo."""
    people_tree(tree)
    place.build(tree)
    face = place.embedder.analyze(make_photo(["cat"])).faces[0]
    with place.opened() as (_, gallery, _):
        answer = gallery.identify(
            face.embedding,
            fingerprint=place.embedder.fingerprint,
            match_threshold=0.99,
            review_threshold=0.98,
        )
    assert answer.subject is not None
    assert answer.subject.name == "cat"


def test_a_template_says_what_an_enroll_says(place: Place, tree: Path) -> None:
    """Box, landmarks, size, quality and norm are those that the photo's analysis gives."""
    photo = make_photo(["dan"], variant=4)
    write_tree(tree, {"dan/x.png": photo})
    place.build(tree)
    template = place.templates()["dan"][0]
    found = place.embedder.analyze(photo, turns=True)
    face = found.faces[0]
    assert template.box == (face.box.left, face.box.top, face.box.right, face.box.bottom)
    assert template.photo_size == (found.width, found.height)
    assert np.allclose(template.landmarks, face.landmarks)
    assert template.quality == pytest.approx(face.quality.figure, rel=1e-5)
    assert template.norm == pytest.approx(face.norm, rel=1e-5)
    assert len(template.image_hash) == 32


def test_a_second_run_does_nothing(place: Place, tree: Path) -> None:
    """Run again, nothing is read and nothing is written."""
    people_tree(tree)
    place.build(tree)
    before = place.content()
    for photo in tree.rglob("*.png"):
        photo.chmod(0o000)  # For users whom that keeps from reading.
    again = place.build(tree).tally
    assert (again.num_indexed, again.num_known, again.num_failed) == (0, 12, 0)
    assert place.content() == before


def test_a_new_photo_is_added(place: Place, tree: Path) -> None:
    """What came since the last run is indexed, and nothing else."""
    people_tree(tree)
    place.build(tree)
    write_tree(tree, {"ben/new.png": make_photo(["ben"], variant=7)})
    again = place.build(tree).tally
    assert (again.num_indexed, again.num_new_subjects) == (1, 0)
    assert place.num_templates()["ben"] == 3


def test_a_changed_photo_takes_the_place_of_the_old(place: Place, tree: Path) -> None:
    """A photo that changed is indexed anew, and its old template is removed."""
    people_tree(tree, num_each=1)
    place.build(tree)
    before = place.templates()["eve"][0]
    write_tree(tree, {"eve/0.png": make_photo(["eve"], variant=20)})
    again = place.build(tree).tally
    after = place.templates()["eve"]
    assert (again.num_indexed, again.num_replaced) == (1, 1)
    assert len(after) == 1
    assert after[0].id != before.id
    assert after[0].image_hash != before.image_hash


def test_a_changed_photo_that_is_no_good_keeps_the_old(place: Place, tree: Path) -> None:
    """Nothing is lost where a photo was replaced by one that cannot be used."""
    people_tree(tree, num_each=1)
    place.build(tree)
    before = place.content()
    write_tree(tree, {"eve/0.png": b"no photo"})
    assert place.build(tree).tally.failures == {"photo_unreadable": 1}
    assert place.content() == before
    write_tree(tree, {"eve/0.png": make_photo(["eve"], variant=21)})
    assert place.build(tree).tally.num_replaced == 1
    assert place.num_templates()["eve"] == 1


def test_a_touched_photo_is_not_indexed_again(place: Place, tree: Path) -> None:
    """A new time of change alone makes no second template, and is looked into once."""
    people_tree(tree, num_each=1)
    place.build(tree)
    before = place.content()
    os.utime(tree / "ann/0.png", ns=(1, 1))
    assert place.build(tree).tally.num_known == 6
    assert place.content() == before
    with place.opened() as (_, _, state):
        known = state.known(1, ["ann/0.png"])["ann/0.png"]
    assert (known.state, known.mtime_ns) == ("done", 1)


def test_the_same_bytes_twice_are_one_template(place: Place, tree: Path) -> None:
    """A copy within a subject is counted and left out; another subject's copy is not."""
    photo = make_photo(["ann"])
    write_tree(tree, {"ann/1.png": photo, "ann/2.png": photo, "ben/1.png": photo})
    built = place.build(tree)
    assert (built.tally.num_indexed, built.tally.num_duplicates) == (2, 1)
    assert place.num_templates() == {"ann": 1, "ben": 1}


def test_a_moved_source_makes_no_second_templates(
    place: Place, tree: Path, tmp_path: Path
) -> None:
    """The same photos in another folder are known by their bytes."""
    people_tree(tree)
    place.build(tree)
    before = place.content()
    moved = tree.rename(tmp_path / "elsewhere")
    assert place.build(moved).tally.num_duplicates == 12
    assert place.content() == before


def test_a_copy_comes_in_when_its_original_changes(place: Place, tree: Path) -> None:
    """A photo that was left out as a copy is indexed once the other one is another photo."""
    photo = make_photo(["ann"])
    write_tree(tree, {"ann/1.png": photo, "ann/2.png": photo})
    place.build(tree, BuildOptions(lot_size=1))
    with place.opened() as (_, _, state):
        known = state.known(1, ["ann/1.png", "ann/2.png"])
    original = next(key for key, each in known.items() if each.state == "done")
    write_tree(tree, {original: make_photo(["ann"], variant=9)})
    again = place.build(tree).tally
    assert (again.num_indexed, again.num_replaced) == (2, 1)
    assert place.num_templates() == {"ann": 2}


def test_a_photo_that_goes_to_another_folder_goes_to_its_subject(place: Place, tree: Path) -> None:
    """A photo under its path shows another subject when a folder is renamed to hold it."""
    write_tree(tree, {"ann/1.png": make_photo(["ann"])})
    place.build(tree)
    shutil.move(tree / "ann", tree / "ben")
    place.build(tree)
    assert place.num_templates() == {"ann": 1, "ben": 1}


def test_a_lost_state_makes_no_second_templates(place: Place, tree: Path) -> None:
    """Without its file of what is done, a build tells photos by the hashes in the gallery."""
    people_tree(tree)
    place.build(tree)
    before = place.content()
    shutil.rmtree(place.data / "batch")
    assert place.build(tree).tally.num_duplicates == 12
    assert place.content() == before


def test_who_was_removed_stays_out(place: Place, tree: Path) -> None:
    """A subject that was removed from the gallery does not come back with the next run."""
    people_tree(tree)
    place.build(tree)
    with place.opened() as (_, gallery, _):
        ann = gallery.find_subject(name="ann")
        assert ann is not None
        gallery.remove_subject(ann.id)
    again = place.build(tree).tally
    assert (again.num_retracted, again.num_indexed) == (2, 0)
    assert "ann" not in place.num_templates()


def test_photos_that_fail_are_listed_and_tried_again(place: Place, tree: Path) -> None:
    """A photo that fails has a reason, is not tried at each run, and is on demand."""
    people_tree(tree, num_each=1)
    write_tree(
        tree,
        {
            "ann/none.png": make_photo([]),
            "ann/two.png": make_photo(["ann", "ben"]),
            "ann/damaged.jpg": make_photo(["ann"], kind="JPEG")[:700],
            "ann/empty.webp": b"",
        },
    )
    first = place.build(tree)
    reasons = {
        "ann/none.png": "no_face",
        "ann/two.png": "several_faces",
        "ann/damaged.jpg": "photo_unreadable",
        "ann/empty.webp": "photo_unreadable",
    }
    assert place.failed() == reasons
    assert first.tally.num_failed == 4
    second = place.build(tree).tally
    assert (second.num_failed, second.num_failed_before) == (0, 4)
    retried = place.build(
        tree, BuildOptions(retry_failed=True, faces=FaceRules(choice="largest"))
    ).tally
    assert (retried.num_indexed, retried.num_failed, retried.num_known) == (1, 3, 0)
    assert place.failed() == {key: each for key, each in reasons.items() if "two" not in key}
    assert place.num_templates()["ann"] == 2


def test_a_retry_leaves_new_photos_alone(place: Place, tree: Path) -> None:
    """Trying again works on what failed, and on nothing else."""
    people_tree(tree, num_each=1)
    place.build(tree)
    write_tree(tree, {"ann/new.png": make_photo(["ann"], variant=5)})
    assert place.build(tree, BuildOptions(retry_failed=True)).tally.num_indexed == 0


def test_aligned_crops_are_taken_as_they_are(place: Place, tree: Path) -> None:
    """Crops are embedded without detection; a photo of another size is refused."""
    pixels = np.random.default_rng(1).integers(0, 255, (112, 112, 3), np.uint8)
    crop = photo_bytes(Image.fromarray(pixels))
    write_tree(tree, {"ann/crop.png": crop, "ben/photo.png": make_photo(["ben"])})
    built = place.build(tree, BuildOptions(faces=FaceRules(aligned=True, force=True)))
    assert place.num_templates() == {"ann": 1}
    assert place.templates()["ann"][0].box == (0.0, 0.0, 112.0, 112.0)
    assert built.tally.failures == {"request_invalid": 1}


def test_a_photo_that_is_too_large_is_refused(place: Place, tree: Path, tmp_path: Path) -> None:
    """A file beyond the embedder's limit fails, and no more than the limit is read of it."""
    photo = make_photo(["ann"])
    write_tree(tree, {"ann/1.png": photo})
    limits = PhotoLimits(max_bytes=len(photo) - 1)
    model = write_fake_model(tmp_path / "model")
    strict = FaceEmbedder.open(model, detector=FakeDetector(), limits=limits)
    built = Place(data=place.data, embedder=strict).build(tree)
    assert built.tally.failures == {"photo_too_large": 1}


def test_another_model_is_refused(place: Place, tree: Path, tmp_path: Path) -> None:
    """A gallery takes embeddings of its own model only."""
    people_tree(tree, num_each=1)
    place.build(tree)
    other = write_fake_model(tmp_path / "other", seed=5)
    stranger = Place(data=place.data, embedder=FaceEmbedder.open(other, detector=FakeDetector()))
    before = place.content()
    with pytest.raises(ModelMismatch):
        stranger.build(tree)
    assert place.content() == before


def test_the_state_goes_with_its_gallery(place: Place, tree: Path) -> None:
    """It holds paths, which may name people; what is of another gallery or of nobody stays."""
    place.build(people_tree(tree))
    with place.opened() as (galleries, gallery, _):
        other = galleries.create("other", fingerprint=gallery.fingerprint)
    kept = state_path(place.data, other)
    kept.write_bytes(b"of another")
    kept.with_name("notes").write_bytes(b"an operator's")
    with Galleries.open(place.data, upkeep_s=None) as galleries:
        galleries.maintain()
        own = state_path(place.data, galleries.get("people"))
        assert own.exists()
        galleries.delete("people")
        galleries.maintain()
    assert sorted(kept.parent.iterdir()) == sorted([kept, kept.with_name("notes")])


@pytest.mark.parametrize("lot_size", [0, 5001])
def test_lots_have_a_size(place: Place, tree: Path, lot_size: int) -> None:
    """A lot is at least one photo and at most five thousand."""
    with pytest.raises(RequestInvalid, match="lot"):
        place.build(tree, BuildOptions(lot_size=lot_size))


def test_a_photo_nobody_foresaw_fails_alone(
    place: Place, tree: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What breaks the work on one photo is in the log, without its path, and the others go on."""
    people_tree(tree, num_each=1)
    find = FaceEmbedder.find
    bad = (tree / "fay/0.png").read_bytes()

    def broken(self: FaceEmbedder, photo: bytes, *, turns: bool = False) -> FoundFaces:
        if photo == bad:
            raise ZeroDivisionError(tree)
        return find(self, photo, turns=turns)

    monkeypatch.setattr(FaceEmbedder, "find", broken)
    assert place.build(tree).tally.failures == {"unexpected": 1}
    assert place.failed() == {"fay/0.png": "unexpected"}
    assert "ZeroDivisionError" in caplog.text
    assert str(tree) not in caplog.text
    assert len(place.num_templates()) == 5


def test_a_broken_stage_stops_all(
    place: Place, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that is not of one photo ends the build, and the next run goes on."""
    people_tree(tree)

    def broken(*_: object) -> None:
        raise PhotoUnreadable("the net is gone")

    with monkeypatch.context() as patch:
        patch.setattr(FaceEmbedder, "embed", broken)
        with pytest.raises(PhotoUnreadable, match="the net is gone"):
            place.build(tree)
    assert place.build(tree).tally.num_indexed == 12


@pytest.mark.parametrize("removed", [("ann",), ("ann", "ben")])
def test_who_was_removed_after_a_kill_stays_out(
    place: Place, tree: Path, monkeypatch: pytest.MonkeyPatch, removed: tuple[str, ...]
) -> None:
    """Killed between the gallery's commit and its own, a build believes the gallery's log.

    Who was removed before the next build does not come back, even if that was all of the lot.
    """
    people_tree(tree, num_each=2, num_people=2)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(BatchState, "committed", killed)
        with pytest.raises(KeyboardInterrupt):
            place.build(tree)
    with place.opened() as (_, gallery, _):
        for name in removed:
            subject = gallery.find_subject(name=name)
            assert subject is not None
            gallery.remove_subject(subject.id)
    tally = place.build(tree).tally
    assert (tally.num_indexed, tally.num_retracted) == (0, 2 * len(removed))
    assert place.num_templates() == {name: 2 for name in ("ann", "ben") if name not in removed}
