"""Writes and reads exchange files; `index.exchange.files` imports it when it is needed."""

import io
import json
import logging
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from embedding.errors import EmbeddingInvalid, RequestInvalid, StoreError
from index.exchange.checking import RowCheck, check_header
from index.exchange.columns import (
    SCHEMA,
    TEXTS,
    check_schema,
    columns_of,
    decoded,
    to_batch,
    to_columns,
)
from index.exchange.pages import check_unpacking
from index.exchange.rows import (
    FORMAT_VERSION,
    VERSIONS,
    ContentDigest,
    ExchangeColumns,
    ExchangeHeader,
    ExchangeRow,
    Source,
)
from index.exchange.thrift import Content
from index.private_files import new_private_file
from index.records import EMBEDDING_DIMENSION
from index.rules import GalleryRules

logger = logging.getLogger(__name__)

_BATCH_ROWS = 4_096
"""Rows of a row group and of a batch: 9 MB of embeddings."""

_BUFFER_BYTES = 1 << 20
_MAX_FOOTER_STRING_BYTES = 16 << 20
_MAX_FOOTER_ENTRIES = 1 << 20

_VERSION_KEY = "facegallery.format_version"
_GALLERY_KEY = "facegallery.gallery"
_FINGERPRINT_KEY = "facegallery.fingerprint"
_DIMENSION_KEY = "facegallery.dimension"
_COUNT_KEY = "facegallery.count"
_EXPORTED_KEY = "facegallery.exported_at"
_DIGEST_KEY = "facegallery.content_sha256"
_LOOK_ALIKES_KEY = "facegallery.look_alikes"
_MERGED_KEY = "facegallery.merged"
_RULES_KEY = "facegallery.rules"


def write(path: Path, rows: Iterable[ExchangeRow], *, header: ExchangeHeader) -> ExchangeHeader:
    """See `index.exchange.files.write_gallery`."""
    check_header(header)
    try:
        with new_private_file(path) as stream:
            # The last count is the largest.
            num_rows = max(_write_into(stream, rows, header))
    except FileExistsError as error:
        raise RequestInvalid(f"{path} exists already; give the name of a new file") from error
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or 'input or output failed'}; check the "
            f"folder, the disk's free space and the rights of this user"
        ) from error
    return replace(header, count=num_rows)


def stream(rows: Iterable[ExchangeRow], *, header: ExchangeHeader) -> Iterator[tuple[bytes, int]]:
    """See `index.exchange.files.stream_gallery`."""
    check_header(header)
    return _streamed(rows, header)


