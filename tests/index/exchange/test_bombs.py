"""Small files that would unpack to gigabytes are refused before they do."""

import io
import random
import resource
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embedding.errors import FaceGalleryError, RequestInvalid
from index.exchange import pages
from index.exchange.files import read_gallery, verify, write_gallery
from tests.index.exchange.samples import HEADER, other_tools_columns, row
from tests.index.samples import FINGERPRINT

_METADATA = {"facegallery.format_version": "2", "facegallery.fingerprint": FINGERPRINT}


def _file(columns: dict[str, Any], **options: Any) -> bytes:
    sink = io.BytesIO()
    table = pa.table(columns).replace_schema_metadata(_METADATA)
    pq.write_table(table, sink, compression="zstd", **options)
    return sink.getvalue()


def _many_rows() -> bytes:
    """Three hundred thousand rows that are all the same, of which each by itself is in order."""
    num = 300_000
    one = other_tools_columns(1)
    ones = pa.array(np.zeros(num, dtype=np.int32))
    columns: dict[str, Any] = {}
    for name, values in one.items():
        kind = pa.list_(pa.float32()) if name == "embedding" else None
        shared = pa.array([list(values[0])] if kind else values, type=kind)
        columns[name] = shared.take(ones.slice(0, 30_000))
    sink = io.BytesIO()
    table = pa.table(columns).replace_schema_metadata(_METADATA)
    with pq.ParquetWriter(sink, table.schema, compression="zstd") as writer:
        for _ in range(num // 30_000):
            writer.write_table(table)
    return sink.getvalue()


def _long_list() -> bytes:
    """One row whose embedding has ten million numbers, all the same."""
    long = pa.array(np.zeros(10_000_000, dtype=np.float32))
    lists = pa.ListArray.from_arrays(pa.array([0, len(long)], type=pa.int32()), long)
    return _file({**other_tools_columns(1), "embedding": lists})


def _long_texts() -> bytes:
    """A thousand names of 3 kB, each of one letter."""
    columns = other_tools_columns(1_000)
    columns["name"] = [chr(97 + number % 26) * 3_000 for number in range(1_000)]
    vector = list(columns["embedding"][0])
    columns["embedding"] = pa.array([vector] * 1_000, pa.list_(pa.float32()))
    return _file(columns, use_dictionary=["embedding.list.element"])


def _shared_text() -> bytes:
    """Four thousand rows that share one name of a megabyte."""
    columns = other_tools_columns(4_000)
    return _file({**columns, "name": ["a" * 1_000_000] * 4_000})


def _prefixes() -> bytes:
    """Names of which each is written as the one before."""
    columns = other_tools_columns(50)
    columns["name"] = ["a" * 10_000] * 50
    encoding = dict.fromkeys(("name", "subject_id", "template_id"), "DELTA_BYTE_ARRAY")
    return _file(columns, use_dictionary=False, column_encoding=encoding)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (_many_rows, "rows in"),
        (_long_list, "more values in the column embedding"),
        (_shared_text, "row 0: the column name has a text of more than 32768 bytes"),
        (_prefixes, "DELTA_BYTE_ARRAY"),
    ],
)
def test_a_bomb_is_refused_in_little_memory(
    tmp_path: Path, make: Callable[[], bytes], problem: str
) -> None:
    """Of whatever kind it is, as a file and from memory."""
    content = make()
    path = tmp_path / "bomb.parquet"
    path.write_bytes(content)
    pool = pa.default_memory_pool()
    before, rss = pool.max_memory(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for source in (path, content):
        with pytest.raises(RequestInvalid, match=problem):
            verify(source)
    assert pool.max_memory() - before < 64 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - rss < 96 << 10


def test_a_file_that_unpacks_to_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though each of its pages is small, and no text is long."""
    monkeypatch.setattr(pages, "_FREE_BYTES", 1 << 20)
    with pytest.raises(RequestInvalid, match="bytes out of"):
        verify(_long_texts())


@pytest.mark.parametrize("kind", [b"\x11", b"\x13\x00"])
def test_a_table_of_contents_with_millions_of_fields_is_refused(kind: bytes) -> None:
    """Fields without a value of their own, too, each of which would take memory."""
    content = _file(other_tools_columns(1))
    size = int.from_bytes(content[-8:-4], "little")
    more = kind * 2_000_000
    # The last byte of the struct ends it.
    changed = content[:-9] + more + content[-9:-8] + (size + len(more)).to_bytes(4, "little")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(RequestInvalid, match="table of contents"):
        verify(changed + content[-4:])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 320 << 10


def test_one_photo_many_times_is_no_bomb(path: Path) -> None:
    """What is exported can be imported, also where all vectors are one."""
    vector = row().embedding
    write_gallery(path, (row(number, embedding=vector) for number in range(9_000)), header=HEADER)
    assert verify(path).count == 9_000


def test_a_page_that_unpacks_to_much_is_refused() -> None:
    """Whatever the ratio of the whole file is."""
    columns = {**other_tools_columns(1), "name": ["a" * (130 << 20)]}
    with pytest.raises(RequestInvalid, match="a page of"):
        verify(_file(columns))


def test_columns_that_are_not_read_may_be_anything() -> None:
    """Another tool's own columns are neither unpacked nor counted."""
    columns = {**other_tools_columns(3), "notes": ["a" * 1_000_000] * 3}
    assert verify(_file(columns, use_dictionary=False)).count == 3


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_what_other_writers_do_is_read(version: str, compression: str) -> None:
    """Both forms of pages, any compression, small pages, with statistics and indexes."""
    columns = other_tools_columns(700)
    columns["name"] = [f"person {number}" for number in range(700)]
    sink = io.BytesIO()
    pq.write_table(
        pa.table(columns).replace_schema_metadata(_METADATA),
        sink,
        compression=compression,
        data_page_version=version,
        data_page_size=4_096,
        row_group_size=300,
        write_page_index=True,
    )
    _, batches = read_gallery(sink.getvalue())
    assert [each.name for batch in batches for each in batch] == columns["name"]


def test_no_damage_ends_the_process(tmp_path: Path) -> None:
    """Flipped bits and bytes of the table of contents are refused or change nothing."""
    path = tmp_path / "people.parquet"
    people = (row(n, template_id=str(uuid.UUID(int=7 + n)), external_id=f"x{n}") for n in range(3))
    write_gallery(path, people, header=HEADER)
    content = path.read_bytes()
    random_ = random.Random(7)  # noqa: S311 - to be the same each time
    size = int.from_bytes(content[-8:-4], "little")
    num_refused = 0
    for _ in range(1_500):
        changed = bytearray(content)
        for _ in range(random_.choice((1, 1, 3))):
            place = random_.randrange(len(content) - 8 - size, len(content))
            changed[place] = random_.choice((changed[place] ^ 1 << random_.randrange(8), 0xFF, 0))
        try:
            verify(changed)
        except FaceGalleryError:
            num_refused += 1
    assert num_refused > 100
