"""Who was removed from a gallery stays out after it went over to another model."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedding.embedder import FaceEmbedder
from embedding.errors import StoreError
from index.batch.build import BuildOptions, build, state_path
from index.batch.sources.folder_tree import FolderTree
from index.galleries import Galleries
from index.store.batch_state import BatchState
from index.store.store import Store
from tests.fakes import make_photo
from tests.index.batch.reembedding import run
from tests.index.batch.samples import Place, people_tree, write_tree


@pytest.fixture
def galleries(place: Place, tree: Path) -> Iterator[Galleries]:
    """A gallery of two photos of each of six people, one of them there twice."""
    people_tree(tree)
    place.build(write_tree(tree, {"ann/copy.png": (tree / "ann/0.png").read_bytes()}))
    with Galleries.open(place.data, upkeep_s=None) as opened:
        yield opened


def _build(
    galleries: Galleries, tree: Path, embedder: FaceEmbedder, state: Path | None = None
) -> None:
    gallery = galleries.get("people")
    path = state or state_path(galleries.path, gallery)
    with BatchState(path, gallery_id=gallery.id) as known:
        build(
            FolderTree(tree),
            gallery,
            embedder=embedder,
            state=known,
            secret=galleries.secret("service"),
            options=BuildOptions(lot_size=4),
        )


def _remove(galleries: Galleries, name: str) -> None:
    gallery = galleries.get("people")
    subject = gallery.find_subject(name=name)
    assert subject is not None
    gallery.remove_subject(subject.id)


def _names(galleries: Galleries) -> set[str | None]:
    return {each.name for each in galleries.get("people").subjects().subjects}


def test_later_builds_keep_them_out(
    galleries: Galleries, tree: Path, embedder: FaceEmbedder, other: FaceEmbedder
) -> None:
    """Whether a build has seen the removal or not, and copies of their photos too."""
    _remove(galleries, "ann")
    _build(galleries, tree, embedder)
    _remove(galleries, "ben")
    assert run(galleries, tree, other).switched
    write_tree(tree, {"cat/2.png": make_photo(["cat"], variant=2)})
    _build(galleries, tree, other)
    assert _names(galleries) == {"cat", "dan", "eve", "fay"}
    assert galleries.get("people").num_templates == 9


def _full_disk(*_: object, **__: object) -> None:
    raise StoreError("the disk is full")


def test_it_is_as_the_old_state_says_at_the_switch(
    galleries: Galleries,
    tree: Path,
    embedder: FaceEmbedder,
    other: FaceEmbedder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where a switch failed, what the first try kept out is not, if the old state has it in."""
    _remove(galleries, "ann")
    with monkeypatch.context() as broken:
        broken.setattr(Store, "switch", _full_disk)
        with pytest.raises(StoreError):
            run(galleries, tree, other)
    photo = tree / "ann/1.png"
    content = photo.read_bytes()
    photo.write_bytes(make_photo(["ann"], variant=7))
    _build(galleries, tree, embedder)
    assert "ann" in _names(galleries)
    assert run(galleries, tree, other).switched
    num_templates = galleries.get("people").num_templates
    photo.write_bytes(content)
    _build(galleries, tree, other)
    assert galleries.get("people").num_templates == num_templates + 1


def test_a_state_of_ones_own(
    galleries: Galleries, tree: Path, tmp_path: Path, embedder: FaceEmbedder, other: FaceEmbedder
) -> None:
    """Where builds were given a state file, re-embed takes the same."""
    own = tmp_path / "own.sqlite"
    _build(galleries, tree, embedder, own)
    state_path(galleries.path, galleries.get("people")).unlink()
    _remove(galleries, "ann")
    assert run(galleries, tree, other, old_state=own).switched
    _build(galleries, tree, other)
    assert "ann" not in _names(galleries)
