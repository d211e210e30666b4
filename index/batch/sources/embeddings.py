"""Embeddings that were made elsewhere: a NumPy file with a list of names, or Parquet.

Shapes: N rows, D embedding dimension.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedding.errors import EmbeddingInvalid, ModelMismatch, RequestInvalid
from index.batch.sources.lines import (
    CSV_SUFFIX,
    JSON_SUFFIXES,
    LineFile,
    owned_by,
    subject_of,
    text_of,
)
from index.batch.sources.paths import printable
from index.batch.sources.source import Skip, SourcePhoto, SourceRules, skip
from index.checks import check_fingerprint
from index.exchange.files import open_embedding_file
from index.records import EMBEDDING_DIMENSION

NPY_SUFFIX = ".npy"
PARQUET_SUFFIX = ".parquet"

UNKNOWN_QUALITY = 0.5
"""Of an embedding that comes without a quality: neither good nor poor."""

_HEADER = np.dtype([("norm", "<f8"), ("quality", "<f8")])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReadyEmbedding:
    """What stands for a photo whose face was embedded before.

    Attributes:
        embedding: (D,) float32, unit length.
        norm: before normalisation.
        quality: in [0, 1].
    """

    embedding: NDArray[np.float32]
    norm: float
    quality: float


class ReadyEmbeddings:
    """The rows of a file; a source whose "photos" are embeddings, see `decoded`."""

    def __init__(
        self,
        path: Path,
        *,
        names: Path | None = None,
        fingerprint: str | None = None,
        rules: SourceRules | None = None,
    ) -> None:
        """Take a file.

        Args:
            path: ``.npy``, (N, D) float32, or ``.parquet``.
            names: CSV or JSON lines, one for each row of the ``.npy`` in its order; None for the
                one of the same name beside it.
            fingerprint: of the model that made the embeddings; None where the file says it.
            rules: how it is read.

        Raises:
            EmbeddingInvalid: another shape or type.
            ModelMismatch: the file says another model than the one that is given.
            RequestInvalid: it cannot be read, nothing says which model made it, or names and
                rows are not as many, or a line of the names cannot be used.
            SettingsInvalid: Parquet needs an extra package.
        """
        self._path = path
        self._rules = rules or SourceRules()
        said: str | None = None
        if path.suffix.lower() == PARQUET_SUFFIX:
            file = open_embedding_file(path)
            said, self._rows = file.fingerprint, file.rows
        else:
            self._rows = _numpy_rows(path, names)
        if said is not None and fingerprint is not None and said != fingerprint:
            raise ModelMismatch(
                f"the embeddings are of model {said[:12]}, not of {fingerprint[:12]}"
            )
        if said is None and fingerprint is None:
            raise RequestInvalid(
                f"nothing says which model made the embeddings of {path.name}; give it with "
                "--made-by"
            )
        self.fingerprint = said or fingerprint or ""
        check_fingerprint(self.fingerprint)
        self._mtime_ns = path.stat().st_mtime_ns

    @property
    def address(self) -> str:
        """The file's real path."""
        return printable(str(self._path.resolve()))

    def photos(self) -> Iterator[SourcePhoto | Skip]:
        """See `Source`; a photo's bytes are those of `decoded`."""
        for number, (vector_D, fields) in enumerate(self._rows()):
            yield self._row(f"row {number}", vector_D, fields)

    def _row(
        self, place: str, vector_D: NDArray[np.float32], fields: Mapping[str, Any]
    ) -> SourcePhoto | Skip:
        try:
            key, subject = text_of(fields, "path") or place, subject_of(fields)
            content = _encoded(vector_D, fields)
        except UnicodeEncodeError:
            return skip(place, "bad_encoding")
        except EmbeddingInvalid as error:
            return Skip(key=place, error=error.code, message=str(error))
        except ValueError as error:
            return skip(place, "bad_line", str(error))
        owned = owned_by(self._rules, key, subject)
        if isinstance(owned, Skip):
            return owned
        subject, _ = owned
        return SourcePhoto(
            key=key,
            subject=subject,
            size_bytes=len(content),
            mtime_ns=self._mtime_ns,
            read=lambda limit: content[:limit],
        )


