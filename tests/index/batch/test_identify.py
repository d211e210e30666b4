"""Who is in many photos goes into one file, whatever happens on the way."""

import csv
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from embedding.embedder import FaceEmbedder
from embedding.errors import ModelMismatch, RequestInvalid, StoreInUse
from index.batch.identify import Identified, IdentifyOptions, identify
from index.batch.sources.embeddings import ReadyEmbeddings
from index.batch.sources.folder_tree import FolderTree
from index.batch.sources.manifest import Manifest
from index.batch.sources.source import Source, SourceRules
from index.rules import GalleryRules
from index.store.identified import IdentifiedPhotos
from tests.fakes import FakeDetector, make_photo, write_fake_model
from tests.index.batch.samples import Place, people_tree, write_tree

EVERYBODY = SourceRules(without_subjects=True)
OPTIONS = IdentifyOptions(match_threshold=0.999, review_threshold=0.99, lot_size=3)


@pytest.fixture
def known(place: Place, tmp_path: Path) -> Place:
    """A gallery of three people."""
    place.build(people_tree(tmp_path / "known", num_each=1, num_people=3))
    return place


def run(
    place: Place, source: Source | Path, target: Path, options: IdentifyOptions = OPTIONS
) -> Identified:
    """Identify a source."""
    with place.opened() as (galleries, gallery, _):
        return identify(
            FolderTree(source, rules=EVERYBODY) if isinstance(source, Path) else source,
            gallery,
            embedder=place.embedder,
            secret=galleries.secret("service"),
            target=target,
            options=options,
        )


def rows_of(target: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with target.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_row_a_face(known: Place, tree: Path, tmp_path: Path) -> None:
    """Each face is named, in doubt or unknown; a photo without a face has a row too."""
    write_tree(
        tree,
        {
            "a.png": make_photo(["ann"]),
            "b/two.png": make_photo(["ben", "fay"]),
            "c.png": make_photo([]),
            "d.png": b"no photo",
        },
    )
    found = run(known, tree, tmp_path / "who.csv")
    rows = {(row["path"], row["face"]): row for row in rows_of(tmp_path / "who.csv")}
    assert {place: row["decision"] for place, row in rows.items()} == {
        ("a.png", "0"): "match",
        ("b/two.png", "0"): "match",
        ("b/two.png", "1"): "unknown",
        ("c.png", ""): "",
        ("d.png", ""): "",
    }
    assert rows["a.png", "0"]["name"] == "ann"
    assert float(rows["a.png", "0"]["similarity"]) == pytest.approx(1, abs=1e-5)
    assert float(rows["a.png", "0"]["runner_up"]) < 0.99
    assert rows["b/two.png", "1"]["subject_id"] == ""
    assert rows["c.png", ""]["error"] == "no_face"
    assert rows["d.png", ""]["error"] == "photo_unreadable"
    assert (found.num_photos, found.num_faces, found.num_without_face) == (4, 3, 1)
    assert found.decisions == {"match": 2, "unknown": 1}
    assert found.failures == {"photo_unreadable": 1}
    assert (tmp_path / "who.csv").stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.glob("who.csv.*")) == []


def test_a_subject_is_named_once_in_a_photo(known: Place, tree: Path, tmp_path: Path) -> None:
    """Of two faces that match one person, one is left to be looked at."""
    write_tree(tree, {"twice.png": make_photo(["ann", "ann"])})
    found = run(known, tree, tmp_path / "who.csv")
    assert found.decisions == {"match": 1, "review": 1}
    told = {row["decision"]: row["reasons"] for row in rows_of(tmp_path / "who.csv")}
    assert told == {"match": "", "review": "named_elsewhere"}


def test_parquet_says_the_same(known: Place, tree: Path, tmp_path: Path) -> None:
    """Both kinds of file hold the same rows; what does not apply is empty."""
    people_tree(tree, num_each=2)
    write_tree(tree, {"bad.png": b"no photo"})
    run(known, tree, tmp_path / "who.csv")
    run(known, tree, tmp_path / "who.parquet")
    table = pq.read_table(tmp_path / "who.parquet")
    as_text = [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in table.to_pylist()
    ]
    assert as_text == rows_of(tmp_path / "who.csv")


def _embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the photos that are embedded."""
    counts = [0]
    embed = FaceEmbedder.embed

    def counted(self: FaceEmbedder, found: Any) -> Any:
        counts[0] += len(found)
        return embed(self, found)

    monkeypatch.setattr(FaceEmbedder, "embed", counted)
    return counts


def _stop_after(monkeypatch: pytest.MonkeyPatch, num_photos: int) -> None:
    """Break once so many photos are kept."""
    left = [num_photos]
    record = IdentifiedPhotos.record

    def recorded(self: IdentifiedPhotos, some: Any) -> None:
        record(self, some)
        left[0] -= len(some)
        if left[0] <= 0:
            raise KeyboardInterrupt

    monkeypatch.setattr(IdentifiedPhotos, "record", recorded)


def test_it_goes_on_where_it_was(
    known: Place, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped on the way, only what is missing is worked on, and the result is the same."""
    people_tree(tree, num_each=10)
    run(known, tree, tmp_path / "unbroken.csv")
    target = tmp_path / "who.csv"
    with monkeypatch.context() as patch:
        _stop_after(patch, 15)
        with pytest.raises(KeyboardInterrupt):
            run(known, tree, target)
    assert not target.exists()
    assert (tmp_path / "who.csv.unfinished").stat().st_mode & 0o777 == 0o600
    counts = _embedded(monkeypatch)
    found = run(known, tree, target)
    assert found.num_photos == 60
    assert counts[0] == 45
    assert target.read_bytes() == (tmp_path / "unbroken.csv").read_bytes()
    assert list(tmp_path.glob("who.csv.*")) == []


