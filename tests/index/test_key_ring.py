"""The key file: made, read, renewed and refused."""

import base64
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedding.errors import SealKeyMissing, SettingsInvalid
from index.encryption import AesGcmSealer
from index.key_ring import KeyRing, SealKey
from tests.index.samples import no_hard_links
from tests.index.test_encryption import CLEAR, TEMPLATE

_KILLS = 12


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A path for a key file that does not exist yet."""
    return tmp_path / "facegallery.keys"


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def _encoded(secret: bytes) -> str:
    return base64.b64encode(secret).decode()


def test_a_new_key_file_is_private_and_reads_back(key_file: Path) -> None:
    """A generated file has mode 0600, one key, and nothing is left beside it."""
    made = KeyRing.generate(key_file)
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert KeyRing.read(key_file) == made
    assert len(made.keys) == 1
    assert list(key_file.parent.iterdir()) == [key_file]


def test_generate_never_overwrites(key_file: Path) -> None:
    """A file that exists stays as it is, even an empty one."""
    for content in ("", "something"):
        key_file.write_text(content)
        with pytest.raises(SettingsInvalid, match="exists already"):
            KeyRing.generate(key_file)
        assert key_file.read_text() == content
    assert list(key_file.parent.iterdir()) == [key_file]


def test_only_one_of_many_generates(key_file: Path) -> None:
    """Of processes or threads that make the same file at once, one succeeds with its key."""

    def make(_: int) -> KeyRing | None:
        try:
            return KeyRing.generate(key_file)
        except SettingsInvalid:
            return None

    with ThreadPoolExecutor(8) as pool:
        made = [each for each in pool.map(make, range(8)) if each is not None]
    assert made == [KeyRing.read(key_file)]


def test_rotate_puts_a_new_key_in_front(key_file: Path) -> None:
    """The new key seals, the old ones stay in their order, and so do the comments."""
    first = KeyRing.generate(key_file)
    key_file.write_text("# mine\n\n" + key_file.read_text() + "# end")
    second = KeyRing.rotate(key_file)
    third = KeyRing.rotate(key_file)
    assert third.keys[1:] == second.keys
    assert second.keys[1:] == first.keys
    assert KeyRing.read(key_file) == third
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert key_file.read_text().startswith("# mine\n")
    assert key_file.read_text().endswith("# end")


def test_retire_takes_an_old_key_out(key_file: Path) -> None:
    """The old key is gone from the file, the current one cannot go, and an unknown id is said."""
    old = KeyRing.generate(key_file).current
    KeyRing.rotate(key_file)
    ring = KeyRing.rotate(key_file)
    with pytest.raises(SettingsInvalid, match="is the current one; rotate first"):
        KeyRing.retire(key_file, ring.current.id)
    with pytest.raises(SealKeyMissing, match=f"its ids are {ring.current.id}"):
        KeyRing.retire(key_file, "0" * 16)
    left = KeyRing.retire(key_file, old.id)
    assert left.keys == ring.keys[:2]
    assert KeyRing.read(key_file) == left
    assert _encoded(old.secret) not in key_file.read_text()


def test_rotations_at_once_lose_no_key(key_file: Path) -> None:
    """Every key that a rotation returned as current is in the file afterwards."""
    first = KeyRing.generate(key_file).current
    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(lambda _: KeyRing.rotate(key_file).current, range(12)))
    assert set(KeyRing.read(key_file).keys) == {first, *made}


def test_a_killed_rotation_leaves_a_usable_file(key_file: Path) -> None:
    """Whenever a rotating process is killed, the file still opens what it opened before."""
    sealed = AesGcmSealer(KeyRing.generate(key_file)).seal(CLEAR, context=TEMPLATE)
    code = (
        "import sys; from pathlib import Path; from index.key_ring import KeyRing\n"
        "path = Path(sys.argv[1])\n"
        "while True:\n"
        "    ring = KeyRing.rotate(path)\n"
        "    print(ring.current.id, flush=True)\n"
        "    for old in ring.keys[3:]:\n"
        "        if old.id != sys.argv[2]:\n"
        "            KeyRing.retire(path, old.id)\n"
    )
    first = KeyRing.read(key_file).current.id
    seen = []
    for number in range(_KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", code, str(key_file), first],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        ) as child:
            assert child.stdout is not None
            for _ in range(1 + number % 7):
                acknowledged = child.stdout.readline().strip()
            child.send_signal(signal.SIGKILL)
            # It may have gone on until then, and retired that one again.
            later = child.stdout.read().splitlines(keepends=True)
            whole = [each.strip() for each in later if each.endswith("\n")]
            acknowledged = whole[-1] if whole else acknowledged
        ring = KeyRing.read(key_file)
        assert acknowledged in {each.id for each in ring.keys}
        assert AesGcmSealer(ring).unseal(sealed, context=TEMPLATE) == CLEAR
        seen.append(ring.current.id)
    KeyRing.rotate(key_file)
    assert list(key_file.parent.iterdir()) == [key_file]
    assert len(set(seen)) == _KILLS


def _full_disk(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_failed_rotation_changes_nothing(
    key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the new file cannot take the old one's place, the old one stays, and it is said."""
    made = KeyRing.generate(key_file)
    monkeypatch.setattr(Path, "rename", _full_disk)
    with pytest.raises(SettingsInvalid, match="cannot be written: No space left"):
        KeyRing.rotate(key_file)
    assert KeyRing.read(key_file) == made