def decoded(content: bytes) -> ReadyEmbedding:
    """Return the embedding that a row's bytes stand for."""
    header = np.frombuffer(content, _HEADER, count=1)[0]
    return ReadyEmbedding(
        embedding=np.frombuffer(content, "<f4", offset=_HEADER.itemsize).astype(np.float32),
        norm=float(header["norm"]),
        quality=float(header["quality"]),
    )


def _encoded(vector_D: NDArray[np.float32], fields: Mapping[str, Any]) -> bytes:
    """The bytes of a row; a vector that is not of unit length is made so, its length the norm."""
    if vector_D.shape != (EMBEDDING_DIMENSION,):
        raise EmbeddingInvalid(
            f"an embedding has {EMBEDDING_DIMENSION} numbers, but this one {vector_D.size}"
        )
    length = float(np.linalg.norm(vector_D.astype(np.float64)))
    if not (math.isfinite(length) and length > 0):
        raise EmbeddingInvalid("an embedding must be finite and not zero")
    norm = _figure(fields, "norm", default=length)
    quality = _figure(fields, "quality", default=UNKNOWN_QUALITY)
    if norm <= 0 or not 0 <= quality <= 1:
        raise ValueError("norm must be positive, and quality in [0, 1]")
    header = np.array([(norm, quality)], _HEADER).tobytes()
    return header + (vector_D.astype(np.float64) / length).astype("<f4").tobytes()


def _figure(fields: Mapping[str, Any], name: str, *, default: float) -> float:
    given = fields.get(name)
    if given is None or given == "":
        return default
    if isinstance(given, bool) or not isinstance(given, float | int | str):
        raise ValueError(f"{name} must be a number")
    number = float(given)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number")
    return number


def _numpy_rows(
    path: Path, names: Path | None
) -> Callable[[], Iterator[tuple[NDArray[np.float32], Mapping[str, Any]]]]:
    """The rows of a NumPy file beside their names, all of which were looked at."""
    vectors_ND = _mapped(path)
    file = LineFile(names or _names_beside(path))
    try:
        num = 0
        for place, fields in file.lines():
            if isinstance(fields, Skip):
                # One line less would give everybody after it another's face.
                raise RequestInvalid(f"{place} of {file.path.name}: {fields.message}")
            num += 1
    except OSError as error:
        raise RequestInvalid(f"{file.path.name} cannot be read: {error.strerror}") from error
    if num != len(vectors_ND):
        raise RequestInvalid(
            f"{file.path.name} has {num} lines, but {path.name} has {len(vectors_ND)} rows"
        )

    def rows() -> Iterator[tuple[NDArray[np.float32], Mapping[str, Any]]]:
        for vector_D, (place, fields) in zip(vectors_ND, file.lines(), strict=True):
            if isinstance(fields, Skip):
                raise RequestInvalid(f"{place} of {file.path.name} was changed meanwhile")
            yield np.asarray(vector_D), fields

    return rows


def _mapped(path: Path) -> NDArray[np.float32]:
    try:
        vectors_ND: NDArray[np.float32] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise RequestInvalid(f"{path.name} is no NumPy file, or is damaged") from error
    expected = f"(any number, {EMBEDDING_DIMENSION}) of float32"
    if vectors_ND.ndim != 2 or vectors_ND.shape[1] != EMBEDDING_DIMENSION:
        raise EmbeddingInvalid(f"{path.name} must be {expected}, but is {vectors_ND.shape}")
    if vectors_ND.dtype != np.float32:
        raise EmbeddingInvalid(f"{path.name} must be {expected}, but is of {vectors_ND.dtype}")
    return vectors_ND


def _names_beside(path: Path) -> Path:
    for suffix in (CSV_SUFFIX, *sorted(JSON_SUFFIXES)):
        if (beside := path.with_suffix(suffix)).exists():
            return beside
    raise RequestInvalid(
        f"{path.name} needs its names beside it, {path.stem}.csv or .jsonl, or --names"
    )
