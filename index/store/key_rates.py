"""How fast a key may ask, counted by all processes of a PostgreSQL database together.

A key has one number: the time at which its whole minute will be free again (the generic cell rate
algorithm's "theoretical arrival time"). Each request moves it on by its share of the minute, and
is refused where it would lie more than a minute ahead.
"""

from sqlalchemy import Connection, text

from index.store.facts import read_fact

_NAME = "key_rate:"
_MINUTE_S = 60.0

# One statement, whose commit waits for no disk: what a power cut takes along is a few requests.
# `greatest` keeps what others took while this one waited for the row. A time that is further ahead
# than any request can move it was written before the clock was set back, and counts no more.
_TAKE = text("""
    WITH asked AS MATERIALIZED (
        SELECT set_config('synchronous_commit', 'off', true) AS quick,
            CAST(extract(epoch FROM clock_timestamp()) AS double precision) + :share_s AS free_at
    )
    INSERT INTO facts AS kept (name, value)
    SELECT :name, convert_to(CAST(free_at AS text), 'UTF8') FROM asked
    ON CONFLICT (name) DO UPDATE SET value = CASE
        WHEN CAST(convert_from(kept.value, 'UTF8') AS double precision)
            > CAST(convert_from(excluded.value, 'UTF8') AS double precision) + :minute_s
        THEN excluded.value
        ELSE convert_to(CAST(greatest(
            CAST(convert_from(kept.value, 'UTF8') AS double precision) + :share_s,
            CAST(convert_from(excluded.value, 'UTF8') AS double precision)
        ) AS text), 'UTF8')
    END
    WHERE CAST(convert_from(kept.value, 'UTF8') AS double precision)
        NOT BETWEEN
            CAST(convert_from(excluded.value, 'UTF8') AS double precision)
                + :minute_s - 2 * :share_s
            AND CAST(convert_from(excluded.value, 'UTF8') AS double precision) + :minute_s
    RETURNING 1
""")

_NOW = text("SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision)")


def take_turn(connection: Connection, key_id: str, *, per_minute: int) -> float:
    """Count a request; returns 0, or for one too many the seconds until it would be none.

    Args:
        connection: to PostgreSQL, in a transaction of its own.
        key_id: public part of the key.
        per_minute: requests at once, refilled evenly within a minute.
    """
    name, share_s = f"{_NAME}{key_id}", _MINUTE_S / per_minute
    values = {"name": name, "share_s": share_s, "minute_s": _MINUTE_S}
    if connection.scalar(_TAKE, values):
        return 0.0
    free_at_s = float(read_fact(connection, name) or b"0")
    now_s: float = connection.scalar(_NOW) or 0.0
    # Never nought: it was refused.
    return max(1e-3, free_at_s - _MINUTE_S + share_s - now_s)
