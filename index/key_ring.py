"""The keys that templates are sealed with: where they come from, and how they are renewed.

A key file is text. Each line holds a key id and the key in base64; empty lines and lines that
begin with ``#`` are skipped. The first key is the current one: it seals. The others only unseal.
A key's id is computed from the key, so a mistyped key is noticed, and another key never has the
same id. Nothing of a key stands in a message, a log or a repr; its id may.
"""

import base64
import hmac
import itertools
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from embedding.errors import SealKeyMissing, SettingsInvalid
from index.private_files import changing, create_private, replace_private

KEY_BYTES = 32
"""AES-256."""

KEY_ID_BYTES = 8

_BASE64_KEY = re.compile(r"[A-Za-z0-9+/]{43}=")
_MAX_FILE_BYTES = 65_536
"""Some 900 keys; what is larger is not a key file."""

_FEWEST_STEPS = 8
"""Random keys have about 29 different steps between neighbours; one byte repeated has one."""

_FILE_HEAD = """\
# The keys that this installation's templates are sealed with. The first one is current.
# Without them the templates are lost: keep a copy, but never beside the data or its backups.
"""


@dataclass(frozen=True, slots=True)
class SealKey:
    """One key.

    Attributes:
        secret: 32 random bytes.
        id: 16 hexadecimal digits, computed from the key; not secret.

    Raises:
        SettingsInvalid: another length, or plainly not random.
    """

    secret: bytes = field(repr=False)
    id: str = field(init=False)

    def __post_init__(self) -> None:
        if len(self.secret) != KEY_BYTES:
            raise SettingsInvalid(
                f"a sealing key must have {KEY_BYTES} bytes, got {len(self.secret)}; "
                f"make one with facegallery-index keys new"
            )
        if is_placeholder(self.secret):
            raise SettingsInvalid(
                "a sealing key is a placeholder: repeated bytes, a sequence or a text; it must be "
                f"{KEY_BYTES} random bytes, such as facegallery-index keys new makes"
            )
        digest = hmac.digest(self.secret, b"facegallery key id\x01", "sha256")
        object.__setattr__(self, "id", digest[:KEY_ID_BYTES].hex())

    @classmethod
    def random(cls) -> Self:
        """Return a new key."""
        return cls(secrets.token_bytes(KEY_BYTES))

    def line(self) -> str:
        """Return the key as a line of a key file: this text is secret."""
        return f"{self.id} {base64.b64encode(self.secret).decode()}\n"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys, the current one first.

    Attributes:
        keys: at least one, all different.

    Raises:
        SealKeyMissing: no key.
        SettingsInvalid: a key twice.
    """

    keys: tuple[SealKey, ...]

    def __post_init__(self) -> None:
        if not self.keys:
            raise SealKeyMissing(
                "there is no sealing key; give the key file that the templates were sealed with, "
                "or make a new one before the first enroll"
            )
        if len({each.id for each in self.keys}) < len(self.keys):
            raise SettingsInvalid("a sealing key is given twice; remove one of its lines")

    @property
    def current(self) -> SealKey:
        """The key that seals."""
        return self.keys[0]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Return the keys of a key file.

        Raises:
            SealKeyMissing: there is no such file, or no key in it.
            SettingsInvalid: others than its owner can read it, or a line is not as it must be.
        """
        return cls(tuple(key for _, key in _keys_by_line(_read(path), source=str(path))))

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], *, variable: str) -> Self:
        """Return the keys in an environment variable: a key file's lines, or commas between.

        Raises:
            SealKeyMissing: the variable is not set or has no key.
            SettingsInvalid: a line is not as it must be.
        """
        text = environment.get(variable, "").replace(",", "\n")
        return cls(tuple(key for _, key in _keys_by_line(text, source=variable)))

    @classmethod
    def generate(cls, path: Path) -> Self:
        """Make a key file with one new key, mode 0600, and return its keys.

        Raises:
            SettingsInvalid: the file exists, or cannot be written.
        """
        ring = cls((SealKey.random(),))
        try:
            create_private(path, (_FILE_HEAD + ring.current.line()).encode())
        except FileExistsError as error:
            raise SettingsInvalid(
                f"{path} exists already and is left as it is; facegallery-index keys rotate adds "
                f"a new key to it, or give another path"
            ) from error
        except OSError as error:
            raise _not_writable(path, error) from error
        return ring

    @classmethod
    def rotate(cls, path: Path) -> Self:
        """Put a new key in front of a key file and return its keys; a kill loses none of them.

        A process that runs goes on with the keys that it has read, until it reads them again
        and gives them to its sealer (`AesGcmSealer.use`).

        Raises:
            SealKeyMissing: there is no such file, or no key in it.
            SettingsInvalid: the file cannot be used or written.
        """
        with _changing(path) as (path, text):
            ring = cls(tuple(key for _, key in _keys_by_line(text, source=str(path))))
            ring = cls((SealKey.random(), *ring.keys))
            lines = text.splitlines(keepends=True)
            first = next(number for number, _ in _keys_by_line(text, source=str(path)))
            lines.insert(first, ring.current.line())
            replace_private(path, "".join(lines).encode())
        return ring

    @classmethod
    def retire(cls, path: Path, key_id: str) -> Self:
        """Take an old key out of a key file and return the others; what it sealed is lost.

        Only a key that nothing is sealed with any more may go: first seal everything anew.

        Raises:
            SealKeyMissing: there is no such file, or no such key in it.
            SettingsInvalid: the key is the current one, or the file cannot be used or written.
        """
        with _changing(path) as (path, text):
            keys = _keys_by_line(text, source=str(path))
            by_id = {key.id: (number, key) for number, key in keys}
            ring = cls(tuple(key for _, key in by_id.values()))
            if key_id not in by_id:
                raise SealKeyMissing(
                    f"there is no key with that id in {path}; its ids are {', '.join(by_id)}"
                )
            if key_id == ring.current.id:
                raise SettingsInvalid(
                    f"key {key_id} is the current one; rotate first and seal everything anew"
                )
            lines = text.splitlines(keepends=True)
            del lines[by_id[key_id][0]]
            replace_private(path, "".join(lines).encode())
        return cls(tuple(each for each in ring.keys if each.id != key_id))


