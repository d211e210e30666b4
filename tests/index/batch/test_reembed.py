"""A gallery goes over to another model, with everybody who is in it and nobody else."""

import csv
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from embedding.embedder import FaceEmbedder
from embedding.errors import (
    GalleryExists,
    GalleryFilling,
    GalleryNotFound,
    ModelMismatch,
    RequestInvalid,
)
from index.batch.build import BuildOptions
from index.batch.hashing import Hashing
from index.batch.reembed import ReEmbedOptions, reembed
from index.batch.sources.folder_tree import FolderTree
from index.batch.sources.source import Skip, SourcePhoto, SourceRules
from index.batch.stages import FaceRules
from index.details import DetailChange, SubjectChange
from index.galleries import Galleries
from index.rules import GalleryRules
from index.store.store import Store
from tests.fakes import make_photo
from tests.index.batch.reembedding import content, run
from tests.index.batch.samples import Place, people_tree, write_tree
from tests.index.samples import new_template, unit_vectors


@pytest.fixture
def galleries(
    tmp_path: Path, tree: Path, embedder: FaceEmbedder, any_database_url: str | None
) -> Iterator[Galleries]:
    """A gallery of two photos of each of six people."""
    place = Place(data=tmp_path / "data", embedder=embedder, url=any_database_url)
    place.build(people_tree(tree))
    with Galleries.open(place.data, database_url=any_database_url, upkeep_s=3600) as opened:
        yield opened


def test_everybody_goes_over(galleries: Galleries, tree: Path, other: FaceEmbedder) -> None:
    """The name stands for the new gallery, which names people by the other model's embeddings."""
    before = content(galleries)
    old = galleries.get("people")
    done = run(galleries, tree, other)
    assert done.switched
    assert (done.num_templates, done.missing, done.built.tally.num_indexed) == (12, (), 12)
    new = galleries.get("people")
    assert new.fingerprint == other.fingerprint
    assert content(galleries) == before
    face = other.analyze(make_photo(["cat"])).faces[0]
    answer = new.identify(
        face.embedding,
        fingerprint=other.fingerprint,
        match_threshold=0.99,
        review_threshold=0.98,
    )
    assert answer.subject is not None
    assert answer.subject.name == "cat"
    assert done.old_name is not None
    assert galleries.get(done.old_name).id == old.id
    assert [each.name for each in galleries.list()] == ["people", done.old_name]


def test_rules_and_look_alikes_go_over(
    galleries: Galleries, tree: Path, other: FaceEmbedder
) -> None:
    """Those of the moment of the switch, also where the first try took others over."""
    old = galleries.get("people")
    ids = {each.name: each.id for each in old.subjects().subjects}
    old.declare_look_alikes(ids["cat"], ids["ann"])
    old.set_rules(GalleryRules(fusion="mean"))
    run(galleries, tree, other, switch=False)
    old.withdraw_look_alikes(ids["cat"], ids["ann"])
    old.declare_look_alikes(ids["eve"], ids["ann"])
    old.set_rules(GalleryRules(fusion="best-two", max_templates=7, smallest_lead=0.1))
    run(galleries, tree, other)
    new = galleries.get("people")
    assert new is not old
    assert new.rules() == old.rules()
    pairs = [{new.subject(each).name for each in pair} for pair in new.look_alikes()]
    assert pairs == [{"ann", "eve"}]


def test_details_go_over(galleries: Galleries, tree: Path, other: FaceEmbedder) -> None:
    """Metadata, purpose, consent and expiry, as they are at the last call, and no others."""
    old = galleries.get("people")
    ann, ben = (subject.id for subject in old.subjects(limit=2).subjects)
    later = datetime(2090, 1, 1, tzinfo=UTC)
    change = DetailChange(metadata={"a": 1}, purpose="door", consent="c", expires_at=later)
    nothing = DetailChange(metadata=None, purpose=None, consent=None, expires_at=None)
    for subject in (ann, ben):
        old.change_subject(subject, SubjectChange(details=change))
    run(galleries, tree, other, switch=False)
    old.change_subject(ann, SubjectChange(details=DetailChange(metadata={"b": 2})))
    old.change_subject(ben, SubjectChange(details=nothing))
    before = {each.name: each.details for each in old.subjects().subjects}
    assert run(galleries, tree, other).switched
    after = {each.name: each.details for each in galleries.get("people").subjects().subjects}
    assert after == before
    assert dict(before[old.subject(ann).name].metadata) == {"a": 1, "b": 2}


