"""Rows that are checked by column: as if each was checked by itself."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedding.errors import FaceGalleryError, RequestInvalid
from index.checks import check_figures
from index.exchange.checking import RowCheck, figures_in_order
from index.exchange.rows import ContentDigest, ExchangeColumns, ExchangeRow
from tests.index.exchange.samples import HEADER, fields, row
from tests.index.samples import BAD_EMBEDDINGS, OTHER_FINGERPRINT

_NUMBERS = st.sampled_from([float("nan"), float("inf"), -float("inf"), -0.5, 0.0, 0.5, 1.0, 1.5])


def _landmarks(shape: tuple[int, ...], value: float) -> Any:
    landmarks = np.zeros(shape, np.float32)
    landmarks.flat[3] = value
    return landmarks


_FIGURES: dict[str, st.SearchStrategy[Any]] = {
    "norm": _NUMBERS,
    "quality": _NUMBERS,
    "confidence": _NUMBERS,
    "box": st.lists(_NUMBERS, min_size=4, max_size=4) | st.just([0.0] * 3),
    "photo_size": st.lists(st.integers(-1, 2), min_size=2, max_size=2) | st.just([1]),
    "landmarks": st.builds(_landmarks, st.sampled_from([(5, 2), (4, 2), (10,)]), _NUMBERS),
}


@st.composite
def _rows(draw: st.DrawFn) -> list[ExchangeRow]:
    """One row, or two of which the first is in order; at most two figures are not."""
    names = draw(st.lists(st.sampled_from(list(_FIGURES)), max_size=2, unique=True))
    last = row(1, **{name: draw(_FIGURES[name]) for name in names})
    return [last] if draw(st.booleans()) else [row(0), last]


def _passes_alone(each: ExchangeRow) -> bool:
    try:
        check_figures(each)
    except RequestInvalid:
        return False
    return True


@settings(max_examples=500)
@given(rows=_rows())
def test_figures_of_many_rows_are_judged_as_those_of_one(rows: list[ExchangeRow]) -> None:
    """The quick look at all rows passes exactly what `check_figures` passes one by one."""
    together = figures_in_order(ExchangeColumns.of(rows))
    assert together == all(map(_passes_alone, rows))


def test_columns_are_the_rows_again() -> None:
    """Nothing is lost on the way from rows to columns and back."""
    rows = [row(0), row(1, subject_id=None, name=None, created_at=None)]
    columns = ExchangeColumns.of(rows)
    assert len(columns) == 2
    assert fields(columns.rows()) == fields(rows)


def test_names_are_stored_in_one_form_in_every_row() -> None:
    """Stripped and composed, wherever the same text comes again."""
    check = RowCheck(HEADER)
    owner = row(0).subject_id
    rows = [
        row(each, subject_id=owner, name=" Zoe\u0308", external_id="a\u0308 ") for each in (0, 1)
    ]
    for _ in range(2):
        checked = check.add(ExchangeColumns.of(rows)).rows()
        assert [(each.name, each.external_id) for each in checked] == [("Zo\u00eb", "\u00e4")] * 2
    assert check.num_rows == 4


@pytest.mark.parametrize(
    "bad",
    [
        {"embedding": BAD_EMBEDDINGS["NaN"]},
        {"template_id": "7"},
        {"subject_id": "7"},
        {"subject_id": None},
        {"name": "a/b"},
        {"external_id": "a/b"},
        {"face_id": ""},
        {"image_id": ""},
        {"fingerprint": OTHER_FINGERPRINT},
        {"norm": -1.0},
    ],
)
def test_a_row_is_told_by_its_number_in_the_file(bad: dict[str, Any]) -> None:
    """Rows of earlier batches count, and of two bad rows the first is told."""
    check = RowCheck(HEADER)
    check.add(ExchangeColumns.of([row(0), row(1)]))
    with pytest.raises(FaceGalleryError, match=r"^row 3: "):
        check.add(ExchangeColumns.of([row(2), row(3, **bad), row(4, **bad)]))


def test_the_digest_stays_what_it_was() -> None:
    """Files of version 1 still have the digest that is computed now."""
    vector = np.zeros(512, np.float32)
    vector[3] = 1.0
    rows = [
        row(0, embedding=vector, name="Zo\u00eb", external_id="a-1"),
        row(1, embedding=vector, subject_id=None, name=None, created_at=None),
    ]
    known = "55ed8e551fb18f05ba9e24a57d12849ac6d9827b5f42c1feb523154e055c7d02"
    for batches in ([rows], [rows[:1], rows[1:]]):
        digest = ContentDigest(replace(HEADER, version=1))
        for batch in batches:
            digest.add(ExchangeColumns.of(batch))
        assert digest.hexdigest() == known
