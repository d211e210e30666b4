"""The open format: what is written is read again, and nothing else is taken."""

import itertools
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedding.errors import (
    EmbeddingInvalid,
    FaceGalleryError,
    ModelMismatch,
    NameInvalid,
    RequestInvalid,
    StoreError,
)
from index.exchange.files import read_gallery, verify, write_gallery
from index.exchange.rows import ExchangeRow
from tests.index.exchange_samples import (
    HEADER,
    fields,
    other_tools_columns,
    read_all,
    row,
    write_as_other_tool,
)
from tests.index.samples import BAD_EMBEDDINGS, OTHER_FINGERPRINT, unit_vectors

_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="/\\"),
    min_size=1,
    max_size=20,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that does not exist yet."""
    return tmp_path / "people.parquet"


@st.composite
def _rows(draw: st.DrawFn) -> list[ExchangeRow]:
    """Rows of several subjects, some with several templates, some of nobody."""
    num = draw(st.integers(0, 5))
    rows = []
    for number in range(num):
        subject = draw(st.integers(0, 2) | st.none())
        left, top = draw(st.floats(-1e6, 1e6)), draw(st.floats(-1e6, 1e6))
        rows.append(
            row(
                number,
                subject_id=None if subject is None else row(subject).subject_id,
                name=None if subject is None else f"Zoë {subject}",
                external_id=None if subject != 1 else "Ä-1",
                norm=draw(st.floats(1e-6, 1e6)),
                quality=draw(st.floats(0, 1)),
                confidence=draw(st.floats(0, 1)),
                box=(left, top, left + draw(st.floats(0, 1e3)), top + 1.0),
                photo_size=(draw(st.integers(1, 2**31)), draw(st.integers(1, 2**31))),
                face_id=f"f{draw(_TEXT)}f",
                created_at=draw(st.datetimes().map(lambda at: at.replace(tzinfo=UTC))),
            )
        )
    return rows


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=_rows())
def test_rows_survive_the_round_trip(tmp_path: Path, rows: list[ExchangeRow]) -> None:
    """Any rows come back bit for bit, with the header and their number."""
    path = tmp_path / "any.parquet"
    path.unlink(missing_ok=True)
    try:
        written = write_gallery(path, rows, header=HEADER)
    except NameInvalid:
        return  # Some letters of Unicode are forbidden in ids; `test_checks` has them.
    header, read = read_all(path)
    assert header == written == replace(HEADER, count=len(rows))
    expected = [replace(each, face_id=read[place].face_id) for place, each in enumerate(rows)]
    assert fields(read) == fields(expected)


def test_rows_of_several_batches_keep_their_order(path: Path) -> None:
    """A file of more than one row group is read in batches, in the order of writing."""
    vectors = unit_vectors(5_000)
    rows = (row(number, embedding=vectors[number]) for number in range(5_000))
    write_gallery(path, rows, header=HEADER)
    assert pq.ParquetFile(path).num_row_groups == 2
    _, batches = read_gallery(path)
    read = list(batches)
    assert [len(batch) for batch in read] == [4_096, 904]
    assert [each.name for batch in read for each in batch] == [
        f"person {number}" for number in range(5_000)
    ]


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    """A file has mode 0600, and no temporary file stays beside it."""
    write_gallery(path, [row()], header=HEADER)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_an_existing_file_is_left_alone(path: Path) -> None:
    """A file that is there already is not written over."""
    path.write_text("mine")
    with pytest.raises(RequestInvalid, match="exists already"):
        write_gallery(path, [row()], header=HEADER)
    assert path.read_text() == "mine"


def test_a_file_that_appears_meanwhile_is_left_alone(path: Path) -> None:
    """A file that another writes while rows are taken is not written over either."""

    def rows() -> Iterator[ExchangeRow]:
        yield row()
        path.write_text("mine")

    with pytest.raises(RequestInvalid, match="exists already"):
        write_gallery(path, rows(), header=HEADER)
    assert path.read_text() == "mine"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_export_leaves_nothing(path: Path) -> None:
    """When a row is refused or the source fails, there is no file and no remainder."""

    def rows() -> Iterator[ExchangeRow]:
        yield row()
        raise StoreError("the database is gone")

    with pytest.raises(StoreError, match="gone"):
        write_gallery(path, rows(), header=HEADER)
    with pytest.raises(EmbeddingInvalid, match="row 1: "):
        write_gallery(path, [row(), row(1, embedding=BAD_EMBEDDINGS["NaN"])], header=HEADER)
    assert list(path.parent.iterdir()) == []


def test_a_full_disk_is_told(path: Path) -> None:
    """An export that finds no room fails clearly and leaves nothing."""
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from index.exchange.files import write_gallery\n"
        "from tests.index.exchange_samples import HEADER, row\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "from embedding.errors import StoreError\n"
        "try: write_gallery(Path(sys.argv[1]), map(row, range(50)), header=HEADER)\n"
        "except StoreError as error: sys.stdout.write(str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "free space" in done.stdout
    assert list(path.parent.iterdir()) == []


def test_a_missing_package_is_told() -> None:
    """Without pyarrow the error says what to install; importing the module needs nothing."""
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from pathlib import Path\n"
        "from index.exchange.files import verify\n"
        "from embedding.errors import SettingsInvalid\n"
        "try: verify(Path('x'))\n"
        "except SettingsInvalid as error: sys.stdout.write(str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pip install 'facegallery[exchange]'" in done.stdout


@pytest.mark.parametrize("bad", BAD_EMBEDDINGS.values(), ids=BAD_EMBEDDINGS)
def test_a_bad_embedding_is_not_written(path: Path, bad: Any) -> None:
    """What could not be enrolled is not exported, and the row is told."""
    with pytest.raises(EmbeddingInvalid, match="row 2: "):
        write_gallery(path, [row(0), row(1), row(2, embedding=bad)], header=HEADER)


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        ({"template_id": "7"}, RequestInvalid, "row 1: the template id must be a UUID"),
        ({"subject_id": "Anna"}, RequestInvalid, "row 1: the subject id must be a UUID"),
        ({"subject_id": None}, RequestInvalid, "row 1: a name or external id without"),
        ({"fingerprint": OTHER_FINGERPRINT}, ModelMismatch, "row 1: "),
        ({"created_at": datetime(2026, 1, 1)}, RequestInvalid, "row 1: "),
        ({"name": "a/b"}, NameInvalid, "row 1: the name"),
        ({"external_id": ""}, NameInvalid, "row 1: the external id"),
        ({"face_id": "x" * 256}, NameInvalid, "row 1: the face id"),
        ({"image_id": "\n"}, NameInvalid, "row 1: the image id"),
        ({"norm": 0.0}, RequestInvalid, "row 1: the norm"),
        ({"quality": float("nan")}, RequestInvalid, "row 1: the quality"),
        ({"confidence": 1.5}, RequestInvalid, "row 1: the confidence"),
        ({"box": (3.0, 0.0, 2.0, 1.0)}, RequestInvalid, "row 1: the box"),
        ({"photo_size": (0, 1)}, RequestInvalid, "row 1: the photo"),
        ({"landmarks": np.zeros((4, 2), np.float32)}, RequestInvalid, "row 1: the landmarks"),
        (
            {"template_id": row(0).template_id},
            RequestInvalid,
            "row 1 has the template id of row 0",
        ),
        ({"name": "person 0"}, RequestInvalid, "row 1 has the name of another subject of row 0"),
        ({"subject_id": row(0).subject_id}, RequestInvalid, "rows 0 and 1 give one subject"),
    ],
)
def test_a_bad_row_is_refused(
    path: Path, changes: dict[str, Any], error: type[FaceGalleryError], problem: str
) -> None:
    """Values that no gallery takes are refused, with the row's number and without the value."""
    with pytest.raises(error, match=problem) as raised:
        write_gallery(path, [row(0), row(1, **changes), row(2)], header=HEADER)
    assert "Anna" not in str(raised.value)


