"""``facegallery-index audit``."""

import json
import sqlite3
from contextlib import closing

from tests.index.cli.conftest import Home, Run


def test_an_export_verifies(home: Home, run: Run) -> None:
    """The log and its export are whole, and an export without its first line is not."""
    home.fill()
    file = home.folder / "log.jsonl"
    assert run("audit", "verify", "--json").json["whole"]
    exported = run("audit", "export", str(file), "--json").json
    lines = file.read_text().splitlines()
    assert exported["num_entries"] == len(lines) > 0
    assert run("audit", "verify", "--file", str(file)).code == 0
    file.write_text("\n".join(lines[1:]))
    found = run("audit", "verify", "--file", str(file))
    assert found.code == 1
    assert "entry 1 is missing" in found.out
    assert run("audit", "export", str(file)).code == 3


def test_check_follows_the_chain(home: Home, run: Run) -> None:
    """A changed entry is found by audit verify and by check."""
    home.fill()
    with closing(sqlite3.connect(home.data / "facegallery.sqlite")) as raw:
        raw.executescript("DROP TRIGGER audit_no_update; UPDATE audit SET actor = 'x'")
    assert "entry 1 was changed" in run("audit", "verify").out
    assert "entry 1 was changed" in run("check").out


def test_an_export_of_a_gallery_is_entered(home: Home, run: Run) -> None:
    """Who takes templates out leaves two entries, one from before the file was begun."""
    home.fill()
    file = home.folder / "log.jsonl"
    run("export", "people", str(home.folder / "people.parquet"), "--clear-text")
    run("audit", "export", str(file))
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    found = [(e["action"], e["outcome"]) for e in entries if e["action"] == "gallery.export"]
    assert found == [("gallery.export", "begun"), ("gallery.export", "done")]


def test_a_restored_log_tells_so(home: Home, run: Run) -> None:
    """After an older backup was put back the log says so, and an anchor elsewhere is unmoved."""
    anchor = home.folder / "audit.anchor"
    home.set("FACEGALLERY_AUDIT_ANCHOR", str(anchor))
    people = home.fill()
    with home.open(audit_anchor=anchor):
        pass
    run("backup", str(home.folder / "backup"))
    with home.open(audit_anchor=anchor) as galleries:
        galleries.get("people").remove_subject(people[0])
        galleries.audit.settle()
    before = anchor.read_bytes()
    assert run("restore", str(home.folder / "backup"), "--replace").code == 0
    assert anchor.read_bytes() == before
    assert not (home.data / "audit.anchor").exists()
    assert run("audit", "verify").code == 1
    with home.open(audit_anchor=anchor) as galleries:
        actions = [each.action for each in galleries.audit.entries()]
    assert actions[-1] == "audit.gap"
    assert "database.restore" in actions
    found = run("audit", "verify", "--json").json
    assert found["whole"]
    assert any("audit.gap" in each for each in found["told"])


def test_old_entries_are_cut_off_into_a_file(home: Home, run: Run) -> None:
    """They go into the file, check and verify are content with the rest, and both make a log."""
    home.fill()
    old, rest = home.folder / "old.jsonl", home.folder / "rest.jsonl"
    assert run("audit", "cut", "--through", "2").code == 2
    assert run("audit", "cut", "--file", str(old)).code == 2
    done = run("audit", "cut", "--through", "2", "--file", str(old), "--json").json
    assert done == {"begins_after": 2, "file": str(old)}
    found = run("audit", "verify", "--json").json
    assert (found["whole"], found["begins_after"]) == (True, 2)
    assert run("check").code == 0
    run("audit", "export", str(rest))
    whole = run("audit", "verify", "--file", str(old), "--file", str(rest), "--json").json
    assert (whole["whole"], whole["begins_after"]) == (True, 0)
    assert run("audit", "verify", "--file", str(rest), "--file", str(old)).code == 1
    assert run("audit", "cut", "--days", "30", "--discard", "--json").json["begins_after"] == 2
    assert run("audit", "cut", "--days", "0", "--discard", "--json").json["begins_after"] > 2
    assert run("audit", "verify").code == 0
