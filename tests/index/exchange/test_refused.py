"""What no gallery takes is neither written nor given."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedding.errors import (
    EmbeddingInvalid,
    FaceGalleryError,
    ModelMismatch,
    NameInvalid,
    RequestInvalid,
)
from index.exchange.files import verify, write_gallery
from tests.index.exchange.samples import HEADER, fields, read_all, row
from tests.index.samples import BAD_EMBEDDINGS, OTHER_FINGERPRINT


@pytest.mark.parametrize("bad", BAD_EMBEDDINGS.values(), ids=BAD_EMBEDDINGS)
def test_a_bad_embedding_is_not_written(path: Path, bad: Any) -> None:
    """What could not be enrolled is not exported, and the row is told."""
    with pytest.raises(EmbeddingInvalid, match="row 2: "):
        write_gallery(path, [row(0), row(1), row(2, embedding=bad)], header=HEADER)


@pytest.mark.parametrize(
    ("changes", "error", "problem"),
    [
        ({"template_id": "7"}, RequestInvalid, "row 1: the template id must be a UUID"),
        ({"subject_id": "Anna"}, RequestInvalid, "row 1: the subject id must be a UUID"),
        ({"subject_id": None}, RequestInvalid, "row 1: a name or external id without"),
        ({"fingerprint": OTHER_FINGERPRINT}, ModelMismatch, "row 1: "),
        ({"created_at": datetime(2026, 1, 1)}, RequestInvalid, "row 1: "),
        ({"name": "a/b"}, NameInvalid, "row 1: the name"),
        ({"external_id": ""}, NameInvalid, "row 1: the external id"),
        ({"face_id": "x" * 256}, NameInvalid, "row 1: the face id"),
        ({"image_id": "\n"}, NameInvalid, "row 1: the image id"),
        ({"norm": 0.0}, RequestInvalid, "row 1: the norm"),
        ({"quality": float("nan")}, RequestInvalid, "row 1: the quality"),
        ({"confidence": 1.5}, RequestInvalid, "row 1: the confidence"),
        ({"box": (3.0, 0.0, 2.0, 1.0)}, RequestInvalid, "row 1: the box"),
        ({"photo_size": (0, 1)}, RequestInvalid, "row 1: the photo"),
        ({"landmarks": np.zeros((4, 2), np.float32)}, RequestInvalid, "row 1: the landmarks"),
        (
            {"template_id": row(0).template_id},
            RequestInvalid,
            "row 1 has the template id of row 0",
        ),
        ({"name": "person 0"}, RequestInvalid, "row 1 has the name of another subject of row 0"),
        ({"subject_id": row(0).subject_id}, RequestInvalid, "rows 0 and 1 give one subject"),
    ],
)
def test_a_bad_row_is_refused(
    path: Path, changes: dict[str, Any], error: type[FaceGalleryError], problem: str
) -> None:
    """Values that no gallery takes are refused, with the row's number and without the value."""
    with pytest.raises(error, match=problem) as raised:
        write_gallery(path, [row(0), row(1, **changes), row(2)], header=HEADER)
    assert "Anna" not in str(raised.value)


def test_one_external_id_of_two_subjects_is_refused(path: Path) -> None:
    """An external id belongs to one subject; the same subject may have it in several rows."""
    same = [row(0, external_id="x"), row(1, external_id="x")]
    with pytest.raises(RequestInvalid, match="external id of another subject"):
        write_gallery(path, same, header=HEADER)
    one = [same[0], replace(same[1], subject_id=same[0].subject_id, name=same[0].name)]
    assert write_gallery(path, one, header=HEADER).count == 2


def test_rows_of_nobody_and_without_names_do_not_clash(path: Path) -> None:
    """Nothing is not a name that two subjects share."""
    rows = [row(0, name=None), row(1, name=None)]
    rows += [row(number, subject_id=None, name=None) for number in (2, 3)]
    write_gallery(path, rows, header=HEADER)
    assert fields(read_all(path)[1]) == fields(rows)


@pytest.mark.parametrize(
    "changes",
    [
        {"fingerprint": "A" * 64},
        {"gallery": "a b"},
        {"exported_at": datetime(2026, 1, 1)},
    ],
)
def test_a_bad_header_is_refused(path: Path, changes: dict[str, Any]) -> None:
    """A header that `read_gallery` would not take is not written."""
    with pytest.raises(FaceGalleryError):
        write_gallery(path, [row()], header=replace(HEADER, **changes))


def test_another_model_is_refused(path: Path) -> None:
    """Rows of another model than the wanted one are not given."""
    write_gallery(path, [row()], header=HEADER)
    with pytest.raises(ModelMismatch, match="is wanted"):
        verify(path, fingerprint=OTHER_FINGERPRINT)
    assert verify(path, fingerprint=HEADER.fingerprint).count == 1
