"""API keys: made, asked for, and revoked.

A key is ``fg_<key id>_<secret>``. The id is public: it is looked up, listed and logged. The secret
is 256 random bits; only its HMAC-SHA-256 under the data folder's secret is kept. A slow hash would
protect guessable passwords, costs more than a whole identify, and adds nothing to 256 bits.
"""

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from embedding.errors import (
    KeyForbidden,
    KeyInvalid,
    KeyMissing,
    KeyNotFound,
    RequestInvalid,
    StoreError,
)
from index.checks import check_gallery_name
from index.details import in_utc
from index.store.keys import ApiKeys, StoredKey
from service.auth import Caller, Role
from service.limits import Allowance, Limits

logger = logging.getLogger(__name__)

NUM_SECRET_BYTES = 32
NUM_ID_BYTES = 6
MAX_LABEL = 200
MAX_LIMIT = 1_000_000_000
_USED_WITHIN = timedelta(hours=1)
_KEY_PATTERN = re.compile(r"fg_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """A key as it may be shown: never its secret.

    Attributes:
        key_id: public part.
        role: of the key.
        label: in the owner's words; may be empty.
        galleries: names of those that it is tied to; None for all.
        created_at: UTC.
        revoked_at: UTC; None while the key is good.
        expires_at: UTC; None for never.
        last_used_at: UTC, to the hour; None before the first use.
        allowance: how often it may ask.
    """

    key_id: str
    role: Role
    label: str
    galleries: tuple[str, ...] | None
    created_at: datetime
    revoked_at: datetime | None
    expires_at: datetime | None
    last_used_at: datetime | None
    allowance: Allowance


class Keys:
    """The keys of a data folder."""

    def __init__(
        self,
        rows: ApiKeys,
        *,
        secret: bytes,
        allowance: Allowance | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Opens the keys.

        Args:
            rows: of the data folder.
            secret: of the data folder.
            allowance: of keys without limits of their own; as often as they like by default.
            limits: counts requests.
        """
        self._rows = rows
        self._secret = secret
        self._allowance = allowance or Allowance()
        self._limits = limits or Limits()

    def create(
        self,
        *,
        role: Role,
        label: str = "",
        galleries: Sequence[str] | None = None,
        expires_at: datetime | None = None,
        allowance: Allowance | None = None,
        maker: Caller | None = None,
    ) -> tuple[KeyInfo, str]:
        """A new key: what may be shown of it, and the whole key, which is never seen again.

        Args:
            role: of the key.
            label: what it is for.
            galleries: that it is tied to; None for all.
            expires_at: with a time zone, in the future; None for never.
            allowance: how often it may ask; what it leaves open is the service's own limit.
            maker: whose key makes it; None for the data folder's owner.

        Raises:
            KeyForbidden: it would have more than its maker.
            NameInvalid: what is given as a gallery can be none's name.
            RequestInvalid: the label is too long or holds control characters, the list of
                galleries is empty, the time is no future one, or a limit is out of range.
        """
        allowance = allowance or Allowance()
        expires_at = None if expires_at is None else in_utc(expires_at)
        _check_limits(expires_at, allowance)
        if maker is not None:
            maker.require_no_more(
                expires_at=expires_at, allowance=_completed(allowance, self._allowance)
            )
        if len(label) > MAX_LABEL or not all(c.isprintable() for c in label):
            raise RequestInvalid(f"a label has at most {MAX_LABEL} printable characters")
        if galleries is not None and not galleries:
            raise RequestInvalid("a key is tied to at least one gallery, or to none for all")
        for gallery in galleries or ():
            check_gallery_name(gallery)
        key_id = secrets.token_hex(NUM_ID_BYTES)
        key = f"fg_{key_id}_{secrets.token_urlsafe(NUM_SECRET_BYTES)}"
        row = self._rows.add(
            key_id,
            secret_hash=self._hash(key),
            role=role.value,
            label=label,
            galleries=None if galleries is None else tuple(sorted(set(galleries))),
            expires_at=expires_at,
            max_per_minute=allowance.per_minute,
            max_per_day=allowance.per_day,
        )
        logger.info("key created key_id=%s role=%s", key_id, role)
        return _info(row), key

    def create_first(self) -> tuple[KeyInfo, str] | None:
        """An admin key when the data folder has had no key at all yet, else None."""
        if self._rows.list():
            return None
        return self.create(role=Role.ADMIN, label="first start")

    def authenticate(self, key: str | None) -> Caller:
        """Who holds this key, asked of the store each time, so that a revocation acts at once.

        Raises:
            KeyMissing: None was given.
            KeyInvalid: malformed, unknown, expired or revoked; the message does not say which.
            KeyLimited: it has asked too often.
        """
        if key is None:
            raise KeyMissing("a key is needed: send the header 'Authorization: Bearer fg_...'")
        match = _KEY_PATTERN.fullmatch(key)
        row = self._rows.get(match[1]) if match else None
        # The comparison is made in every case: an unknown id takes as long as a wrong secret.
        good = hmac.compare_digest(self._hash(key), row.secret_hash if row else bytes(32))
        if row is None or not good or not _is_in_force(row):
            raise KeyInvalid("this key is not valid: malformed, unknown, expired or revoked")
        return self._admitted(row)

    def admit(self, key_id: str) -> Caller:
        """Who holds the key with this id, proved in another way; asked of the store each time.

        Raises:
            KeyInvalid: unknown, expired or revoked.
            KeyLimited: it has asked too often.
        """
        row = self._rows.get(key_id)
        if row is None or not _is_in_force(row):
            raise KeyInvalid("this key is not valid: unknown, expired or revoked")
        return self._admitted(row)

    def _admitted(self, row: StoredKey) -> Caller:
        """The holder of a key in force, once the request is counted."""
        caller = self._caller(row)
        self._limits.take(row.key_id, caller.allowance)
        if caller.allowance.per_minute is not None:
            self._take_turn(row.key_id, caller.allowance.per_minute)
        self._mark_used(row)
        return caller

    def _take_turn(self, key_id: str, per_minute: int) -> None:
        """Returns when all processes together leave this request its turn.

        Raises:
            KeyLimited: they do not.
        """
        wait_s = self._rows.take_turn(key_id, per_minute=per_minute)
        if wait_s > 0:
            raise self._limits.taken_elsewhere(key_id, per_minute=per_minute, wait_s=wait_s)

    def holder(self, key_id: str) -> Caller:
        """Who holds the key with this id, asked of the store; counts as no use.

        Raises:
            KeyInvalid: unknown, expired or revoked.
        """
        row = self._rows.get(key_id)
        if row is None or not _is_in_force(row):
            raise KeyInvalid("this key is not valid any more: unknown, expired or revoked")
        return self._caller(row)

    def reached(self, key_id: str) -> frozenset[str]:
        """Ids of the galleries that a tied key reaches now, whatever they are called."""
        return self._rows.reached(key_id)

    def _caller(self, row: StoredKey) -> Caller:
        return Caller(
            key_id=row.key_id,
            role=Role(row.role),
            galleries=None if row.galleries is None else frozenset(row.galleries),
            expires_at=row.expires_at,
            allowance=_completed(_allowance(row), self._allowance),
        )

    def list(self) -> tuple[KeyInfo, ...]:
        """All keys, revoked ones too, oldest first."""
        return tuple(_info(row) for row in self._rows.list())

    def page(
        self, *, limit: int, cursor: str | None = None
    ) -> tuple[tuple[KeyInfo, ...], str | None]:
        """See `ApiKeys.page`."""
        rows, next_cursor = self._rows.page(limit=limit, cursor=cursor)
        return tuple(_info(row) for row in rows), next_cursor

    def revoke(self, key_id: str, *, caller: Caller) -> KeyInfo:
        """Revokes a key at once; a second call changes nothing.

        Raises:
            KeyNotFound: there is no key with this id.
            KeyForbidden: a key may not revoke itself; the last one would lock everybody out.
        """
        if key_id == caller.key_id:
            raise KeyForbidden("a key may not revoke itself; use another admin key")
        if self._rows.get(key_id) is None:
            raise KeyNotFound("there is no key with this id; list the keys to see the ids")
        row = self._rows.revoke(key_id)
        logger.info("key revoked key_id=%s by=%s", key_id, caller.key_id)
        return _info(row)

    def _mark_used(self, row: StoredKey) -> None:
        """Writes once an hour a key, so that a request costs no write."""
        # A time to come was written by a clock that was set back since, or another machine's.
        if row.last_used_at is not None and abs(_now() - row.last_used_at) < _USED_WITHIN:
            return
        try:
            self._rows.mark_used(row.key_id)
        except StoreError as error:
            # A full disk is no reason not to answer.
            logger.warning("last use of key_id=%s not written: %s", row.key_id, error)

    def _hash(self, key: str) -> bytes:
        """HMAC-SHA-256 of a whole key under the data folder's secret, 32 bytes."""
        return hmac.digest(
            self._secret, b"api-key\0" + key.encode("utf-8", "surrogatepass"), hashlib.sha256
        )


def _now() -> datetime:
    return datetime.now(UTC)


def _is_in_force(row: StoredKey) -> bool:
    return row.revoked_at is None and (row.expires_at is None or _now() < row.expires_at)


def _allowance(row: StoredKey) -> Allowance:
    return Allowance(per_minute=row.max_per_minute, per_day=row.max_per_day)


def _completed(own: Allowance, default: Allowance) -> Allowance:
    """A key's own limits, and the service's where it has none."""
    return Allowance(
        per_minute=default.per_minute if own.per_minute is None else own.per_minute,
        per_day=default.per_day if own.per_day is None else own.per_day,
    )


def _check_limits(expires_at: datetime | None, allowance: Allowance) -> None:
    if expires_at is not None and expires_at <= _now():
        raise RequestInvalid("a key expires at a time in the future")
    for limit in (allowance.per_minute, allowance.per_day):
        if limit is not None and not 1 <= limit <= MAX_LIMIT:
            raise RequestInvalid(f"a limit of requests is 1 to {MAX_LIMIT}")


def _info(row: StoredKey) -> KeyInfo:
    return KeyInfo(
        key_id=row.key_id,
        role=Role(row.role),
        label=row.label,
        galleries=row.galleries,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        allowance=_allowance(row),
    )