def test_it_is_so_after_a_restart(
    galleries: Galleries, any_database_url: str | None, tree: Path, other: FaceEmbedder
) -> None:
    """The switch is on disk."""
    before = content(galleries)
    done = run(galleries, tree, other)
    data = galleries.path
    galleries.close()
    with Galleries.open(data, database_url=any_database_url, upkeep_s=3600) as again:
        assert again.get("people").fingerprint == other.fingerprint
        assert content(again) == content(again, str(done.old_name)) == before


def test_a_second_call_has_nothing_to_do(
    galleries: Galleries, tree: Path, other: FaceEmbedder
) -> None:
    """After the switch the gallery is of the model; before it, only the switch is left."""
    assert not run(galleries, tree, other, switch=False).switched
    done = run(galleries, tree, other)
    assert (done.built.tally.num_indexed, done.switched) == (0, True)
    with pytest.raises(ModelMismatch, match="already"):
        run(galleries, tree, other)


def test_the_face_at_the_box_is_taken(
    galleries: Galleries, tree: Path, other: FaceEmbedder
) -> None:
    """Of a photo of several people each template's own face is embedded, whoever enrolled it."""
    photo = make_photo(["dan", "eve", "fay"])
    write_tree(tree, {"group.png": photo})
    old, hashing = galleries.get("people"), Hashing(galleries.secret("service"))
    faces = sorted(FaceEmbedder.analyze(other, photo).faces, key=lambda face: face.box.left)
    for name, face in (("second", faces[1]), (None, faces[2])):
        box = (face.box.left, face.box.top, face.box.right, face.box.bottom)
        old.enroll(
            [
                new_template(
                    unit_vectors(1)[0],
                    fingerprint=old.fingerprint,
                    box=box,
                    image_hash=hashing.content(photo),
                )
            ],
            name=name,
        )
    assert run(galleries, tree, other).switched
    new = galleries.get("people")
    second = new.find_subject(name="second")
    assert second is not None
    assert new.templates(second.id)[0].box[0] == faces[1].box.left
    nameless = [each for each in new.subjects().subjects if each.name is None]
    assert len(nameless) == 1
    assert new.templates(nameless[0].id)[0].box[0] == faces[2].box.left


def test_missing_photos_keep_the_old_gallery(
    galleries: Galleries, tree: Path, other: FaceEmbedder
) -> None:
    """Without its photo a template is missing: no switch, unless that is allowed."""
    photo = tree / "ann/0.png"
    bytes_of = photo.read_bytes()
    photo.unlink()
    done = run(galleries, tree, other)
    assert (len(done.missing), done.switched) == (1, False)
    assert galleries.get("people").fingerprint != other.fingerprint
    photo.write_bytes(bytes_of)
    done = run(galleries, tree, other)
    assert (done.missing, done.built.tally.num_indexed, done.switched) == ((), 1, True)


def test_missing_photos_can_be_allowed(
    galleries: Galleries, tree: Path, other: FaceEmbedder
) -> None:
    """Who has no photo left is left behind, if that is wanted."""
    (tree / "ann/0.png").unlink()
    done = run(galleries, tree, other, allow_missing=True)
    assert (len(done.missing), done.switched) == (1, True)
    assert galleries.get("people").num_templates == 11


def test_who_was_removed_stays_out(galleries: Galleries, tree: Path, other: FaceEmbedder) -> None:
    """Photos of strangers do not get in, nor does who was removed before or on the way."""
    write_tree(tree, {"stranger/0.png": make_photo(["ann"], variant=9)})
    old = galleries.get("people")
    for name in ("ann", "ben"):
        subject = old.find_subject(name=name)
        assert subject is not None
        old.remove_subject(subject.id)
        done = run(galleries, tree, other, switch=False)
    assert done.num_removed == 2
    assert run(galleries, tree, other).switched
    names = {each.name for each in galleries.get("people").subjects().subjects}
    assert names == {"cat", "dan", "eve", "fay"}