def _streamed(rows: Iterable[ExchangeRow], header: ExchangeHeader) -> Iterator[tuple[bytes, int]]:
    sink = _Sink()
    for num_rows in _write_into(sink, rows, header):
        yield sink.taken(), num_rows
    # The writer has closed by now, with its footer.
    yield sink.taken(), num_rows


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken; knows how far the file has come."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._num_bytes = 0

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - whatever holds bytes
        """Take the next bytes."""
        part = bytes(data)
        self._parts.append(part)
        self._num_bytes += len(part)
        return len(part)

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._num_bytes

    def taken(self) -> bytes:
        """Return what was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


def _write_into(
    stream: BinaryIO | _Sink, rows: Iterable[ExchangeRow], header: ExchangeHeader
) -> Iterator[int]:
    """Write a file; after each row group yields how many rows there are, at least once."""
    check, digest = RowCheck(header), ContentDigest(header)
    source = iter(rows)
    with pq.ParquetWriter(
        stream,
        SCHEMA,
        compression="zstd",
        # Random numbers: a dictionary or statistics of them only cost time.
        use_dictionary=["name", "external_id", "subject_id", "image_id", "fingerprint"],
        write_statistics=False,
        write_page_checksum=True,
    ) as writer:
        while chunk := list(islice(source, _BATCH_ROWS)):
            columns = check.add(ExchangeColumns.of(chunk))
            digest.add(columns)
            writer.write_batch(to_batch(columns))
            yield check.num_rows
        check.finish()
        header = replace(header, count=check.num_rows)
        writer.add_key_value_metadata(_metadata(header, digest.hexdigest()))
        yield check.num_rows
    logger.info("exported %s templates", check.num_rows)


def read(
    path: Source, *, fingerprint: str | None
) -> tuple[ExchangeHeader, Iterator[tuple[ExchangeRow, ...]]]:
    """See `index.exchange.files.read_gallery`."""
    header, batches = _opened(path, fingerprint=fingerprint)
    return header, (columns.rows() for columns in batches)


def verify(path: Source, *, fingerprint: str | None) -> ExchangeHeader:
    """See `index.exchange.files.verify`."""
    header, batches = _opened(path, fingerprint=fingerprint)
    for _ in batches:
        pass
    return header


def _opened(
    path: Source, *, fingerprint: str | None
) -> tuple[ExchangeHeader, Iterator[ExchangeColumns]]:
    """Return the header of a file, and its checked rows."""
    with _reading(path), _file(path) as file:
        header, expected_digest = _header(file.metadata)
        # Reading a damaged schema raises when its types are looked at, not before.
        check_schema(file.schema_arrow, header)
        names = [name for name in columns_of(header) if name in file.schema_arrow.names]
    check_header(header, fingerprint=fingerprint)
    with _reading(path):
        with _content(path) as content:
            check_unpacking(content, columns=names, width=EMBEDDING_DIMENSION)
        # A text that many rows share stays one, until it is known how long it is.
        file = _file(path, shared=[name for name in names if name in TEXTS])
    return header, _batches(path, file, names, header, expected_digest)


def _file(path: Source, *, shared: Sequence[str] = ()) -> pq.ParquetFile:
    return pq.ParquetFile(
        path if isinstance(path, Path) else pa.BufferReader(pa.py_buffer(path)),
        buffer_size=_BUFFER_BYTES,
        pre_buffer=False,
        page_checksum_verification=True,
        thrift_string_size_limit=_MAX_FOOTER_STRING_BYTES,
        thrift_container_size_limit=_MAX_FOOTER_ENTRIES,
        read_dictionary=list(shared),
    )


def _batches(
    path: Source,
    file: pq.ParquetFile,
    names: Sequence[str],
    header: ExchangeHeader,
    expected_digest: str | None,
) -> Iterator[ExchangeColumns]:
    check, digest = RowCheck(header), ContentDigest(header)
    with file:
        batches = file.iter_batches(batch_size=_BATCH_ROWS, columns=names, use_threads=False)
        while True:
            with _reading(path):
                batch = next(batches, None)
                if batch is None:
                    break
                batch.validate(full=True)
                batch = decoded(batch, first=check.num_rows)
                read = to_columns(batch, first=check.num_rows, fingerprint=header.fingerprint)
            columns = check.add(read)
            digest.add(columns)
            yield columns
    if check.num_rows != header.count:
        raise _damaged(path)
    check.finish()
    if expected_digest is not None and digest.hexdigest() != expected_digest:
        raise _damaged(path)


def _metadata(header: ExchangeHeader, digest: str) -> dict[str, str]:
    given = {
        _VERSION_KEY: str(header.version),
        _FINGERPRINT_KEY: header.fingerprint,
        _DIMENSION_KEY: str(EMBEDDING_DIMENSION),
        _COUNT_KEY: str(header.count),
        _GALLERY_KEY: header.gallery,
        _EXPORTED_KEY: None if header.exported_at is None else header.exported_at.isoformat(),
        _DIGEST_KEY: digest,
        _LOOK_ALIKES_KEY: json.dumps(header.look_alikes) if header.look_alikes else None,
        _MERGED_KEY: json.dumps(header.merged) if header.merged else None,
        _RULES_KEY: None if header.rules is None else json.dumps(asdict(header.rules)),
    }
    return {key: value for key, value in given.items() if value is not None}


def _header(metadata: pq.FileMetaData) -> tuple[ExchangeHeader, str | None]:
    """Return the header, with the number of rows that the file really announces."""
    given = _given(metadata)
    version = _version(metadata)
    if version is None:
        raise RequestInvalid(
            f"the file's {_VERSION_KEY} must be {min(VERSIONS)} to {FORMAT_VERSION}, but is "
            f"{_shown(given.get(_VERSION_KEY))}; a file of a later version needs a newer program"
        )
    if _FINGERPRINT_KEY not in given:
        raise RequestInvalid(f"the file's metadata must say {_FINGERPRINT_KEY}, but do not")
    dimension = given.get(_DIMENSION_KEY, str(EMBEDDING_DIMENSION))
    if dimension != str(EMBEDDING_DIMENSION):
        raise EmbeddingInvalid(
            f"embeddings must have dimension {EMBEDDING_DIMENSION}, but the file's "
            f"{_DIMENSION_KEY} is {_shown(dimension)}"
        )
    count = given.get(_COUNT_KEY, str(metadata.num_rows))
    if count != str(metadata.num_rows):
        raise RequestInvalid(
            f"the file has {metadata.num_rows} rows, but its {_COUNT_KEY} is {_shown(count)}; it "
            f"is not complete"
        )
    exported_at = given.get(_EXPORTED_KEY)
    header = ExchangeHeader(
        fingerprint=given[_FINGERPRINT_KEY],
        gallery=given.get(_GALLERY_KEY),
        exported_at=None if exported_at is None else _time(exported_at),
        count=metadata.num_rows,
        look_alikes=_pairs(given, _LOOK_ALIKES_KEY),
        version=version,
    )
    if header.has_gallery:
        header = replace(header, merged=_pairs(given, _MERGED_KEY), rules=_rules(given))
    return header, given.get(_DIGEST_KEY)


def _given(metadata: pq.FileMetaData) -> dict[str, str]:
    raw = metadata.metadata or {}
    return {
        key.decode(errors="replace"): value.decode(errors="replace") for key, value in raw.items()
    }


def _version(metadata: pq.FileMetaData) -> int | None:
    """The version that a file says it has; None for one that cannot be read."""
    known = {str(each): each for each in VERSIONS}
    return known.get(_given(metadata).get(_VERSION_KEY, ""))


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise RequestInvalid(
            f"the file's {_EXPORTED_KEY} must be a time such as 2026-01-31T12:00:00+00:00"
        ) from None


def _pairs(given: Mapping[str, str], key: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a JSON list of lists of two ids."""
    try:
        pairs = json.loads(given.get(key, "[]"))
    except (ValueError, RecursionError):
        pairs = None
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)
        for pair in pairs
    ):
        raise RequestInvalid(f"the file's {key} must be a JSON list of pairs of subject ids")
    return tuple((one, other) for one, other in pairs)


