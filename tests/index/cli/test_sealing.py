"""Tests of `facegallery-index keys`, `seal`, `reseal` and `purge`."""

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from embedding.errors import StoreCorrupt
from index.key_file import KeyFileSealer
from index.key_ring import KeyRing
from index.memory import MemoryOptions
from index.snapshot.manifest import MANIFEST_NAME
from index.snapshot.private_folder import PrivateFolder
from index.store import resealing
from tests.index.cli.conftest import VECTORS, Home, Run
from tests.index.samples import identify


def _on_disk(home: Home) -> bytes:
    return b"".join(each.read_bytes() for each in home.data.rglob("*") if each.is_file())


def _old(path: Path) -> None:
    """Make the key file one that every service has read."""
    os.utime(path, (1, 1))


def test_a_key_file_is_made_outside_the_data(home: Home, run: Run) -> None:
    """Private, with one key whose id alone is printed; never inside, never over another."""
    home.fill()
    ran = run("keys", "new", home.key_file, "--json")
    assert ran.json["current"] == KeyRing.read(home.key_file).current.id
    assert stat.S_IMODE(home.key_file.stat().st_mode) == 0o600
    assert home.key_file.read_text().split()[-1] not in ran.out
    assert "settings_invalid" in run("keys", "new", home.key_file).err
    assert "settings_invalid" in run("keys", "new", home.data / "sealing.keys").err


def test_the_first_sealing_leaves_nothing_in_the_clear(any_home: Home, run: Run) -> None:
    """Rows, log and snapshots; afterwards nothing opens without the key."""
    any_home.fill(snapshot_from=1)
    any_home.use_key()
    assert run("seal", "--json").json["num_templates"] == 12
    assert not any(each.tobytes()[64:96] in _on_disk(any_home) for each in VECTORS)
    assert run("check").code == 0
    with any_home.open() as galleries:
        assert identify(galleries.get("people"), VECTORS[3]).decision == "match"
    assert "seal_key_missing" in run("seal").err


