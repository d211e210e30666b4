"""Writes and reads exchange files; `index.exchange.files` imports it when it is needed."""

import io
import json
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from embedding.errors import EmbeddingInvalid, RequestInvalid, StoreError
from index.exchange.checking import RowCheck, check_header
from index.exchange.columns import SCHEMA, check_schema, columns_of, to_batch, to_columns
from index.exchange.rows import (
    EARLIER_VERSION,
    FORMAT_VERSION,
    ContentDigest,
    ExchangeColumns,
    ExchangeHeader,
    ExchangeRow,
    Source,
)
from index.private_files import new_private_file
from index.records import EMBEDDING_DIMENSION

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
    with _reading(path):
        file = pq.ParquetFile(
            path if isinstance(path, Path) else pa.BufferReader(pa.py_buffer(path)),
            buffer_size=_BUFFER_BYTES,
            pre_buffer=False,
            page_checksum_verification=True,
            thrift_string_size_limit=_MAX_FOOTER_STRING_BYTES,
            thrift_container_size_limit=_MAX_FOOTER_ENTRIES,
        )
        # Reading a damaged schema raises when its types are looked at, not before.
        check_schema(file.schema_arrow, version=_version(file.metadata) or FORMAT_VERSION)
    header, expected_digest = _header(file.metadata)
    check_header(header, fingerprint=fingerprint)
    return header, _batches(path, file, header, expected_digest)


def _batches(
    path: Source, file: pq.ParquetFile, header: ExchangeHeader, expected_digest: str | None
) -> Iterator[ExchangeColumns]:
    check, digest = RowCheck(header), ContentDigest(header)
    names = [name for name in columns_of(header.version) if name in file.schema_arrow.names]
    with file:
        batches = file.iter_batches(batch_size=_BATCH_ROWS, columns=names, use_threads=False)
        while True:
            with _reading(path):
                batch = next(batches, None)
                if batch is None:
                    break
                batch.validate(full=True)
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
    }
    return {key: value for key, value in given.items() if value is not None}


def _header(metadata: pq.FileMetaData) -> tuple[ExchangeHeader, str | None]:
    """Return the header, with the number of rows that the file really announces."""
    given = _given(metadata)
    version = _version(metadata)
    if version is None:
        raise RequestInvalid(
            f"the file's {_VERSION_KEY} must be {EARLIER_VERSION} or {FORMAT_VERSION}, but is "
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
        look_alikes=_pairs(given.get(_LOOK_ALIKES_KEY, "[]")),
        version=version,
    )
    return header, given.get(_DIGEST_KEY)


def _given(metadata: pq.FileMetaData) -> dict[str, str]:
    raw = metadata.metadata or {}
    return {
        key.decode(errors="replace"): value.decode(errors="replace") for key, value in raw.items()
    }


def _version(metadata: pq.FileMetaData) -> int | None:
    """The version that a file says it has; None for one that cannot be read."""
    known = {str(each): each for each in (EARLIER_VERSION, FORMAT_VERSION)}
    return known.get(_given(metadata).get(_VERSION_KEY, ""))


def _time(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise RequestInvalid(
            f"the file's {_EXPORTED_KEY} must be a time such as 2026-01-31T12:00:00+00:00"
        ) from None


def _pairs(text: str) -> tuple[tuple[str, str], ...]:
    """The pairs of a JSON list of lists of two ids."""
    try:
        pairs = json.loads(text)
    except (ValueError, RecursionError):
        pairs = None
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)
        for pair in pairs
    ):
        raise RequestInvalid(
            f"the file's {_LOOK_ALIKES_KEY} must be a JSON list of pairs of subject ids"
        )
    return tuple((one, other) for one, other in pairs)


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


def _name(source: Source) -> str:
    return str(source) if isinstance(source, Path) else "the file"


def _damaged(path: Source) -> RequestInvalid:
    return RequestInvalid(
        f"{_name(path)} cannot be read: it is not a Parquet file, or is damaged or incomplete; "
        f"export it again"
    )


def _shown(text: str | None) -> str:
    return "missing" if text is None else ascii(text[:40])
