"""The audit log: what is in it, that the chain tells every change, and that it only grows."""

import dataclasses
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from embedding.errors import RequestInvalid, SettingsInvalid, StoreCorrupt, StoreError
from index.audit.actor import acting, name_actor
from index.audit.anchor import ANCHOR_NAME
from index.audit.entries import AuditEntry, AuditEvent, AuditWanted, Codes, entry_of_line
from index.audit.verifying import verify_chain
from index.galleries import Galleries
from index.gallery import Gallery
from index.records import NewSubject
from index.store.audit_reading import export_audit, verify_audit, verify_exports
from tests.index.conftest import OpenGalleries
from tests.index.samples import FINGERPRINT, new_template, unit_vectors


def _enroll(gallery: Gallery, name: str = "Ada") -> str:
    return gallery.enroll([new_template(unit_vectors(1)[0])], name=name).subject_id


def _log(galleries: Galleries) -> list[AuditEntry]:
    return list(galleries.audit.entries())


def _raw(data_folder: Path, *statements: str) -> None:
    """Change the database behind the program's back, triggers taken off."""
    with closing(sqlite3.connect(data_folder / "facegallery.sqlite")) as raw:
        raw.executescript(
            "DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;" + ";".join(statements)
        )
        raw.commit()


@pytest.fixture
def written(data_folder: Path) -> Path:
    """A data folder with twelve entries."""
    with Galleries.open(data_folder) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        for number in range(11):
            _enroll(gallery, f"person {number}")
    return data_folder


def test_every_change_is_in_it(galleries: Galleries) -> None:
    """Galleries, enrolls, labels, removals and keys, in their order, by whoever acted."""
    with acting():
        name_actor("key-1")
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        subject = _enroll(gallery)
        gallery.rename(subject, name="Bea")
        gallery.remove_template(gallery.templates(subject)[0].id)
        gallery.remove_subject(subject)
    galleries.keys.add("k1", secret_hash=b"h" * 32, role="admin")
    galleries.keys.revoke("k1")
    galleries.keys.revoke("k1")
    galleries.delete("people")
    assert [(each.actor, each.action) for each in _log(galleries)] == [
        ("key-1", "gallery.create"),
        ("key-1", "subject.enroll"),
        ("key-1", "subject.change"),
        ("key-1", "template.remove"),
        ("key-1", "subject.remove"),
        ("local", "key.create"),
        ("local", "key.revoke"),
        ("local", "gallery.delete"),
    ]
    assert {each.gallery_id for each in _log(galleries)} == {gallery.id, None}
    assert galleries.audit.verify().whole


def test_what_failed_left_no_entry(galleries: Galleries) -> None:
    """An entry commits with its change or not at all."""
    gallery = galleries.create("people", fingerprint=FINGERPRINT)
    for name in ("a", "b"):
        gallery.enroll([new_template(unit_vectors(1)[0])], name=name)
    before = _log(galleries)
    subject = gallery.subjects().subjects[0].id
    with pytest.raises(RequestInvalid):
        gallery.rename(subject, name="b")
    assert _log(galleries) == before


def test_a_subject_has_one_pseudonym_until_it_is_removed(galleries: Galleries) -> None:
    """All entries of a person name one pseudonym, of another person another one."""
    gallery = galleries.create("people", fingerprint=FINGERPRINT)
    first, second = _enroll(gallery, "a"), _enroll(gallery, "b")
    gallery.remove_subject(first)
    one, other, removed = (each.subjects for each in _log(galleries)[1:])
    assert one == removed
    assert one != other
    log = "".join(each.line() for each in _log(galleries))
    assert first not in log
    assert second not in log


def test_the_salt_goes_with_the_person(written: Path) -> None:
    """After a removal no file of the data folder holds the salt of the pseudonym."""
    with closing(sqlite3.connect(written / "facegallery.sqlite")) as raw:
        salts = [row[0] for row in raw.execute("SELECT audit_salt FROM subjects ORDER BY id")]
    with Galleries.open(written, upkeep_s=None) as galleries:
        gallery = galleries.get("people")
        gallery.remove_subject(gallery.subjects().subjects[0].id)
        galleries.maintain()
        held = b"".join(each.read_bytes() for each in written.iterdir() if each.is_file())
    assert len(salts[0]) == 16
    assert salts[0] not in held
    assert salts[1] in held


