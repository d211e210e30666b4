"""The data folder: who holds it, its modes and its secrets."""

import json
import os
import signal
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from embedding.errors import SettingsInvalid, StoreCorrupt, StoreError, StoreInUse
from index.store.folder import LOCK_NAME, DataFolder
from tests.index.samples import no_hard_links

_HOLD = """
import sys
from pathlib import Path
from index.store.folder import DataFolder
folder = DataFolder.open(Path(sys.argv[1]), url="http://127.0.0.1:8321")
print("held", flush=True)
sys.stdin.read()
"""


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_only_the_owner_can_read_the_folder(data_folder: Path) -> None:
    """The folder has mode 0700; lock, database and secrets have 0600."""
    folder = DataFolder.open(data_folder)
    folder.secret("keys")
    assert _mode(data_folder) == 0o700
    assert {_mode(path) for path in data_folder.iterdir()} == {0o600}
    folder.close()


def test_a_folder_that_others_can_read_is_reported(
    data_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An existing folder keeps its mode, and a warning says how to close it."""
    data_folder.mkdir(mode=0o755)
    DataFolder.open(data_folder).close()
    assert "chmod 700" in caplog.text


def test_a_folder_is_held_by_one(data_folder: Path) -> None:
    """A second opener is told the process and the address, and what to do."""
    holder = DataFolder.open(data_folder)
    holder.set_url("http://127.0.0.1:8321")
    with pytest.raises(StoreInUse, match=rf"pid {os.getpid()}.*stop it") as caught:
        DataFolder.open(data_folder)
    assert caught.value.url == "http://127.0.0.1:8321"
    assert "http://127.0.0.1:8321" in str(caught.value)
    holder.close()


def test_the_address_can_be_taken_back(data_folder: Path) -> None:
    """After set_url(None) a second opener hears of no address."""
    holder = DataFolder.open(data_folder, url="http://127.0.0.1:8321/with/a/long/path")
    holder.set_url(None)
    with pytest.raises(StoreInUse) as caught:
        DataFolder.open(data_folder)
    assert caught.value.url is None
    holder.close()


def test_a_closed_folder_is_free(data_folder: Path) -> None:
    """After close another may open it, and a second close does nothing."""
    first = DataFolder.open(data_folder)
    first.close()
    first.close()
    DataFolder.open(data_folder).close()


def test_another_process_holds_it_until_it_is_killed(data_folder: Path) -> None:
    """The lock of a living process is respected; that of a dead one is free at once."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(data_folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(StoreInUse, match=f"pid {process.pid}") as caught:
            DataFolder.open(data_folder)
        assert caught.value.url == "http://127.0.0.1:8321"
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        folder = DataFolder.open(data_folder)
    content = json.loads((data_folder / LOCK_NAME).read_text())
    assert content == {"pid": os.getpid(), "url": None}
    folder.close()


def test_a_lock_with_any_content_can_be_read(data_folder: Path) -> None:
    """Content that is not ours gives a message without process and address."""
    holder = DataFolder.open(data_folder)
    (data_folder / LOCK_NAME).write_bytes(b"\xff[1, 2")
    with pytest.raises(StoreInUse, match="another process holds") as caught:
        DataFolder.open(data_folder)
    assert caught.value.url is None
    holder.close()


def test_a_file_is_no_data_folder(tmp_path: Path) -> None:
    """The message says that a folder is wanted, for the path itself and for its parent."""
    file = tmp_path / "file"
    file.write_text("text")
    for path in (file, file / "below"):
        with pytest.raises(StoreError, match="not a folder"):
            DataFolder.open(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """The message says that the right to write is missing."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(StoreError, match="cannot be written"):
        DataFolder.open(closed)


def test_a_path_that_the_system_refuses_is_named(tmp_path: Path) -> None:
    """Any other failure is a StoreError with the system's reason."""
    with pytest.raises(StoreError, match="too long"):
        DataFolder.open(tmp_path / ("a" * 300))


def test_a_secret_is_made_once(data_folder: Path) -> None:
    """32 random bytes, another for each name, the same after a restart."""
    folder = DataFolder.open(data_folder)
    keys, images = folder.secret("keys"), folder.secret("images")
    assert len(keys) == len(images) == 32
    assert keys != images
    folder.close()
    folder = DataFolder.open(data_folder)
    assert folder.secret("keys") == keys
    folder.close()


@pytest.mark.parametrize(
    "content",
    [bytes(32), b"x" * 32, bytes(range(32)), b"0123456789abcdef0123456789abcdef"],
    ids=["zeros", "repeated", "sequence", "text"],
)
def test_a_placeholder_is_no_secret(data_folder: Path, content: bytes) -> None:
    """What somebody typed in is refused, and told which file it is."""
    folder = DataFolder.open(data_folder)
    (data_folder / "keys.secret").write_bytes(content)
    with pytest.raises(SettingsInvalid, match=r"keys\.secret"):
        folder.secret("keys")
    folder.close()


def test_a_secret_needs_no_hard_links(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without hard links a secret is made once, and alone in its folder."""
    folder = DataFolder.open(data_folder)
    before = set(data_folder.iterdir())
    monkeypatch.setattr(Path, "hardlink_to", no_hard_links)
    secret = folder.secret("keys")
    assert folder.secret("keys") == secret
    assert set(data_folder.iterdir()) == before | {data_folder / "keys.secret"}
    folder.close()


def test_processes_that_share_a_folder_have_one_secret(data_folder: Path) -> None:
    """Whoever makes a secret first, all that hold the folder together get the same."""
    folders = [DataFolder.open(data_folder, shared=True) for _ in range(8)]
    with ThreadPoolExecutor(len(folders)) as pool:
        assert len(set(pool.map(lambda folder: folder.secret("keys"), folders))) == 1
    for folder in folders:
        folder.close()


def test_a_secret_that_was_half_written_is_made_anew(data_folder: Path) -> None:
    """What a killed process left under the temporary name does not matter."""
    folder = DataFolder.open(data_folder)
    (data_folder / "keys.secret.new").write_bytes(b"half")
    assert len(folder.secret("keys")) == 32
    assert not (data_folder / "keys.secret.new").exists()
    folder.close()


def test_a_damaged_secret_is_not_replaced(data_folder: Path) -> None:
    """A secret of another length is reported: a new one would void what it signed."""
    folder = DataFolder.open(data_folder)
    (data_folder / "keys.secret").write_bytes(b"short")
    with pytest.raises(StoreCorrupt, match=r"keys\.secret"):
        folder.secret("keys")
    folder.close()


@pytest.mark.parametrize("name", ["", "../up", "a/b", "A", "-a", "a" * 65])
def test_a_secrets_name_is_no_path(data_folder: Path, name: str) -> None:
    """Names are the program's own, so another one is its bug."""
    folder = DataFolder.open(data_folder)
    with pytest.raises(ValueError, match="name"):
        folder.secret(name)
    folder.close()
