"""Embeddings that were made before become templates, and never those of another model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from embedding.errors import EmbeddingInvalid, FaceGalleryError, ModelMismatch, RequestInvalid
from index.batch.sources.embeddings import ReadyEmbeddings, decoded
from index.batch.sources.opening import open_source
from index.batch.sources.source import Skip, SourcePhoto, SourceRules
from index.exchange.files import write_gallery
from tests.index.batch.samples import Place
from tests.index.exchange.samples import HEADER, row
from tests.index.samples import unit_vectors

OTHER = "ab" * 32


def numpy_file(tree: Path, vectors: NDArray[Any], names: str | None = None) -> Path:
    """Write vectors, and names beside them."""
    path = tree / "faces.npy"
    np.save(path, vectors)
    if names is not None:
        path.with_suffix(".csv").write_text(names)
    return path


def parquet_file(
    tree: Path, vectors: NDArray[np.float32], *, fingerprint: str | None = None, **columns: Any
) -> Path:
    """Write vectors as lists, and other columns."""
    table = pa.table({"embedding": list(vectors), **columns})
    if fingerprint is not None:
        table = table.replace_schema_metadata({"facegallery.fingerprint": fingerprint})
    path = tree / "faces.parquet"
    pq.write_table(table, path, write_page_checksum=True)
    return path


def stored(place: Place) -> NDArray[np.float32]:
    """The gallery's vectors."""
    with place.opened() as (_, gallery, _):
        return np.concatenate([vectors for _, vectors in gallery._memory.matrix.segments()])


def test_numpy_with_names(place: Place, tree: Path) -> None:
    """Each row goes to the subject of its line; its length is the norm where no column says it."""
    vectors = unit_vectors(3, seed=1)
    vectors[1] *= 20
    path = numpy_file(tree, vectors, "subject,quality,norm\nAnn,0.75,\nBen,,\nAnn,,12.5\n")
    built = place.build(ReadyEmbeddings(path, fingerprint=place.embedder.fingerprint))
    assert built.tally.num_indexed == 3
    templates = place.templates()
    assert [(each.norm, each.quality) for each in templates["Ann"]] == [
        (pytest.approx(1.0, rel=1e-6), 0.75),
        (12.5, 0.5),
    ]
    assert templates["Ben"][0].norm == pytest.approx(20, rel=1e-6)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    # In the order of their subjects within a lot.
    assert np.allclose(stored(place), unit[[0, 2, 1]], atol=1e-6)


def test_a_second_run_adds_nothing(place: Place, tree: Path) -> None:
    """Rows that are there are known, also when the file was written again or rows moved."""
    vectors = unit_vectors(4, seed=2)
    names = ["Ann", "Ben", "Cat", "Dan"]
    fingerprint = place.embedder.fingerprint

    def source(order: list[int]) -> ReadyEmbeddings:
        lines = "\n".join(names[each] for each in order)
        return ReadyEmbeddings(
            numpy_file(tree, vectors[order], f"name\n{lines}\n"), fingerprint=fingerprint
        )

    place.build(source([0, 1, 2]))
    again = place.build(source([0, 1, 2])).tally
    assert (again.num_indexed, again.num_known) == (0, 3)
    place.build(source([3, 0, 1, 2]))
    assert place.num_templates() == dict.fromkeys(names, 1)


def test_parquet(place: Place, tree: Path) -> None:
    """A file that says its model needs no other word; ids name what failed."""
    vectors = unit_vectors(3, seed=3)
    vectors[2] = 0
    path = parquet_file(
        tree,
        vectors,
        fingerprint=place.embedder.fingerprint,
        subject=["Ann", None, "Cat"],
        external_id=[None, "7", None],
        path=["a.jpg", "b.jpg", "c.jpg"],
    )
    place.build(ReadyEmbeddings(path))
    assert place.num_templates() == {"Ann": 1, None: 1}
    assert place.failed() == {"row 2": "embedding_invalid"}


def test_an_exported_gallery_is_a_source(tree: Path) -> None:
    """What `facegallery-index export` writes can be read here too."""
    path = tree / "people.parquet"
    write_gallery(path, [row(0), row(1)], header=HEADER)
    photos = list(ReadyEmbeddings(path).photos())
    assert all(isinstance(each, SourcePhoto) for each in photos)
    first = photos[0]
    assert isinstance(first, SourcePhoto)
    assert first.subject.name == "person 0"
    assert np.allclose(decoded(first.read(9999)).embedding, row(0).embedding, atol=1e-6)


def test_another_model_is_refused(place: Place, tree: Path) -> None:
    """The gallery's model, the file's and the one that is given must be one."""
    path = parquet_file(tree, unit_vectors(1), fingerprint=OTHER, subject=["Ann"])
    with pytest.raises(ModelMismatch):
        place.build(ReadyEmbeddings(path))
    with pytest.raises(ModelMismatch):
        ReadyEmbeddings(path, fingerprint="cd" * 32)
    assert place.num_templates() == {}


