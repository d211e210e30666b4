"""API keys: who may do what, in which galleries.

A key is ``fg_<key id>_<secret>``. The id is public: it is looked up, listed and logged. The secret
is 256 random bits; only its HMAC-SHA-256 under the data folder's secret is kept. A slow hash would
protect guessable passwords, costs more than a whole identify, and adds nothing to 256 bits.
"""

import enum
import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
from service.limits import Allowance, Limits

logger = logging.getLogger(__name__)

NUM_SECRET_BYTES = 32
NUM_ID_BYTES = 6
MAX_LABEL = 200
MAX_LIMIT = 1_000_000_000
_USED_WITHIN = timedelta(hours=1)
_KEY_PATTERN = re.compile(r"fg_([0-9a-f]{12})_([A-Za-z0-9_-]{43})")


class Role(enum.StrEnum):
    """What a key is for."""

    ADMIN = "admin"
    OPERATOR = "operator"
    IDENTIFIER = "identifier"
    AUDITOR = "auditor"
    LISTENER = "listener"


class Permission(enum.StrEnum):
    """One kind of thing that a route lets a caller do."""

    IDENTIFY = "identify"
    SEE_SIMILARITIES = "see_similarities"
    CHOOSE_THRESHOLDS = "choose_thresholds"
    VERIFY = "verify"
    DETECT = "detect"
    ENROLL = "enroll"
    READ_SUBJECTS = "read_subjects"
    CHANGE_SUBJECTS = "change_subjects"
    ARRANGE = "arrange"
    REMOVE = "remove"
    READ_GALLERIES = "read_galleries"
    MANAGE_GALLERIES = "manage_galleries"
    CALIBRATE = "calibrate"
    MANAGE_KEYS = "manage_keys"
    TRANSFER = "transfer"
    READ_AUDIT = "read_audit"
    SEE_EMBEDDINGS = "see_embeddings"
    FOLLOW_EVENTS = "follow_events"
    REVIEW = "review"
    SEE_CROPS = "see_crops"


PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    Role.ADMIN: frozenset(Permission),
    Role.OPERATOR: frozenset(Permission)
    - {
        Permission.MANAGE_GALLERIES,
        Permission.CALIBRATE,
        Permission.MANAGE_KEYS,
        Permission.TRANSFER,
        Permission.READ_AUDIT,
        Permission.SEE_EMBEDDINGS,
    },
    Role.IDENTIFIER: frozenset({Permission.IDENTIFY}),
    Role.AUDITOR: frozenset({Permission.READ_AUDIT}),
    # A door that acts on decisions needs neither photos nor people: whoever takes its key can
    # neither enroll nor try faces.
    Role.LISTENER: frozenset({Permission.FOLLOW_EVENTS}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who is asking.

    Attributes:
        key_id: public part of the key.
        role: decides what is allowed.
        galleries: names of those that the key is tied to; None for all.
        expires_at: UTC; None for never.
        allowance: how often the key may ask.
    """

    key_id: str
    role: Role
    galleries: frozenset[str] | None
    expires_at: datetime | None = None
    allowance: Allowance = field(default_factory=Allowance)

    def may(self, permission: Permission) -> bool:
        """Whether the role allows it; galleries are asked apart."""
        return permission in PERMISSIONS[self.role]

    @property
    def permissions(self) -> list[Permission]:
        """What the role allows, in the order of their definition."""
        return [each for each in Permission if self.may(each)]

    def sees(self, gallery: str) -> bool:
        """Whether the key reaches this gallery."""
        return self.galleries is None or gallery in self.galleries

    def require(self, permission: Permission) -> None:
        """Returns when the role allows it.

        Raises:
            KeyForbidden: it does not.
        """
        if not self.may(permission):
            raise KeyForbidden(f"a key with role {self.role} may not do this ({permission})")

    def require_gallery(self, gallery: str) -> None:
        """Returns when the key reaches the gallery, which need not exist.

        Raises:
            KeyForbidden: it does not.
        """
        if not self.sees(gallery):
            raise KeyForbidden("this key is tied to other galleries")

    def require_all_galleries(self) -> None:
        """Returns when the key is tied to no gallery, so that it may rule over keys.

        Raises:
            KeyForbidden: a tied key could otherwise make itself a wider one.
        """
        if self.galleries is not None:
            raise KeyForbidden("a key that is tied to galleries may not manage keys")

    def require_no_more(self, *, expires_at: datetime | None, allowance: Allowance) -> None:
        """Returns when a new key would outlive or outnumber this one in nothing.

        Raises:
            KeyForbidden: it would, so that this key could give itself what it does not have.
        """
        if self.expires_at is not None and (expires_at is None or expires_at > self.expires_at):
            raise KeyForbidden("a key that expires may only make keys that expire no later")
        if not allowance.within(self.allowance):
            raise KeyForbidden("a key with limits may only make keys with limits as low")


OWNER = Caller(key_id="local", role=Role.ADMIN, galleries=None)
"""Who works in process on the data folder: its owner, by the rights of the file system."""


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
        self._mark_used(row)
        return caller

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
