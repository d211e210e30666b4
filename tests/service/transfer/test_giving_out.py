"""Galleries streamed out."""

import asyncio
import dataclasses
import io
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import func, select, update

from embedding.errors import StoreCorrupt
from index.store.tables import templates
from index.transfer import export_stream
from service.transfer import export_file
from tests.service.support import FakeService, check_problem
from tests.service.transfer.moving import actions, claim_of_default, export_gallery, fill


def test_giving_out_is_off_unless_allowed(service: FakeService) -> None:
    """By default no key, an admin's neither, gets embeddings out of the service."""
    service.enroll("ann")
    check_problem(export_gallery(service), 404, "transfer_off")
    assert ("gallery.export", "begun") not in actions(service)


def test_the_others_go_on_while_a_file_is_fetched(open_service: FakeService) -> None:
    """Between two parts people come and go: a slow reader holds nobody up."""
    fill(open_service, 9000)
    galleries = open_service.parts.galleries
    parts = export_stream(galleries, "default")
    content = next(parts)
    open_service.enroll("ann")
    gallery = galleries.get("default")
    many = gallery.find_subject(name="Many")
    assert many is not None
    last = gallery.templates(many.id)[-1]
    gallery.remove_template(last.id)
    table = pq.read_table(io.BytesIO(content + b"".join(parts)))
    assert table.num_rows == 8999
    assert last.id not in table["template_id"].to_pylist()
    assert set(table["name"].to_pylist()) == {"Many"}


def test_a_file_that_is_given_up_is_told(open_service: FakeService) -> None:
    """The log tells that it was begun, and how far it went."""
    fill(open_service, 9000)
    parts = export_stream(open_service.parts.galleries, "default")
    next(parts)
    parts.close()
    entry = list(open_service.parts.galleries.audit.entries())[-1]
    assert (entry.action, entry.outcome) == ("gallery.export", "stopped")
    assert 0 < entry.facts["num_templates"] < 9000  # type: ignore[operator]


@pytest.mark.parametrize("why", ["slow", "gone", "fails"])
def test_a_file_that_does_not_end_is_seen_as_such(open_service: FakeService, why: str) -> None:
    """Too slow, gone, or a damaged template: its last part is never sent."""
    fill(open_service, 9000)
    settings = open_service.settings.model_copy(update={"transfer_timeout_s": 0.3})
    parts = dataclasses.replace(
        open_service.parts, settings=settings if why == "slow" else open_service.settings
    )
    if why == "fails":
        with parts.galleries.store.database.transaction() as connection:
            newest = select(func.max(templates.c.id)).scalar_subquery()
            connection.execute(update(templates).where(templates.c.id == newest).values(norm=9.0))
    answer = export_file(parts, "default")
    sent: list[dict[str, Any]] = []
    sending = asyncio.Event()

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            sending.set()
            await asyncio.sleep(0 if why == "fails" else 60)

    async def receive() -> dict[str, Any]:
        await sending.wait()
        await asyncio.sleep(0 if why == "gone" else 60)
        return {"type": "http.disconnect"}

    async def run() -> None:
        await answer({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)

    if why == "fails":
        with pytest.raises(StoreCorrupt):
            asyncio.run(run())
    else:
        asyncio.run(run())
    assert all(message.get("more_body", True) for message in sent)
    entry = list(parts.galleries.audit.entries())[-1]
    assert entry.action == "gallery.export"
    assert entry.outcome == ("store_corrupt" if why == "fails" else "stopped")
    with parts.galleries.claims.claimed(claim_of_default(open_service)) as free:
        assert free
