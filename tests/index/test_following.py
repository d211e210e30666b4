"""The threads that follow a shared database: they outlive whatever is raised in them."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from embedding.errors import StoreError
from index import following
from index.following import Follower
from index.store.postgres import PostgresDatabase
from tests.index.waiting import Failing, wait_until

pytestmark = pytest.mark.postgres

_OFTEN_S = 0.01
_READ_ONLY = OSError(errno.EROFS, "nobody may write Anna Berg")
_ERRORS = [_READ_ONLY, ZeroDivisionError(), StoreError("the database answered: no")]


class _Database(PostgresDatabase):
    """A database whose hints go out by something of the test's."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.send: Callable[[], None] = super().notify

    def notify(self) -> None:
        """Do it."""
        self.send()


@pytest.fixture
def database(database_url: str) -> Iterator[_Database]:
    """An empty one."""
    opened = _Database(database_url)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_RETRY_S", 0.2)


@contextmanager
def _following(database: _Database, sync: Callable[[], None]) -> Iterator[Follower]:
    follower = Follower(database, sync=sync, poll_s=_OFTEN_S)
    try:
        yield follower
    finally:
        follower.stop()


@pytest.mark.parametrize("error", _ERRORS, ids=repr)
def test_the_database_is_followed_after_an_error(database: _Database, error: Exception) -> None:
    """Whatever was raised, the next polls come, and the staleness is that of a picture anew."""
    sync = Failing(error)
    with _following(database, sync) as follower:
        wait_until(lambda: sync.num_done >= 2)
        wait_until(lambda: follower.staleness_s < 0.1)


def test_staleness_grows_while_following_fails(database: _Database) -> None:
    """Also where the error is none of the store's: whoever asks hears that something is wrong."""
    sync = Failing(*[_READ_ONLY] * 1000)
    with _following(database, sync) as follower:
        wait_until(lambda: follower.staleness_s > 0.5)
        assert sync.num_done == 0


def test_an_unforeseen_error_is_logged_without_its_text(
    database: _Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Type, the system's words and the place are told; what the error says may name a person."""
    sync = Failing(_READ_ONLY)
    with _following(database, sync):
        wait_until(lambda: sync.num_done >= 1)
    assert "OSError (Read-only file system)" in caplog.text
    assert "in __call__" in caplog.text
    assert "Anna Berg" not in caplog.text


def test_a_server_that_goes_away_is_no_fault(
    database: _Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Its end of the connection is closed while the follower waits for a hint."""
    sync = Failing()
    with _following(database, sync):
        wait_until(lambda: sync.num_done > 0)
        with database.transaction() as connection:
            listening = text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert connection.scalars(listening).all() == [True]
        wait_until(lambda: "cannot follow the database" in caplog.text)
        num_done = sync.num_done
        wait_until(lambda: sync.num_done > num_done)
    assert "fault" not in caplog.text


@pytest.mark.parametrize("error", _ERRORS, ids=repr)
def test_hints_go_out_after_an_error(database: _Database, error: Exception) -> None:
    """A hint that failed is lost, the next one is sent."""
    send = Failing(error)
    database.send = send
    with _following(database, Failing()) as follower:
        follower.hint()
        wait_until(lambda: not send.errors)
        follower.hint()
        wait_until(lambda: send.num_done == 1)


def test_a_connection_that_listened_is_not_used_again_after_an_error(database: _Database) -> None:
    """It would hear hints that nobody takes, as long as the process lives."""
    with pytest.raises(OSError, match="nobody"), database.listening():
        raise _READ_ONLY
    with database.transaction() as connection:
        channels = connection.execute(text("SELECT pg_listening_channels()")).all()
    assert channels == []
