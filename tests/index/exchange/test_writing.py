"""What is written is read again, and the file is there whole or not at all."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedding.errors import EmbeddingInvalid, NameInvalid, RequestInvalid, StoreError
from index.exchange.files import read_gallery, write_gallery
from index.exchange.rows import ExchangeRow
from tests.index.exchange.samples import HEADER, fields, read_all, row
from tests.index.samples import BAD_EMBEDDINGS, unit_vectors

_TEXT = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="/\\"),
    min_size=1,
    max_size=20,
)


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
        "from tests.index.exchange.samples import HEADER, row\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "from embedding.errors import StoreError\n"
        "try: write_gallery(Path(sys.argv[1]), map(row, range(50)), header=HEADER)\n"
        "except StoreError as error: sys.stdout.write(str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        cwd=Path(__file__).parents[3],
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
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pip install 'facegallery[exchange]'" in done.stdout
