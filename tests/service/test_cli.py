"""Tests of the command line, in process."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from embedding.errors import FaceGalleryError, StoreError
from index.calibration.kept import calibrate_gallery
from service.assembly import open_parts
from service.cli import main
from service.commands.asking import all_pages
from service.local_client import LocalClient
from service.settings import Settings
from tests.fakes import FakeDetector, make_photo


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, which must be JSON and nothing else."""
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Runs a command on a fresh data folder with the fake model and detector."""
    monkeypatch.setenv("FACEGALLERY_DATA_FOLDER", str(settings.data_folder))
    monkeypatch.setenv("FACEGALLERY_MODEL", str(settings.model))
    monkeypatch.setenv("COLUMNS", "200")

    def run_command(*arguments: str | Path) -> Ran:
        with pytest.raises(SystemExit) as caught:
            main([str(each) for each in arguments], detector=FakeDetector())
        captured = capsys.readouterr()
        return Ran(code=int(caught.value.code or 0), out=captured.out, err=captured.err)

    return run_command


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A folder with a subfolder a person: two of ann, one of ben."""
    for name, variant in (("ann", 0), ("ann", 3), ("ben", 0)):
        folder = tmp_path / "people" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{variant}.PNG").write_bytes(make_photo([name], variant=variant))
        (folder / "notes.txt").write_text("not a photo")
    return tmp_path / "people"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photo of ann and of cat, who is a stranger."""
    path = tmp_path / "two.png"
    path.write_bytes(make_photo(["ann", "cat"], variant=2))
    return path


def test_enroll_and_identify(run: Run, people: Path, photo: Path) -> None:
    """People of a folder are enrolled and then named, strangers are not."""
    enrolled = run("enroll", people, "--json")
    assert enrolled.code == 0
    assert enrolled.json["num_enrolled"] == 3
    found = run("identify", photo, "--json")
    assert found.code == 0
    faces = found.json["photos"][0]["answer"]["faces"]
    assert sorted(face["decision"] for face in faces) == ["match", "unknown"]


def test_tables(run: Run, people: Path, photo: Path) -> None:
    """Without --json a person reads who it is and by which threshold."""
    assert "3 photos enrolled, 0 failed" in run("enroll", people).out
    table = run("identify", photo).out
    assert "match" in table
    assert "ann" in table
    assert "unknown" in table
    assert "0.800" in table


def test_tables_say_why(run: Run, people: Path, tmp_path: Path) -> None:
    """A review with its reason, and a photo that does not look like the subject."""
    (people / "ann" / "wrong.png").write_bytes(make_photo(["cat"]))
    assert "not like the subject" in run("enroll", people).out.replace("\n", " ")
    twice = tmp_path / "twice.png"
    twice.write_bytes(make_photo(["ann", "ann"]))
    assert "named_elsewhere" in run("identify", twice).out


def test_a_stale_calibration_is_told(
    run: Run, people: Path, photo: Path, settings: Settings
) -> None:
    """Once for the gallery, on stderr, where JSON on stdout stays whole."""
    run("enroll", people / "ben" / "0.PNG", "--subject", "ben")
    run("enroll", people / "ann" / "0.PNG", "--subject", "ann")
    with open_parts(settings, detector=FakeDetector()) as parts:
        gallery = parts.galleries.get("default")
        card = parts.embedders.of_gallery(gallery.fingerprint).card
        calibrate_gallery(gallery.store, card=card)
    assert "stale" not in run("identify", photo, photo).err
    for name in ("cat", "dan", "eve"):
        file = people / f"{name}.png"
        file.write_bytes(make_photo([name]))
        run("enroll", file, "--subject", name)
    told = run("identify", photo, photo).err
    assert (
        told.count("gallery default: its calibration is stale: it was calibrated with 2 people")
        == 1
    )


def test_identify_as_it_is_asked(run: Run, people: Path, photo: Path) -> None:
    """A face, a rate, a threshold, several galleries: each reaches the answer."""
    run("enroll", people)
    run("galleries", "create", "staff")
    run("enroll", people / "ben", "--subject", "ben", "--gallery", "staff")
    strict = run("identify", photo, "--json", "--fpir", "0.001", "--face", "largest")
    answer = strict.json["photos"][0]["answer"]
    assert (answer["match"]["fpir"], len(answer["faces"])) == (0.001, 1)
    asked = run("identify", photo, "--json", "--threshold", "0.5").json["photos"][0]["answer"]
    assert asked["match"]["value"] == 0.5
    several = run("identify", photo, "-g", "default", "-g", "staff")
    assert "gallery" in several.out
    assert "ann" in several.out
    assert "at most 2.00% of strangers" in several.err
    wrong = run("identify", photo, "--fpir", "0.01", "--threshold", "0.5")
    assert (wrong.code, "request_invalid" in wrong.err) == (3, True)


def test_verify(run: Run, people: Path, photo: Path) -> None:
    """Two photos, or a photo and a subject."""
    ann, later, ben = (people / each for each in ("ann/0.PNG", "ann/3.PNG", "ben/0.PNG"))
    assert run("verify", ann, later, "--json").json["decision"] == "match"
    assert "no_match" in run("verify", ann, ben).out
    run("enroll", people)
    found = run("verify", later, "--subject", "ann", "--far", "0.001", "--json").json
    assert (found["decision"], found["match"]["far"]) == ("match", 0.001)
    assert "extrapolated" in run("verify", later, "--subject", "ann", "--far", "0.001").out
    several = run("verify", photo, "--subject", "ann")
    assert (several.code, "several_faces" in several.err) == (3, True)
    assert run("verify", photo, "--subject", "ann", "--face", "largest").code == 0


def test_calibrate_and_threshold(run: Run, people: Path) -> None:
    """Measured on the gallery itself, and told with what it is worth."""
    run("enroll", people)
    assert "other people, by model fake" in run("threshold", "default").out
    made = run("calibrate", "default", "--fpir", "0.1", "--json").json
    assert [each["fpir"] for each in made["calibration"]["points"]] == [0.1, 0.05, 0.01]
    assert "3 searches" in run("threshold", "default", "--fpir", "0.1").out
    assert "extrapolated" in run("calibrate", "default", "--max-probes", "2").out


def test_some_photos_fail(run: Run, people: Path) -> None:
    """A bad photo does not stop the others; the exit code says that some failed."""
    (people / "ben" / "bad.jpg").write_bytes(b"text")
    (people / "ben" / "nobody.png").write_bytes(make_photo([]))
    report = run("enroll", people, "--json")
    assert report.code == 1
    assert (report.json["num_enrolled"], report.json["num_failed"]) == (3, 2)
    failures = [row["failure"]["code"] for row in report.json["photos"] if row["failure"]]
    assert sorted(failures) == ["no_face", "photo_unreadable"]


def test_an_error_in_the_middle(run: Run, people: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was saved before an error is printed, and the exit code is the error's."""
    enroll = LocalClient.enroll

    def full_at_ben(client: LocalClient, *args: Any, **kwargs: Any) -> Any:
        if kwargs["subject"] == "ben":
            raise StoreError("the disk is full")
        return enroll(client, *args, **kwargs)

    monkeypatch.setattr(LocalClient, "enroll", full_at_ben)
    ran = run("enroll", people, "--json")
    assert ran.code == 3
    assert "[store_error]" in ran.err
    assert ran.json["num_enrolled"] == 2


