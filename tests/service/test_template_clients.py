"""Galleries, templates and look-alikes through the clients and the command line."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest

from embedding.errors import KeyForbidden, RequestInvalid, SubjectNotFound
from service import schemas
from service.assembly import open_parts
from service.async_client import connect_async
from service.cli import main
from service.http_client import HttpClient, connect
from service.local_client import LocalClient
from service.settings import Settings
from tests.fakes import FakeDetector, make_photo
from tests.service.server_process import Server, start

Run = Callable[..., Any]


@pytest.fixture
def running(settings: Settings) -> Iterator[Server]:
    """A real service with a fresh data folder."""
    server = start(settings)
    yield server
    server.process.kill()
    server.process.communicate()


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command; gives what it printed, read as JSON where that was asked for."""
    monkeypatch.setenv("FACEGALLERY_DATA_FOLDER", str(settings.data_folder))
    monkeypatch.setenv("FACEGALLERY_MODEL", str(settings.model))
    monkeypatch.setenv("COLUMNS", "200")

    def run_command(*arguments: str, code: int = 0) -> Any:
        with pytest.raises(SystemExit) as caught:
            main(list(arguments), detector=FakeDetector())
        captured = capsys.readouterr()
        assert int(caught.value.code or 0) == code, captured.err
        if code:
            return captured.err
        return json.loads(captured.out) if "--json" in arguments else captured.out

    return run_command


def _enroll(client: HttpClient | LocalClient, person: str, *photos: str) -> str:
    pictures = [make_photo([each]) for each in photos or (person,)]
    answer = client.enroll(pictures, gallery="default", subject=person)
    return str(answer.subject_id)


def test_the_client_does_all_of_it(running: Server) -> None:
    """Each answer comes typed; what was merged is told with the id that it went into."""
    with connect(running.url, key=str(running.key)) as client:
        ann, ben = _enroll(client, "ann", "ann", "cat"), _enroll(client, "ben")
        first, second = client.templates("default", ann).templates
        assert client.template("default", first.id) == first
        with pytest.raises(KeyForbidden):
            client.template("default", first.id, embedding=True)
        would = client.move_templates("default", ann, [second.id], to_name="cat", dry_run=True)
        assert (would.subject_id, would.created) == (None, True)
        cat = client.move_templates("default", ann, [second.id], to_name="cat").subject_id
        assert client.declare_look_alikes("default", ann, str(cat)).changed
        assert client.look_alikes("default").pairs == [(ann, cat)]
        assert client.look_alikes_of("default", str(cat)).subject_ids == [ann]
        with pytest.raises(RequestInvalid, match="two people"):
            client.merge_subjects("default", ann, into=str(cat))
        assert client.withdraw_look_alikes("default", ann, str(cat)).changed
        assert client.merge_subjects("default", ann, into=ben, dry_run=True).dry_run
        assert client.merge_subjects("default", ann, into=ben).subject.num_templates == 2
        with pytest.raises(SubjectNotFound) as caught:
            client.subject("default", ann)
        assert caught.value.merged_into == ben
        removed = client.remove_template("default", first.id)
        assert (removed.subject_id, removed.num_left) == (ben, 1)
        receipt = client.template_erasure("default", first.id)
        assert receipt.content.template_id == first.id
        changed = client.change_gallery("default", max_templates=5, smallest_lead=0.0)
        assert (changed.rules.max_templates, changed.rules.smallest_lead) == (5, 0.0)
        assert client.change_gallery("default", max_templates=0).rules.max_templates is None
        renamed = client.change_gallery("default", new_name="staff")
        assert client.gallery("staff") == renamed
        with pytest.raises(RequestInvalid):
            client.create_gallery("secret", space=True)


