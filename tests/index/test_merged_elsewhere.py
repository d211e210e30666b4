"""Who was merged elsewhere, as an import notes it."""

from collections.abc import Callable

from sqlalchemy import event

from index.galleries import Galleries
from index.gallery import Gallery
from index.store.ids import new_ids
from index.store.merged_elsewhere import merged_pairs, note_known
from tests.index.samples import new_template, unit_vectors


def test_who_is_known_or_here_is_left_out(galleries: Galleries, gallery: Gallery) -> None:
    """Each of the others is noted once, in the order of the pairs, beside who was merged here."""
    one, other, gone = (
        gallery.enroll([new_template(each)], name=str(number)).subject_id
        for number, each in enumerate(unit_vectors(3))
    )
    gallery.merge_subjects(gone, into=one)
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
    row = gallery.store.gallery.row_id
    with galleries.store.database.transaction() as connection:
        assert note_known(connection, row, pairs) == 3
        assert note_known(connection, row, pairs) == 0
        assert sorted(merged_pairs(connection, row)) == sorted(
            [(gone, one), (new[0], one), (new[1], other), (new[2], one)]
        )
    gallery.remove_subject(one)
    with galleries.store.database.transaction() as connection:
        assert merged_pairs(connection, row) == [(new[1], other)]


def test_the_price_does_not_grow_with_who_lives_on_in_one(
    galleries: Galleries, gallery: Gallery
) -> None:
    """Many that were merged into one person take as many statements as few."""
    subject_id = gallery.enroll([new_template(unit_vectors(1)[0])], name="Ada").subject_id
    row = gallery.store.gallery.row_id
    taken: list[int] = []
    with galleries.store.database.transaction() as connection:
        for some in (2, 1_000):
            statements: list[str] = []
            note = _noting(statements)
            event.listen(connection.engine, "before_cursor_execute", note)
            pairs = [(each, subject_id) for each in new_ids(some)]
            assert note_known(connection, row, pairs) == some
            event.remove(connection.engine, "before_cursor_execute", note)
            taken.append(len(statements))
    assert taken[1] <= taken[0] + 1


def _noting(statements: list[str]) -> Callable[..., None]:
    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    return note