def test_lists_of_several_pages(settings: Settings) -> None:
    """Commands list everybody, however many pages that takes, also when the last one is full."""
    with open_parts(settings, detector=FakeDetector()) as parts:
        client = LocalClient(parts)
        assert [page.subjects for page in all_pages(lambda _: client.subjects("default"))] == [[]]
        for name in ("ann", "ben", "cat", "dan"):
            client.enroll([make_photo([name])], gallery="default", subject=name)
        for limit in (1, 2, 3, 4):
            assert _names(client, limit=limit) == ["ann", "ben", "cat", "dan"]


def _names(client: LocalClient, *, limit: int) -> list[str | None]:
    pages = all_pages(lambda cursor: client.subjects("default", limit=limit, cursor=cursor))
    return [each.name for page in pages for each in page.subjects]


def test_file_names_that_are_no_text(run: Run, people: Path) -> None:
    """A file whose name is not UTF-8 is enrolled, identified and listed like any other."""
    photo = people / "ben" / os.fsdecode(b"b\xe9n.png")
    photo.write_bytes(make_photo(["ben"], variant=3))
    report = run("enroll", people / "ben", "--subject", "ben", "--json")
    assert report.code == 0
    assert report.json["photos"][1]["photo"].endswith("b\ufffdn.png")
    assert run("identify", photo, "--json").code == 0


