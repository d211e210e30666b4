"""The documents say what the code does: settings, routes, codes, commands, links, targets."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer.main
from fastapi.routing import iter_route_contexts
from typer.core import TyperGroup

from embedding.errors import StoreUnreachable
from index.__main__ import app as batch_command_line
from index.cli.main import app as index_command_line
from service.app import create_app
from service.cli import app as command_line
from service.errors import CODE_BY_STATUS, STATUS_BY_CLASS, is_told
from service.settings import ENV_PREFIX, KEY_VARIABLE, Settings, load_settings
from service.settings_file import FILE_VARIABLE

REPOSITORY = Path(__file__).parents[1]
DOCS = REPOSITORY / "docs"
PAGES = (
    *(REPOSITORY / name for name in ("README.md", "CHANGELOG.md", "THREATS.md")),
    *sorted(DOCS.rglob("*.md")),
)

_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)
_SETTING_ROW = re.compile(r"^\| `(FACEGALLERY_\w+)` \| (.+?) \| .+ \|$", re.MULTILINE)
_ROUTE_ROW = re.compile(r"^\| `([A-Z]+ /\S*)` \|", re.MULTILINE)
_ERROR_ROW = re.compile(r"^\| (\d{3}) \| `(\w+)` \| .+ \|$", re.MULTILINE)
_LOCAL_ERROR_ROW = re.compile(r"^\| `(\w+)` \| .+ \|$", re.MULTILINE)

# Folders of a person's or a machine's own, and hosts that packages are fetched from.
_PRIVATE = re.compile(
    r"(?<![\w.<~}])/(?:home|root|work|Users)(?:/|\b(?![-.\w]))"
    r"|pypi\.org|pythonhosted|registry\.npmjs|docker\.io|ghcr\.io|quay\.io|index-url"
)


@cache
def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _section(page: Path, title: str) -> str:
    """What stands under a heading, up to the next one of any level."""
    _, _, rest = _text(page).partition(f"# {title}\n")
    return re.split(r"^#+ ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def _name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def _default(value: object) -> str:
    """A default as the table of settings writes it."""
    if value is None:
        return "unset"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _commands(group: TyperGroup, path: str) -> Iterator[tuple[str, set[str]]]:
    """Every command with the options of its own."""
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from _commands(command, f"{path} {name}")
        else:
            options = {text for each in command.params for text in each.opts if text[0] == "-"}
            yield f"{path} {name}", options


_PROGRAMS = {
    "facegallery": (command_line, DOCS / "command-line.md"),
    "facegallery-index": (index_command_line, DOCS / "index-command.md"),
    "python -m index": (batch_command_line, DOCS / "batch.md"),
}
"""Each program with the page that documents it."""


def _all_commands(program: str) -> dict[str, set[str]]:
    group = typer.main.get_command(_PROGRAMS[program][0])
    if not isinstance(group, TyperGroup):
        raise TypeError(f"expected a group of commands, got {type(group).__name__}")
    return dict(_commands(group, program))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual viewers make them."""
    headings = _HEADING.findall(_FENCE.sub("", _text(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _leads_somewhere(page: Path, target: str) -> bool:
    """Whether a relative link points to a file of the project, and its anchor to a heading."""
    file, _, anchor = target.partition("#")
    linked = (page.parent / file).resolve() if file else page
    if not (linked.is_relative_to(REPOSITORY) and linked.exists()):
        return False
    return not anchor or anchor in _anchors(linked)


def _own_files() -> list[Path]:
    """The files of the project: tracked ones, and new ones that git does not ignore."""
    git = shutil.which("git")
    if git is None or not (REPOSITORY / ".git").exists():
        pytest.skip("needs git and a checkout to tell the project's files from others")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
    )
    paths = [REPOSITORY / name.decode() for name in listed.stdout.split(b"\0") if name]
    return [path for path in paths if path.is_file()]


def test_settings_stand_with_their_defaults() -> None:
    """The table of settings holds every setting with its default, and nothing else."""
    documented = dict(_SETTING_ROW.findall(_text(DOCS / "settings.md")))
    expected = {
        ENV_PREFIX + name.upper(): _default(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert documented == expected


def test_the_key_variable_is_documented() -> None:
    """The variables that are no settings are told beside the settings."""
    assert f"`{KEY_VARIABLE}`" in _text(DOCS / "settings.md")
    assert f"`{FILE_VARIABLE}`" in _text(DOCS / "settings.md")


def test_the_example_of_a_settings_file_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file in the document is read, and each of its lines changes something."""
    found = re.search(r"```toml\n(.*?)```", _text(DOCS / "settings.md"), re.DOTALL)
    assert found
    (tmp_path / "settings.toml").write_text(found[1])
    for name in [each for each in os.environ if each.startswith(ENV_PREFIX)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "settings.toml"))
    names = re.findall(r"^(\w+) =", found[1], re.MULTILINE)
    loaded = load_settings()
    assert len(names) > 3
    assert [n for n in names if getattr(loaded, n) == Settings.model_fields[n].default] == []


def test_error_codes_of_callers_stand_with_their_status() -> None:
    """The table of errors holds every code that HTTP answers, with its status, and no other."""
    documented = {code: int(status) for status, code in _ERROR_ROW.findall(_errors_page())}
    expected = {each.code: status for each, status in STATUS_BY_CLASS.items() if is_told(each)}
    expected |= {code: status for status, code in CODE_BY_STATUS.items()}
    expected[StoreUnreachable.code] = STATUS_BY_CLASS[StoreUnreachable]
    assert documented == expected | {"internal": 500, "not_ready": 503}


def test_error_codes_of_the_command_line_stand_apart() -> None:
    """Codes that HTTP answers as `internal` have a table of their own."""
    section = _section(DOCS / "http.md", "Codes of the command line")
    expected = {each.code for each in STATUS_BY_CLASS if not is_told(each)}
    assert set(_LOCAL_ERROR_ROW.findall(section)) == expected


def _errors_page() -> str:
    return _section(DOCS / "http.md", "Errors")


def test_routes_stand_in_the_table() -> None:
    """The table of routes holds every route with its method, and nothing else."""
    documented = _ROUTE_ROW.findall(_section(DOCS / "http.md", "Routes"))
    routes = {
        f"{method} {route.path}"
        for route in iter_route_contexts(create_app(Settings()).routes)
        for method in (route.methods or {"GET"}) - {"HEAD"}
    }
    assert len(set(documented)) == len(documented)
    assert set(documented) == routes


@pytest.mark.parametrize("program", _PROGRAMS)
def test_commands_have_a_section_each(program: str) -> None:
    """Every command has a heading, and no heading names a command that does not exist."""
    headings = re.findall(rf"^## `({program} .*)`$", _text(_PROGRAMS[program][1]), re.M)
    # Groups stand behind single commands in Typer's order, and where they belong on the page.
    assert sorted(headings) == sorted(_all_commands(program))
    assert len(set(headings)) == len(headings)


@pytest.mark.parametrize(
    ("program", "command"),
    [(program, command) for program in _PROGRAMS for command in sorted(_all_commands(program))],
)
def test_options_stand_in_the_command_s_section(program: str, command: str) -> None:
    """Every option of a command stands in its section, and the section has an example."""
    section = _section(_PROGRAMS[program][1], f"`{command}`")
    missing = {each for each in _all_commands(program)[command] if f"`{each}`" not in section}
    assert missing == set()
    assert f"```sh\n{command}" in section


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link of a page points to a file, and its anchor to a heading there."""
    targets = _LINK.findall(_CODE.sub("", _text(page)))
    relative = [each for each in targets if not re.match(r"[a-z]+:", each)]
    assert [each for each in relative if not _leads_somewhere(page, each)] == []


def test_every_decision_is_listed() -> None:
    """The list of decisions names each record, and each record fits one page."""
    records = {path.name for path in (DOCS / "decisions").glob("0*.md")}
    assert set(re.findall(r"\((0\d{3}-[^)]+)\)", _text(DOCS / "decisions/README.md"))) == records
    assert all(len(_text(DOCS / "decisions" / name).splitlines()) < 40 for name in records)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_figures_are_filled_in(page: Path) -> None:
    """No place that waits for a measured figure is left."""
    assert re.findall(r"FIGURE:[^|;,.)\n]*", _text(page)) == []


def test_make_targets_exist() -> None:
    """README names targets of the Makefile, and every target is named."""
    code = " ".join(_CODE.findall(_text(REPOSITORY / "README.md")))
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)", code))
    makefile = _text(REPOSITORY / "Makefile")
    assert named == set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))


def test_no_machine_paths_or_registry_hosts() -> None:
    """No file of the project names a folder of one machine or a host of a package registry."""
    found = []
    for path in _own_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if path != Path(__file__):
            found += [f"{_name(path)}: {each[0]}" for each in _PRIVATE.finditer(text)]
    assert found == []