def test_who_was_renamed_goes_over_renamed(
    galleries: Galleries, tree: Path, other: FaceEmbedder
) -> None:
    """A name that changed on the way is right in the end."""
    run(galleries, tree, other, switch=False)
    old = galleries.get("people")
    subject = old.find_subject(name="ann")
    assert subject is not None
    old.rename(subject.id, name="Anna")
    done = run(galleries, tree, other)
    assert done.switched
    names = {each.name for each in galleries.get("people").subjects().subjects}
    assert names == {"Anna", "ben", "cat", "dan", "eve", "fay"}


class _Interrupted(FolderTree):
    """Has something done to the gallery once all photos were given."""

    def __init__(self, tree: Path, then: Callable[[], object]) -> None:
        super().__init__(tree, rules=SourceRules(without_subjects=True))
        self._then: Callable[[], object] | None = then

    def photos(self) -> Iterator[SourcePhoto | Skip]:
        """See `FolderTree`."""
        yield from super().photos()
        if self._then is not None:
            self._then()
            self._then = None


def test_templates_that_move_on_the_way_go_over(
    galleries: Galleries, tree: Path, other: FaceEmbedder
) -> None:
    """Whose photo it is at the end counts: moved, merged, renamed, and two who change places."""
    old = galleries.get("people")
    ids = {each.name: each.id for each in old.subjects().subjects}

    def move() -> None:
        one, two = (old.templates(ids[name])[0].id for name in ("ann", "ben"))
        old.move_templates(ids["ann"], [one], to_subject_id=ids["ben"])
        old.move_templates(ids["ben"], [two], to_name="new")
        old.merge_subjects(ids["cat"], into=ids["dan"])
        old.rename(ids["eve"], name="Eva")

    done = reembed(
        _Interrupted(tree, move),
        galleries,
        "people",
        embedder=other,
        options=ReEmbedOptions(build=BuildOptions(faces=FaceRules(force=True), lot_size=4)),
    )
    assert (done.missing, done.switched, done.num_templates) == ((), True, 12)
    assert done.old_name is not None
    assert content(galleries) == content(galleries, done.old_name)
    sizes = {each.name: each.num_templates for each in galleries.get("people").subjects().subjects}
    assert sizes == {"ann": 1, "ben": 2, "new": 1, "dan": 4, "Eva": 2, "fay": 2}


def test_there_and_back_and_there_again(
    galleries: Galleries, tree: Path, embedder: FaceEmbedder, other: FaceEmbedder
) -> None:
    """What is kept of an earlier switch is never changed: it is in the way until it is deleted."""
    first = run(galleries, tree, other).old_name or ""
    kept = content(galleries, first)
    ann = galleries.get("people").find_subject(name="ann")
    assert ann is not None
    galleries.get("people").remove_subject(ann.id)
    done = run(galleries, tree, embedder)
    assert done.switched
    assert content(galleries, first) == kept
    names = [each.name for each in galleries.list()]
    with pytest.raises(GalleryExists, match="delete it"):
        run(galleries, tree, other)
    assert [each.name for each in galleries.list()] == names
    galleries.delete(first)
    assert run(galleries, tree, other).switched


def test_templates_keep_their_time(
    galleries: Galleries, any_database_url: str | None, tree: Path, other: FaceEmbedder
) -> None:
    """That of their first enrollment, also through a time zone, a switch and a start anew."""
    at = datetime(2019, 5, 4, 3, 2, 1, 654321, tzinfo=timezone(timedelta(hours=5)))
    _enroll_ann(galleries, tree / "ann/old.png", other, variant=8, at=at)
    before = _times(galleries)
    assert before[0] == ("ann", at)
    assert run(galleries, tree, other).switched
    assert _times(galleries) == before
    data = galleries.path
    galleries.close()
    with Galleries.open(data, database_url=any_database_url, upkeep_s=None) as again:
        assert _times(again) == before


