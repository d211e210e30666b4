"""Crops of faces go over when a gallery is made anew with another model."""

from pathlib import Path

import pytest

from embedding.embedder import FaceEmbedder
from embedding.errors import CropNotFound
from index.batch.build import BuildOptions
from index.batch.hashing import Hashing
from index.batch.reembed import ReEmbedOptions, reembed
from index.batch.sources.folder_tree import FolderTree
from index.batch.sources.source import SourceRules
from index.batch.stages import FaceRules
from index.gallery import Gallery
from tests.fakes import make_photo
from tests.index.batch.samples import write_tree
from tests.index.samples import new_template, unit_vectors
from tests.index.sealed_place import SealedPlace

_CROPS = {"ann": b"crop of ann", "ben": b"crop of ben", "cat": None}


@pytest.fixture
def place(any_database_url: str | None, tmp_path: Path) -> SealedPlace:
    """An empty one, on each kind of database."""
    return SealedPlace(tmp_path, any_database_url)


def _crop(gallery: Gallery, name: str) -> bytes | None:
    subject = gallery.find_subject(name=name)
    assert subject is not None
    (template,) = gallery.templates(subject.id)
    try:
        return gallery.show_crop(template.id)
    except CropNotFound:
        return None


def test_crops_go_over(
    place: SealedPlace, tree: Path, embedder: FaceEmbedder, other: FaceEmbedder
) -> None:
    """Sealed anew for their new templates, once, whether or not it is done in one call."""
    write_tree(tree, {f"{name}/1.png": make_photo([name]) for name in _CROPS})
    with place.open() as galleries:
        old = galleries.create("people", fingerprint=embedder.fingerprint)
        hashing = Hashing(galleries.secret("service"))
        for name, crop in _CROPS.items():
            photo = make_photo([name])
            box = embedder.analyze(photo).faces[0].box
            template = new_template(
                unit_vectors(1)[0],
                fingerprint=old.fingerprint,
                box=(box.left, box.top, box.right, box.bottom),
                image_hash=hashing.content(photo),
                crop=crop,
            )
            old.enroll([template], name=name)
        for switch in (False, True):
            done = reembed(
                FolderTree(tree, rules=SourceRules(without_subjects=True)),
                galleries,
                "people",
                embedder=other,
                options=ReEmbedOptions(
                    build=BuildOptions(faces=FaceRules(force=True)), switch=switch
                ),
            )
        assert done.switched
        new = galleries.get("people")
        assert new.id != old.id
        assert {name: _crop(new, name) for name in _CROPS} == _CROPS
        galleries.delete(str(done.old_name))
        assert {name: _crop(new, name) for name in _CROPS} == _CROPS