def test_a_failed_generate_leaves_nothing(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a key file cannot be made, no part of it is left, and it is said."""
    monkeypatch.setattr(Path, "hardlink_to", _full_disk)
    with pytest.raises(SettingsInvalid, match="cannot be written: No space left"):
        KeyRing.generate(key_file)
    assert list(key_file.parent.iterdir()) == []


def test_a_key_file_needs_no_hard_links(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without hard links a key file is made, and never made over another."""
    monkeypatch.setattr(Path, "hardlink_to", no_hard_links)
    made = KeyRing.generate(key_file)
    with pytest.raises(SettingsInvalid, match="exists already"):
        KeyRing.generate(key_file)
    assert KeyRing.read(key_file) == made
    assert list(key_file.parent.iterdir()) == [key_file]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666])
def test_a_file_that_others_can_use_is_refused(key_file: Path, mode: int) -> None:
    """Any right of the group or of others is refused, with the command that takes it away."""
    KeyRing.generate(key_file)
    key_file.chmod(mode)
    for use in (KeyRing.read, KeyRing.rotate, lambda path: KeyRing.retire(path, "0" * 16)):
        with pytest.raises(SettingsInvalid, match=f"chmod 600 {key_file}"):
            use(key_file)
    key_file.chmod(0o400)
    assert len(KeyRing.read(key_file).keys) == 1


def test_no_file_is_a_missing_key(key_file: Path) -> None:
    """A path without a file, or under a folder that is missing, says what to restore."""
    for path in (key_file, key_file.parent / "none" / "keys"):
        for use in (KeyRing.read, KeyRing.rotate):
            with pytest.raises(SealKeyMissing, match="restore it from its copy"):
                use(path)
    with pytest.raises(SettingsInvalid, match="folder that exists"):
        KeyRing.generate(key_file.parent / "none" / "keys")


def _folder(path: Path) -> None:
    path.mkdir(mode=0o700)


def _pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def _huge(path: Path) -> None:
    _written(path, "#" * 70_000)


@pytest.mark.parametrize("make", [_folder, _pipe, _huge])
def test_what_is_no_key_file_is_refused(key_file: Path, make: Callable[[Path], None]) -> None:
    """A folder, a named pipe or a large file is refused at once."""
    make(key_file)
    with pytest.raises(SettingsInvalid, match="give the path of a key file"):
        KeyRing.read(key_file)


_GOOD = SealKey.random()
_NOT_A_KEY = {
    "one word": _GOOD.id,
    "key alone": _encoded(_GOOD.secret),
    "three words": f"{_GOOD.id} {_encoded(_GOOD.secret)} current",
    "too short": f"{_GOOD.id} {_encoded(_GOOD.secret[:31])}",
    "too long": f"{_GOOD.id} {_encoded(_GOOD.secret + b'x')}",
    "64 bytes": f"{_GOOD.id} {_encoded(_GOOD.secret * 2)}",
    "no padding": f"{_GOOD.id} {_encoded(_GOOD.secret)[:-1]}",
    "not base64": f"{_GOOD.id} {'!' * 43}=",
    "hexadecimal": f"{_GOOD.id} {_GOOD.secret.hex()}",
    "other id": f"{'0' * 16} {_encoded(_GOOD.secret)}",
    "turned around": f"{_encoded(_GOOD.secret)} {_GOOD.id}",
    "not ASCII": f"{_GOOD.id} {'é' * 44}",
    "zeros": f"{_GOOD.id} {_encoded(bytes(32))}",
}
_PLACEHOLDERS = {
    "zeros": bytes(32),
    "all equal": bytes([173] * 32),
    "a sequence": bytes(range(32)),
    "a sequence downwards": bytes(range(255, 223, -1)),
    "a pattern": b"\x80\x01\xfe\x33" * 8,
    "a text": b"please-change-this-secret-key-01",
}


