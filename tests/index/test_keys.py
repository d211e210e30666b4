"""The rows of API keys."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from embedding.errors import KeyInvalid, RequestInvalid
from index.galleries import Galleries
from index.store import keys as stored_keys
from tests.index.samples import FINGERPRINT


def test_a_key_is_there_after_a_restart(data_folder: Path) -> None:
    """Everything that was stored comes back, and get finds it by its id."""
    with Galleries.open(data_folder) as galleries:
        added = galleries.keys.add(
            "k1", secret_hash=b"h" * 32, role="operator", label="door", galleries=("a", "b")
        )
    with Galleries.open(data_folder) as galleries:
        assert galleries.keys.get("k1") == added
        assert added.galleries == ("a", "b")
        assert added.created_at.utcoffset() is not None


def test_no_scope_is_not_the_empty_scope(galleries: Galleries) -> None:
    """None stands for all galleries, an empty tuple for none of them."""
    galleries.keys.add("all", secret_hash=b"h", role="admin")
    galleries.keys.add("none", secret_hash=b"h", role="admin", galleries=())
    scopes = {key.key_id: key.galleries for key in galleries.keys.list()}
    assert scopes == {"all": None, "none": ()}


def test_an_unknown_key_is_none(galleries: Galleries) -> None:
    """The service decides what an unknown key means."""
    assert galleries.keys.get("unknown") is None


def test_a_key_id_is_taken_once(galleries: Galleries) -> None:
    """A second key with the same id is refused, and the first stays."""
    first = galleries.keys.add("k1", secret_hash=b"h", role="admin")
    with pytest.raises(RequestInvalid, match="exists"):
        galleries.keys.add("k1", secret_hash=b"other", role="admin")
    assert galleries.keys.get("k1") == first


def test_a_revoked_key_stays_revoked(galleries: Galleries) -> None:
    """The first revocation counts; a second changes nothing."""
    galleries.keys.add("k1", secret_hash=b"h", role="admin")
    revoked = galleries.keys.revoke("k1")
    assert revoked.revoked_at is not None
    assert galleries.keys.revoke("k1") == revoked
    assert galleries.keys.get("k1") == revoked


def test_an_unknown_key_cannot_be_revoked(galleries: Galleries) -> None:
    """The caller is told that there is none."""
    with pytest.raises(KeyInvalid, match="no key"):
        galleries.keys.revoke("unknown")


def test_keys_come_page_by_page(galleries: Galleries, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest lead, those of one moment by id; who comes meanwhile is on a later page."""
    moments = [datetime(2026, 1, day, tzinfo=UTC) for day in (1, 2, 2, 2, 3)]
    for key_id, moment in zip(["e", "d", "b", "c", "a"], moments, strict=True):
        monkeypatch.setattr(stored_keys, "utc_now", lambda moment=moment: moment)
        galleries.keys.add(key_id, secret_hash=b"h", role="admin")
    found: list[str] = []
    cursor: str | None = None
    for expected in (2, 2, 2):
        page, cursor = galleries.keys.page(limit=2, cursor=cursor)
        assert len(page) == expected
        found += [each.key_id for each in page]
        if len(found) == 2:
            galleries.keys.add("new", secret_hash=b"h", role="admin")
    assert cursor is None
    assert found == ["e", "b", "c", "d", "a", "new"]
    assert found == [each.key_id for each in galleries.keys.list()]


def test_a_page_of_keys_has_bounds_and_a_cursor_of_its_own(galleries: Galleries) -> None:
    """Limits out of range, forged cursors and those of another list or database are refused."""
    for name in ("a", "b"):
        galleries.keys.add(name, secret_hash=b"h", role="admin")
        galleries.create(name, fingerprint=FINGERPRINT)
    for limit in (0, 1001):
        with pytest.raises(RequestInvalid, match="limit must be 1 to 1000"):
            galleries.keys.page(limit=limit)
    _, of_galleries = galleries.page(limit=1)
    _, of_keys = galleries.keys.page(limit=1)
    assert of_galleries is not None
    assert of_keys is not None
    for cursor in (of_galleries, "A" + of_keys[1:], "", "\0", "ä"):
        with pytest.raises(RequestInvalid, match="not one of this list"):
            galleries.keys.page(limit=1, cursor=cursor)
    of_a_later_state = galleries.store.cursors.write_text("gone", list_name="keys")
    with pytest.raises(RequestInvalid, match="begin again"):
        galleries.keys.page(limit=1, cursor=of_a_later_state)
