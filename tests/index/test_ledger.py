"""The removal ledger keeps what was acknowledged, and notices every change."""

import hmac
import os
import stat
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from embedding.errors import LedgerUnfit, RequestInvalid, SettingsInvalid, StoreError, StoreNewer
from index.ledger import chain
from index.ledger.chain import CODE_BYTES, ENTRIES_AT, RECORD_BYTES, SECTOR_BYTES, LedgerHead
from index.ledger.entries import Removal
from index.ledger.ledger import RemovalLedger
from tests.index.ledger_samples import DATABASE_ID, GALLERY_ID, KEY, open_ledger, removal

_NUM = 3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a ledger of three entries lies, closed."""
    path = tmp_path / "removals"
    with open_ledger(path) as ledger:
        ledger.append([removal(0)])
        ledger.append([removal(1), removal(2)])
    return path


def _after_a_crash(path: Path) -> bytes:
    """The bytes of a ledger after one append of two more entries, without a clean close."""
    with open_ledger(path) as ledger:
        ledger.append([removal(_NUM), removal(_NUM + 1)])
        return path.read_bytes()


def _ids() -> st.SearchStrategy[str]:
    return st.uuids(allow_nil=False).map(str)


def _removals() -> st.SearchStrategy[Removal]:
    times = st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9.5))]))
    return st.one_of(
        st.builds(
            Removal,
            gallery_id=_ids(),
            subject_id=_ids(),
            template_id=st.none(),
            kind=st.just("subject"),
            at=times,
        ),
        st.builds(
            Removal,
            gallery_id=_ids(),
            subject_id=st.none() | _ids(),
            template_id=_ids(),
            kind=st.just("template"),
            at=times,
        ),
        st.builds(
            Removal,
            gallery_id=_ids(),
            subject_id=st.none(),
            template_id=st.none(),
            kind=st.just("gallery"),
            at=times,
        ),
    )


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(st.lists(_removals(), max_size=4), max_size=4))
def test_what_was_appended_is_read_again(tmp_path: Path, batches: list[list[Removal]]) -> None:
    """Any batches come back in their order, from the same object and from a new one."""
    path = tmp_path / str(uuid.uuid4())
    expected = [entry for batch in batches for entry in batch]
    with open_ledger(path) as ledger:
        heads = [ledger.append(batch) for batch in batches]
        assert list(ledger.entries()) == expected
    with open_ledger(path) as ledger:
        assert list(ledger.entries()) == expected
        assert ledger.head().count == len(expected)
        done = 0
        for head, batch in zip(heads, batches, strict=True):
            done += len(batch)
            ledger.check_continues(head)
            assert list(ledger.entries_after(head)) == expected[done:]


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    """A ledger has mode 0600, and no temporary file stays beside it."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_a_code_is_an_hmac() -> None:
    """The codes are HMAC-SHA-256 as the standard library has it, for short and long keys."""
    for key in (bytes(range(32)), bytes(range(64)), bytes(range(100))):
        codes = chain.Chain(database_id="a", key=key)
        entry, previous = b"e" * 64, b"p" * CODE_BYTES
        assert codes.code(previous, entry) == hmac.digest(
            key, b"entry" + previous + entry, "sha256"
        )


def test_every_flipped_bit_is_noticed(path: Path) -> None:
    """A ledger with any one bit flipped does not open."""
    content = path.read_bytes()
    assert len(content) == ENTRIES_AT + _NUM * RECORD_BYTES
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(content):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), place)
                with pytest.raises(LedgerUnfit):
                    open_ledger(path)
            os.pwrite(file.fileno(), bytes([byte]), place)
    with open_ledger(path) as ledger:
        assert ledger.head().count == _NUM


def test_a_ledger_that_was_cut_short_is_noticed(path: Path) -> None:
    """A ledger that ends before its last acknowledged byte does not open."""
    for size in reversed(range(path.stat().st_size)):
        os.truncate(path, size)
        with pytest.raises(LedgerUnfit):
            open_ledger(path)