def test_the_client_for_asyncio_does_all_of_it(running: Server) -> None:
    """As the other one."""

    async def work() -> None:
        async with connect_async(running.url, key=str(running.key)) as client:
            ids = {}
            for person in ("ann", "ben"):
                photo = make_photo([person])
                answer = await client.enroll([photo], gallery="default", subject=person)
                ids[person] = str(answer.subject_id)
            ann, ben = ids["ann"], ids["ben"]
            page = await client.templates("default", ann)
            template = page.templates[0]
            assert await client.template("default", template.id) == template
            assert (await client.declare_look_alikes("default", ann, ben)).changed
            assert len((await client.look_alikes("default")).pairs) == 1
            assert (await client.look_alikes_of("default", ann)).subject_ids == [ben]
            assert (await client.withdraw_look_alikes("default", ann, ben)).changed
            moved = await client.move_templates("default", ann, [template.id], to_subject_id=ben)
            assert moved.num_left == 0
            merged = await client.merge_subjects("default", ann, into=ben)
            assert merged.subject.num_templates == 2
            await client.remove_template("default", template.id)
            erasure = await client.template_erasure("default", template.id)
            assert erasure.content.subject_id == ben
            await client.change_gallery("default", fusion="best-two")
            assert (await client.gallery("default")).rules.fusion == "best-two"

    anyio.run(work)


def _filled(settings: Settings) -> dict[str, str]:
    with open_parts(settings, detector=FakeDetector()) as parts:
        client = LocalClient(parts)
        return {
            "ann": _enroll(client, "ann", "ann", "cat"),
            "ben": _enroll(client, "ben"),
        }


def test_commands_move_merge_and_remove(run: Run, settings: Settings) -> None:
    """They say what was done, as a table, as text or as JSON."""
    ids = _filled(settings)
    ann, ben = ids["ann"], ids["ben"]
    listed = schemas.TemplatesAnswer(**run("templates", "list", ann, "--json"))
    first, second = (each.id for each in listed.templates)
    assert first in run("templates", "list", ann)
    move = ("templates", "move", ann, second, "--to-name", "cat")
    assert "would move" in run(*move, "--dry-run")
    cat = run(*move, "--json")["subject_id"]
    assert run("look-alikes", "add", ann, cat) == "declared\n"
    assert run("look-alikes", "add", cat, ann) == "they were declared already\n"
    assert run("look-alikes", "list") == f"{ann} {cat}\n"
    assert run("look-alikes", "list", "--json")["pairs"] == [[ann, cat]]
    assert "two people" in run("subjects", "merge", ann, cat, code=3)
    assert run("look-alikes", "remove", ann, cat) == "withdrawn\n"
    assert run("look-alikes", "remove", ann, cat) == "they were not declared\n"
    assert "would merge 1 templates" in run("subjects", "merge", ann, ben, "--dry-run")
    assert "merged 1 templates" in run("subjects", "merge", ann, ben)
    assert ben in run("templates", "list", ann, code=3)
    assert "1 templates left" in run("templates", "remove", first)
    assert run("templates", "remove", second, "--json")["num_left"] == 0
    assert "say whose" in run("templates", "move", ben, first, code=3)


def test_a_look_without_a_service_is_entered_too(settings: Settings) -> None:
    """Who looks how alike two people are leaves an entry, also in process."""
    ids = _filled(settings)
    with open_parts(settings, detector=FakeDetector()) as parts:
        client = LocalClient(parts)
        ann, ben = ids["ann"], ids["ben"]
        moving = [each.id for each in client.templates("default", ann).templates][:1]
        client.move_templates("default", ann, moving, to_subject_id=ben, dry_run=True)
        client.merge_subjects("default", ann, into=ben, dry_run=True)
        looks = [each for each in parts.galleries.audit.entries() if "dry_run" in each.action]
        assert [each.action for each in looks] == [
            "template.move_dry_run",
            "subject.merge_dry_run",
        ]
        assert [len(each.subjects) for each in looks] == [2, 2]


def test_commands_show_and_change_a_gallery(run: Run, settings: Settings) -> None:
    """Rules one by one, and a name by itself."""
    _filled(settings)
    shown = run("galleries", "show", "default")
    for words in ("templates: 3", "fusion: maximum", "never calibrated", "of its own: no"):
        assert words in shown
    changed = run(
        "galleries", "change", "default", "--fusion", "vote", "--max-templates", "4", "--json"
    )
    assert (changed["rules"]["fusion"], changed["rules"]["max_templates"]) == ("vote", 4)
    assert "person: all" in run("galleries", "change", "default", "--max-templates", "0")
    for wrong in (("--fusion", "guess"), ("--smallest-lead", "nan"), ()):
        assert "request_invalid" in run("galleries", "change", "default", *wrong, code=3)
    assert "name: staff" in run("galleries", "change", "default", "--name", "staff")
    assert "gallery_not_found" in run("galleries", "show", "default", code=3)
    assert "request_invalid" in run("galleries", "create", "secret", "--space", code=3)