def test_ids_that_are_no_text(run: Run) -> None:
    """An id that is not UTF-8 is refused in one line."""
    for command in ("subjects", "remove"), ("keys", "revoke"):
        ran = run(*command, os.fsdecode(b"\xff"))
        assert ran.code == 3
        assert "[request_invalid]" in ran.err


def test_one_subject(run: Run, people: Path) -> None:
    """With --subject a folder or one file shows one person."""
    assert run("enroll", people / "ann", "--subject", "Ann").code == 0
    assert run("enroll", people / "ben" / "0.PNG", "-s", "Ben", "--box", "28,28,140,168").code == 0
    names = [each["name"] for each in run("subjects", "list", "--json").json["subjects"]]
    assert names == ["Ann", "Ben"]


def test_dry_run(run: Run, people: Path) -> None:
    """A dry run says what would happen and saves nothing."""
    assert run("enroll", people, "--dry-run", "--json").json["num_enrolled"] == 0
    assert run("subjects", "list", "--json").json["subjects"] == []


def test_empty_folder_says_what_is_expected(run: Run, tmp_path: Path) -> None:
    """A folder without people is an error that explains the layout."""
    (tmp_path / "empty").mkdir()
    ran = run("enroll", tmp_path / "empty")
    assert (ran.code, ran.out) == (3, "")
    assert "one subfolder a person" in ran.err


def test_identify_of_a_missing_file(run: Run, tmp_path: Path) -> None:
    """A file that is not there fails alone."""
    report = run("identify", tmp_path / "absent.jpg", "--json")
    assert report.code == 1
    assert report.json["photos"][0]["failure"]["code"] == "photo_unreadable"


def test_subjects_are_removed(run: Run, people: Path) -> None:
    """A person who is removed is gone; removing again is an error."""
    run("enroll", people)
    subjects = run("subjects", "list", "--json").json["subjects"]
    removed = run("subjects", "remove", subjects[0]["id"], "--json")
    assert removed.json["num_templates"] == 2
    assert removed.json["receipt"]["content"]["subject_id"] == subjects[0]["id"]
    assert [s["name"] for s in run("subjects", "list", "--json").json["subjects"]] == ["ben"]
    again = run("subjects", "remove", subjects[0]["id"])
    assert again.code == 3
    assert "[subject_not_found]" in again.err


def test_galleries(run: Run, people: Path) -> None:
    """A gallery is made, filled, listed and deleted."""
    assert run("galleries", "create", "door").code == 0
    assert run("enroll", people, "--gallery", "door").code == 0
    listed = run("galleries", "list", "--json").json["galleries"]
    assert {each["name"]: each["num_subjects"] for each in listed} == {"default": 0, "door": 2}
    assert "door" in run("galleries", "list").out
    removed = run("galleries", "delete", "door", "--yes", "--json").json
    assert removed["num_templates"] == removed["receipt"]["content"]["num_templates"] == 3
    assert run("subjects", "list", "-g", "door").code == 3


def test_keys(run: Run, settings: Settings) -> None:
    """A key is printed alone on stdout, works, is listed by id and revoked."""
    made = run("keys", "create", "--role", "operator", "--label", "door", "-g", "default")
    key = made.out.strip()
    with open_parts(settings) as parts:
        caller = parts.keys.authenticate(key)
    assert caller.galleries == frozenset({"default"})
    listed = run("keys", "list")
    assert caller.key_id in listed.out
    assert key not in listed.out
    assert run("keys", "revoke", caller.key_id).code == 0
    with open_parts(settings) as parts, pytest.raises(FaceGalleryError):
        parts.keys.authenticate(key)


def test_models(run: Run) -> None:
    """The model for new galleries is listed."""
    assert run("models", "list", "--json").json["models"][0]["name"] == "fake"