def _rules(given: Mapping[str, str]) -> GalleryRules | None:
    """How the gallery decides, by a JSON object with the names of `GalleryRules`."""
    if _RULES_KEY not in given:
        return None
    expected = ", ".join(GalleryRules.__slots__)
    try:
        said = json.loads(given[_RULES_KEY])
        fits = isinstance(said, dict) and set(said) == set(GalleryRules.__slots__)
        fits = fits and isinstance(said["fusion"], str)
        fits = fits and type(said["max_templates"]) in (int, type(None))
        fits = fits and type(said["smallest_lead"]) in (int, float)
        lead = float(said["smallest_lead"]) if fits else 0.0
    except (ValueError, OverflowError, RecursionError):
        fits = False
    if not fits:
        raise RequestInvalid(f"the file's {_RULES_KEY} must be a JSON object of {expected}")
    return GalleryRules(**{**said, "smallest_lead": lead})


@contextmanager
def _reading(path: Source) -> Iterator[None]:
    """Turn what Arrow raises on a bad file into errors of this project."""
    try:
        yield
    except FileNotFoundError as error:
        raise RequestInvalid(f"there is no file {_name(path)}") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        # The cause may quote what the file holds: it stays out of the message.
        raise _damaged(path) from error


@contextmanager
def _content(source: Source) -> Iterator[Content]:
    """All bytes of a file."""
    if not isinstance(source, Path):
        yield source
        return
    # Only where page headers are is it really read.
    with (
        source.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        yield content


def _name(source: Source) -> str:
    return str(source) if isinstance(source, Path) else "the file"


def _damaged(path: Source) -> RequestInvalid:
    return RequestInvalid(
        f"{_name(path)} cannot be read: it is not a Parquet file, or is damaged or incomplete; "
        f"export it again"
    )


def _shown(text: str | None) -> str:
    return "missing" if text is None else ascii(text[:40])