def test_every_flipped_bit_is_noticed_after_a_crash(path: Path) -> None:
    """Also in the last append, which no mark counts yet, no bit can be flipped."""
    content = _after_a_crash(path)
    for place in range(len(content) - RECORD_BYTES, len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            path.write_bytes(changed)
            with pytest.raises(LedgerUnfit):
                open_ledger(path)


@pytest.mark.parametrize("zeros", [0, RECORD_BYTES, 300])
def test_what_a_crash_left_of_an_append_is_cut_off(path: Path, zeros: int) -> None:
    """The last append torn at any byte, or with sectors that are still zero, is cut off."""
    before = path.read_bytes()
    content = _after_a_crash(path)
    for size in range(len(before), len(content)):
        if zeros and size % RECORD_BYTES:
            continue
        path.write_bytes(content[:size] + bytes(zeros))
        whole = (size - len(before)) // RECORD_BYTES
        with open_ledger(path) as ledger:
            assert path.stat().st_size == len(before) + whole * RECORD_BYTES
            kept = list(ledger.entries())
            assert kept == [removal(number) for number in range(_NUM + whole)]
            ledger.append([removal(9)])
        with open_ledger(path) as ledger:
            assert list(ledger.entries()) == [*kept, removal(9)]


def test_a_crash_cannot_have_zeroed_what_the_mark_counts(path: Path) -> None:
    """Zeros in place of an entry that is counted are damage, not a torn append."""
    content = path.read_bytes()
    path.write_bytes(content[:-RECORD_BYTES] + bytes(RECORD_BYTES))
    with pytest.raises(LedgerUnfit, match="entry 2"):
        open_ledger(path)


@pytest.mark.parametrize("order", [[1, 0, 2], [0, 2, 1], [0, 0, 1], [1, 2, 2], [0, 2, 2]])
def test_entries_in_another_order_are_noticed(path: Path, order: list[int]) -> None:
    """Entries that were moved, doubled or left out do not open."""
    content = path.read_bytes()
    records = [
        content[at : at + RECORD_BYTES] for at in range(ENTRIES_AT, len(content), RECORD_BYTES)
    ]
    path.write_bytes(content[:ENTRIES_AT] + b"".join(records[each] for each in order))
    with pytest.raises(LedgerUnfit, match="damaged or was changed at entry"):
        open_ledger(path)


def test_a_ledger_of_another_database_is_refused(path: Path) -> None:
    """The right key does not open the ledger of another database."""
    with pytest.raises(LedgerUnfit, match="that of another database"):
        RemovalLedger.open(path, database_id="other", key=KEY)


def test_another_key_is_refused(path: Path) -> None:
    """Another key opens nothing, and says that it may be the key."""
    with pytest.raises(LedgerUnfit, match="another key"):
        RemovalLedger.open(path, database_id=DATABASE_ID, key=KEY[::-1])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"key": b"k" * 31}, "at least 32 bytes"),
        ({"database_id": ""}, "1 to 255 bytes"),
        ({"database_id": "d" * 256}, "1 to 255 bytes"),
    ],
)
def test_a_bad_key_or_id_is_refused(path: Path, changes: dict[str, Any], problem: str) -> None:
    """Keys and database ids of a wrong length are refused."""
    arguments: dict[str, Any] = {"database_id": DATABASE_ID, "key": KEY} | changes
    with pytest.raises(SettingsInvalid, match=problem):
        RemovalLedger.open(path, **arguments)


def test_a_mark_of_another_ledger_is_refused(path: Path, tmp_path: Path) -> None:
    """Header and mark of two ledgers of one key do not go together."""
    other = tmp_path / "other"
    RemovalLedger.open(other, database_id="other", key=KEY, create=True).close()
    content = path.read_bytes()
    mark = other.read_bytes()[SECTOR_BYTES:ENTRIES_AT]
    path.write_bytes(content[:SECTOR_BYTES] + mark + content[ENTRIES_AT:])
    with pytest.raises(LedgerUnfit, match="that of another ledger"):
        open_ledger(path)


def test_a_newer_version_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger of a later format says that a newer program is needed."""
    newer = path.with_name("newer")
    with monkeypatch.context() as later:
        later.setattr(chain, "_VERSION", 2)
        open_ledger(newer).close()
    with pytest.raises(StoreNewer, match="version 2"):
        open_ledger(newer)


def test_a_missing_ledger_is_not_begun_anew(tmp_path: Path) -> None:
    """Without `create` a ledger that is gone is an error and stays gone."""
    path = tmp_path / "removals"
    with pytest.raises(LedgerUnfit, match="no removal ledger"):
        RemovalLedger.open(path, database_id=DATABASE_ID, key=KEY)
    assert not path.exists()


def test_create_opens_a_ledger_that_exists(path: Path) -> None:
    """`create` leaves an existing ledger as it is."""
    with open_ledger(path) as ledger:
        assert ledger.head().count == _NUM


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    """A folder that is not there may be a disk that is not mounted."""
    with pytest.raises(SettingsInvalid, match="is missing"):
        open_ledger(tmp_path / "disk" / "removals")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, Path.touch])
def test_what_is_no_ledger_is_refused(tmp_path: Path, make: Any) -> None:
    """A folder, a pipe and an empty file are no ledgers."""
    path = tmp_path / "removals"
    make(path)
    with pytest.raises(StoreError):
        open_ledger(path)


def test_an_older_copy_is_noticed_by_its_head(path: Path) -> None:
    """A ledger put back from an older copy does not continue a later head."""
    older = path.read_bytes()
    with open_ledger(path) as ledger:
        head = ledger.append([removal(3)])
    path.write_bytes(older)
    with open_ledger(path) as ledger, pytest.raises(LedgerUnfit, match="remembers 4"):
        ledger.check_continues(head)


def test_another_way_is_noticed_by_its_head(path: Path) -> None:
    """A ledger that went on from an older copy does not continue a head of before."""
    older = path.read_bytes()
    with open_ledger(path) as ledger:
        head = ledger.append([removal(3)])
    path.write_bytes(older)
    with open_ledger(path) as ledger:
        ledger.append([removal(4), removal(5)])
        with pytest.raises(LedgerUnfit, match="are not those"):
            ledger.entries_after(head)


def test_an_empty_head_of_another_ledger_is_noticed(path: Path) -> None:
    """A head without entries is bound to its ledger, too."""
    with open_ledger(path) as ledger, pytest.raises(LedgerUnfit, match="are not those"):
        ledger.check_continues(LedgerHead(count=0, digest="0" * 64))


def test_what_another_process_appended_is_seen(path: Path) -> None:
    """Two openings of a ledger append in turn and see each other's entries."""
    with open_ledger(path) as one, open_ledger(path) as two:
        one.append([removal(3)])
        two.append([removal(4)])
        assert one.head() == two.head()
        assert list(one.entries()) == [removal(number) for number in range(5)]


