"""What is on disk after a restart, and what is found when it was changed."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import text

from embedding.errors import StoreCorrupt
from index.galleries import Galleries
from index.sealing import SealContext, TemplateContext
from index.store.folder import DATABASE_NAME
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors

_VECTORS = unit_vectors(30)


def _fill(data_folder: Path) -> list[str]:
    """Enroll ten people of three templates each, remove one, and return the template ids."""
    with Galleries.open(data_folder) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        ids: list[str] = []
        for start in range(0, 30, 3):
            rows = [new_template(each) for each in _VECTORS[start : start + 3]]
            enrolled = gallery.enroll(rows, name=f"person {start}")
            if start == 6:
                gallery.remove_subject(enrolled.subject_id)
            else:
                ids.extend(enrolled.template_ids)
    return ids


def test_a_restart_answers_identically(data_folder: Path) -> None:
    """Every probe gets the same answer, to the last bit, as before."""
    _fill(data_folder)
    probes = unit_vectors(20, seed=5)
    answers = []
    for _ in range(2):
        with Galleries.open(data_folder) as galleries:
            gallery = galleries.get("people")
            assert (gallery.num_subjects, gallery.num_templates) == (9, 27)
            answers.append([identify(gallery, each) for each in [*probes, *_VECTORS]])
    assert answers[0] == answers[1]
    decisions = [each.decision for each in answers[0][20:]]
    assert decisions.count("match") == 27


def test_a_template_id_is_not_used_again_after_a_restart(data_folder: Path) -> None:
    """The newest template was removed, yet the next one gets a higher number."""
    numbers = []
    for _ in range(2):
        with Galleries.open(data_folder) as galleries:
            if not galleries.list():
                galleries.create("people", fingerprint=FINGERPRINT)
            gallery = galleries.get("people")
            enrolled = gallery.enroll([new_template(_VECTORS[0])], name="Anna")
            numbers.extend(gallery._memory.matrix.search(_VECTORS[:1], 1)[1][0].tolist())
            gallery.remove_subject(enrolled.subject_id)
    assert numbers[1] > numbers[0]


def test_the_change_log_has_no_gaps(data_folder: Path) -> None:
    """Every change has the gallery's next number, and names nobody."""
    _fill(data_folder)
    with closing(sqlite3.connect(data_folder / DATABASE_NAME)) as raw:
        log = raw.execute("SELECT sequence, kind FROM changes ORDER BY sequence").fetchall()
        counter = raw.execute("SELECT sequence FROM galleries").fetchone()[0]
    assert [row[0] for row in log] == list(range(1, counter + 1))
    kinds = [row[1] for row in log]
    assert kinds.count("subject_added") == 10
    assert kinds.count("template_added") == 30
    assert kinds.count("subject_removed") == 1


def _flip(value: object) -> object:
    if isinstance(value, bytes):
        middle = len(value) // 2
        return value[:middle] + bytes([value[middle] ^ 1]) + value[middle + 1 :]
    if isinstance(value, str):
        return value[:-1] + chr(ord(value[-1]) ^ 1)
    assert isinstance(value, float | int)
    return value + 1


@pytest.mark.parametrize(
    "column",
    [
        "public_id",
        "subject_id",
        "face_id",
        "image_id",
        "image_hash",
        "box_left",
        "box_top",
        "box_right",
        "box_bottom",
        "photo_width",
        "photo_height",
        "landmarks",
        "confidence",
        "quality",
        "norm",
        "fingerprint",
        "sealed_embedding",
        "checksum",
        "sequence",
        "created_at",
    ],
)
def test_a_changed_value_of_a_template_is_detected(data_folder: Path, column: str) -> None:
    """Whatever column was changed, the next start names the template and says what to do."""
    template_id = _fill(data_folder)[4]
    path = data_folder / DATABASE_NAME
    with closing(sqlite3.connect(path)) as raw:
        value = raw.execute(
            f"SELECT {column} FROM templates WHERE public_id = ?",  # noqa: S608
            (template_id,),
        ).fetchone()[0]
        raw.execute(
            f"UPDATE templates SET {column} = ? WHERE public_id = ?",  # noqa: S608
            (_flip(value), template_id),
        )
        raw.commit()
    named = _flip(template_id) if column == "public_id" else template_id
    with pytest.raises(StoreCorrupt, match="restore") as caught:
        Galleries.open(data_folder)
    assert str(named) in str(caught.value)


@pytest.mark.parametrize("value", ["not a time", "2026-13-01 00:00:00.000000", b"\xff"])
def test_a_value_that_cannot_be_read_is_detected(data_folder: Path, value: object) -> None:
    """A value that the driver cannot even read is damage, too."""
    template_id = _fill(data_folder)[4]
    with closing(sqlite3.connect(data_folder / DATABASE_NAME)) as raw:
        raw.execute(
            "UPDATE templates SET created_at = ? WHERE public_id = ?", (value, template_id)
        )
        raw.commit()
    with pytest.raises(StoreCorrupt, match="restore"):
        Galleries.open(data_folder)


def test_many_damaged_templates_make_a_short_message(data_folder: Path) -> None:
    """Ten are named, the rest is counted."""
    _fill(data_folder)
    with closing(sqlite3.connect(data_folder / DATABASE_NAME)) as raw:
        raw.execute("UPDATE templates SET norm = norm + 1")
        raw.commit()
    with pytest.raises(StoreCorrupt, match="and 17 more"):
        Galleries.open(data_folder)


