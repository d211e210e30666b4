"""Tests of `facegallery-index export` and `import`."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from index.exchange.files import read_gallery
from tests.index.cli.conftest import VECTORS, Home, Run
from tests.index.samples import OTHER_FINGERPRINT, identify, new_template

pytest.importorskip("pyarrow", reason="needs facegallery[exchange]")


@pytest.fixture
def file(any_home: Home, run: Run) -> Path:
    """The gallery of `Home.fill`, exported."""
    any_home.fill()
    path = any_home.folder / "people.parquet"
    assert run("export", "people", path, "--clear-text").code == 0
    return path


def test_clear_text_must_be_meant(any_home: Home, run: Run) -> None:
    """Without the flag nothing is written."""
    any_home.fill()
    path = any_home.folder / "people.parquet"
    assert "--clear-text" in run("export", "people", path).err
    assert not path.exists()
    assert "gallery_not_found" in run("export", "nobody", path, "--clear-text").err


def test_vectors_leave_their_space(any_home: Home, run: Run) -> None:
    """A file of a gallery in a secret space holds what the model made."""
    any_home.use_key()
    any_home.fill(space=True)
    path = any_home.folder / "people.parquet"
    assert run("export", "people", path, "--clear-text").code == 0
    _, batches = read_gallery(path)
    exported = np.stack([row.embedding for batch in batches for row in batch])
    np.testing.assert_allclose(exported, VECTORS, atol=1e-6)


def test_a_gallery_moves_to_another_place(any_home: Home, file: Path, run: Run) -> None:
    """In an empty gallery everybody is there again, ids too; a second time changes nothing."""
    with any_home.open() as galleries:
        before = galleries.get("people").subjects().subjects
        galleries.delete("people")
    ran = run("import", file, "--gallery", "moved", "--json")
    assert ran.code == 0, ran.err
    assert (ran.json["num_templates"], ran.json["num_subjects"]) == (12, 6)
    with any_home.open() as galleries:
        gallery = galleries.get("moved")
        after = gallery.subjects().subjects
        assert [(each.id, each.name, each.external_id) for each in after] == [
            (each.id, each.name, each.external_id) for each in before
        ]
        assert identify(gallery, VECTORS[5]).candidates[0].subject.name == "Secret Name 2"
        assert gallery.num_subjects == 6
    ran = run("import", file, "--gallery", "moved", "--json")
    assert (ran.json["num_templates"], ran.json["num_present"]) == (0, 12)
    assert run("check").code == 0


def test_who_was_erased_does_not_come_back(any_home: Home, file: Path, run: Run) -> None:
    """The ledger leaves them out, person and single template, and their ids are told."""
    with any_home.open() as galleries:
        gallery = galleries.get("people")
        subjects = gallery.subjects().subjects
        gone = [each.id for each in gallery.templates(subjects[0].id)]
        gallery.remove_subject(subjects[0].id)
        gone.append(gallery.templates(subjects[1].id)[0].id)
        gallery.remove_template(gone[-1])
    ran = run("import", file, "--gallery", "people", "--json")
    assert sorted(ran.json["left_out"]) == sorted(gone)
    assert ran.json["num_templates"] == 0
    with any_home.open() as galleries:
        assert identify(galleries.get("people"), VECTORS[0]).decision == "unknown"
    assert run("check").code == 0


def test_people_are_found_by_name(any_home: Home, file: Path, run: Run) -> None:
    """Somebody of the same name is the same; templates are added under the ids of the file."""
    with any_home.open() as galleries:
        galleries.delete("people")
        gallery = galleries.create("people", fingerprint=new_template(VECTORS[0]).fingerprint)
        known = gallery.enroll([new_template(VECTORS[0])], name="Secret Name 0").subject_id
    ran = run("import", file, "--gallery", "people", "--json")
    assert (ran.json["num_templates"], ran.json["num_subjects"]) == (12, 5)
    with any_home.open() as galleries:
        subject = galleries.get("people").subject(known)
        assert (subject.num_templates, subject.external_id) == (3, "secret-0")
        assert galleries.get("people").num_subjects == 6
    assert run("check").code == 0


def test_contradictions_undo_everything(any_home: Home, file: Path, run: Run) -> None:
    """Name of one and external id of another, or a person renamed since: nothing is written."""
    with any_home.open() as galleries:
        galleries.delete("people")
        gallery = galleries.create("people", fingerprint=new_template(VECTORS[0]).fingerprint)
        gallery.enroll([new_template(VECTORS[0])], name="Secret Name 4", external_id="secret-5")
    ran = run("import", file, "--gallery", "people")
    assert ran.code == 3
    assert "request_invalid" in ran.err
    with any_home.open() as galleries:
        assert galleries.get("people").num_templates == 1
    assert run("check").code == 0


def test_ids_of_another_gallery_are_refused(any_home: Home, file: Path, run: Run) -> None:
    """An id is there once; the gallery that was made for the import is gone again."""
    ran = run("import", file, "--gallery", "copy")
    assert "another gallery" in ran.err
    with any_home.open() as galleries:
        assert [each.name for each in galleries.list()] == ["people"]


def test_another_model_is_refused(any_home: Home, file: Path, run: Run) -> None:
    """Embeddings of two models never meet."""
    with any_home.open() as galleries:
        galleries.create("other", fingerprint=OTHER_FINGERPRINT)
    assert "model_mismatch" in run("import", file, "--gallery", "other").err


@pytest.mark.parametrize("damage", ["flip", "cut", "text"])
def test_damaged_files_change_nothing(any_home: Home, file: Path, run: Run, damage: str) -> None:
    """All of a file is verified before anything is written."""
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[len(content) // 3] ^= 0x10
    file.write_bytes(
        {"flip": bytes(content), "cut": bytes(content[:-50]), "text": b"name,vector\n"}[damage]
    )
    ran = run("import", file, "--gallery", "moved")
    assert ran.code == 3
    assert "request_invalid" in ran.err
    with any_home.open() as galleries:
        assert [each.name for each in galleries.list()] == ["people"]


def test_a_sealed_import_leaves_nothing_in_the_clear(home: Home, run: Run) -> None:
    """Into a place with a key, in a space of its own; no pattern of a vector is on disk."""
    home.fill()
    file = home.folder / "people.parquet"
    run("export", "people", file, "--clear-text")
    shutil.rmtree(home.data)
    home.ledger.unlink()
    home.use_key()
    ran = run("import", file, "--gallery", "people", "--space")
    assert ran.code == 0, ran.err
    stored = b"".join(each.read_bytes() for each in home.data.rglob("*") if each.is_file())
    assert not any(each.tobytes()[64:96] in stored for each in VECTORS)
    with home.open() as galleries:
        assert identify(galleries.get("people"), VECTORS[3]).decision == "match"
    assert run("check").code == 0