def _times(galleries: Galleries) -> list[tuple[str, datetime]]:
    gallery = galleries.get("people")
    return sorted(
        (str(subject.name), each.created_at)
        for subject in gallery.subjects().subjects
        for each in gallery.templates(subject.id)
    )


def test_other_systems_learn_the_new_ids(
    galleries: Galleries,
    tree: Path,
    other: FaceEmbedder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The file is there after a switch, and only then; and the old gallery need not stay."""
    names = {each.id: each.name for each in galleries.get("people").subjects().subjects}
    mapping = tmp_path / "ids.csv"
    with monkeypatch.context() as broken:
        broken.setattr(Store, "switch", _changed)
        with pytest.raises(RequestInvalid):
            run(galleries, tree, other, mapping=mapping)
    assert not mapping.exists()
    done = run(galleries, tree, other, mapping=mapping, delete_old=True)
    assert done.old_name is None
    assert [each.name for each in galleries.list()] == ["people"]
    with mapping.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    new = galleries.get("people")
    assert {row["old_id"]: new.subject(row["new_id"]).name for row in rows} == names
    assert mapping.stat().st_mode & 0o777 == 0o600


def _changed(*_: object, **__: object) -> None:
    raise RequestInvalid("the gallery was changed meanwhile")


def test_a_file_of_ids_is_not_written_over(
    galleries: Galleries, tree: Path, other: FaceEmbedder, tmp_path: Path
) -> None:
    """It is refused before anything is done."""
    mapping = tmp_path / "ids.csv"
    mapping.write_text("mine")
    with pytest.raises(RequestInvalid, match="new file"):
        run(galleries, tree, other, mapping=mapping)
    assert [each.name for each in galleries.list()] == ["people"]
    assert mapping.read_text() == "mine"


def test_what_is_being_filled_is_not_used(
    galleries: Galleries, tree: Path, other: FaceEmbedder
) -> None:
    """It is listed under a name that nobody can give, and refused; it goes with the old one."""
    name = run(galleries, tree, other, switch=False).new_name
    assert name == f"people~{other.fingerprint[:12]}"
    assert [each.name for each in galleries.list()] == ["people", name]
    with pytest.raises(GalleryFilling):
        galleries.get(name)
    with pytest.raises(GalleryNotFound):
        galleries.get("people~0")
    assert galleries.abandon("people") == 1
    assert [each.name for each in galleries.list()] == ["people"]
    run(galleries, tree, other, switch=False)
    galleries.delete("people")
    assert galleries.list() == ()


def test_a_cap_takes_nothing_out_on_the_way(
    galleries: Galleries, tree: Path, other: FaceEmbedder
) -> None:
    """The new gallery has the same templates of a person, though they came in another order."""
    old = galleries.get("people")
    old.set_rules(GalleryRules(max_templates=3))
    _enroll_ann(galleries, tree / "ann/-.png", other, variant=8)
    run(galleries, tree, other, switch=False)
    assert _enroll_ann(galleries, tree / "ann/9.png", other, variant=9)
    before = [each[:3] for each in content(galleries)]
    assert run(galleries, tree, other).switched
    assert [each[:3] for each in content(galleries)] == before


def _enroll_ann(
    galleries: Galleries,
    path: Path,
    embedder: FaceEmbedder,
    *,
    variant: int,
    at: datetime | None = None,
) -> tuple[str, ...]:
    """Enroll a new photo as the service does; returns what the cap dropped."""
    photo = make_photo(["ann"], variant=variant)
    path.write_bytes(photo)
    box = embedder.analyze(photo).faces[0].box
    old = galleries.get("people")
    template = new_template(
        unit_vectors(1)[0],
        fingerprint=old.fingerprint,
        box=(box.left, box.top, box.right, box.bottom),
        quality=1.0,
        created_at=at,
        image_hash=Hashing(galleries.secret("service")).content(photo),
    )
    return old.enroll([template], name="ann").dropped_ids