def test_people_of_before_get_a_salt(galleries: Galleries) -> None:
    """Who was enrolled by an earlier version has a pseudonym from the first entry on."""
    gallery = galleries.create("people", fingerprint=FINGERPRINT)
    subject = _enroll(gallery)
    with galleries._store.database.transaction() as connection:
        connection.execute(text("UPDATE subjects SET audit_salt = NULL"))
    gallery.rename(subject, name="x")
    gallery.rename(subject, name="y")
    before, one, other = (each.subjects for each in _log(galleries)[1:])
    assert one == other
    assert one not in ((), before)


def test_many_people_are_counted(galleries: Galleries) -> None:
    """An entry of more than a hundred people names none of them."""
    gallery = galleries.create("people", fingerprint=FINGERPRINT)
    template = new_template(unit_vectors(1)[0])
    gallery.enroll_many([NewSubject(name=f"p{n}", templates=(template,)) for n in range(101)])
    entry = _log(galleries)[-1]
    assert (entry.subjects, entry.facts["num_subjects"]) == ((), 101)


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'x'", "DELETE FROM audit"])
def test_the_database_refuses_changes(galleries: Galleries, statement: str) -> None:
    """The table only grows, as long as nobody takes its triggers off."""
    galleries.create("people", fingerprint=FINGERPRINT)
    with pytest.raises(StoreError), galleries._store.database.transaction() as connection:
        connection.execute(text(statement))
    assert len(_log(galleries)) == 1


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE number = 5", "entry 5 was changed"),
        ("UPDATE audit SET at = '2020-01-01 00:00:00.000000' WHERE number = 5", "entry 5 was"),
        ("UPDATE audit SET subjects = '[]' WHERE number = 5", "entry 5 was changed"),
        ("UPDATE audit SET facts = '{}' WHERE number = 5", "entry 5 was changed"),
        ("UPDATE audit SET gallery = NULL WHERE number = 5", "entry 5 was changed"),
        ("UPDATE audit SET outcome = 'x' WHERE number = 5", "entry 5 was changed"),
        ("UPDATE audit SET code = x'00' WHERE number = 5", "entry 5 was changed"),
        ("DELETE FROM audit WHERE number = 5", "entry 5 is missing"),
        ("DELETE FROM audit WHERE number BETWEEN 1 AND 3", "entries 1 to 3 are missing"),
        (
            "UPDATE audit SET number = -1 WHERE number = 5;"
            "UPDATE audit SET number = 5 WHERE number = 6;"
            "UPDATE audit SET number = 6 WHERE number = -1",
            "entry 5 was changed",
        ),
        ("DELETE FROM audit WHERE number > 10", "the end is cut off"),
        (
            "INSERT INTO audit SELECT 13, at, actor, action, outcome, gallery, subjects, facts,"
            " code FROM audit WHERE number = 12",
            "entry 13 was changed",
        ),
    ],
)
def test_every_change_is_found(written: Path, statement: str, problem: str) -> None:
    """Changed, removed, exchanged, cut off or inserted: the verification says where."""
    with Galleries.open(written, upkeep_s=None) as galleries:
        assert galleries.audit.verify().whole
        assert galleries.audit.verify().num_entries == 12
        _raw(written, statement)
        report = galleries.audit.verify()
    assert not report.whole
    assert any(problem in each for each in report.findings), report.findings


def test_a_cut_with_the_head_taken_back_is_found_by_the_anchor(written: Path) -> None:
    """Who also rewrites the head in the database, or puts an old copy back, leaves the anchor."""
    old = written.with_name("old.sqlite")
    old.write_bytes((written / "facegallery.sqlite").read_bytes())
    with Galleries.open(written, upkeep_s=None) as galleries:
        _enroll(galleries.get("people"), "later")
    (written / "facegallery.sqlite").write_bytes(old.read_bytes())
    with Galleries.open(written, upkeep_s=None) as galleries:
        last = _log(galleries)[-1]
        assert (last.action, dict(last.facts)) == ("audit.gap", {"anchored": 13, "found": 12})
        report = galleries.audit.verify()
        assert report.whole
        assert "audit.gap" in report.told[0]