def test_names_are_printed_as_they_are(run: Run, people: Path) -> None:
    """A name that looks like markup of the terminal library stays a name."""
    run("enroll", people / "ben", "--subject", "[red]Ben[bold]")
    assert "[red]Ben[bold]" in run("subjects", "list").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("identify",),
        ("enroll", "/absent/folder"),
        ("verify",),
        ("identify", "x", "--face", "smallest"),
        ("keys", "create", "--role", "owner"),
        ("serve", "--port", "99999"),
        ("nonsense",),
    ],
)
def test_wrong_usage(run: Run, arguments: tuple[str, ...]) -> None:
    """A command that is used wrongly ends with 2 and says how it is used."""
    ran = run(*arguments)
    assert ran.code == 2
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("FACEGALLERY_PORT", "x", "FACEGALLERY_PORT"),
        ("FACEGALLERY_NONSENSE", "1", "unknown setting"),
        ("FACEGALLERY_MODEL", "absent", "model_not_found"),
        ("FACEGALLERY_DATA_FOLDER", "/dev/null/x", "store_error"),
        ("FACEGALLERY_HOST", "192.168.1.5", "loopback"),
    ],
)
def test_one_line_on_errors(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    """An error is one line on stderr that says what to do, and never a traceback."""
    monkeypatch.setenv(variable, value)
    ran = run("galleries", "list")
    assert (ran.code, ran.out) == (3, "")
    assert words in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("serve",),
        ("enroll",),
        ("identify",),
        ("verify",),
        ("calibrate",),
        ("threshold",),
        ("subjects", "remove"),
        ("galleries", "delete"),
        ("keys", "create"),
        ("models", "list"),
    ],
)
def test_help_says_the_exit_codes(run: Run, command: tuple[str, ...]) -> None:
    """``--help`` suffices: what it does, every option, and the exit codes."""
    ran = run(*command, "--help")
    assert ran.code == 0
    assert "Exit codes" in ran.out
    assert "fg_" not in ran.out


def test_help_of_serve_names_the_variables(run: Run) -> None:
    """What the environment can set is said beside the option."""
    for variable in ("FACEGALLERY_HOST", "FACEGALLERY_PORT", "FACEGALLERY_DATA_FOLDER"):
        assert variable in run("serve", "--help").out


def test_people_are_found_shown_and_changed(run: Run, people: Path) -> None:
    """What an enroll said of a person is shown, changed, erased; other versions are refused."""
    person = ("--metadata", '{"badge": 17}', "--purpose", "door", "--expires-in-days", "30")
    enrolled = run("enroll", people / "ben", "--subject", "ben", *person, "--json")
    ident = enrolled.json["photos"][0]["answer"]["subject_id"]
    shown = run("subjects", "show", ident, "--json").json
    assert (shown["metadata"], shown["purpose"]) == ({"badge": 17}, "door")
    assert shown["expires_at"] is not None
    assert "badge" in run("subjects", "show", ident).out
    change = ("subjects", "change", ident, "--erase", "expires-at", "--erase", "purpose")
    changed = run(*change, "--metadata", '{"badge": null, "x": true}', "--name", "bea", "--json")
    assert changed.json | {"version": ""} == shown | {
        "name": "bea",
        "metadata": {"x": True},
        "purpose": None,
        "expires_at": None,
        "version": "",
    }
    stale = run(*change, "--name", "cat", "--only-version", shown["version"])
    assert (stale.code, "subject_changed" in stale.err) == (3, True)
    found = run("subjects", "list", "--name", "bea", "--json").json["subjects"]
    assert found == [changed.json]
    assert run("subjects", "list", "--external-id", "bea", "--json").json["subjects"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--metadata", "[]"),
        ("--metadata", '{"a": NaN}'),
        ("--metadata", '{"a": {}}'),
        ("--expires-at", "tomorrow"),
        ("--expires-at", "2090-01-01T00:00:00"),
        ("--expires-at", "2001-01-01T00:00:00Z"),
        ("--name", "x", "--erase", "name"),
    ],
)
def test_changes_that_cannot_be_made(run: Run, people: Path, arguments: tuple[str, ...]) -> None:
    """Nothing given, and values that cannot be kept, change nothing."""
    run("enroll", people / "ben", "--subject", "ben")
    (before,) = run("subjects", "list", "--json").json["subjects"]
    assert run("subjects", "change", before["id"], *arguments).code in {2, 3}
    assert run("subjects", "list", "--json").json["subjects"] == [before]
