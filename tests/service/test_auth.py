"""Tests of keys and roles, without HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedding.errors import (
    KeyForbidden,
    KeyInvalid,
    KeyMissing,
    KeyNotFound,
    NameInvalid,
    RequestInvalid,
)
from index.galleries import Galleries
from service.auth import OWNER, Caller, Permission, Role
from service.keys import Keys


@pytest.fixture
def galleries(tmp_path: Path) -> Iterator[Galleries]:
    """An open data folder."""
    with Galleries.open(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def keys(galleries: Galleries) -> Keys:
    """The keys of a fresh data folder."""
    return Keys(galleries.keys, secret=galleries.secret("service"))


def test_key_authenticates_its_caller(keys: Keys) -> None:
    """A key that was created says who is asking, with role and galleries."""
    info, key = keys.create(role=Role.OPERATOR, galleries=["b", "a", "a"])
    caller = keys.authenticate(key)
    assert (caller.key_id, caller.role, caller.galleries) == (
        info.key_id,
        Role.OPERATOR,
        frozenset({"a", "b"}),
    )


def test_secret_has_256_bits_and_is_not_kept(keys: Keys, galleries: Galleries) -> None:
    """Neither the key nor its secret is anywhere in the data folder."""
    key = keys.create(role=Role.ADMIN)[1]
    secret = key.split("_", 2)[2]
    assert len(secret) == 43
    for file in galleries.path.rglob("*"):
        if file.is_file():
            assert secret.encode() not in file.read_bytes()


@pytest.mark.parametrize(
    "key",
    [
        "",
        "fg_",
        "fg_0a1b2c3d4e5f",
        "fg_0a1b2c3d4e5f_" + "x" * 43,
        "Bearer",
        "fg_0A1B2C3D4E5F_" + "x" * 43,
        "\udc80" * 20,
        "x" * 100_000,
    ],
)
def test_malformed_or_unknown_key_is_invalid(keys: Keys, key: str) -> None:
    """Whatever is not a key of this data folder gets one and the same answer."""
    keys.create(role=Role.ADMIN)
    with pytest.raises(KeyInvalid, match="not valid"):
        keys.authenticate(key)


def test_changed_secret_is_invalid(keys: Keys) -> None:
    """A good id with another secret does not pass."""
    key = keys.create(role=Role.ADMIN)[1]
    changed = key[:-1] + ("A" if key[-1] != "A" else "B")
    with pytest.raises(KeyInvalid):
        keys.authenticate(changed)


def test_no_key_is_missing(keys: Keys) -> None:
    """A request without a key is told so."""
    with pytest.raises(KeyMissing):
        keys.authenticate(None)


def test_key_of_another_data_folder_is_invalid(keys: Keys, galleries: Galleries) -> None:
    """Under another server secret the stored hash does not fit."""
    key = keys.create(role=Role.ADMIN)[1]
    other = Keys(galleries.keys, secret=bytes(32))
    with pytest.raises(KeyInvalid):
        other.authenticate(key)


def test_revocation_acts_at_once(keys: Keys) -> None:
    """The next request with a revoked key is refused; revoking again changes nothing."""
    info, key = keys.create(role=Role.OPERATOR)
    first = keys.revoke(info.key_id, caller=OWNER)
    with pytest.raises(KeyInvalid):
        keys.authenticate(key)
    assert keys.revoke(info.key_id, caller=OWNER).revoked_at == first.revoked_at


def test_key_cannot_revoke_itself(keys: Keys) -> None:
    """An admin key cannot lock its owner out."""
    key = keys.create(role=Role.ADMIN)[1]
    caller = keys.authenticate(key)
    with pytest.raises(KeyForbidden):
        keys.revoke(caller.key_id, caller=caller)


def test_unknown_key_cannot_be_revoked(keys: Keys) -> None:
    """A misspelt id is told, not taken for done."""
    with pytest.raises(KeyNotFound):
        keys.revoke("absent", caller=OWNER)


def test_first_key_is_made_once(keys: Keys) -> None:
    """Only a data folder that never had a key gets one by itself, even after a revocation."""
    first = keys.create_first()
    assert first is not None
    assert first[0].role is Role.ADMIN
    keys.revoke(first[0].key_id, caller=OWNER)
    assert keys.create_first() is None


@pytest.mark.parametrize("label", ["x" * 201, "a\nb", "a\0"])
def test_label_is_checked(keys: Keys, label: str) -> None:
    """A label that would garble a list is refused."""
    with pytest.raises(RequestInvalid):
        keys.create(role=Role.ADMIN, label=label)


def test_key_tied_to_nothing_is_refused(keys: Keys) -> None:
    """An empty list would mean a key that can do nothing, or, misread, everything."""
    with pytest.raises(RequestInvalid):
        keys.create(role=Role.ADMIN, galleries=[])


def test_identifier_may_only_identify() -> None:
    """An identifier gets decisions and nothing else."""
    caller = Caller(key_id="x", role=Role.IDENTIFIER, galleries=None)
    assert [each for each in Permission if caller.may(each)] == [Permission.IDENTIFY]


def test_key_is_tied_to_what_can_be_a_gallery(keys: Keys) -> None:
    """A name that no gallery can have is refused, and no key is made."""
    with pytest.raises(NameInvalid):
        keys.create(role=Role.OPERATOR, galleries=["front-door", "../x"])
    assert keys.list() == ()


def test_tied_key_reaches_its_galleries_only() -> None:
    """A key of one gallery is refused in another, and rules over no keys."""
    caller = Caller(key_id="x", role=Role.ADMIN, galleries=frozenset({"mine"}))
    caller.require_gallery("mine")
    with pytest.raises(KeyForbidden):
        caller.require_gallery("other")
    with pytest.raises(KeyForbidden):
        caller.require_all_galleries()
