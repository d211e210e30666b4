"""Who was merged elsewhere, as an import notes it."""

import pytest
from sqlalchemy import event

from index.gallery import Gallery
from index.store.ids import new_ids
from index.store.merged_elsewhere import merged_pairs, note_known
from tests.index.samples import new_template, unit_vectors


def test_who_is_known_or_here_is_left_out(gallery: Gallery) -> None:
    """Each of the others is noted once, in the order of the pairs, beside who was merged here."""
    one, other, gone = (
        gallery.enroll([new_template(each)], name=str(number)).subject_id
        for number, each in enumerate(unit_vectors(3))
    )
    gallery.merge(gone, into=one)
    new = new_ids(4)
    pairs = [
        (new[0], one),
        (new[1], other),
        (new[0], other),
        (gone, other),
        (other, one),
        (new[2], new[3]),
        (new[2], one),
    ]
    database = gallery.store.database
    row = gallery.store.gallery.row_id
    with database.transaction() as connection:
        assert note_known(connection, row, pairs) == 3
        assert note_known(connection, row, pairs) == 0
        assert sorted(merged_pairs(connection, row)) == sorted(
            [(gone, one), (new[0], one), (new[1], other), (new[2], one)]
        )
    gallery.remove_subject(one)
    with database.transaction() as connection:
        assert merged_pairs(connection, row) == [(new[1], other)]


@pytest.mark.parametrize("num", [1_000])
def test_the_price_does_not_grow_with_who_lives_on_in_one(gallery: Gallery, num: int) -> None:
    """Many that were merged into one person take as many statements as few."""
    subject_id = gallery.enroll([new_template(unit_vectors(1)[0])], name="Ada").subject_id
    row = gallery.store.gallery.row_id
    taken: list[int] = []
    with gallery.store.database.transaction() as connection:
        for some in (2, num):
            statements = []
            note = lambda *told: statements.append(told[2])  # noqa: E731, B023
            event.listen(connection.engine, "before_cursor_execute", note)
            pairs = [(each, subject_id) for each in new_ids(some)]
            assert note_known(connection, row, pairs) == some
            event.remove(connection.engine, "before_cursor_execute", note)
            taken.append(len(statements))
    assert taken[1] <= taken[0] + 1
