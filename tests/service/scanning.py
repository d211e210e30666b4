"""Looks for photos, embeddings and names in all bytes that a service may leave on a disk."""

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import psycopg
from numpy.typing import NDArray

_CHUNK_BYTES = 24
_GAP_BYTES = 64
_MAX_CHUNKS = 40


def files_of(*folders: Path) -> dict[str, bytes]:
    """All files under some folders, by path."""
    return {
        str(path): _without_gaps(path.read_bytes())
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _without_gaps(content: bytes) -> bytes:
    """The content without long runs of zeros, which are most of a database's files."""
    return content.replace(bytes(_GAP_BYTES), b"")


def database_files(url: str, *, log: bool) -> dict[str, bytes]:
    """Files of a PostgreSQL database after a checkpoint, with the server's log of changes or not.

    The log keeps what was removed until it is written over.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CHECKPOINT")
        row = connection.execute(
            "SELECT current_setting('data_directory'), oid FROM pg_database"
            " WHERE datname = current_database()"
        ).fetchone()
    if row is None:
        raise AssertionError("no database")
    place = Path(row[0])
    return files_of(place / "base" / str(row[1]), *([place / "pg_wal"] if log else []))


def photo_patterns(photo: bytes) -> list[bytes]:
    """Bytes from all over a photo, its first ones with the marker of its kind among them.

    As they are, and as base64 in each of the three ways that it may fall.
    """
    step = max(_CHUNK_BYTES, len(photo) // _MAX_CHUNKS)
    chunks = [photo[start : start + _CHUNK_BYTES] for start in range(0, len(photo), step)]
    chunks = [chunk for chunk in chunks if len(set(chunk)) > _CHUNK_BYTES // 3]
    coded = [
        base64.b64encode(photo[start : start + 3 * _CHUNK_BYTES])
        for base in range(0, len(photo) - 3 * _CHUNK_BYTES, 10 * step)
        for start in (base, base + 1, base + 2)
    ]
    return [*chunks, *(each for each in coded if len(set(each)) > _CHUNK_BYTES // 3)]


def vector_patterns(vectors_ND: NDArray[np.float32]) -> list[bytes]:
    """Bytes of each vector as float32 and float16, of both byte orders, beginning and middle."""
    return [
        vector.astype(form).tobytes()[start : start + 32]
        for vector in vectors_ND
        for form in ("<f4", ">f4", "<f2", ">f2")
        for start in (0, 64, 512)
    ]


def found(patterns: Iterable[bytes], files: Mapping[str, bytes]) -> Iterator[str]:
    """Paths of the files that hold one of the patterns."""
    wanted = list(patterns)
    for path, content in files.items():
        if any(pattern in content for pattern in wanted):
            yield path