def test_entries_appended_later_are_not_given(path: Path) -> None:
    """An iteration ends with what was there when it was asked for."""
    with open_ledger(path) as ledger:
        entries = ledger.entries()
        ledger.append([removal(3)])
        assert len(list(entries)) == _NUM


def test_a_change_after_the_opening_is_noticed(path: Path) -> None:
    """Entries are verified when they are read, not only when the ledger is opened."""
    with open_ledger(path) as ledger:
        with path.open("r+b") as file:
            file.seek(ENTRIES_AT + RECORD_BYTES + 5)
            file.write(b"\xff")
        with pytest.raises(LedgerUnfit, match="entry 1"):
            list(ledger.entries())


def test_a_replaced_file_is_noticed(path: Path) -> None:
    """Nothing is appended to a file that lost its name, or whose name leads to a copy."""
    copy = path.read_bytes()
    with open_ledger(path) as ledger:
        path.unlink()
        with pytest.raises(LedgerUnfit, match="no removal ledger"):
            ledger.append([removal(3)])
        path.write_bytes(copy)
        with pytest.raises(LedgerUnfit, match="replaced"):
            ledger.append([removal(3)])


def test_an_older_state_put_into_the_open_file_is_noticed(path: Path) -> None:
    """A ledger that shrinks while it is open is not gone on with."""
    older = path.read_bytes()
    with open_ledger(path) as ledger:
        ledger.append([removal(3)])
        path.write_bytes(older)
        with pytest.raises(LedgerUnfit, match="older copy"):
            ledger.append([removal(4)])


def test_another_way_put_into_the_open_file_is_noticed(path: Path) -> None:
    """A ledger whose last entry becomes another one while it is open is not gone on with."""
    other = path.with_name("other")
    other.write_bytes(path.read_bytes())
    with open_ledger(other) as ledger:
        ledger.append([removal(4)])
    with open_ledger(path) as ledger:
        ledger.append([removal(3)])
        path.write_bytes(other.read_bytes())
        with pytest.raises(LedgerUnfit, match="entry 3"):
            ledger.append([removal(5)])


def test_a_closed_ledger_refuses(path: Path) -> None:
    """After `close`, which may be called twice, nothing is appended."""
    ledger = open_ledger(path)
    ledger.close()
    ledger.close()
    with pytest.raises(StoreError, match="closed"):
        ledger.append([removal(3)])


@pytest.mark.parametrize(
    "changes",
    [
        {"subject_id": "Anna"},
        {"subject_id": str(uuid.UUID(int=5)).replace("-", "")},
        {"subject_id": str(uuid.UUID(int=0xABC)).upper()},
        {"gallery_id": str(uuid.UUID(int=0))},
        {"subject_id": None},
        {"template_id": GALLERY_ID},
        {"kind": "gallery"},
        {"kind": "template"},
        {"kind": "photo"},
        {"at": datetime(2026, 1, 1)},
    ],
)
def test_a_bad_entry_is_refused(path: Path, changes: dict[str, Any]) -> None:
    """An entry that is not of random ids that fit its kind spoils its batch, which leaves none."""
    with open_ledger(path) as ledger:
        with pytest.raises(RequestInvalid) as raised:
            ledger.append([removal(3), replace(removal(4), **changes)])
        assert "Anna" not in str(raised.value)
        assert ledger.head().count == _NUM
