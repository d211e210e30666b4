"""What is refused at the door."""

import re
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from embedding.errors import EmbeddingInvalid, NameInvalid, RequestInvalid
from index.checks import (
    check_external_id,
    check_fingerprint,
    check_gallery_name,
    check_name,
    check_new_templates,
    check_unit_vectors,
)
from tests.index.samples import BAD_EMBEDDINGS, new_template, unit_vectors

_BAD_NAMES = {
    "empty": "",
    "blank": "  \t ",
    "slash": "a/b",
    "backslash": "a\\b",
    "NUL": "a\0b",
    "newline": "a\nb",
    "escape": "\x1b[31mred",
    "lone surrogate": "a\ud800",
    "right-to-left override": "a\u202eb",
    "line separator": "a\u2028b",
    "space of no width": "ann\u200b",
    "soft hyphen": "an\u00adn",
    "byte order mark": "\ufeffann",
    "word joiner": "ann\u2060",
    "dot": ".",
    "dots": "..",
    "201 characters": "a" * 201,
    "10,000 characters": "a" * 10_000,
}


@pytest.mark.parametrize("name", _BAD_NAMES.values(), ids=_BAD_NAMES.keys())
def test_a_bad_name_is_refused_without_being_repeated(name: str) -> None:
    """The message says which rule is broken and does not hold the name."""
    with pytest.raises(NameInvalid) as caught:
        check_name(name)
    assert len(str(caught.value)) < 200
    assert len(name) < 3 or name not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["Анна", "山田 太郎", "Zoë O'Neill-García", "می‌خواهم", "a" * 200, "x.y"]
)
def test_names_of_all_scripts_are_taken(name: str) -> None:
    """Letters, marks, joiners and punctuation of any script stand in names."""
    assert check_name(name) == name


def test_a_name_is_stripped_and_composed() -> None:
    """Two ways to write one name become one: without blanks around it, in NFC."""
    assert check_name("  Zoe\u0308 ") == "Zo\u00eb"


@given(text=st.text(max_size=300))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    """A name that was taken is taken again unchanged; nothing else than NameInvalid is raised."""
    try:
        name = check_name(text)
    except NameInvalid:
        return
    assert check_name(name) == name


def test_an_external_id_may_be_longer_than_a_name() -> None:
    """255 characters are taken, 256 are not."""
    assert check_external_id("e" * 255) == "e" * 255
    with pytest.raises(NameInvalid, match="external id"):
        check_external_id("e" * 256)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "ä", "a\n", "a" * 256])
def test_a_gallery_name_stands_in_a_path(name: str) -> None:
    """Everything that a path would need to escape is refused."""
    with pytest.raises(NameInvalid, match="gallery"):
        check_gallery_name(name)


@pytest.mark.parametrize("fingerprint", ["", "a" * 63, "A" * 64, "g" * 64, "a" * 64 + "\n"])
def test_a_fingerprint_is_a_sha256(fingerprint: str) -> None:
    """Only 64 lower-case hexadecimal digits pass."""
    with pytest.raises(RequestInvalid, match="64"):
        check_fingerprint(fingerprint)


@pytest.mark.parametrize("embedding", BAD_EMBEDDINGS.values(), ids=BAD_EMBEDDINGS.keys())
def test_what_is_not_a_unit_vector_is_refused(embedding: NDArray[np.float32]) -> None:
    """NaN, infinity, zero, another length, dimension or type cannot be compared by cosine."""
    with pytest.raises(EmbeddingInvalid):
        check_unit_vectors(embedding[np.newaxis], dimension=512)


def test_float_noise_is_taken() -> None:
    """A length that is off by what float32 leaves passes."""
    check_unit_vectors(unit_vectors(3) * np.float32(1.0005), dimension=512)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"norm": float("nan")}, "norm"),
        ({"norm": 0.0}, "norm"),
        ({"confidence": 1.5}, "confidence"),
        ({"confidence": float("nan")}, "confidence"),
        ({"quality": -0.1}, "quality"),
        ({"box": (10.0, 0.0, 5.0, 5.0)}, "box"),
        ({"box": (0.0, 0.0, float("inf"), 5.0)}, "box"),
        ({"photo_size": (640, 0)}, "photo's size"),
        ({"landmarks": np.zeros((4, 2), dtype=np.float32)}, "landmarks"),
        ({"landmarks": np.full((5, 2), np.nan, dtype=np.float32)}, "landmarks"),
        ({"image_hash": b""}, "image hash"),
        ({"image_hash": b"x" * 65}, "image hash"),
        ({"face_id": ""}, "face id"),
        ({"image_id": "a\0b"}, "image id"),
        ({"created_at": datetime(2019, 5, 4)}, "time zone"),
    ],
)
def test_a_figure_out_of_range_is_refused(changes: dict[str, object], expected: str) -> None:
    """The message names the field."""
    with pytest.raises((RequestInvalid, NameInvalid), match=re.escape(expected)):
        check_new_templates([new_template(unit_vectors(1)[0], **changes)], dimension=512)


def test_no_templates_are_refused() -> None:
    """There is nothing to enroll in an empty list."""
    with pytest.raises(RequestInvalid, match="at least one"):
        check_new_templates([], dimension=512)
