"""Old entries are cut off the audit log, and what is left proves that nothing else is missing."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from embedding.errors import RequestInvalid, SettingsInvalid, StoreCorrupt, StoreError
from index.audit.anchor import ANCHOR_NAME
from index.audit.cutting import AuditRetention
from index.audit.entries import AuditEntry, AuditEvent
from index.galleries import Galleries
from index.store import audit_cuts
from index.store.audit_reading import export_audit, verify_audit, verify_exports
from index.store.audit_rows import write_cut

NOW = datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Log:
    """A log on one kind of database."""

    folder: Path
    url: str | None

    @contextmanager
    def open(self, *, retention: AuditRetention | None = None) -> Iterator[Galleries]:
        """Open it; nothing is done by itself."""
        with Galleries.open(
            self.folder, database_url=self.url, audit_retention=retention, upkeep_s=None
        ) as galleries:
            yield galleries

    def change(self, *statements: str) -> None:
        """Change the database as its administrator could, triggers taken off and put back."""
        with self.open() as galleries, galleries._store.database.transaction() as connection:
            if self.url is None:
                triggers = connection.execute(
                    text("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
                ).all()
                for name, _ in triggers:
                    connection.exec_driver_sql(f"DROP TRIGGER {name}")
            else:
                connection.exec_driver_sql("ALTER TABLE audit DISABLE TRIGGER ALL")
            for statement in statements:
                connection.exec_driver_sql(statement)
            if self.url is None:
                for _, sql in triggers:
                    connection.exec_driver_sql(sql)
            else:
                connection.exec_driver_sql("ALTER TABLE audit ENABLE TRIGGER ALL")

    def findings(self) -> list[str]:
        """What the verification from outside says."""
        return verify_audit(self.folder, database_url=self.url).findings


@pytest.fixture
def log(any_database_url: str | None, data_folder: Path) -> Log:
    """Twenty entries, one a day, the newest of today, on each kind of database."""
    log = Log(folder=data_folder, url=any_database_url)
    with log.open() as galleries:
        for number in range(20):
            at = NOW - timedelta(days=19 - number)
            galleries.audit.record(AuditEvent(action=f"day {number + 1}", at=at))
    return log


def _numbers(entries: list[AuditEntry]) -> list[int]:
    return [each.number for each in entries]


def test_what_is_left_is_proved_and_says_what_was_cut(log: Log, tmp_path: Path) -> None:
    """Entries go up to the limit, with an entry that tells of it, and the rest verifies."""
    with log.open() as galleries:
        cut = galleries.audit.cuts.cut(file=None, before=NOW - timedelta(days=9, hours=1))
        assert cut.count == 10
        assert _numbers(list(galleries.audit.entries())) == list(range(11, 22))
        report = galleries.audit.verify()
    assert (report.findings, report.num_entries, report.cut.count) == ([], 11, 10)
    outside = verify_audit(log.folder, database_url=log.url)
    assert (outside.whole, outside.told) == (True, report.told)
    assert "begins after entry 10" in report.told[0]
    assert "local cut off entries up to 10, not kept" in report.told[1]
    file = tmp_path / "rest.jsonl"
    assert export_audit(log.folder, file, database_url=log.url) == 11
    assert verify_exports(log.folder, [file], database_url=log.url).whole


def test_the_database_still_refuses_deletions_after_a_cut(log: Log) -> None:
    """What was taken off for a cut is back when it commits."""
    with log.open() as galleries:
        galleries.audit.cuts.cut(file=None, through=5)
        with pytest.raises(StoreError), galleries._store.database.transaction() as connection:
            connection.execute(text("DELETE FROM audit WHERE number = 6"))


def test_the_cut_and_the_rest_are_one_log(log: Log, tmp_path: Path) -> None:
    """Files of several cuts and an export of the rest follow one another to the whole log."""
    files = [tmp_path / f"{number}.jsonl" for number in range(3)]
    with log.open() as galleries:
        galleries.audit.cuts.cut(file=files[0], through=7)
        galleries.audit.cuts.cut(file=files[1], through=21)
    export_audit(log.folder, files[2], database_url=log.url)
    for each in files:
        assert verify_exports(log.folder, [each], database_url=log.url).whole
    whole = verify_exports(log.folder, files, database_url=log.url)
    assert (whole.findings, whole.num_entries, whole.cut.count) == ([], 22, 0)
    holed = verify_exports(log.folder, [files[0], files[2]], database_url=log.url)
    assert holed.findings == ["2.jsonl does not go on where the file before it ends"]
    assert files[0].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("line", [0, 1, 3])
def test_a_changed_file_of_a_cut_is_found(log: Log, tmp_path: Path, line: int) -> None:
    """Neither what it says of the cut before it, nor an entry, can be changed unseen."""
    with log.open() as galleries:
        galleries.audit.cuts.cut(file=None, through=7)
        galleries.audit.cuts.cut(file=tmp_path / "b.jsonl", through=12)
    lines = (tmp_path / "b.jsonl").read_text().splitlines()
    lines[line] = lines[line].replace(":7,", ":6,").replace("day", "dax")
    (tmp_path / "b.jsonl").write_text("\n".join(lines))
    try:
        whole = verify_exports(log.folder, [tmp_path / "b.jsonl"], database_url=log.url).whole
    except StoreCorrupt:
        whole = False
    assert not whole


def test_nothing_is_cut_that_was_changed(log: Log, tmp_path: Path) -> None:
    """A cut would take the evidence away, so it is refused, and leaves no file."""
    log.change("UPDATE audit SET actor = 'nobody' WHERE number = 5")
    with log.open() as galleries:
        with pytest.raises(StoreCorrupt, match="entry 5"):
            galleries.audit.cuts.cut(file=tmp_path / "old.jsonl", through=10)
        assert len(list(galleries.audit.entries())) == 20
    assert not (tmp_path / "old.jsonl").exists()


def test_a_cut_goes_no_further_than_the_log(log: Log, tmp_path: Path) -> None:
    """A number beyond the end is refused; one that is cut already changes nothing."""
    with log.open() as galleries:
        with pytest.raises(RequestInvalid, match="no entry 21"):
            galleries.audit.cuts.cut(file=None, through=21)
        galleries.audit.cuts.cut(file=None, through=20)
        assert galleries.audit.cuts.cut(file=tmp_path / "none", through=3).count == 20
        before = NOW - timedelta(days=40)
        assert galleries.audit.cuts.cut(file=tmp_path / "none", before=before).count == 20
        assert [each.action for each in galleries.audit.entries()] == ["audit.cut"]
        assert galleries.audit.verify().whole
    assert not (tmp_path / "none").exists()


def test_a_file_that_is_there_is_not_written_over(log: Log, tmp_path: Path) -> None:
    """The entries stay in the log then."""
    (tmp_path / "old.jsonl").write_text("mine")
    with log.open() as galleries:
        with pytest.raises(RequestInvalid, match="exists already"):
            galleries.audit.cuts.cut(file=tmp_path / "old.jsonl", through=10)
        assert len(list(galleries.audit.entries())) == 20


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        # Further entries go, and the head's number of the cut with them.
        ("DELETE FROM audit WHERE number <= 12", "entries 11 to 12 are missing"),
        ("DELETE FROM audit WHERE number = 14", "entry 14 is missing"),
        ("DELETE FROM audit WHERE action = 'audit.cut'", "the end is cut off"),
        ("DELETE FROM facts WHERE name = 'audit_cut'", "entries 1 to 10 are missing"),
        ("UPDATE facts SET value = OTHER WHERE name = 'audit_cut'", "of its cut was changed"),
    ],
)
def test_whoever_tampers_with_a_cut_is_found(log: Log, statement: str, finding: str) -> None:
    """Cutting further, pretending another cut, or none, contradicts the log or its anchor."""
    with log.open() as galleries:
        galleries.audit.cuts.cut(file=None, through=10)
        with galleries._store.database.transaction() as connection:
            value = connection.scalar(text("SELECT value FROM facts WHERE name = 'audit_cut'"))
    assert isinstance(value, bytes)
    other = value.replace(b'"count":10', b'"count":12').hex()
    literal = f"x'{other}'" if log.url is None else f"decode('{other}', 'hex')"
    log.change(statement.replace("OTHER", literal))
    findings = log.findings()
    assert any(finding in each for each in findings), findings


def test_an_older_cut_put_back_is_found_by_the_anchor(log: Log) -> None:
    """Who puts rows and facts of before the cut back leaves an anchor that knows better."""
    with log.open() as galleries:
        galleries.audit.cuts.cut(file=None, through=4)
        with galleries._store.database.transaction() as connection:
            fact = connection.scalar(text("SELECT value FROM facts WHERE name = 'audit_cut'"))
            connection.exec_driver_sql("CREATE TABLE kept AS SELECT * FROM audit")
        galleries.audit.cuts.cut(file=None, through=10)
    assert isinstance(fact, bytes)
    literal = f"x'{fact.hex()}'" if log.url is None else f"decode('{fact.hex()}', 'hex')"
    log.change(
        "INSERT INTO audit SELECT * FROM kept WHERE number <= 10",
        f"UPDATE facts SET value = {literal} WHERE name = 'audit_cut'",  # noqa: S608
        "DROP TABLE kept",
    )
    assert log.findings() == [
        "the anchor remembers that entries up to 10 were cut off, the database only up to 4: it "
        "is an older one"
    ]


def test_an_anchor_of_before_the_cut_is_no_gap(log: Log) -> None:
    """A service that rested while another one cut goes on without a false alarm."""
    anchor = log.folder / ANCHOR_NAME
    with log.open() as galleries:
        galleries.audit.settle()
        before = anchor.read_bytes()
        galleries.audit.record(AuditEvent(action="later"))
        galleries.audit.cuts.cut(file=None, through=21)
    anchor.write_bytes(before)
    with log.open() as galleries:
        assert [each.action for each in galleries.audit.entries()] == ["audit.cut"]
        galleries.audit.settle()
        assert galleries.audit.verify().whole
    assert anchor.read_bytes() != before


def test_an_anchor_of_an_earlier_version_is_read(log: Log) -> None:
    """A file that has no room for a cut yet says that nothing was cut."""
    with log.open() as galleries:
        anchor = log.folder / ANCHOR_NAME
        galleries.audit.settle()
        content = anchor.read_bytes()[:72].ljust(480, b"\0")
        anchor.write_bytes(content + galleries.audit._codes.seal(b"audit anchor", content))
        anchored = galleries.audit._anchor.anchored()
        assert (anchored.head.count, anchored.cut.count) == (20, 0)
        galleries.audit.cuts.cut(file=None, through=10)
        assert galleries.audit._anchor.anchored().cut.count == 10
        assert galleries.audit.verify().whole


@pytest.mark.parametrize("at", ["told", "first", "second"])
def test_a_cut_that_is_killed_leaves_a_whole_log(
    log: Log, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """After its entry, or after some of what it removes: the rest verifies, the next goes on."""
    monkeypatch.setattr(audit_cuts, "_REMOVE_TOGETHER", 4)
    child = os.fork()
    if child == 0:
        calls = 0

        def counted(real: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **kwargs: object) -> object:
                nonlocal calls
                calls += 1
                if calls > {"told": 0, "first": 1, "second": 2}[at]:
                    os._exit(9)
                return real(*args, **kwargs)

            return call

        with log.open() as galleries:
            monkeypatch.setattr(audit_cuts, "write_cut", counted(write_cut))
            galleries.audit.cuts.cut(file=None, through=10)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert log.findings() == []
    with log.open() as galleries:
        gone = {"told": 0, "first": 4, "second": 8}[at]
        assert galleries.audit.verify().cut.count == gone
        galleries.audit.cuts.cut(file=None, through=10)
        assert galleries.audit.verify().whole
        assert _numbers(list(galleries.audit.entries()))[0] == 11


@pytest.mark.parametrize("by_itself", [True, False])
def test_files_of_a_cut_that_is_killed_follow_each_other(
    log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, by_itself: bool
) -> None:
    """After the file some entries went: the next cut takes the others first, and begins behind."""
    monkeypatch.setattr(audit_cuts, "_REMOVE_TOGETHER", 4)
    archive = tmp_path / "archive"
    archive.mkdir()
    retention = AuditRetention(keep_days=9.5, archive=archive) if by_itself else None

    def cut(galleries: Galleries, number: int, through: int) -> None:
        if by_itself:
            galleries.audit.cuts.cut_if_due()
        else:
            galleries.audit.cuts.cut(file=archive / f"{number}.jsonl", through=through)

    child = os.fork()
    if child == 0:
        calls = 0

        def killed(*args: Any) -> None:
            nonlocal calls
            calls += 1
            if calls > 1:
                os._exit(9)
            write_cut(*args)

        with log.open(retention=retention) as galleries:
            monkeypatch.setattr(audit_cuts, "write_cut", killed)
            cut(galleries, 1, 10)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    with log.open() as galleries:
        assert _numbers(list(galleries.audit.entries()))[0] == 5
        assert galleries.audit.verify().whole
    if by_itself:
        retention = AuditRetention(keep_days=4.5, archive=archive)
    with log.open(retention=retention) as galleries:
        cut(galleries, 2, 15)
        assert _numbers(list(galleries.audit.entries()))[0] == 16
        assert galleries.audit.verify().whole
    files = sorted(archive.iterdir())
    whole = verify_exports(log.folder, files, database_url=log.url)
    assert (whole.findings, whole.num_entries, len(files)) == ([], 15, 2)


def test_by_itself_it_keeps_so_many_days(log: Log, tmp_path: Path) -> None:
    """The upkeep writes what is older to the archive and removes it, and the rest stays."""
    archive = tmp_path / "archive"
    archive.mkdir()
    with log.open(retention=AuditRetention(keep_days=9.5, archive=archive)) as galleries:
        galleries.maintain()
        assert _numbers(list(galleries.audit.entries())) == list(range(11, 22))
        # Not again and again: the next is worth it in a day.
        galleries.audit.cuts._look_at_s = 0.0
        galleries.maintain()
        assert galleries.audit.verify().whole
    files = sorted(archive.iterdir())
    assert [each.name for each in files] == ["audit-000000000001.jsonl"]
    assert verify_exports(log.folder, files, database_url=log.url).num_entries == 10
    with log.open(retention=AuditRetention(keep_days=4.5, archive=archive)) as galleries:
        galleries.maintain()
        assert _numbers(list(galleries.audit.entries()))[0] == 16
    files = sorted(archive.iterdir())
    assert [each.name for each in files][1:] == ["audit-000000000011.jsonl"]
    whole = verify_exports(log.folder, files, database_url=log.url)
    assert (whole.findings, whole.num_entries) == ([], 15)


def test_without_the_setting_nothing_goes(log: Log) -> None:
    """Retention is off by default."""
    with log.open() as galleries:
        galleries.maintain()
        assert len(list(galleries.audit.entries())) == 20


def test_an_archive_of_a_killed_cut_is_used(log: Log, tmp_path: Path) -> None:
    """What was written before a kill is not written twice; the entries go all the same."""
    with log.open() as galleries:
        lines = list(galleries.audit.lines())[:8]
    piece = tmp_path / "audit-000000000001.jsonl"
    piece.write_text("".join(f"{each}\n" for each in lines))
    with log.open(retention=AuditRetention(keep_days=9.5, archive=tmp_path)) as galleries:
        galleries.maintain()
        assert _numbers(list(galleries.audit.entries()))[0] == 9
        assert galleries.audit.verify().whole


def test_an_archive_of_something_else_keeps_the_entries(log: Log, tmp_path: Path) -> None:
    """A file in the way is neither trusted nor written over, and the upkeep goes on."""
    piece = tmp_path / "audit-000000000001.jsonl"
    piece.write_text("not a log\n")
    with log.open(retention=AuditRetention(keep_days=9.5, archive=tmp_path)) as galleries:
        galleries.maintain()
        assert len(list(galleries.audit.entries())) == 20
    assert piece.read_text() == "not a log\n"


def test_an_archive_must_be_there_and_outside(log: Log, tmp_path: Path) -> None:
    """A folder that is missing may be a disk that is not mounted."""
    for archive in (tmp_path / "missing", log.folder):
        with (
            pytest.raises(SettingsInvalid, match="archive"),
            log.open(retention=AuditRetention(keep_days=1, archive=archive)),
        ):
            pass


@pytest.mark.postgres
def test_two_processes_cut_one_log(data_folder: Path, database_url: str) -> None:
    """Writers of another process go on, and no entry goes that is younger than the limit."""
    log = Log(folder=data_folder, url=database_url)
    with log.open() as one, log.open() as other:
        for number in range(12):
            (one if number % 2 else other).audit.record(
                AuditEvent(action="x", at=NOW - timedelta(days=12 - number))
            )
        limit = NOW - timedelta(days=6, hours=1)
        assert one.audit.cuts.cut(file=None, before=limit).count == 6
        other.audit.record(AuditEvent(action="y"))
        assert other.audit.cuts.cut(file=None, before=limit).count == 6
        other.audit.settle()
        assert one.audit.verify().whole
        assert other.audit.verify().whole
