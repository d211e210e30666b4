"""Files that must not lie in the data folder, however their path is written."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from embedding.errors import SettingsInvalid
from index.places import check_outside

_MOUNT = """
mount --bind "$1" "$2" && exec "$3" -c '
import sys
from pathlib import Path
from embedding.errors import SettingsInvalid
from index.places import check_outside
for name in ("keys", "missing/keys"):
    try:
        check_outside(Path(sys.argv[2]) / name, data_folder=Path(sys.argv[1]), what="it")
    except SettingsInvalid:
        print("refused")
' "$1" "$2"
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A path for a data folder that does not exist yet."""
    return tmp_path / "data"


def _refused(path: Path, data_folder: Path) -> bool:
    try:
        check_outside(path, data_folder=data_folder, what="the key file")
    except SettingsInvalid:
        return True
    return False


@pytest.mark.parametrize("made", [False, True])
def test_what_lies_in_the_data_folder_is_refused(data: Path, made: bool) -> None:
    """The folder, what is or would be in it, and ways around through ``..`` are refused."""
    if made:
        (data / "sub").mkdir(parents=True)
    for path in (
        data,
        data / "keys",
        data / "sub" / "missing" / "keys",
        data.parent / "x" / ".." / "data" / "keys",
    ):
        assert _refused(path, data)
    for path in (
        data.parent / "keys",
        data.parent / "data-keys" / "keys",
        data / ".." / "keys",
    ):
        assert not _refused(path, data)


def test_a_link_does_not_hide_where_a_file_lies(data: Path) -> None:
    """Links to the file, to a folder and to the data folder are followed."""
    (data / "sub").mkdir(parents=True)
    (data.parent / "file-link").symlink_to(data / "keys")
    (data.parent / "sub-link").symlink_to(data / "sub")
    (data.parent / "data-link").symlink_to(data)
    for name in ("file-link", "sub-link/keys", "data-link", "data-link/keys"):
        assert _refused(data.parent / name, data)
    assert _refused(data / "keys", data.parent / "data-link")
    assert not _refused(data / ".." / "keys", data.parent / "sub-link")


def test_a_link_that_lies_in_the_data_folder_is_refused(data: Path) -> None:
    """A link in the data folder that leads out of it is restored with the folder, so it counts."""
    elsewhere = data.parent / "elsewhere"
    elsewhere.mkdir()
    data.mkdir()
    (data / "link-out").symlink_to(elsewhere / "keys")
    assert _refused(data / "link-out", data)
    assert not _refused(elsewhere / "keys", data)


def test_a_bind_mount_does_not_hide_the_data_folder(data: Path) -> None:
    """A second name that a mount gives the data folder is known as that folder."""
    mounted = data.parent / "mounted"
    data.mkdir()
    mounted.mkdir()
    namespace = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("this system lets its users mount nothing")
    found = subprocess.run(
        [*namespace, _MOUNT, "sh", str(data), str(mounted), sys.executable],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert found.stdout.split() == ["refused", "refused"]


def test_the_message_says_what_lies_where(data: Path) -> None:
    """The message names the file, the folder, and what to do."""
    with pytest.raises(SettingsInvalid, match=rf"^the key file {data}/keys .*{data}, .*outside"):
        check_outside(data / "keys", data_folder=data, what="the key file")
