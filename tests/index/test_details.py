"""What is kept of a person beside the name: what is taken, and how it is changed."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding.errors import RequestInvalid
from index.details import (
    MAX_BYTES,
    MAX_INTEGER,
    NO_DETAILS,
    DetailChange,
    Details,
    check_details,
    given_metadata,
    metadata_text,
    read_metadata,
)

_PRIVATE = "quite-private"
_VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(categories=["L", "N", "P"]), max_size=20)
)
_PATCHES = st.dictionaries(st.sampled_from("abcdef"), _VALUES, max_size=6)


def _oracle(target: Any, patch: Any) -> Any:
    """The pseudocode of RFC 7396, as it stands there."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = _oracle(result.get(name), value)
    return result


@given(st.lists(_PATCHES, max_size=4))
def test_metadata_are_merged_as_the_standard_says(patches: list[dict[str, Any]]) -> None:
    """Any row of patches leaves what RFC 7396 leaves, stored and read again."""
    known: Details = NO_DETAILS
    expected: dict[str, Any] = {}
    for patch in patches:
        checked = check_details(DetailChange(metadata=patch))
        known, expected = checked.applied_to(known), _oracle(expected, patch)
    stored = read_metadata(metadata_text(known.metadata))
    assert json.dumps(stored, sort_keys=True) == json.dumps(expected, sort_keys=True)


def test_what_is_not_given_stays() -> None:
    """Each field stays, is replaced, or is taken away by None."""
    known = Details(metadata={"a": 1}, purpose="door", consent="c-1", expires_at=None)
    assert DetailChange().applied_to(known) == known
    assert DetailChange(purpose=None).applied_to(known).purpose is None
    assert DetailChange(consent="c-2").applied_to(known).consent == "c-2"
    assert DetailChange(metadata=None).applied_to(known).metadata == {}


@pytest.mark.parametrize(
    "metadata",
    [
        {_PRIVATE: float("nan")},
        {_PRIVATE: float("inf")},
        {_PRIVATE: 2**53},
        {_PRIVATE: [1]},
        {_PRIVATE: {"a": 1}},
        {"": _PRIVATE},
        {"k" * 65: _PRIVATE},
        {" k": _PRIVATE},
        {"k\x00": _PRIVATE},
        {"k": _PRIVATE + "\x1b[2J"},
        {"k": _PRIVATE + "\u202e"},
        {"k": _PRIVATE + "\ud800"},
        {"k": _PRIVATE * MAX_BYTES},
        {str(number): _PRIVATE for number in range(33)},
        {"\u00e9": _PRIVATE, "e\u0301": _PRIVATE},
    ],
)
def test_metadata_that_cannot_be_kept_are_refused(metadata: dict[str, Any]) -> None:
    """Every rule is told, and nothing of what was given."""
    with pytest.raises(RequestInvalid) as told:
        check_details(DetailChange(metadata=metadata))
    assert _PRIVATE not in str(told.value)


def test_patches_that_are_small_cannot_make_metadata_large() -> None:
    """The bounds hold for what comes out, not only for what comes in."""
    half = {str(number): "x" for number in range(20)}
    other = {str(number): "x" for number in range(20, 40)}
    with pytest.raises(RequestInvalid, match="32 keys"):
        DetailChange(metadata=other).applied_to(Details(metadata=half))
    with pytest.raises(RequestInvalid, match="4096 bytes"):
        DetailChange(metadata={"a": "x" * 3000}).applied_to(Details(metadata={"b": "x" * 3000}))


@pytest.mark.parametrize(
    "text",
    ["", "[]", "1", "null", '"a"', "{", '{"a": NaN}', '{"a": 1e309}', '{"a":' * 20_000],
)
def test_text_that_is_no_metadata_is_refused(text: str) -> None:
    """NaN, numbers beyond the range, depth and other values than an object."""
    with pytest.raises(RequestInvalid):
        given_metadata(text)


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": ""},
        {"purpose": "x" * 201},
        {"purpose": "x" * 1_000_000},
        {"consent": "\x00"},
        {"expires_at": datetime(2030, 1, 1)},
        {"expires_at": datetime(9999, 12, 31, 23, tzinfo=timezone(-timedelta(hours=12)))},
    ],
)
def test_other_details_that_cannot_be_kept_are_refused(change: dict[str, Any]) -> None:
    """Empty, long and control characters; times without a zone or off the calendar."""
    with pytest.raises(RequestInvalid):
        check_details(DetailChange(**change))


def test_one_expires_at_the_moment_itself() -> None:
    """The end point belongs to the time without the person."""
    at = datetime(2030, 1, 1, tzinfo=UTC)
    details = Details(expires_at=at)
    assert details.expired(at)
    assert not details.expired(at - timedelta(microseconds=1))
    assert not NO_DETAILS.expired(at)