def test_one_external_id_of_two_subjects_is_refused(path: Path) -> None:
    """An external id belongs to one subject; the same subject may have it in several rows."""
    same = [row(0, external_id="x"), row(1, external_id="x")]
    with pytest.raises(RequestInvalid, match="external id of another subject"):
        write_gallery(path, same, header=HEADER)
    one = [same[0], replace(same[1], subject_id=same[0].subject_id, name=same[0].name)]
    assert write_gallery(path, one, header=HEADER).count == 2


def test_rows_of_nobody_and_without_names_do_not_clash(path: Path) -> None:
    """Nothing is not a name that two subjects share."""
    rows = [row(0, name=None), row(1, name=None)]
    rows += [row(number, subject_id=None, name=None) for number in (2, 3)]
    write_gallery(path, rows, header=HEADER)
    assert fields(read_all(path)[1]) == fields(rows)


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": "A" * 64},
        {"gallery": "a b"},
        {"exported_at": datetime(2026, 1, 1)},
    ],
)
def test_a_bad_header_is_refused(path: Path, changes: dict[str, Any]) -> None:
    """A header that `read_gallery` would not take is not written."""
    with pytest.raises(FaceGalleryError):
        write_gallery(path, [row()], header=replace(HEADER, **changes))


def test_another_model_is_refused(path: Path) -> None:
    """Rows of another model than the wanted one are not given."""
    write_gallery(path, [row()], header=HEADER)
    with pytest.raises(ModelMismatch, match="is wanted"):
        verify(path, fingerprint=OTHER_FINGERPRINT)
    assert verify(path, fingerprint=HEADER.fingerprint).count == 1


