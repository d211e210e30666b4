"""The rows of API keys."""

from pathlib import Path

import pytest

from embedding.errors import KeyInvalid, RequestInvalid
from index.galleries import Galleries


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