def test_a_cut_is_found_before_anybody_opens(written: Path) -> None:
    """Read from outside, also beside a service, the anchor tells at once what is missing."""
    old = (written / "facegallery.sqlite").read_bytes()
    with Galleries.open(written, upkeep_s=None) as galleries:
        _enroll(galleries.get("people"), "later")
        galleries.audit.settle()
        assert (verify_audit(written).whole, verify_audit(written).num_entries) == (True, 13)
    assert verify_audit(written).whole
    (written / "facegallery.sqlite").write_bytes(old)
    (written / "facegallery.sqlite-wal").unlink(missing_ok=True)
    assert "the anchor remembers 13" in verify_audit(written).findings[0]
    (written / ANCHOR_NAME).unlink()
    assert "no anchor" in verify_audit(written).told[0]


@pytest.mark.postgres
def test_a_shared_log_is_read_from_outside(data_folder: Path, database_url: str) -> None:
    """On PostgreSQL as well."""
    with Galleries.open(data_folder, database_url=database_url) as galleries:
        galleries.create("people", fingerprint=FINGERPRINT)
        report = verify_audit(data_folder, database_url=database_url)
        assert (report.whole, report.num_entries) == (True, 1)


def test_a_lost_anchor_is_told(written: Path) -> None:
    """When the anchor is gone, the log says from where on a new one remembers its end."""
    (written / ANCHOR_NAME).unlink()
    with Galleries.open(written, upkeep_s=None) as galleries:
        last = _log(galleries)[-1]
    assert (last.action, dict(last.facts)) == ("audit.anchor_begun", {"found": 12})


def test_a_changed_anchor_is_refused(written: Path) -> None:
    """A flipped bit of the anchor keeps the store closed, and the message says what to do."""
    anchor = written / ANCHOR_NAME
    content = bytearray(anchor.read_bytes())
    content[40] ^= 1
    anchor.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="anchor"):
        Galleries.open(written)


def test_the_anchor_may_lie_elsewhere(tmp_path: Path, data_folder: Path) -> None:
    """With a path of its own it lies there, and one inside the data folder is refused."""
    place = tmp_path / "elsewhere.anchor"
    with Galleries.open(data_folder, audit_anchor=place) as galleries:
        galleries.create("people", fingerprint=FINGERPRINT)
    assert place.stat().st_mode & 0o777 == 0o600
    assert not (data_folder / ANCHOR_NAME).exists()
    with pytest.raises(SettingsInvalid):
        Galleries.open(data_folder, audit_anchor=data_folder / "mine")


def test_notes_are_entered_with_their_actor(open_galleries: OpenGalleries) -> None:
    """What nobody waits for is there at the next reading, and after closing."""
    with open_galleries() as galleries:
        with acting():
            name_actor("key-1")
            galleries.audit.note(AuditEvent(action="identify"))
        assert [(each.actor, each.action) for each in _log(galleries)] == [("key-1", "identify")]
        galleries.audit.note(AuditEvent(action="second"))
    with open_galleries() as galleries:
        assert [each.action for each in _log(galleries)] == ["identify", "second"]
        assert galleries.audit.verify().whole


def test_pages_go_on_where_the_last_ended(galleries: Galleries) -> None:
    """Pages follow each other without gap or repetition, also for some galleries only."""
    for name in ("a", "b"):
        gallery = galleries.create(name, fingerprint=FINGERPRINT)
        for number in range(4):
            _enroll(gallery, f"{number}")
    found: list[AuditEntry] = []
    cursor: str | None = None
    while True:
        entries, cursor = galleries.audit.page(limit=3, cursor=cursor)
        found += entries
        if cursor is None:
            break
    assert found == _log(galleries)
    own = galleries.get("b").id
    entries, _ = galleries.audit.page(limit=100, wanted=AuditWanted(gallery_ids=(own,)))
    assert [each.number for each in entries] == [6, 7, 8, 9, 10]
    with pytest.raises(RequestInvalid):
        galleries.audit.page(limit=3, cursor="forged")


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize(
    "wanted",
    [
        AuditWanted(),
        AuditWanted(actor="key-1"),
        AuditWanted(action="subject"),
        AuditWanted(action="identify", actor="key-2"),
        AuditWanted(refused=True),
        AuditWanted(gallery_ids=()),
    ],
)
def test_pages_hold_what_is_wanted(
    galleries: Galleries,
    monkeypatch: pytest.MonkeyPatch,
    wanted: AuditWanted,
    newest_first: bool,
) -> None:
    """In both orders, in pages that look at few entries, exactly the wanted ones come, once."""
    monkeypatch.setattr("index.store.audit_log.MOST_LOOKED_AT", 5)
    actions = ("subject.enroll", "identify", "identify.batch", "subjects", "POST /v1/enroll")
    for number in range(23):
        action = actions[number % len(actions)]
        galleries.audit.record(AuditEvent(action=action, actor=f"key-{number % 3}"))
    found: list[AuditEntry] = []
    cursor: str | None = None
    while True:
        entries, cursor = galleries.audit.page(
            limit=2, cursor=cursor, newest_first=newest_first, wanted=wanted
        )
        found += entries
        if cursor is None:
            break
    expected = [each for each in _log(galleries) if _is_wanted(each, wanted)]
    assert found == (expected[::-1] if newest_first else expected)
    assert bool(found) == (wanted.gallery_ids is None)


