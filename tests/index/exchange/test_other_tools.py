"""Files that other tools wrote: what is read of them, and what is refused."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedding.errors import (
    EmbeddingInvalid,
    FaceGalleryError,
    ModelMismatch,
    NameInvalid,
    RequestInvalid,
)
from index.exchange.files import verify
from tests.index.exchange.samples import other_tools_columns, read_all, write_as_other_tool
from tests.index.samples import OTHER_FINGERPRINT, unit_vectors


def test_a_file_of_another_tool_is_read(path: Path) -> None:
    """Plain lists written by pyarrow's defaults are taken; optional columns may be missing."""
    columns = other_tools_columns()
    write_as_other_tool(path, columns | {"__index_level_0__": [0, 1, 2]})
    header, rows = read_all(path)
    assert (header.count, header.gallery, header.exported_at) == (3, None, None)
    for place, each in enumerate(rows):
        assert each.template_id == columns["template_id"][place]
        assert each.face_id == each.image_id == each.template_id
        assert (each.name, each.external_id, each.created_at) == (None, None, None)
        assert each.fingerprint == header.fingerprint
        np.testing.assert_array_equal(each.embedding, columns["embedding"][place])
        assert each.landmarks.dtype == np.float32
        assert (each.box, each.photo_size) == ((1.0, 2.0, 3.0, 4.0), (640, 480))


def test_other_types_that_lose_nothing_are_read(path: Path) -> None:
    """Large text and lists, float32 figures, small integers and any time unit are taken."""
    columns = other_tools_columns() | {
        "subject_id": pa.array(other_tools_columns()["subject_id"], pa.large_string()),
        "embedding": pa.array(list(unit_vectors(3)), pa.large_list(pa.float32())),
        "norm": pa.array([1.0, 2.0, 3.0], pa.float32()),
        "photo_size": pa.array([[1, 2]] * 3, pa.list_(pa.uint16())),
        "created_at": pa.array([0, 1_500_000_001, None], pa.timestamp("ns", tz="+02:00")),
    }
    write_as_other_tool(path, columns)
    _, rows = read_all(path)
    epoch = datetime(1970, 1, 1, tzinfo=timezone(timedelta(hours=2))) + timedelta(hours=2)
    assert [each.created_at for each in rows] == [epoch, epoch + timedelta(seconds=1.5), None]
    assert [each.norm for each in rows] == [1.0, 2.0, 3.0]
    assert [each.photo_size for each in rows] == [(1, 2)] * 3


