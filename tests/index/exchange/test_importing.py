"""Rows of exchange files in a gallery: whose they are, and all or none of them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select

from embedding.errors import ModelMismatch, RequestInvalid
from index.exchange.rows import ExchangeRow
from index.place import Place
from index.records import NewSubject, Subject
from index.store.store import Store
from index.store.stored_gallery import StoredGallery
from index.store.tables import changes, subjects, templates
from index.store.template_export import export_rows
from index.store.template_import import Imported
from tests.index.exchange.samples import fields, row
from tests.index.samples import FINGERPRINT, OTHER_FINGERPRINT, new_template, unit_vectors


class Target:
    """An open store with a gallery that rows are written into."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.gallery: StoredGallery = store.create_gallery("people", fingerprint=FINGERPRINT)

    def take(self, *batches: Sequence[ExchangeRow]) -> Imported:
        """Write batches in one import."""
        return self.store.gallery_store(self.gallery).import_rows(lambda: batches)

    def enroll(self, **who: Any) -> str:
        """Write a subject with one template; returns its id."""
        new = NewSubject(templates=(new_template(unit_vectors(1, seed=9)[0]),), **who)
        rows = self.store.gallery_store(self.gallery)
        return rows.enroll([new], unit_vectors(1, seed=9)).enrolled[0].subject_id

    def subjects(self) -> list[Subject]:
        """All subjects, the oldest first."""
        with self.store.database.picture() as connection:
            ids = connection.scalars(select(subjects.c.public_id).order_by(subjects.c.id)).all()
        found = self.store.gallery_store(self.gallery).subjects_by_id(ids)
        return [found[each] for each in ids]

    def people(self) -> list[tuple[str | None, str | None, int]]:
        """What all subjects are called, and how many templates each has."""
        return [(each.name, each.external_id, each.num_templates) for each in self.subjects()]

    def log(self) -> list[tuple[str, str | None]]:
        """The change log: what happened to whom."""
        query = select(changes.c.kind, changes.c.subject).order_by(changes.c.sequence)
        with self.store.database.picture() as connection:
            return [(entry.kind, entry.subject) for entry in connection.execute(query)]

    def everything(self) -> list[tuple[Any, ...]]:
        """All rows of all tables that an import writes to."""
        with self.store.database.picture() as connection:
            return [
                tuple(each)
                for table in (subjects, templates, changes)
                for each in connection.execute(select(table).order_by(*table.primary_key))
            ]

    def counts(self) -> tuple[int, int]:
        """The numbers that the gallery keeps: subjects with templates, and templates."""
        state = self.store.gallery_store(self.gallery).state()
        return state.num_subjects, state.num_templates


@pytest.fixture
def target(any_database_url: str | None, data_folder: Path) -> Iterator[Target]:
    """An empty gallery on each kind of database."""
    with Place(data_folder=data_folder, database_url=any_database_url).opened() as store:
        yield Target(store)


def _of(owner: int, template: int, **changes: Any) -> ExchangeRow:
    """A row of a subject, with a template of its own number."""
    return row(template, subject_id=row(owner).subject_id, name=f"person {owner}", **changes)


@contextmanager
def _statements() -> Iterator[list[str]]:
    """Collects the statements that go to a database."""
    seen: list[str] = []

    def see(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", see)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", see)


def test_several_rows_of_a_subject_make_it_once(target: Target) -> None:
    """In one batch and over several; subjects and templates are in the order of the rows."""
    done = target.take([_of(0, 0), _of(1, 1), _of(0, 2)], [_of(1, 3), _of(2, 4)])
    assert (done.num_subjects, done.num_templates, done.num_present) == (3, 5, 0)
    assert target.people() == [("person 0", None, 2), ("person 1", None, 2), ("person 2", None, 1)]
    assert target.counts() == (3, 5)
    assert [each.id for each in target.subjects()] == [row(each).subject_id for each in range(3)]
    with target.store.database.picture() as connection:
        ids = connection.scalars(select(templates.c.public_id).order_by(templates.c.id)).all()
    assert ids == [row(each).template_id for each in range(5)]


