"""Rows and files for the tests of the open format."""

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from index.exchange.files import read_gallery
from index.exchange.rows import ExchangeHeader, ExchangeRow
from tests.index.samples import FINGERPRINT, unit_vectors

HEADER = ExchangeHeader(
    fingerprint=FINGERPRINT,
    gallery="people",
    exported_at=datetime(2026, 5, 4, 3, 2, 1, 7, tzinfo=UTC),
)


def row(number: int = 0, **changes: Any) -> ExchangeRow:
    """Return a row of a subject of its own, with some fields changed."""
    plain = ExchangeRow(
        subject_id=str(uuid.UUID(int=1_000 + number)),
        name=f"person {number}",
        external_id=None,
        template_id=str(uuid.UUID(int=2_000_000 + number)),
        embedding=unit_vectors(1, seed=number)[0],
        norm=21.5,
        quality=0.75,
        confidence=0.99,
        box=(10.0, 20.0, 110.5, 140.25),
        photo_size=(640, 480),
        landmarks=np.arange(10, dtype=np.float32).reshape(5, 2),
        face_id="face-1",
        image_id="image-1",
        fingerprint=FINGERPRINT,
        created_at=datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
    )
    return replace(plain, **changes)


def read_all(path: Path) -> tuple[ExchangeHeader, list[ExchangeRow]]:
    """Return header and rows of a file."""
    header, batches = read_gallery(path)
    return header, [each for batch in batches for each in batch]


def fields(rows: Sequence[ExchangeRow]) -> list[tuple[Any, ...]]:
    """Return the rows as values that can be compared, bit for bit."""
    return [
        tuple(
            value.tobytes() if isinstance(value, np.ndarray) else value
            for value in (getattr(each, name) for name in ExchangeRow.__slots__)
        )
        for each in rows
    ]


def other_tools_columns(num: int = 3) -> dict[str, Any]:
    """Return plain lists, as another tool has them, that a file can be made from."""
    return {
        "subject_id": [str(uuid.UUID(int=10 + number)) for number in range(num)],
        "template_id": [str(uuid.UUID(int=20 + number)) for number in range(num)],
        "embedding": list(unit_vectors(num)),
        "norm": [20.0] * num,
        "quality": [0.5] * num,
        "confidence": [1.0] * num,
        "box": [[1.0, 2.0, 3.0, 4.0]] * num,
        "photo_size": [[640, 480]] * num,
        "landmarks": [[float(number) for number in range(10)]] * num,
    }


def write_as_other_tool(
    path: Path, columns: dict[str, Any], metadata: dict[str, str] | None = None
) -> None:
    """Write lists by column with pyarrow alone, in its default way."""
    if metadata is None:
        metadata = {
            "facegallery.format_version": "1",
            "facegallery.fingerprint": FINGERPRINT,
        }
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path)