@pytest.mark.parametrize("what", ["gallery", "options", "rules"])
def test_another_gallery_begins_anew(
    known: Place,
    tree: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    """Who was removed meanwhile is in no result, nor is what was found at other thresholds."""
    people_tree(tree, num_each=10)
    target = tmp_path / "who.csv"
    with monkeypatch.context() as patch:
        _stop_after(patch, 15)
        with pytest.raises(KeyboardInterrupt):
            run(known, tree, target)
    options = OPTIONS
    if what == "gallery":
        with known.opened() as (_, gallery, _):
            ann = gallery.find_subject(name="ann")
            assert ann is not None
            gallery.remove_subject(ann.id)
    elif what == "rules":
        with known.opened() as (_, gallery, _):
            gallery.set_rules(GalleryRules(smallest_lead=2.0))
    else:
        options = replace(OPTIONS, match_threshold=0.9999)
    with caplog.at_level(logging.WARNING):
        run(known, tree, target, options)
    assert "anew" in caplog.text
    names = {row["name"] for row in rows_of(target)}
    assert ("ann" in names) == (what != "gallery")
    reasons = {row["reasons"] for row in rows_of(target) if row["decision"] == "review"}
    assert ("close_runner_up" in reasons) == (what == "rules")


def test_photos_that_vanished_are_in_no_result(
    known: Place, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was found before a stop counts only for photos that are still there, unchanged."""
    people_tree(tree, num_each=10)
    target = tmp_path / "who.csv"
    with monkeypatch.context() as patch:
        _stop_after(patch, 15)
        with pytest.raises(KeyboardInterrupt):
            run(known, tree, target)
    with IdentifiedPhotos(tmp_path / "who.csv.unfinished") as kept:
        everything = [str(each.relative_to(tree)) for each in tree.rglob("*.png")]
        gone, changed = sorted(kept.known(everything))[:2]
    (tree / gone).unlink()
    write_tree(tree, {changed: make_photo([])})
    assert run(known, tree, target).num_photos == 59
    rows = {row["path"]: row for row in rows_of(target)}
    assert gone not in rows
    assert rows[changed]["error"] == "no_face"


def test_metadata_of_a_manifest_comes_along(known: Place, tree: Path, tmp_path: Path) -> None:
    """What a manifest says of a photo stands beside who is in it; subjects are not needed."""
    write_tree(tree, {"a.png": make_photo(["ann"]), "list.csv": b"path,camera\na.png,left\n"})
    run(known, Manifest(tree / "list.csv", rules=EVERYBODY), tmp_path / "who.csv")
    assert rows_of(tmp_path / "who.csv")[0]["metadata"] == '{"camera":"left"}'


def test_embeddings_are_identified(known: Place, tree: Path, tmp_path: Path) -> None:
    """Embeddings that were made before need no photo."""
    face = known.embedder.analyze(make_photo(["ben"])).faces[0]
    np.save(tree / "faces.npy", face.embedding[np.newaxis])
    write_tree(tree, {"faces.csv": b"path,subject\nb.png,\n"})
    fingerprint = known.embedder.fingerprint
    source = ReadyEmbeddings(tree / "faces.npy", fingerprint=fingerprint, rules=EVERYBODY)
    run(known, source, tmp_path / "who.csv")
    row = rows_of(tmp_path / "who.csv")[0]
    assert (row["path"], row["name"], row["decision"]) == ("b.png", "ben", "match")


def test_another_model_is_refused(known: Place, tree: Path, tmp_path: Path) -> None:
    """A model's probes are compared with its own templates only."""
    other = write_fake_model(tmp_path / "other", seed=5)
    stranger = replace(known, embedder=FaceEmbedder.open(other, detector=FakeDetector()))
    with pytest.raises(ModelMismatch):
        run(stranger, tree, tmp_path / "who.csv")


def _there(target: Path) -> Path:
    target.write_bytes(b"")
    return target


@pytest.mark.parametrize(
    ("target", "options"),
    [
        (lambda folder: _there(folder / "who.csv"), OPTIONS),
        (lambda folder: folder / "who.txt", OPTIONS),
        (lambda folder: folder / "who.csv", replace(OPTIONS, lot_size=0)),
        (lambda folder: folder / "who.csv", replace(OPTIONS, review_threshold=1.0)),
    ],
)
def test_what_cannot_be_done(
    known: Place, tree: Path, tmp_path: Path, target: Callable[[Path], Path], options: Any
) -> None:
    """A file that is there stays as it is; unknown kinds and bad options are refused."""
    with pytest.raises(RequestInvalid):
        run(known, tree, target(tmp_path), options)


def test_two_at_once(known: Place, tree: Path, tmp_path: Path) -> None:
    """Two processes do not work on one result."""
    with IdentifiedPhotos(tmp_path / "who.csv.unfinished"), pytest.raises(StoreInUse):
        run(known, tree, tmp_path / "who.csv")


def test_a_kill_after_the_result(known: Place, tree: Path, tmp_path: Path) -> None:
    """A result that is whole is told, and what was left beside it is removed."""
    with IdentifiedPhotos(tmp_path / "who.csv.unfinished"):
        pass
    (tmp_path / "who.csv").write_bytes(b"all of it")
    with pytest.raises(RequestInvalid, match="exists"):
        run(known, tree, tmp_path / "who.csv")
    assert list(tmp_path.glob("who.csv.*")) == []