def test_the_log_tells_each_row(target: Target) -> None:
    """Every template stands in the change log under its number, with its owner and row."""
    target.enroll(name="person 0")
    target.take([_of(0, 0), _of(1, 1), row(2, subject_id=None, name=None)], [_of(1, 3)])
    query = (
        select(
            templates.c.public_id,
            templates.c.sequence,
            templates.c.id,
            subjects.c.public_id.label("owner"),
        )
        .outerjoin_from(templates, subjects)
        .order_by(templates.c.id)
    )
    logged = select(changes).where(changes.c.kind == "template_added").order_by("sequence")
    with target.store.database.picture() as connection:
        written = connection.execute(query).all()
        entries = connection.execute(logged).all()
        numbers = connection.scalars(select(changes.c.sequence).order_by("sequence")).all()
    assert [tuple(each) for each in written] == [
        (each.template, each.sequence, each.template_row, each.subject) for each in entries
    ]
    assert numbers == list(range(1, len(numbers) + 1))


def test_two_people_of_the_file_may_be_one_of_the_gallery(target: Target) -> None:
    """One by name and one by external id: both have their templates there, under its id."""
    known = target.enroll(name="Anna", external_id="a-1")
    done = target.take([row(0, name="Anna"), row(1, name=None, external_id="a-1")])
    assert (done.num_subjects, done.num_templates) == (0, 2)
    assert target.people() == [("Anna", "a-1", 3)]
    assert target.subjects()[0].id == known
    assert target.counts() == (1, 3)


def test_two_people_of_the_file_count_as_the_one_that_they_are(target: Target) -> None:
    """A subject without templates counts once again, whatever number of ids the file has."""
    known = target.enroll(name="Anna", external_id="a-1")
    rows = target.store.gallery_store(target.gallery)
    with target.store.database.picture() as connection:
        template = connection.scalar(select(templates.c.public_id))
    rows.remove_template(str(template))
    target.take([row(0, name="Anna"), row(1, name=None, external_id="a-1")])
    assert target.people() == [("Anna", "a-1", 2)]
    assert target.subjects()[0].id == known
    assert target.counts() == (1, 2)


def test_someone_known_by_external_id_only_gets_the_name(target: Target) -> None:
    """The gallery's id stays; the file's label is written once, whatever number of rows it has."""
    known = target.enroll(external_id="a-1")
    done = target.take([_of(0, each, external_id="a-1") for each in range(3)])
    assert done.num_subjects == 0
    assert target.people() == [("person 0", "a-1", 4)]
    assert target.log().count(("subject_relabeled", known)) == 1


@pytest.mark.parametrize("num_batches", [1, 2])
def test_a_label_that_only_a_later_row_has_is_taken_over(target: Target, num_batches: int) -> None:
    """A subject is filled in by whichever row names it, in the same batch or in a later one."""
    rows = [_of(0, 0), _of(0, 1, external_id="a-1"), _of(0, 2)]
    target.take(*([rows] if num_batches == 1 else [rows[:1], rows[1:]]))
    assert target.people() == [("person 0", "a-1", 3)]
    relabeled = ("subject_relabeled", row(0).subject_id)
    assert target.log().count(relabeled) == num_batches - 1


@pytest.mark.parametrize("num_batches", [1, 2])
def test_a_label_that_was_just_taken_over_is_known(target: Target, num_batches: int) -> None:
    """Rows that name the subject by it alone are its too; a batch tells the log once."""
    known = target.enroll()
    rows = [
        row(0, subject_id=known, name="Anna"),
        row(1, subject_id=known, name=None, external_id="a-1"),
        row(2, name="Anna"),
        row(3, name=None, external_id="a-1"),
    ]
    target.take(*([rows] if num_batches == 1 else [rows[:1], rows[1:]]))
    assert target.people() == [("Anna", "a-1", 5)]
    assert target.log().count(("subject_relabeled", known)) == num_batches


def test_an_import_done_twice_changes_nothing(target: Target) -> None:
    """No row of any table is another, and all are told as present."""
    batches = [[_of(0, 0, external_id="a-1"), _of(1, 1)], [_of(0, 2, external_id="a-1")]]
    target.take(*batches)
    before = target.everything()
    done = target.take(*batches)
    assert (done.num_subjects, done.num_templates, done.num_present) == (0, 0, 3)
    assert target.everything() == before