_VECTORS = [vector.tolist() for vector in unit_vectors(3)]


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        ({"embedding": _VECTORS}, RequestInvalid, "float32, but holds list"),
        ({"embedding": [1.0] * 3}, RequestInvalid, "must hold lists of 512"),
        (
            {"embedding": pa.array([[0.5] * 4] * 3, pa.list_(pa.float32(), 4))},
            RequestInvalid,
            "lists of 512",
        ),
        (
            {"embedding": pa.array([*_VECTORS[:2], _VECTORS[2][1:]], pa.list_(pa.float32()))},
            RequestInvalid,
            "row 2: the column embedding must have 512 numbers, but has 511",
        ),
        (
            {"embedding": pa.array([_VECTORS[0], None, _VECTORS[2]], pa.list_(pa.float32()))},
            RequestInvalid,
            "row 1: the column embedding has no value",
        ),
        (
            {
                "embedding": pa.array(
                    [_VECTORS[0], [*_VECTORS[1][1:], None], _VECTORS[2]], pa.list_(pa.float32())
                )
            },
            RequestInvalid,
            "row 1: the column embedding has an empty place",
        ),
        (
            {
                "embedding": pa.array(
                    [_VECTORS[0], [0.0] * 512, _VECTORS[2]], pa.list_(pa.float32())
                )
            },
            EmbeddingInvalid,
            "row 1: .* has length 0",
        ),
        (
            {"template_id": ["a", None, "c"]},
            RequestInvalid,
            "row 1: the column template_id has no",
        ),
        (
            {"template_id": [1, 2, 3]},
            RequestInvalid,
            "template_id must hold text, but holds int64",
        ),
        ({"norm": ["1"] * 3}, RequestInvalid, "norm must hold float64 or float32"),
        ({"box": [[1.0, 2.0, 3.0]] * 3}, RequestInvalid, "row 0: the column box must have 4"),
        ({"photo_size": [[1.0, 2.0]] * 3}, RequestInvalid, "photo_size must hold lists of 2"),
        ({"created_at": [datetime(2026, 1, 1)] * 3}, RequestInvalid, "time zone"),
        (
            {"created_at": pa.array([2**60] * 3, pa.timestamp("ms", tz="UTC"))},
            RequestInvalid,
            "row 0: the time is out of range",
        ),
        ({"fingerprint": [OTHER_FINGERPRINT] * 3}, ModelMismatch, "row 0: "),
        ({"name": ["Anna", "Anna", "Eva"]}, RequestInvalid, "row 1 has the name of another"),
    ],
)
def test_bad_values_of_another_tool_are_refused(
    path: Path, changes: dict[str, Any], error: type[FaceGalleryError], problem: str
) -> None:
    """Wrong types, lengths, empty places and vectors are refused, with column and row."""
    write_as_other_tool(path, other_tools_columns() | changes)
    with pytest.raises(error, match=problem) as raised:
        verify(path)
    assert "Anna" not in str(raised.value)


@pytest.mark.parametrize("name", other_tools_columns())
def test_a_missing_column_is_told(path: Path, name: str) -> None:
    """Each required column is missed by its name."""
    columns = other_tools_columns()
    del columns[name]
    write_as_other_tool(path, columns)
    with pytest.raises(RequestInvalid, match=f"has no column {name};"):
        verify(path)


def test_a_column_twice_is_told(path: Path) -> None:
    """Two columns of one name leave open which is meant."""
    table = pa.table(other_tools_columns())
    table = table.append_column("norm", table.column("norm"))
    pq.write_table(
        table.replace_schema_metadata(
            {"facegallery.format_version": "1", "facegallery.fingerprint": "a" * 64}
        ),
        path,
    )
    with pytest.raises(RequestInvalid, match="has 2 columns norm"):
        verify(path)


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        ({"facegallery.format_version": "4"}, RequestInvalid, "must be 1 to 3, but is '4'"),
        ({"facegallery.format_version": None}, RequestInvalid, "but is missing"),
        ({"facegallery.fingerprint": None}, RequestInvalid, "must say facegallery.fingerprint"),
        ({"facegallery.fingerprint": "x"}, RequestInvalid, "64 lower-case hexadecimal"),
        ({"facegallery.dimension": "128"}, EmbeddingInvalid, "dimension is '128'"),
        ({"facegallery.count": "4"}, RequestInvalid, "has 3 rows, but"),
        ({"facegallery.exported_at": "today"}, RequestInvalid, "must be a time"),
        ({"facegallery.exported_at": "2026-01-01"}, RequestInvalid, "time zone"),
        ({"facegallery.gallery": "a b"}, NameInvalid, "gallery's name"),
        ({"facegallery.content_sha256": "0" * 64}, RequestInvalid, "damaged"),
    ],
)
def test_bad_metadata_are_refused(
    path: Path, changes: dict[str, str | None], error: type[FaceGalleryError], problem: str
) -> None:
    """Another version, model or number of rows than the file has is told."""
    metadata = {
        "facegallery.format_version": "1",
        "facegallery.fingerprint": "a" * 64,
    } | changes
    write_as_other_tool(
        path,
        other_tools_columns(),
        {key: value for key, value in metadata.items() if value is not None},
    )
    with pytest.raises(error, match=problem):
        verify(path)
