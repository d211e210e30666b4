"""How many requests keys with a quota made on a day, counted by all processes together."""

import json
from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from index.store.facts import first_fact, read_fact, write_fact
from index.store.tables import facts

_NAME = "key_counts:"


def add_counts(connection: Connection, day: int, counts: Mapping[str, int]) -> dict[str, int]:
    """Add what a process counted, and return what all have counted so far, by key.

    Args:
        connection: in a transaction.
        day: since 1970, UTC; what is known of earlier ones is deleted with the first count.
        counts: by id of the key.
    """
    name = f"{_NAME}{day}"
    if not any(counts.values()):
        return _decoded(read_fact(connection, name))
    first_fact(connection, name, b"{}")
    held = select(facts.c.value).where(facts.c.name == name).with_for_update()
    totals = _decoded(connection.scalar(held))
    for key_id, num in counts.items():
        if num:
            totals[key_id] = totals.get(key_id, 0) + num
    write_fact(connection, name, json.dumps(totals).encode())
    earlier = (facts.c.name.startswith(_NAME), facts.c.name < name)
    connection.execute(delete(facts).where(*earlier))
    return totals


def _decoded(value: bytes | None) -> dict[str, int]:
    return {} if value is None else {str(key): int(num) for key, num in json.loads(value).items()}