# Files of other tools.


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
        ({"facegallery.format_version": "2"}, RequestInvalid, "must be 1, but is '2'"),
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


# Damage.


def test_a_missing_file_is_told(path: Path) -> None:
    """A path without a file is the caller's mistake."""
    with pytest.raises(RequestInvalid, match="there is no file"):
        verify(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" * 9, b"subject_id,name\n1,2\n" * 99])
def test_what_is_not_parquet_is_told(path: Path, content: bytes) -> None:
    """Empty files, text and scraps of Parquet are refused."""
    path.write_bytes(content)
    with pytest.raises(RequestInvalid, match="not a Parquet file"):
        verify(path)


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    """A folder is refused as a file that cannot be read."""
    with pytest.raises(RequestInvalid):
        verify(tmp_path)


def test_a_file_cut_short_is_told(path: Path) -> None:
    """A file that lost its end, however little, is refused."""
    write_gallery(path, map(row, range(3)), header=HEADER)
    content = path.read_bytes()
    for size in itertools.chain(
        range(0, len(content), 97), range(len(content) - 60, len(content))
    ):
        path.write_bytes(content[:size])
        with pytest.raises(RequestInvalid, match="damaged or incomplete"):
            verify(path)


def test_no_flipped_bit_changes_what_is_read(path: Path) -> None:
    """With a bit flipped a file is refused, or gives exactly what was written."""
    write_gallery(path, map(row, range(2)), header=HEADER)
    content = path.read_bytes()
    header, rows = read_all(path)
    expected = fields(rows)
    places = range(0, len(content), 17)
    num_noticed = 0
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << (place % 8)
        path.write_bytes(changed)
        try:
            read_header, read = read_all(path)
        except FaceGalleryError:
            num_noticed += 1
            continue
        assert read_header == header
        assert fields(read) == expected
    assert num_noticed > len(places) / 2


def test_a_corrupt_later_group_is_noticed_before_the_end(path: Path) -> None:
    """`verify` refuses a file whose second row group is damaged; a reader gets an error, too."""
    vectors = unit_vectors(5_000)
    rows = (row(number, embedding=vectors[number]) for number in range(5_000))
    write_gallery(path, rows, header=HEADER)
    group = pq.ParquetFile(path).metadata.row_group(1)
    column = next(
        group.column(place)
        for place in range(group.num_columns)
        if group.column(place).path_in_schema.startswith("embedding")
    )
    with path.open("r+b") as file:
        file.seek(column.data_page_offset + column.total_compressed_size // 2)
        file.write(b"\xff\x00\xff")
    with pytest.raises(RequestInvalid, match="damaged"):
        verify(path)
    _, batches = read_gallery(path)
    assert len(next(batches)) == 4_096
    with pytest.raises(RequestInvalid, match="damaged"):
        next(batches)
