"""Galleries as files of the open format, which `docs/exchange-format.md` describes.

The files hold templates and names **in clear text**. Embeddings in them are always in the model's
own space: a gallery's secret turn is undone before they come here.

Parquet needs an extra package; it is imported when the first file is written or read.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from embedding.errors import SettingsInvalid
from index.exchange.rows import ExchangeHeader, ExchangeRow, Source

if TYPE_CHECKING:
    from index.exchange.embeddings import EmbeddingFile


def write_gallery(
    path: Path, rows: Iterable[ExchangeRow], *, header: ExchangeHeader
) -> ExchangeHeader:
    """Write a gallery to a new file, mode 0600, and return the header with the number of rows.

    Rows are taken as they come: about 9 MB are in memory at a time, and 80 bytes a row. The file
    appears whole and synced, or not at all.

    Args:
        path: must not exist.
        rows: in any order.
        header: its `count` is ignored.

    Raises:
        RequestInvalid: the file exists, or a row or the header is not what `read_gallery` takes;
            `EmbeddingInvalid`, `ModelMismatch` and `NameInvalid` likewise.
        SettingsInvalid: the extra package is not installed.
        StoreError: the file cannot be written.
    """
    with extra_package():
        from index.exchange import parquet
    return parquet.write(path, rows, header=header)


def stream_gallery(
    rows: Iterable[ExchangeRow], *, header: ExchangeHeader
) -> Iterator[tuple[bytes, int]]:
    """Return the parts of a file, one after the other, each with the number of rows so far.

    Parts are made when they are asked for, and nothing is written to a disk: about 18 MB are in
    memory at a time, and 64 bytes a row. Without its last part it is no file.

    Args:
        rows: in any order.
        header: its `count` is ignored.

    Raises:
        As `write_gallery`, apart from what a file raises; of rows when their part is asked for.
    """
    with extra_package():
        from index.exchange import parquet
    return parquet.stream(rows, header=header)


def read_gallery(
    path: Source, *, fingerprint: str | None = None
) -> tuple[ExchangeHeader, Iterator[tuple[ExchangeRow, ...]]]:
    """Return the header of a file, and its rows in batches.

    Header and columns are checked at once, a batch before it is given. What only shows at the end
    (a later batch is damaged, an id is there twice, the content's digest differs) is raised after
    earlier batches were given: commit nothing before the end, or call `verify` first.

    Args:
        path: of the file, or its content.
        fingerprint: of the model that the rows are wanted for; None for any.

    Raises:
        EmbeddingInvalid: an embedding is of another dimension or type, NaN, or not unit.
        ModelMismatch: the file, or a row, is of another model.
        NameInvalid: a name or id of a row breaks the rules.
        RequestInvalid: not Parquet, damaged, of another version, or other values than expected.
        SettingsInvalid: the extra package is not installed.
    """
    with extra_package():
        from index.exchange import parquet
    return parquet.read(path, fingerprint=fingerprint)


def verify(path: Source, *, fingerprint: str | None = None) -> ExchangeHeader:
    """Return the header of a file that is wholly in order, having read all of it.

    Raises:
        As `read_gallery`.
    """
    with extra_package():
        from index.exchange import parquet
    return parquet.verify(path, fingerprint=fingerprint)


def open_embedding_file(path: Path) -> "EmbeddingFile":
    """Return a Parquet file with a column ``embedding``, of this program or another.

    Raises:
        EmbeddingInvalid: its embeddings are not float32.
        RequestInvalid: not Parquet, damaged, or other columns than expected.
        SettingsInvalid: the extra package is not installed.
    """
    with extra_package():
        from index.exchange import embeddings
    return embeddings.open_embeddings(path)


@contextmanager
def extra_package() -> Iterator[None]:
    """Run an import of the extra package.

    Raises:
        SettingsInvalid: it is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "pyarrow":
            raise
        raise SettingsInvalid(
            "exchange files need an extra package: pip install 'facegallery[exchange]'"
        ) from error
