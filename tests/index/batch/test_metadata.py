"""What a manifest says of people besides: stored once, changed when it changes, whoever dies."""

import json
import sqlite3
import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from embedding.embedder import FaceEmbedder
from index.batch.build import state_path
from index.batch.sources.manifest import Manifest
from index.batch.sources.source import SourceRules
from index.batch.sources.tar_shards import TarShards
from index.details import DetailChange, SubjectChange
from index.gallery import Gallery
from index.store.batch_state import BatchState
from tests.fakes import make_photo
from tests.index.batch.samples import Place, people_tree


@pytest.fixture
def place(any_database_url: str | None, tmp_path: Path, embedder: FaceEmbedder) -> Place:
    """A data folder, on each kind of database."""
    return Place(data=tmp_path / "data", embedder=embedder, url=any_database_url)


def _listed(tree: Path, *lines: tuple[str, dict[str, Any]], **rules: Any) -> Manifest:
    """A manifest of photos of the tree, with what each line says besides."""
    people_tree(tree, num_people=2)
    path = tree / "list.jsonl"
    path.write_text(
        "\n".join(
            json.dumps({"path": photo, "subject": photo.split("/")[0], **said})
            for photo, said in lines
        )
    )
    return Manifest(path, rules=SourceRules(**rules))


def _metadata(place: Place) -> dict[str | None, dict[str, Any]]:
    with place.opened() as (_, gallery, _):
        return {each.name: dict(each.details.metadata) for each in gallery.subjects().subjects}


def _change(place: Place, name: str, metadata: dict[str, Any]) -> None:
    with place.opened() as (_, gallery, _):
        subject = gallery.find_subject(name=name)
        assert subject is not None
        change = SubjectChange(details=DetailChange(metadata=metadata))
        gallery.change_subject(subject.id, change)


_LINES: Sequence[tuple[str, dict[str, Any]]] = (
    ("ann/0.png", {"team": "night", "badge": 17, "empty": "", "nothing": None}),
    ("ann/1.png", {"badge": 18}),
    ("ben/0.png", {"guest": True}),
)


def test_they_are_stored_with_the_people(place: Place, tree: Path) -> None:
    """Merged line by line; empty fields say nothing; a second run has nothing to do."""
    built = place.build(_listed(tree, *_LINES))
    assert built.tally.num_indexed == 3
    assert _metadata(place) == {"ann": {"team": "night", "badge": 18}, "ben": {"guest": True}}
    with place.opened() as (_, gallery, _):
        sequence = gallery.sequence
    built = place.build(_listed(tree, *_LINES))
    assert (built.tally.num_known, built.tally.num_failed) == (3, 0)
    with place.opened() as (_, gallery, _):
        assert gallery.sequence == sequence


def test_what_changed_through_the_service_stays(place: Place, tree: Path) -> None:
    """Until the line changes, too; then its keys are merged, and no template is made anew."""
    place.build(_listed(tree, *_LINES))
    _change(place, "ann", {"badge": 99, "own": "x"})
    place.build(_listed(tree, *_LINES))
    assert _metadata(place)["ann"] == {"team": "night", "badge": 99, "own": "x"}
    built = place.build(_listed(tree, *_LINES[:1], ("ann/1.png", {"badge": 20}), _LINES[2]))
    assert (built.tally.num_indexed, built.tally.num_known) == (0, 3)
    assert _metadata(place)["ann"] == {"team": "night", "badge": 20, "own": "x"}
    assert place.num_templates() == {"ann": 2, "ben": 1}


def test_without_metadata_none_are_kept(place: Place, tree: Path) -> None:
    """Also such that a gallery could not keep."""
    bad = ("ann/1.png", {"deep": {"er": 1}})
    place.build(_listed(tree, _LINES[0], bad, metadata=False))
    assert _metadata(place) == {"ann": {}}
    assert place.num_templates() == {"ann": 2}


def test_lines_whose_metadata_cannot_be_kept_fail(place: Place, tree: Path) -> None:
    """Each by itself, and together where they are too large; the other photos are taken."""
    half = "x" * 3000
    source = _listed(
        tree,
        ("ann/0.png", {"a": {}}),
        ("ann/1.png", {"a": 1}),
        ("ben/0.png", {"a": half}),
        ("ben/1.png", {"b": half}),
    )
    place.build(source)
    assert place.failed() == {
        "ann/0.png": "request_invalid",
        "ben/0.png": "request_invalid",
        "ben/1.png": "request_invalid",
    }
    assert _metadata(place) == {"ann": {"a": 1}}


