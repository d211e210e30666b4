"""What is kept of people beside their names, in exchange files."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from embedding.errors import RequestInvalid
from index.details import Details
from index.exchange.files import read_gallery, verify, write_gallery
from index.place import Place
from index.transfer import export_gallery, import_gallery
from tests.index.exchange.samples import (
    HEADER,
    fields,
    other_tools_columns,
    read_all,
    row,
    write_as_other_tool,
)

_AT = datetime(2090, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
_DETAILS: dict[str, Any] = {
    "metadata": '{"badge":17,"team":"Zo\u00eb"}',
    "purpose": "access",
    "consent": "c-17",
    "expires_at": _AT,
}


def test_they_travel(tmp_path: Path) -> None:
    """Into a file, out of it, into a gallery and out of that again."""
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    rows = [
        row(0, **_DETAILS),
        row(1),
        row(2, subject_id=row(0).subject_id, name="person 0", **_DETAILS),
    ]
    write_gallery(first, rows, header=HEADER)
    assert fields(read_all(first)[1]) == fields(rows)
    with Place(data_folder=tmp_path / "data").opened() as store:
        import_gallery(store, "people", first)
        export_gallery(store, "people", second)
    assert fields(read_all(second)[1]) == fields(rows)


def test_a_gallery_takes_over_what_it_lacks(tmp_path: Path) -> None:
    """Own details stay, missing ones come with the file."""
    own, given = tmp_path / "own.parquet", tmp_path / "given.parquet"
    write_gallery(own, [row(0, metadata='{"badge":1}', purpose="own")], header=HEADER)
    more = row(0, template_id=row(5).template_id, **_DETAILS)
    write_gallery(given, [more], header=HEADER)
    with Place(data_folder=tmp_path / "data").opened() as store:
        import_gallery(store, "people", own)
        import_gallery(store, "people", given)
        gallery = store.gallery_store(store.galleries()[0])
        (subject,) = gallery.page(limit=10, cursor=None).subjects
    assert subject.num_templates == 2
    assert subject.details == Details(
        metadata={"badge": 1, "team": "Zo\u00eb"},
        purpose="own",
        consent="c-17",
        expires_at=_AT,
    )


def test_files_of_version_1_are_read(tmp_path: Path) -> None:
    """They know no details: a column of such a name is another tool's own, of whatever type."""
    path = tmp_path / "a.parquet"
    columns = other_tools_columns() | {"purpose": [1, 2, 3], "metadata": ["x", "y", "z"]}
    write_as_other_tool(path, columns)
    header, rows = read_all(path)
    assert header.version == 1
    assert {each.details.empty for each in rows} == {True}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"metadata": ["{}", "{", "{}"]}, "row 1: .*JSON"),
        ({"metadata": ["{}", '{"a": NaN}', "{}"]}, "row 1: .*finite"),
        ({"metadata": ["{}", '{"a": {}}', "{}"]}, "row 1: .*objects"),
        ({"metadata": [1, 2, 3]}, "column metadata must hold text"),
        ({"purpose": [None, "x" * 201, None]}, "row 1: .*purpose"),
        ({"consent": [None, None, "a\nb"]}, "row 2: .*consent"),
        ({"expires_at": pa.array([0, 0, 0], pa.timestamp("us"))}, "time zone"),
        (
            {"subject_id": pa.array([None] * 3, pa.string()), "purpose": ["x", None, None]},
            "row 0: details",
        ),
    ],
)
def test_bad_details_are_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    """The row is told."""
    path = tmp_path / "a.parquet"
    metadata = {"facegallery.format_version": "2", "facegallery.fingerprint": "a" * 64}
    write_as_other_tool(path, other_tools_columns() | changes, metadata)
    with pytest.raises(RequestInvalid, match=problem):
        verify(path)


def test_one_person_has_one_set_of_details(tmp_path: Path) -> None:
    """Rows of one subject that differ are refused."""
    path = tmp_path / "a.parquet"
    subject = row(0).subject_id
    rows = [row(0, **_DETAILS), row(1, subject_id=subject, name="person 0")]
    with pytest.raises(RequestInvalid, match="details"):
        write_gallery(path, rows, header=HEADER)


def test_damage_in_details_is_noticed(tmp_path: Path) -> None:
    """The digest covers them."""
    import pyarrow.parquet as pq

    path, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    write_gallery(path, [row(0, **_DETAILS)], header=HEADER)
    table = pq.read_table(path)
    place = table.column_names.index("purpose")
    changed = table.set_column(place, "purpose", pa.array(["another"]))
    pq.write_table(changed.replace_schema_metadata(pq.read_metadata(path).metadata), other)
    _, batches = read_gallery(other)
    with pytest.raises(RequestInvalid, match="damaged"):
        list(batches)
