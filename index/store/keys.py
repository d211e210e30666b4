"""Rows of API keys; how a key is made, hashed and checked is the service's business."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, insert, or_, select, true, update

from embedding.errors import KeyInvalid, RequestInvalid
from index.audit.entries import AuditEvent
from index.checks import check_limit
from index.store.audit_log import AuditLog
from index.store.cursors import Cursors
from index.store.database import Database
from index.store.key_counts import add_counts
from index.store.key_rates import take_turn
from index.store.tables import api_keys, galleries, utc_now

_BY_ID = select(api_keys).where(api_keys.c.key_id == bindparam("key_id"))
"""Made once: it is asked at every request, and making it takes longer than running it."""

_OLDEST_FIRST = select(api_keys).order_by(api_keys.c.created_at, api_keys.c.key_id)

_CURSOR = "keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """An API key as it is kept: never the key itself.

    Attributes:
        key_id: public part, looked up on every request.
        secret_hash: keyed hash of the key.
        role: the service's name of a role.
        label: what the key is for, in the owner's words; may be empty.
        galleries: names of the galleries that it is tied to; None for all.
        created_at: UTC.
        revoked_at: UTC; None while the key is good.
        expires_at: UTC; None for a key that does not expire.
        last_used_at: UTC, written once an hour at most; None before the first use.
        max_per_minute: requests; None for the service's own limit.
        max_per_day: likewise.
    """

    key_id: str
    secret_hash: bytes
    role: str
    label: str
    galleries: tuple[str, ...] | None
    created_at: datetime
    revoked_at: datetime | None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    max_per_minute: int | None = None
    max_per_day: int | None = None


class ApiKeys:
    """The API keys of a data folder; every method is one transaction and thread safe."""

    def __init__(self, database: Database, *, audit: AuditLog, cursors: Cursors) -> None:
        self._database = database
        self._audit = audit
        self._cursors = cursors

    def add(
        self,
        key_id: str,
        *,
        secret_hash: bytes,
        role: str,
        label: str = "",
        galleries: tuple[str, ...] | None = None,
        expires_at: datetime | None = None,
        max_per_minute: int | None = None,
        max_per_day: int | None = None,
    ) -> StoredKey:
        """Store a new key and return its row, committed.

        Raises:
            RequestInvalid: a key with this id exists.
        """
        row = StoredKey(
            key_id=key_id,
            secret_hash=secret_hash,
            role=role,
            label=label,
            galleries=galleries,
            created_at=utc_now(),
            revoked_at=None,
            expires_at=expires_at,
            max_per_minute=max_per_minute,
            max_per_day=max_per_day,
        )
        with self._database.transaction() as connection:
            taken = connection.execute(
                select(api_keys.c.key_id).where(api_keys.c.key_id == key_id)
            ).first()
            if taken is not None:
                raise RequestInvalid("a key with this id exists already; make another id")
            connection.execute(
                insert(api_keys).values(
                    key_id=key_id,
                    secret_hash=secret_hash,
                    role=role,
                    label=label,
                    galleries=None if galleries is None else json.dumps(galleries),
                    created_at=row.created_at,
                    expires_at=expires_at,
                    max_per_minute=max_per_minute,
                    max_per_day=max_per_day,
                )
            )
            self._audit.write(
                connection,
                AuditEvent(action="key.create", facts={"key_id": key_id, "role": role}),
            )
        return row

    def get(self, key_id: str) -> StoredKey | None:
        """Return the key, revoked or not; None when there is none with this id."""
        with self._database.reading() as connection:
            row = connection.execute(_BY_ID, {"key_id": key_id}).first()
        return None if row is None else _stored_key(row)

    def reached(self, key_id: str) -> frozenset[str]:
        """Return the public ids of the galleries whose names the key is tied to, now.

        One statement: keys follow a renaming in its own commit, so names of two moments could be
        those of different galleries.
        """
        query = (
            select(galleries.c.public_id, galleries.c.name, api_keys.c.galleries.label("tied"))
            .join(api_keys, true())
            .where(api_keys.c.key_id == key_id, api_keys.c.galleries.is_not(None))
        )
        with self._database.reading() as connection:
            rows = connection.execute(query).all()
        return frozenset(row.public_id for row in rows if row.name in json.loads(row.tied))

    def mark_used(self, key_id: str) -> None:
        """Remember that the key was used now; for once in a while, not for every request."""
        with self._database.transaction() as connection:
            connection.execute(
                update(api_keys).where(api_keys.c.key_id == key_id).values(last_used_at=utc_now())
            )

    @property
    def shared(self) -> bool:
        """Whether other processes may use the keys, too."""
        return self._database.shared

    def count_requests(self, day: int, counts: Mapping[str, int]) -> dict[str, int]:
        """Add what a process counted on a day; returns what all counted so far, by key.

        Args:
            day: since 1970, UTC.
            counts: by id of the key.
        """
        with self._database.transaction() as connection:
            return add_counts(connection, day, counts)

    def take_turn(self, key_id: str, *, per_minute: int) -> float:
        """Count a request against the rate of all processes; seconds to wait, or 0 if it passes.

        Where no other process uses the keys nothing is counted here.

        Args:
            key_id: public part.
            per_minute: requests at once, refilled evenly within a minute.
        """
        if not self.shared:
            return 0.0
        with self._database.transaction() as connection:
            return take_turn(connection, key_id, per_minute=per_minute)

    def list(self) -> tuple[StoredKey, ...]:
        """Return all keys, revoked ones too, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(_OLDEST_FIRST).all()
        return tuple(_stored_key(row) for row in rows)

    def page(
        self, *, limit: int, cursor: str | None = None
    ) -> tuple[tuple[StoredKey, ...], str | None]:
        """Return keys, the oldest first, and the cursor of the next page; None at the end.

        Args:
            limit: at most so many, 1 to 1000.
            cursor: of the page before.

        Raises:
            RequestInvalid: the limit is out of range, or the cursor is not of this list.
        """
        check_limit(limit)
        query = _OLDEST_FIRST.limit(limit + 1)
        with self._database.reading() as connection:
            if cursor is not None:
                key_id = self._cursors.read_text(cursor, list_name=_CURSOR)
                last = connection.execute(_BY_ID, {"key_id": key_id}).first()
                if last is None:
                    # Keys stay for good, but for those that a backup put back does not know.
                    raise RequestInvalid(
                        "the key that the cursor stands at is not known; begin again without a "
                        "cursor"
                    )
                query = query.where(
                    or_(
                        api_keys.c.created_at > last.created_at,
                        and_(api_keys.c.created_at == last.created_at, api_keys.c.key_id > key_id),
                    )
                )
            found = tuple(_stored_key(row) for row in connection.execute(query))
        more = len(found) > limit
        found = found[:limit]
        if not more:
            return found, None
        return found, self._cursors.write_text(found[-1].key_id, list_name=_CURSOR)

    def revoke(self, key_id: str) -> StoredKey:
        """Revoke the key at once and return its row; a second call changes nothing.

        Raises:
            KeyInvalid: no key with this id.
        """
        with self._database.transaction() as connection:
            revoked = connection.execute(
                update(api_keys)
                .where(api_keys.c.key_id == key_id, api_keys.c.revoked_at.is_(None))
                .values(revoked_at=utc_now())
            )
            if revoked.rowcount:
                event = AuditEvent(action="key.revoke", facts={"key_id": key_id})
                self._audit.write(connection, event)
            row = connection.execute(select(api_keys).where(api_keys.c.key_id == key_id)).first()
        if row is None:
            raise KeyInvalid("no key with this id; list the keys to see the ids")
        return _stored_key(row)


def _stored_key(row: Row[Any]) -> StoredKey:
    return StoredKey(
        key_id=row.key_id,
        secret_hash=row.secret_hash,
        role=row.role,
        label=row.label,
        galleries=None if row.galleries is None else tuple(json.loads(row.galleries)),
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        max_per_minute=row.max_per_minute,
        max_per_day=row.max_per_day,
    )