def test_what_was_missing_is_added_to_what_is_there(target: Target) -> None:
    """A file that grew adds its new rows; a subject that lost its templates counts again."""
    target.take([_of(0, 0), _of(1, 1)])
    target.store.gallery_store(target.gallery).remove_template(row(1).template_id)
    assert target.counts() == (1, 1)
    done = target.take([_of(0, 0), _of(1, 2), _of(0, 3)])
    assert (done.num_subjects, done.num_templates, done.num_present) == (0, 2, 1)
    assert target.counts() == (2, 3)


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (row(5, name="Anna", external_id="b-1"), "the external id of the file's subject"),
        (row(5, name="Anna", external_id="a-2"), "has another external id in the gallery"),
        (row(5, name="Berta", external_id="a-1"), "has another name in the gallery"),
        (row(0, template_id=row(5).template_id, name="Berta"), "has another name in the gallery"),
    ],
)
@pytest.mark.parametrize("earlier", ["committed", "batch", "same batch"])
def test_contradictions_undo_everything(
    target: Target, bad: ExchangeRow, problem: str, earlier: str
) -> None:
    """With what is there, with an earlier batch and with the same one; no row is left."""
    good = [row(0, name="Anna", external_id="a-1"), row(1, name="Bert", external_id="b-1")]
    if earlier == "committed":
        target.take(good)
    before = target.everything()
    batches = {"committed": [[bad]], "batch": [good, [bad]], "same batch": [[*good, bad]]}
    with pytest.raises(RequestInvalid, match=problem) as raised:
        target.take(*batches[earlier])
    assert not any(each in str(raised.value) for each in ("Anna", "Bert", "a-1", "b-1"))
    assert target.everything() == before


def test_a_source_that_fails_undoes_everything(target: Target) -> None:
    """What a reader raises at the end of a damaged file leaves nothing of its earlier batches."""

    def batches() -> Iterator[list[ExchangeRow]]:
        yield [_of(0, 0)]
        raise RequestInvalid("damaged")

    before = target.everything()
    with pytest.raises(RequestInvalid, match="damaged"):
        target.store.gallery_store(target.gallery).import_rows(batches)
    assert target.everything() == before
    assert target.counts() == (0, 0)


def test_another_model_undoes_everything(target: Target) -> None:
    """A row of another model, though the file's header was right."""
    with pytest.raises(ModelMismatch):
        target.take([_of(0, 0)], [_of(0, 1), _of(0, 2, fingerprint=OTHER_FINGERPRINT)])
    assert target.counts() == (0, 0)


@pytest.mark.parametrize("what", ["subject", "template"])
def test_an_id_of_another_gallery_is_refused(target: Target, what: str) -> None:
    """Each kind by its own id; a name that is in both is nobody's business."""
    target.take([_of(0, 0)])
    elsewhere = target.store.create_gallery("other", fingerprint=FINGERPRINT)
    target.gallery = elsewhere
    same_id = _of(0, 1) if what == "subject" else _of(1, 0)
    with pytest.raises(RequestInvalid, match=f"^{what} .* is in another gallery"):
        target.take([same_id])
    assert target.counts() == (0, 0)
    done = target.take([row(2, name="person 0")])
    assert (done.num_subjects, target.counts()) == (1, (1, 1))


def test_a_subject_is_as_old_as_its_first_row(target: Target) -> None:
    """Its time is that of the first of its rows; now, where the file does not say it."""
    then = datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    start = datetime.now(UTC)
    target.take(
        [
            _of(0, 0, created_at=then),
            _of(0, 1, created_at=then + timedelta(days=1)),
            _of(1, 2, created_at=None),
        ]
    )
    first, second = (each.created_at for each in target.subjects())
    assert first == then
    assert start <= second <= datetime.now(UTC)


def test_what_is_imported_is_exported_again(target: Target) -> None:
    """Every checksum fits, for times of any zone and for a template of nobody, too."""
    zone = timezone(timedelta(hours=2))
    rows = [
        _of(0, 0, external_id="a-1", created_at=datetime(2020, 1, 1, 1, tzinfo=zone)),
        row(1, subject_id=None, name=None),
    ]
    target.take(rows)
    found = export_rows(target.store.database, target.gallery, sealer=target.store.sealer)
    assert fields(list(found)) == fields(rows)


def test_a_hundred_people_take_no_more_statements_than_ten(target: Target) -> None:
    """Subjects are looked up, made and filled in together, not one by one."""

    def num_statements(numbers: range) -> int:
        target.take([_of(each, each, external_id=None) for each in numbers[::2]])
        with _statements() as seen:
            target.take([_of(each, 1_000 + each, external_id=f"e-{each}") for each in numbers])
        return len(seen)

    assert num_statements(range(10)) == num_statements(range(100, 200))
    assert target.counts() == (110, 165)