def test_later_metadata_that_are_too_large_leave_the_photo(place: Place, tree: Path) -> None:
    """The failure is told under a name of its own; what was there stays."""
    half = "x" * 3000
    place.build(_listed(tree, ("ann/0.png", {"a": half}), ("ben/0.png", {"c": 1})))
    place.build(_listed(tree, ("ann/0.png", {"b": half}), ("ben/0.png", {"c": 2})))
    assert place.failed() == {"ann/0.png (metadata)": "request_invalid"}
    assert _metadata(place) == {"ann": {"a": half}, "ben": {"c": 2}}
    assert place.num_templates() == {"ann": 1, "ben": 1}


def test_a_kill_between_gallery_and_state_is_made_good(
    place: Place, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether before or after the metadata were written, the next run leaves them right."""
    place.build(_listed(tree, *_LINES))
    later = _listed(tree, ("ann/0.png", {"badge": 21}), *_LINES[1:])
    change_details, record = Gallery.change_details, BatchState.record
    for target, name in ((Gallery, "change_details"), (BatchState, "record")):
        with monkeypatch.context() as patch:

            def dies(*_: object, **__: object) -> None:
                raise KeyboardInterrupt

            patch.setattr(target, name, dies)
            with pytest.raises(KeyboardInterrupt):
                place.build(later)
    with monkeypatch.context() as patch:
        calls: list[object] = []

        def dies_second(*args: Any, **kwargs: Any) -> int:
            calls.append(args)
            if len(calls) == 2:
                raise KeyboardInterrupt
            return record(*args, **kwargs)

        patch.setattr(BatchState, "record", dies_second)
        with pytest.raises(KeyboardInterrupt):
            place.build(later)
    assert change_details is Gallery.change_details
    assert _metadata(place)["ann"]["badge"] == 21
    built = place.build(later)
    assert built.tally.num_indexed == 0
    assert _metadata(place) == {"ann": {"team": "night", "badge": 21}, "ben": {"guest": True}}


def test_a_lost_state_makes_nothing_twice(place: Place, tree: Path) -> None:
    """Photos are copies then, and their metadata are written once more."""
    place.build(_listed(tree, *_LINES))
    _change(place, "ben", {"guest": None})
    with place.opened() as (_, gallery, _):
        path = state_path(place.data, gallery)
    path.unlink()
    built = place.build(_listed(tree, *_LINES))
    assert built.tally.num_indexed == 0
    assert _metadata(place)["ben"] == {"guest": True}


def test_who_was_removed_does_not_come_back_for_them(place: Place, tree: Path) -> None:
    """Lines that change say nothing of somebody who is gone."""
    place.build(_listed(tree, *_LINES))
    with place.opened() as (_, gallery, _):
        subject = gallery.find_subject(name="ben")
        assert subject is not None
        gallery.remove_subject(subject.id)
    place.build(_listed(tree, *_LINES[:2], ("ben/0.png", {"guest": False})))
    assert list(_metadata(place)) == ["ann"]


def test_state_files_of_before_go_on(place: Place, tree: Path) -> None:
    """They get the column that they lack, and the metadata are written with the next run."""
    place.build(_listed(tree, *_LINES, metadata=False))
    with place.opened() as (_, gallery, _):
        path = state_path(place.data, gallery)
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE photos DROP COLUMN metadata_digest")
    connection.close()
    built = place.build(_listed(tree, *_LINES))
    assert built.tally.num_indexed == 0
    assert _metadata(place)["ann"] == {"team": "night", "badge": 18}


def test_those_of_shards_are_stored_too(place: Place, tree: Path) -> None:
    """A JSON file beside a photo says it."""
    with tarfile.open(tree / "a.tar", "w") as tar:
        for name, content in (
            ("1.json", json.dumps({"subject": "Ann", "badge": 17}).encode()),
            ("1.png", make_photo(["ann"])),
            ("2.json", json.dumps({"subject": "Ben", "badge": [17]}).encode()),
            ("2.png", make_photo(["ben"])),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    place.build(TarShards(tree / "a.tar"))
    assert _metadata(place) == {"Ann": {"badge": 17}}
    assert place.failed() == {"a.tar/2.png": "request_invalid"}