def test_flipped_bits_in_the_file_never_go_unnoticed(data_folder: Path) -> None:
    """With a bit of an embedding flipped in the file itself, the folder does not open."""
    _fill(data_folder)
    path = data_folder / DATABASE_NAME
    content = bytearray(path.read_bytes())
    place = content.index(_VECTORS[4].tobytes()[:64]) + 17
    content[place] ^= 0x10
    path.write_bytes(content)
    with pytest.raises(StoreCorrupt):
        Galleries.open(data_folder)


def test_a_template_without_a_subject_names_nobody(data_folder: Path) -> None:
    """It is searched and can be removed, but it is no candidate."""
    with Galleries.open(data_folder) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.enroll([new_template(_VECTORS[0])], name="Anna")
        stray = gallery.enroll([new_template(_VECTORS[1])], name="Bert").template_ids[0]
        store = gallery._store
        with store._database.transaction() as connection:
            connection.execute(
                text("UPDATE templates SET subject_id = NULL WHERE public_id = :id"),
                {"id": stray},
            )
        assert [each.subject.name for each in identify(gallery, _VECTORS[1]).candidates] == [
            "Anna"
        ]
        assert gallery.template(stray).subject_id is None
        gallery.remove_template(stray)
        assert gallery.num_templates == 1


class _XorSealer:
    """Not a secret, but no byte stays as it is, and every context is written down."""

    def __init__(self) -> None:
        self.sealed: list[SealContext] = []
        self.unsealed: list[SealContext] = []

    @property
    def encrypts(self) -> bool:
        """True: no byte stays as it is."""
        return True

    def is_current(self, sealed: bytes) -> bool:  # noqa: ARG002
        """True: there is no key."""
        return True

    def seal(self, clear: bytes, *, context: SealContext) -> bytes:
        """Return all bits flipped."""
        self.sealed.append(context)
        return bytes(each ^ 0xFF for each in clear)

    def unseal(self, sealed: bytes, *, context: SealContext) -> bytes:
        """Return all bits flipped."""
        self.unsealed.append(context)
        return bytes(each ^ 0xFF for each in sealed)


def test_every_template_byte_passes_the_sealer(data_folder: Path) -> None:
    """The clear vector is nowhere in the folder, and unsealing gets the context of sealing."""
    sealer = _XorSealer()
    with Galleries.open(data_folder, sealer=sealer) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        enrolled = gallery.enroll([new_template(each) for each in _VECTORS[:3]], name="Anna")
        _assert_nowhere(data_folder, _VECTORS[:3].astype("<f4").tobytes()[:32])
        gallery_id = gallery.id
    _assert_nowhere(data_folder, _VECTORS[0].astype("<f4").tobytes()[:32])
    with Galleries.open(data_folder, sealer=sealer) as galleries:
        assert identify(galleries.get("people"), _VECTORS[0]).decision == "match"
    sealed = [each for each in sealer.sealed if isinstance(each, TemplateContext)]
    assert [each for each in sealer.unsealed if isinstance(each, TemplateContext)] == sealed
    assert sealed[0] == TemplateContext(
        gallery_id=gallery_id,
        subject_id=enrolled.subject_id,
        template_id=enrolled.template_ids[0],
        fingerprint=FINGERPRINT,
    )


def _assert_nowhere(folder: Path, pattern: bytes) -> None:
    for path in folder.iterdir():
        assert pattern not in path.read_bytes(), path.name


class _Shortener(_XorSealer):
    """Gives fewer bytes back than it was given."""

    def unseal(self, sealed: bytes, *, context: SealContext) -> bytes:
        """Return half of the bytes."""
        return super().unseal(sealed, context=context)[:1024]


class _Forgetter(_XorSealer):
    """Gives back what lies on the disk."""

    def unseal(self, sealed: bytes, *, context: SealContext) -> bytes:  # noqa: ARG002
        """Return the sealed bytes."""
        return sealed


@pytest.mark.parametrize("sealer", [_Shortener, _Forgetter])
def test_an_embedding_that_was_unsealed_wrongly_is_refused(
    data_folder: Path, sealer: Callable[[], _XorSealer]
) -> None:
    """Neither a wrong length nor a vector that is not unit gets into memory."""
    with Galleries.open(data_folder, sealer=_XorSealer()) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.enroll([new_template(_VECTORS[0])], name="Anna")
    with pytest.raises(StoreCorrupt):
        Galleries.open(data_folder, sealer=sealer())


def test_removed_bytes_leave_the_database_file(data_folder: Path) -> None:
    """After a removal and a close the embedding lies nowhere in the folder."""
    pattern = np.ascontiguousarray(_VECTORS[0], dtype="<f4").tobytes()[100:200]
    with Galleries.open(data_folder) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        enrolled = gallery.enroll([new_template(each) for each in _VECTORS[:3]], name="Anna")
        gallery.enroll([new_template(each) for each in _VECTORS[3:6]], name="Bert")
    assert pattern in (data_folder / DATABASE_NAME).read_bytes()
    with Galleries.open(data_folder) as galleries:
        galleries.get("people").remove_subject(enrolled.subject_id)
    _assert_nowhere(data_folder, pattern)