@pytest.mark.parametrize("secret", _PLACEHOLDERS.values(), ids=_PLACEHOLDERS)
def test_a_placeholder_is_no_key(secret: bytes) -> None:
    """32 bytes that are plainly not random are refused wherever they come from."""
    with pytest.raises(SettingsInvalid, match="placeholder"):
        SealKey(secret)


@pytest.mark.parametrize("length", [0, 16, 31, 33, 64])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    """Only 32 bytes are a key; the error says how many came."""
    with pytest.raises(SettingsInvalid, match=f"32 bytes, got {length};"):
        SealKey(os.urandom(length))


@pytest.mark.parametrize("line", _NOT_A_KEY.values(), ids=_NOT_A_KEY)
def test_lines_that_are_no_keys_are_refused(key_file: Path, line: str) -> None:
    """A line that is not an id and a random key of its own is refused, and never shown."""
    other = SealKey.random()
    _written(key_file, f"# keys\n{other.line()}{line}\n")
    with pytest.raises(SettingsInvalid) as caught:
        KeyRing.read(key_file)
    assert not set(line.split()[1:]) & set(str(caught.value).replace(",", " ").split())
    assert _encoded(_GOOD.secret)[:10] not in repr(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(SettingsInvalid):
        KeyRing.from_environment({"KEYS": line}, variable="KEYS")


@given(place=st.integers(0, 43), letter=st.sampled_from("ABCxyz019+/"))
def test_a_mistyped_key_is_noticed(place: int, letter: str) -> None:
    """A key with one other letter is not another key: its id does not fit any more."""
    encoded = _encoded(_GOOD.secret)
    mistyped = encoded[:place] + letter + encoded[place + 1 :]
    # The last letter's two low bits are not part of the 32 bytes.
    if place == 43 or base64.b64decode(mistyped) != _GOOD.secret:
        with pytest.raises(SettingsInvalid):
            KeyRing.from_environment({"KEYS": f"{_GOOD.id} {mistyped}"}, variable="KEYS")


def test_a_key_twice_is_refused(key_file: Path) -> None:
    """The same key on two lines is refused, in a file and in a ring."""
    _written(key_file, _GOOD.line() * 2)
    with pytest.raises(SettingsInvalid, match="given twice"):
        KeyRing.read(key_file)


@pytest.mark.parametrize("text", ["", "\n\n", "# a comment alone\n"])
def test_no_key_at_all_is_a_missing_key(key_file: Path, text: str) -> None:
    """An empty file, an unset or empty variable and an empty ring are a missing key."""
    _written(key_file, text)
    for use in (KeyRing.read, KeyRing.rotate):
        with pytest.raises(SealKeyMissing, match="no sealing key"):
            use(key_file)
    for environment in ({}, {"KEYS": text}):
        with pytest.raises(SealKeyMissing, match="no sealing key"):
            KeyRing.from_environment(environment, variable="KEYS")


def test_keys_from_the_environment() -> None:
    """A variable holds a key file's lines, or the same with commas; the first one is current."""
    keys = tuple(SealKey.random() for _ in range(3))
    lines = "".join(each.line() for each in keys)
    for text in (lines, lines.replace("\n", ","), lines.replace("\n", " , ").strip(" ,")):
        ring = KeyRing.from_environment({"KEYS": text}, variable="KEYS")
        assert ring.keys == keys
        assert ring.current == keys[0]


def test_rotating_through_a_link_keeps_the_link(key_file: Path) -> None:
    """A symbolic link still leads to the file, which has the new key."""
    KeyRing.generate(key_file)
    folder = key_file.parent / "links"
    folder.mkdir()
    link = folder / "link"
    link.symlink_to(key_file)
    ring = KeyRing.rotate(link)
    assert link.is_symlink()
    assert KeyRing.read(key_file) == ring
    assert list(folder.iterdir()) == [link]


def test_a_path_below_a_file_is_refused(key_file: Path) -> None:
    """A path that leads through a file is said to be unusable, whatever is asked of it."""
    KeyRing.generate(key_file)
    for use in (KeyRing.read, KeyRing.rotate, KeyRing.generate):
        with pytest.raises(SettingsInvalid, match=r"cannot be (read|written): Not a directory"):
            use(key_file / "below")
