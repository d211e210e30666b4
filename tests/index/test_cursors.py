"""Cursors that were not written for the list that they are given to."""

import base64

import pytest

from embedding.errors import RequestInvalid
from index.store.cursors import Cursors

CURSORS = Cursors(b"s" * 32)


def test_a_cursor_is_of_one_list() -> None:
    """Whatever its own scope is; back comes what was written."""
    of_people = CURSORS.write(7, gallery_id="a")
    of_keys = CURSORS.write_text("key", list_name="keys")
    assert CURSORS.read(of_people, gallery_id="a") == 7
    assert CURSORS.read_text(of_keys, list_name="keys") == "key"
    for cursor in (of_people, of_keys):
        for read in (
            lambda cursor: CURSORS.read(cursor, gallery_id="b"),
            lambda cursor: CURSORS.read(cursor, gallery_id="keys"),
            lambda cursor: CURSORS.read_text(cursor, list_name="a"),
        ):
            with pytest.raises(RequestInvalid, match="not one of this list"):
                read(cursor)


def test_the_end_of_a_scope_is_no_part_of_a_row() -> None:
    """A scope that begins with another one is signed as that one with a longer row."""
    of_templates = base64.urlsafe_b64decode(CURSORS.write(7, gallery_id="a templates"))
    forged = base64.urlsafe_b64encode(b" templates" + of_templates).decode()
    with pytest.raises(RequestInvalid, match="not one of this list"):
        CURSORS.read(forged, gallery_id="a")
