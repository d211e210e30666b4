"""Files that are no Parquet files, cut short or damaged are told."""

import itertools
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from embedding.errors import FaceGalleryError, RequestInvalid
from index.exchange.files import read_gallery, verify, write_gallery
from tests.index.exchange.samples import HEADER, fields, read_all, row
from tests.index.samples import unit_vectors


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