def test_a_file_that_says_no_model_needs_one(tree: Path) -> None:
    """Nobody guesses which model made a vector."""
    path = parquet_file(tree, unit_vectors(1), subject=["Ann"])
    with pytest.raises(RequestInvalid, match="--made-by"):
        ReadyEmbeddings(path)
    with pytest.raises(RequestInvalid, match="fingerprint"):
        ReadyEmbeddings(path, fingerprint="mine")


@pytest.mark.parametrize(
    ("vectors", "error"),
    [
        (np.zeros((2, 128), np.float32), EmbeddingInvalid),
        (np.zeros((2, 512), np.float64), EmbeddingInvalid),
        (np.zeros(512, np.float32), EmbeddingInvalid),
        (np.array([{"a": 1}], dtype=object), RequestInvalid),
    ],
)
def test_arrays_of_another_kind(
    tree: Path, vectors: NDArray[Any], error: type[FaceGalleryError]
) -> None:
    """Another shape or type is refused as a whole, and nothing is unpickled."""
    path = numpy_file(tree, vectors, "subject\nAnn\nBen\n")
    with pytest.raises(error):
        ReadyEmbeddings(path, fingerprint=OTHER)


@pytest.mark.parametrize(
    "names",
    [
        None,
        "subject\nAnn\n",
        "subject\nAnn\nBen\nCat\n",
        "subject\nAnn\n\n",
        'subject\n"Ann\nBen\n',
        "subject,norm\nAnn\nBen,5\n",
    ],
)
def test_names_that_do_not_fit(tree: Path, names: str | None) -> None:
    """One line too few or too many would give people others' faces: nothing is indexed."""
    path = numpy_file(tree, unit_vectors(2), names)
    with pytest.raises(RequestInvalid):
        ReadyEmbeddings(path, fingerprint=OTHER)


def test_rows_that_cannot_be_used(tree: Path) -> None:
    """A vector that is no direction, a figure that is none, and a row of nobody fail alone."""
    vectors = unit_vectors(6, seed=4)
    vectors[0, 7] = np.nan
    vectors[1] = 0
    lines = [
        {"subject": "Ann"},
        {"subject": "Ann"},
        {"subject": "Ann", "norm": -1},
        {"subject": "Ann", "quality": "good"},
        {"norm": 5},
        {"subject": "Ann"},
    ]
    path = numpy_file(tree, vectors)
    path.with_suffix(".jsonl").write_text("\n".join(json.dumps(each) for each in lines))
    photos = list(ReadyEmbeddings(path, fingerprint=OTHER).photos())
    assert {each.key: each.error for each in photos if isinstance(each, Skip)} == {
        "row 0": "embedding_invalid",
        "row 1": "embedding_invalid",
        "row 2": "bad_line",
        "row 3": "bad_line",
        "row 4": "no_subject",
    }


def test_damaged_parquet(tree: Path) -> None:
    """A file that was cut off, or has no embeddings, is refused."""
    path = parquet_file(tree, unit_vectors(50), fingerprint=OTHER, subject=["Ann"] * 50)
    content = path.read_bytes()
    path.write_bytes(content[:-9])
    with pytest.raises(RequestInvalid):
        ReadyEmbeddings(path)
    path.write_bytes(content[:2000] + bytes(500) + content[2500:])
    with pytest.raises(RequestInvalid):
        list(ReadyEmbeddings(path).photos())
    pq.write_table(pa.table({"vector": [1.0]}), path)
    with pytest.raises(RequestInvalid, match="embedding"):
        ReadyEmbeddings(path, fingerprint=OTHER)


def test_rows_of_another_length(tree: Path) -> None:
    """A list with more or fewer numbers, or none, fails alone."""
    good = unit_vectors(1)[0]
    table = pa.table({"embedding": pa.array([good, good[:5], None], pa.list_(pa.float32()))})
    path = tree / "faces.parquet"
    pq.write_table(table, path)
    rules = SourceRules(without_subjects=True)
    photos = list(ReadyEmbeddings(path, fingerprint=OTHER, rules=rules).photos())
    assert [isinstance(each, Skip) for each in photos] == [False, True, True]


def test_options_that_do_not_fit(tree: Path) -> None:
    """An option of another kind of source is a mistake, not ignored."""
    rules = SourceRules()
    with pytest.raises(RequestInvalid, match=r"\.npy"):
        open_source(tree, rules=rules, names=tree / "names.csv")
    with pytest.raises(RequestInvalid, match="embeddings"):
        open_source(tree, rules=rules, fingerprint=OTHER)