def _is_wanted(entry: AuditEntry, wanted: AuditWanted) -> bool:
    """A slow second opinion on `AuditWanted`."""
    return (
        (wanted.gallery_ids is None or entry.gallery_id in wanted.gallery_ids)
        and wanted.actor in {None, entry.actor}
        and wanted.action in {None, entry.action, entry.action.split(".")[0]}
        and (not wanted.refused or entry.action.startswith("POST /"))
    )


def test_a_cursor_is_of_one_order(galleries: Galleries) -> None:
    """That of the other order is refused: it would leave entries out."""
    for _ in range(3):
        galleries.audit.record(AuditEvent(action="identify"))
    _, cursor = galleries.audit.page(limit=1)
    with pytest.raises(RequestInvalid):
        galleries.audit.page(limit=1, cursor=cursor, newest_first=True)


def test_a_line_is_the_entry(galleries: Galleries) -> None:
    """An exported entry reads back as it was."""
    _enroll(galleries.create("people", fingerprint=FINGERPRINT))
    entries = _log(galleries)
    assert [entry_of_line(each.line()) for each in entries] == entries


Change = Callable[[list[AuditEntry]], None]


def _swap(entries: list[AuditEntry]) -> None:
    entries[3], entries[4] = entries[4], entries[3]


def _forge(entries: list[AuditEntry]) -> None:
    entries[3] = dataclasses.replace(entries[3], outcome="denied")


@pytest.mark.parametrize("change", [_swap, _forge, lambda entries: entries.pop(0)])
def test_an_export_that_was_changed_is_found(
    written: Path, tmp_path: Path, change: Change
) -> None:
    """The chain holds in an export as it does in the database."""
    file = tmp_path / "log.jsonl"
    assert export_audit(written, file) == 12
    assert verify_exports(written, [file]).whole
    entries = [entry_of_line(each) for each in file.read_text().splitlines()]
    change(entries)
    file.write_text("".join(f"{each.line()}\n" for each in entries))
    assert not verify_exports(written, [file]).whole


def test_another_key_verifies_nothing(written: Path) -> None:
    """Without the key nobody can write entries that pass."""
    with Galleries.open(written, upkeep_s=None) as galleries:
        entries = _log(galleries)
    codes = Codes(key=b"k" * 32, database_id="some")
    report = verify_chain(_chained(entries, codes), codes, head=None, anchor=None)
    assert report.whole
    assert not verify_chain(entries, codes, head=None, anchor=None).whole


def _chained(entries: list[AuditEntry], codes: Codes) -> Iterator[AuditEntry]:
    previous = codes.beginning
    for entry in entries:
        previous = codes.code(previous, entry)
        yield dataclasses.replace(entry, code=previous)


@pytest.mark.postgres
def test_two_processes_write_one_chain(data_folder: Path, database_url: str) -> None:
    """Two stores of one database enter in turn, and the chain is whole."""
    with (
        Galleries.open(data_folder, database_url=database_url) as one,
        Galleries.open(data_folder, database_url=database_url) as other,
    ):
        one.create("people", fingerprint=FINGERPRINT)
        for number in range(5):
            _enroll(one.get("people"), f"one {number}")
            _enroll(other.get("people"), f"other {number}")
        assert len(_log(one)) == 11
        assert other.audit.verify().whole
