"""Columns of embeddings in any Parquet file; other tools write fewer than an exchange file has.

Shapes: N rows, D embedding dimension.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from embedding.errors import EmbeddingInvalid, RequestInvalid

_BATCH_ROWS = 1024
_FINGERPRINT = "facegallery.fingerprint"
_TEXTS = ("subject", "name", "external_id", "path")
_FIGURES = ("norm", "quality")
_MAX_FOOTER_STRING_BYTES = 16 << 20
_MAX_FOOTER_ENTRIES = 1 << 20

EmbeddingRow = tuple[NDArray[np.float32], Mapping[str, Any]]
"""(D,), not checked, and what else stands in its row."""

_NOTHING = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingFile:
    """A Parquet file whose columns were checked.

    Attributes:
        path: of the file.
        fingerprint: of the model, as the file's metadata say; None where they do not.
        num_rows: N.
        columns: those that are read.
    """

    path: Path
    fingerprint: str | None
    num_rows: int
    columns: tuple[str, ...]

    def rows(self) -> Iterator[EmbeddingRow]:
        """Yield the rows in their order, some megabytes at a time.

        Raises:
            RequestInvalid: the file is damaged.
        """
        try:
            with _open(self.path) as file:
                for batch in file.iter_batches(
                    batch_size=_BATCH_ROWS, columns=list(self.columns), use_threads=False
                ):
                    batch.validate(full=True)
                    yield from _rows(batch)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise _damaged(self.path) from error


def open_embeddings(path: Path) -> EmbeddingFile:
    """Return a file of embeddings.

    Raises:
        EmbeddingInvalid: its embeddings are not float32.
        RequestInvalid: no Parquet file, damaged, or without a column ``embedding``.
    """
    try:
        with _open(path) as file:
            schema, metadata = file.schema_arrow, file.metadata
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _damaged(path) from error
    known = ("embedding", *_TEXTS, *_FIGURES)
    columns = tuple(each for each in schema.names if each in known)
    if "embedding" not in columns or len(set(columns)) < len(columns):
        raise RequestInvalid(f"{path.name} must have each column once, and one named embedding")
    kind = schema.field("embedding").type
    is_list = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind)
    if not (is_list or pa.types.is_large_list(kind)) or kind.value_type != pa.float32():
        raise EmbeddingInvalid(f"the column embedding must hold lists of float32, not {kind}")
    for each in columns:
        kind = schema.field(each).type
        is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        if each in _TEXTS and not is_text:
            raise RequestInvalid(f"the column {each} must hold text, not {kind}")
        if each in _FIGURES and not pa.types.is_floating(kind):
            raise RequestInvalid(f"the column {each} must hold floating numbers, not {kind}")
    given = (metadata.metadata or {}).get(_FINGERPRINT.encode())
    return EmbeddingFile(
        path=path,
        fingerprint=None if given is None else given.decode(errors="replace"),
        num_rows=metadata.num_rows,
        columns=columns,
    )


def _open(path: Path) -> pq.ParquetFile:
    return pq.ParquetFile(
        path,
        pre_buffer=False,
        page_checksum_verification=True,
        thrift_string_size_limit=_MAX_FOOTER_STRING_BYTES,
        thrift_container_size_limit=_MAX_FOOTER_ENTRIES,
    )


def _rows(batch: pa.RecordBatch) -> Iterator[EmbeddingRow]:
    vectors = batch.column("embedding")
    names = [each for each in batch.schema.names if each != "embedding"]
    values = zip(*(batch.column(each).to_pylist() for each in names), strict=True)
    others = [dict(zip(names, each, strict=True)) for each in values] if names else []
    for number in range(batch.num_rows):
        vector = vectors[number].values
        # An empty place becomes NaN, and a row without a vector one without numbers.
        vector_D = _NOTHING if vector is None else vector.to_numpy(zero_copy_only=False)
        yield vector_D, others[number] if names else {}


def _damaged(path: Path) -> RequestInvalid:
    # The cause may quote what the file holds: it stays out of the message.
    return RequestInvalid(f"{path.name} is no Parquet file, or is damaged or incomplete")
