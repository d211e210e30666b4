"""Tests of `facegallery-index check`."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from index.key_ring import KeyRing
from tests.index.cli.conftest import Home, Run


def _sql(home: Home, statement: str) -> None:
    if home.url is not None:
        with psycopg.connect(home.url) as connection:
            connection.execute(statement)
        return
    with closing(sqlite3.connect(home.database)) as connection:
        connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize("sealed", [False, True])
def test_a_whole_one_passes(any_home: Home, run: Run, sealed: bool) -> None:
    """Nothing is found where nothing is wrong; with snapshot, space, ledger and key too."""
    if sealed:
        any_home.use_key()
    subject = any_home.fill(space=sealed, snapshot_from=1)[0]
    with any_home.open(snapshot_from=1) as galleries:
        galleries.get("people").remove_subject(subject)
    ran = run("check", "--json")
    assert ran.code == 0, ran.out
    assert ran.json["findings"] == []
    assert (ran.json["num_galleries"], ran.json["num_templates"]) == (1, 10)


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE templates SET quality = 0.5 WHERE id = (SELECT min(id) FROM templates)",
         "template"),
        ("UPDATE galleries SET num_templates = 99, num_subjects = 3", "counter"),
        ("UPDATE galleries SET sequence = 500", "change_log"),
        ("DELETE FROM changes WHERE sequence = 5", "change_log"),
        ("UPDATE galleries SET space_id = 'ab'", "sealing"),
    ],
)  # fmt: skip
def test_each_damage_in_sql_is_found(any_home: Home, run: Run, statement: str, kind: str) -> None:
    """What is wrong is told by kind, with exit code 1."""
    any_home.fill()
    _sql(any_home, statement)
    ran = run("check", "--json")
    assert ran.code == 1
    assert kind in {each["kind"] for each in ran.json["findings"]}
    assert all(each["advice"] for each in ran.json["findings"])


def test_counters_are_repaired(any_home: Home, run: Run) -> None:
    """With --repair they are counted anew, and the next check finds nothing."""
    any_home.fill()
    _sql(any_home, "UPDATE galleries SET num_templates = 99, num_subjects = 3")
    ran = run("check", "--repair", "--json")
    assert (ran.code, ran.json["num_repaired"]) == (0, 2)
    assert run("check").code == 0


def test_a_damaged_snapshot_is_deleted(home: Home, run: Run) -> None:
    """It is found, and with --repair removed, since it is made anew."""
    home.fill(snapshot_from=1)
    segment = next(home.data.glob("snapshots/*/*.segment"))
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(content)
    assert [each["kind"] for each in run("check", "--json").json["findings"]] == ["snapshot"]
    assert run("check", "--repair").code == 0
    assert not list(home.data.glob("snapshots/*/*.segment"))


def test_left_over_files_are_removed(home: Home, run: Run) -> None:
    """What a killed process left, and snapshots of galleries that are gone."""
    home.fill()
    (home.data / "ledger.secret.new").write_bytes(b"x")
    (home.data / "snapshots" / "gone").mkdir(parents=True)
    assert run("check").code == 1
    assert run("check", "--repair").code == 0
    assert not (home.data / "ledger.secret.new").exists()
    assert not (home.data / "snapshots" / "gone").exists()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b""])
def test_a_database_that_cannot_be_opened_is_a_finding(
    home: Home, run: Run, content: bytes
) -> None:
    """Not a traceback; an empty file is a database without anything of the secrets' time."""
    home.fill()
    for each in home.data.glob("facegallery.sqlite*"):
        each.unlink()
    if content:
        home.database.write_bytes(content)
    ran = run("check", "--json")
    assert ran.code == 1
    assert ran.json["findings"][0]["kind"] == "database"


def test_every_broken_page_is_a_finding(home: Home, run: Run) -> None:
    """Whatever page of the database is overwritten, the check ends with findings."""
    home.fill()
    whole = home.database.read_bytes()
    page_bytes = int.from_bytes(whole[16:18], "big")
    for start in range(0, len(whole), page_bytes):
        broken = bytearray(whole)
        broken[start : start + page_bytes] = b"\xa5" * page_bytes
        home.database.write_bytes(broken)
        ran = run("check", "--json")
        assert ran.code in {1, 3}, start
        assert ran.code == 1 or "store_newer" in ran.err or "damaged" in ran.err, ran.err
    home.database.write_bytes(whole)
    assert run("check").code == 0


def test_missing_and_wrong_keys_are_told(
    home: Home, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checksums are verified without the key, and the finding says what to give."""
    home.use_key()
    home.fill()
    other = tmp_path / "other.keys"
    KeyRing.generate(other)
    for key_file in (None, other):
        if key_file is None:
            monkeypatch.delenv("FACEGALLERY_SEALING_KEY_FILE")
        else:
            monkeypatch.setenv("FACEGALLERY_SEALING_KEY_FILE", str(key_file))
        ran = run("check", "--json")
        assert ran.code == 1
        assert {each["kind"] for each in ran.json["findings"]} == {"sealing"}
        assert ran.json["num_templates"] == 12


def test_a_wrong_ledger_is_told(any_home: Home, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the ledger, or with one that was cut, there is a finding, and templates are read."""
    subject = any_home.fill()[0]
    with any_home.open() as galleries:
        galleries.get("people").remove_subject(subject)
    content = any_home.ledger.read_bytes()
    any_home.ledger.write_bytes(content[:-128])
    assert [each["kind"] for each in run("check", "--json").json["findings"]] == ["ledger"]
    monkeypatch.delenv("FACEGALLERY_REMOVAL_LEDGER")
    ran = run("check", "--json")
    assert [each["kind"] for each in ran.json["findings"]] == ["ledger"]
    assert ran.json["num_templates"] == 10


def test_who_holds_the_folder_is_told(home: Home, run: Run) -> None:
    """The check needs the folder alone."""
    home.fill()
    with home.open():
        ran = run("check")
    assert ran.code == 3
    assert "store_in_use" in ran.err


def test_a_newer_database_is_an_error(home: Home, run: Run) -> None:
    """What a newer version wrote is not looked at."""
    home.fill()
    _sql(home, "UPDATE alembic_version SET version_num = '9999'")
    ran = run("check")
    assert ran.code == 3
    assert "store_newer" in ran.err