def test_a_first_sealing_that_stopped_goes_on(
    home: Home, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some rows sealed, then a stop and a rotation: the next call seals the rest, none twice."""
    home.fill()
    home.use_key()
    monkeypatch.setattr(resealing, "_ROWS_AT_A_TIME", 5)
    changes = resealing._changes
    calls = []

    def stopping(*args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise StoreCorrupt("stopped here")
        return changes(*args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(resealing, "_changes", stopping)
        assert run("seal").code == 3
    assert run("keys", "rotate").code == 0
    assert run("seal", "--json").json["num_templates"] == 12
    assert run("check").code == 0
    with home.open() as galleries:
        assert identify(galleries.get("people"), VECTORS[11]).decision == "match"


def test_a_key_is_retired_when_nothing_needs_it(any_home: Home, run: Run) -> None:
    """Rotated: the old key stays while templates, a space, mark or snapshot are sealed with it."""
    any_home.use_key()
    any_home.fill(space=True, snapshot_from=1)
    old = KeyRing.read(any_home.key_file).current.id
    run("keys", "rotate")
    _old(any_home.key_file)
    ran = run("keys", "retire", old)
    assert ran.code == 3
    for what in ("12 templates", "1 gallery spaces", "mark", "1 snapshots"):
        assert what in ran.err
    assert run("reseal", "--json").json["num_templates"] == 12
    assert run("keys", "retire", old, "--json").json["keys"] == [
        KeyRing.read(any_home.key_file).current.id
    ]
    assert run("check").code == 0
    with any_home.open() as galleries:
        assert identify(galleries.get("people"), VECTORS[3]).decision == "match"


def test_resealing_keeps_the_snapshot(any_home: Home, run: Run) -> None:
    """It is sealed with the new key, not deleted, so that the next start is fast."""
    any_home.use_key()
    any_home.fill(snapshot_from=1)
    manifest = next(any_home.data.glob(f"snapshots/*/{MANIFEST_NAME}"))
    before = manifest.read_bytes()
    old = KeyRing.read(any_home.key_file).current.id
    run("keys", "rotate")
    assert run("reseal").code == 0
    assert manifest.read_bytes() != before
    _old(any_home.key_file)
    run("keys", "retire", old)
    with any_home.open() as galleries:
        gallery = galleries.get("people")
        assert gallery._memory._snapshot_sequence == gallery.sequence
        assert all(identify(gallery, each).decision == "match" for each in VECTORS)


def test_a_key_is_not_retired_under_a_service_that_may_use_it(home: Home, run: Run) -> None:
    """Right after a rotation a running service may not have read the file yet."""
    home.use_key()
    home.fill()
    old = KeyRing.read(home.key_file).current.id
    run("keys", "rotate")
    run("reseal")
    with home.open():
        assert "service" in run("keys", "retire", old).err
        # The clock was set back by a day after the change.
        later = time.time() + 86_400
        os.utime(home.key_file, (later, later))
        assert f"touch {home.key_file}" in run("keys", "retire", old).err
        _old(home.key_file)
        assert run("keys", "retire", old).code == 0


def test_a_service_seals_its_snapshot_anew(home: Home, run: Run) -> None:
    """After a rotation the upkeep alone makes the old key superfluous, the snapshot's too."""
    home.use_key()
    home.fill(snapshot_from=1)
    old = KeyRing.read(home.key_file).current.id
    with home.open(snapshot_from=1) as galleries:
        run("keys", "rotate")
        galleries.maintain()
        galleries.maintain()
        _old(home.key_file)
        assert run("keys", "retire", old).code == 0
    assert run("check").code == 0


def test_purging_takes_the_bytes_out(any_home: Home, run: Run) -> None:
    """After a removal and a purge its vector is in no file of the data folder."""
    people = any_home.fill(snapshot_from=1)
    with any_home.open(snapshot_from=20_000) as galleries:
        galleries.get("people").remove_subject(people[0])
    assert run("purge", "--full").code == 0
    assert VECTORS[0].tobytes()[64:96] not in _on_disk(any_home)
    assert run("check").code == 0


def test_a_snapshot_that_another_writes_is_not_called_purged(any_home: Home, run: Run) -> None:
    """The command says so, and the next one takes the bytes out."""
    people = any_home.fill(snapshot_from=1)
    with any_home.open(snapshot_from=20_000) as galleries:
        galleries.get("people").remove_subject(people[0])
        # Else the snapshot is written when it closes.
        with _held_snapshot(any_home):
            galleries.close()
    with _held_snapshot(any_home):
        ran = run("purge", "--full")
        assert ran.code == 3
        assert "run it again" in ran.err
        assert VECTORS[0].tobytes()[64:96] in _on_disk(any_home)
    assert run("purge", "--full").code == 0
    assert VECTORS[0].tobytes()[64:96] not in _on_disk(any_home)


@contextmanager
def _held_snapshot(home: Home) -> Iterator[None]:
    """Keep others from writing the snapshot."""
    (folder,) = home.data.glob("snapshots/*")
    with PrivateFolder(folder) as private, private.locking(wait=True) as held:
        assert held
        yield


@pytest.mark.parametrize("command", ["purge", "reseal"])
def test_a_snapshot_of_the_service_stays(home: Home, run: Run, command: str) -> None:
    """The vectors are held as the environment tells the service; else it would be made anew."""
    home.use_key()
    home.set("FACEGALLERY_VECTOR_STORAGE", "float16")
    options = MemoryOptions(storage="float16", snapshot_from=1)
    home.fill(options=options)
    manifest = next(home.data.glob(f"snapshots/*/{MANIFEST_NAME}"))
    before = manifest.read_bytes()
    assert run(command).code == 0
    assert manifest.read_bytes() == before
    home.set("FACEGALLERY_VECTOR_STORAGE", "float8")
    assert "FACEGALLERY_VECTOR_STORAGE" in run(command).err
    assert manifest.read_bytes() == before


def test_missing_key_files_are_told(home: Home, run: Run) -> None:
    """Each command that needs one says how to give it."""
    home.fill()
    for command in (("keys", "rotate"), ("keys", "retire", "ab"), ("seal",), ("reseal",)):
        ran = run(*command)
        assert ran.code == 3
        assert "FACEGALLERY_SEALING_KEY_FILE" in ran.err


def test_a_folder_that_cannot_be_written_is_told(
    home: Home, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that is a file, and a folder that cannot be: one line, no traceback."""
    home.fill()
    monkeypatch.setenv("FACEGALLERY_DATA_FOLDER", str(home.database))
    for command in (("check",), ("purge",), ("backup", home.folder / "b")):
        ran = run(*command)
        assert ran.code == 3
        assert "Traceback" not in ran.err


def test_a_sealer_of_another_key_seals_nothing(home: Home, run: Run) -> None:
    """What is sealed already is not sealed a second time with another key file."""
    home.use_key()
    home.fill()
    assert KeyFileSealer(home.key_file, data_folder=home.data).encrypts
    home.key_file.unlink()
    KeyRing.generate(home.key_file)
    assert "seal_key_missing" in run("seal").err
    assert "seal_key_missing" in run("reseal").err
