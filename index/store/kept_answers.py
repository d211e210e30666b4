"""What requests with an idempotency key did, kept in the transaction that did it.

That a key was used is remembered until it expires. What it did lies in a row of its own, which
goes with the subject or the gallery: a request that comes again then does nothing either.
"""

from sqlalchemy import ColumnElement, Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from embedding.errors import IdempotencyKeyInUse, IdempotencyKeySpent
from index.repeats import KeptAnswer, UsedKey
from index.store.clock import ForwardClock
from index.store.database import Database
from index.store.tables import galleries, kept_answers, subjects, used_keys, utc_now


class KeptAnswers:
    """The kept answers of a database; every method is one transaction and thread safe."""

    def __init__(self, database: Database, *, clock: ForwardClock) -> None:
        self._database = database
        self._clock = clock

    def find(self, code: bytes) -> KeptAnswer | None:
        """Return what the key with a code did; None where it was not used, or long ago.

        Raises:
            IdempotencyKeySpent: what it did was erased since, or the person has expired.
        """
        query = (
            select(
                used_keys.c.expires_at,
                kept_answers.c.request_code,
                kept_answers.c.answer,
                subjects.c.expires_at.label("gone_at"),
                galleries.c.name,
            )
            .outerjoin_from(used_keys, kept_answers)
            .outerjoin(subjects, subjects.c.id == kept_answers.c.subject_id)
            .outerjoin(galleries, galleries.c.id == kept_answers.c.gallery_id)
            .where(used_keys.c.code == code)
        )
        with self._database.transaction() as connection:
            row = connection.execute(query).first()
        if row is None or row.expires_at <= utc_now():
            return None
        if row.answer is None or (row.gone_at is not None and row.gone_at <= self._clock.now()):
            raise IdempotencyKeySpent(
                "what was done with this Idempotency-Key was erased since; nothing was done now"
            )
        return KeptAnswer(request_code=row.request_code, gallery=row.name, answer=row.answer)

    def forget_expired(self) -> int:
        """Delete what has expired; returns how many keys."""
        with self._database.transaction() as connection:
            return _forget(connection, used_keys.c.expires_at <= utc_now())


def keep_answer(
    connection: Connection, key: UsedKey, *, gallery: int, subject: int | None, answer: str
) -> None:
    """Remember a key with what it did, in the transaction that does it.

    Args:
        connection: in that transaction.
        key: that was sent.
        gallery: row id.
        subject: row id; None where none is concerned.
        answer: JSON without photo, embedding and name.

    Raises:
        IdempotencyKeyInUse: another request with the key was quicker; all is to be undone.
    """
    # The others are the upkeep's.
    _forget(connection, used_keys.c.code == key.code, used_keys.c.expires_at <= utc_now())
    try:
        row = connection.execute(
            insert(used_keys).values(caller=key.caller, code=key.code, expires_at=key.expires_at)
        )
    except IntegrityError:
        raise IdempotencyKeyInUse(
            "another request with this Idempotency-Key was quicker; send it again for its answer"
        ) from None
    used: int = row.inserted_primary_key[0]  # type: ignore[index]
    connection.execute(
        insert(kept_answers).values(
            used_key_id=used,
            gallery_id=gallery,
            subject_id=subject,
            request_code=key.request_code,
            answer=answer,
        )
    )
    own = used_keys.c.caller == key.caller
    newest = select(used_keys.c.id).where(own).order_by(used_keys.c.id.desc())
    first_too_many = connection.scalar(newest.offset(key.max_keys).limit(1))
    if first_too_many is not None:
        _forget(connection, own, used_keys.c.id <= first_too_many)


def forget_answers_of(connection: Connection, subject: int) -> None:
    """Delete what is kept of a subject's enrolls; that their keys were used stays.

    For whoever takes a template from a subject that stays.

    Args:
        connection: in the transaction that takes it.
        subject: row id.
    """
    connection.execute(delete(kept_answers).where(kept_answers.c.subject_id == subject))


def _forget(connection: Connection, *which: ColumnElement[bool]) -> int:
    # What another process is deleting is left to it: two would wait for each other.
    found = select(used_keys.c.id).where(*which).with_for_update(skip_locked=True)
    return connection.execute(delete(used_keys).where(used_keys.c.id.in_(found))).rowcount