def is_placeholder(secret: bytes) -> bool:
    """Return whether bytes that should be random are repeated, a sequence or a text."""
    steps = {(after - before) % 256 for before, after in itertools.pairwise(secret)}
    is_text = all(0x20 <= each < 0x7F for each in secret)  # by chance once in 10^14 keys
    return len(steps) < _FEWEST_STEPS or is_text


def _keys_by_line(text: str, *, source: str) -> Iterator[tuple[int, SealKey]]:
    """Yield each key with its line's number, from 0."""
    for number, line in enumerate(text.splitlines()):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        where = f"line {number + 1} of {source}"
        if len(words) != 2:
            raise SettingsInvalid(
                f"{where} must be a key id, a space and a key, but has {len(words)} words"
            )
        if not _BASE64_KEY.fullmatch(words[1]):
            raise SettingsInvalid(
                f"{where} must hold a key of {KEY_BYTES} bytes in base64, which are 44 characters "
                f"of A-Z a-z 0-9 + / with one = at the end, but holds {len(words[1])} characters"
            )
        key = SealKey(base64.b64decode(words[1]))
        if words[0] != key.id:
            raise SettingsInvalid(
                f"{where}: the id does not belong to the key, whose own is {key.id}; one of the "
                f"two was mistyped or damaged, restore the line from a copy"
            )
        yield number, key


@contextmanager
def _changing(path: Path) -> Iterator[tuple[Path, str]]:
    """Give a key file's real path and text, and keep other changes out until the end."""
    path = path.resolve()  # A symbolic link stays one.
    try:
        with changing(path.parent):
            yield path, _read(path)
    except FileNotFoundError as error:
        raise _no_file(path) from error
    except OSError as error:
        raise _not_writable(path, error) from error


def _read(path: Path) -> str:
    try:
        # A named pipe would hold up a plain open.
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise _no_file(path) from error
    except OSError as error:
        raise SettingsInvalid(
            f"the key file {path} cannot be read: {error.strerror}; it must belong to the user "
            f"that runs this program"
        ) from error
    try:
        # Of the open file, which nobody can exchange in between.
        _check_private(path, os.fstat(file).st_mode)
        content = os.read(file, _MAX_FILE_BYTES + 1)
    finally:
        os.close(file)
    if len(content) > _MAX_FILE_BYTES:
        raise SettingsInvalid(f"{path} is too large for a key file; give the path of a key file")
    return content.decode("ascii", errors="replace")


def _check_private(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise SettingsInvalid(f"{path} is not a file; give the path of a key file")
    if mode & 0o077:
        raise SettingsInvalid(
            f"other users can use the key file {path} (mode {stat.S_IMODE(mode):04o}); run: "
            f"chmod 600 {path}"
        )


def _no_file(path: Path) -> SealKeyMissing:
    return SealKeyMissing(
        f"there is no key file at {path}; give its path or restore it from its copy (a new key "
        f"opens nothing that is sealed already)"
    )


def _not_writable(path: Path, error: OSError) -> SettingsInvalid:
    return SettingsInvalid(
        f"the key file {path} cannot be written: {error.strerror}; give a path in a folder that "
        f"exists, has free space and that this user can write"
    )
