"""Flips single bits of snapshot files and of template rows, and looks whether it is noticed."""

import logging
import random
import shutil
import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from benchmarks.fault_model import FINGERPRINT, template, vector
from benchmarks.fault_place import Place
from embedding.errors import StoreCorrupt, StoreError
from index.galleries import Galleries
from index.records import NewSubject
from index.snapshot.key_use import SNAPSHOTS_NAME
from index.store.template_rows import CHECKED_FIELDS

NUM_PEOPLE = 40
"""So many that a snapshot is written, so few that four hundred starts take seconds."""

_COLUMNS = (*CHECKED_FIELDS, "checksum", "gallery_id", "subject_id")
_NO_UPKEEP_S = 3600.0
_NOT_USED = "a snapshot is not used"


def snapshot_flips(place: Place, *, num: int, dice: random.Random) -> list[str]:
    """Flip bits of a snapshot one after the other; returns what was not as it must be.

    Args:
        place: that nobody has open; `fill` made what is in it.
        num: of flips, each of another bit, anywhere in the manifest and the files.
        dice: chooses them.
    """
    snapshots, kept = place.data / SNAPSHOTS_NAME, place.folder / "snapshots before"
    shutil.copytree(snapshots, kept)
    failures = []
    for _ in range(num):
        shutil.rmtree(snapshots)
        shutil.copytree(kept, snapshots)
        # The lock files are empty.
        path = dice.choice(sorted(each for each in snapshots.rglob("*") if _has_bytes(each)))
        place_of_bit = _flip_in_file(path, dice)
        where = f"bit {place_of_bit} of {path.name}"
        try:
            told, answers = _start(place)
        except StoreError as error:
            failures.append(f"{where}: no start: {error}")
            continue
        if not told:
            failures.append(f"{where}: not noticed")
        if answers != list(range(NUM_PEOPLE)):
            failures.append(f"{where}: other answers")
    return failures


def row_flips(place: Place, *, num: int, dice: random.Random) -> list[str]:
    """Flip bits of template rows in the SQLite file; returns what was not noticed.

    Args:
        place: as `snapshot_flips`' one; its snapshot is removed, so that every row is read.
        num: of flips, each in a column that the checksum covers, the checksum, or the
            ids of gallery and subject.
        dice: chooses them.
    """
    database = next(place.data.glob("*.sqlite*"))
    shutil.rmtree(place.data / SNAPSHOTS_NAME, ignore_errors=True)
    kept = place.folder / "database before"
    shutil.copy(database, kept)
    failures = []
    for _ in range(num):
        for each in place.data.glob(f"{database.name}*"):
            each.unlink()
        shutil.copy(kept, database)
        where = _flip_in_row(database, dice)
        try:
            _start(place)
        except StoreCorrupt:
            continue
        except StoreError as error:
            failures.append(f"{where}: another error: {error}")
        else:
            failures.append(f"{where}: not noticed")
        # A start that went well has written a snapshot.
        shutil.rmtree(place.data / SNAPSHOTS_NAME, ignore_errors=True)
    return failures


def fill(place: Place) -> None:
    """Enroll some people, with one template each, and leave a snapshot."""
    with place.open(upkeep_s=_NO_UPKEEP_S) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.enroll_many(
            [
                NewSubject(name=f"name {seed}", external_id=str(seed), templates=(template(seed),))
                for seed in range(NUM_PEOPLE)
            ]
        )


def found(galleries: Galleries, seeds: Sequence[int]) -> list[int]:
    """Return whose vectors are answered with their own subject, as a user asks."""
    gallery = galleries.get("people")
    answers = []
    for seed in seeds:
        answer = gallery.identify(
            vector(seed), fingerprint=FINGERPRINT, match_threshold=0.9, review_threshold=0.8
        )
        if answer.decision == "match" and answer.candidates[0].subject.external_id == str(seed):
            answers.append(seed)
    return answers


class _Told(logging.Handler):
    """Remembers whether it was told that a snapshot is not used."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told = False

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a message."""
        self.told = self.told or record.getMessage().startswith(_NOT_USED)


def _start(place: Place) -> tuple[bool, list[int]]:
    """Return whether a damaged snapshot was told of, and who is found."""
    handler, logger = _Told(), logging.getLogger("index.memory")
    logger.addHandler(handler)
    try:
        with place.open(upkeep_s=_NO_UPKEEP_S) as galleries:
            return handler.told, found(galleries, range(NUM_PEOPLE))
    finally:
        logger.removeHandler(handler)


def _has_bytes(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


def _flip_in_file(path: Path, dice: random.Random) -> int:
    content = bytearray(path.read_bytes())
    bit = dice.randrange(8 * len(content))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    return bit


def _flip_in_row(database: Path, dice: random.Random) -> str:
    """Flip one bit of one value as it lies in the file; returns which."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        row, *_ = dice.choice(connection.execute("SELECT id FROM templates").fetchall())
        query = f"SELECT {', '.join(_COLUMNS)} FROM templates WHERE id = ?"  # noqa: S608 - fixed
        values = connection.execute(query, [row]).fetchone()
        known = [number for number, value in enumerate(values) if value not in (None, b"", "")]
        number = dice.choice(known)
        flipped, bit = _flipped(values[number], dice)
        column = _COLUMNS[number]
        command = f"UPDATE templates SET {column} = ? WHERE id = ?"  # noqa: S608 - fixed
        connection.execute(command, [flipped, row])
    return f"bit {bit} of {column}"


def _flipped(value: bytes | str | float, dice: random.Random) -> tuple[object, int]:
    """Return a value with one bit of its stored form flipped, and which."""
    if isinstance(value, int):
        bit = dice.randrange(31)
        return value ^ (1 << bit), bit
    if isinstance(value, float):
        content = bytearray(struct.pack("<d", value))
    else:
        content = bytearray(value.encode() if isinstance(value, str) else value)
    # A text's highest bit would make it one that SQLite does not take.
    bit = 8 * dice.randrange(len(content)) + dice.randrange(7 if isinstance(value, str) else 8)
    content[bit // 8] ^= 1 << bit % 8
    if isinstance(value, float):
        return struct.unpack("<d", content)[0], bit
    return (content.decode() if isinstance(value, str) else bytes(content)), bit
