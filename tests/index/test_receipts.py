"""Erasure receipts: what they say, when they are final, and who can have signed them."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from embedding.errors import GalleryNotFound, RequestInvalid, SubjectNotFound
from index.galleries import Galleries
from index.gallery import Gallery
from index.memory import MemoryOptions
from index.receipts import Receipt, is_genuine, read_receipt
from index.signing import Signer
from tests.index.conftest import OpenGalleries
from tests.index.samples import FINGERPRINT, new_template, unit_vectors


def _enroll(gallery: Gallery, num_templates: int = 3) -> str:
    vectors = unit_vectors(num_templates)
    return gallery.enroll([new_template(each) for each in vectors]).subject_id


def test_a_receipt_says_what_was_erased(gallery: Gallery) -> None:
    """Ids, number of templates and time; not final before the purge."""
    other, subject = _enroll(gallery, 2), _enroll(gallery, 3)
    gallery.remove_subject(other)
    erasure = gallery.erase_subject(subject)
    assert (erasure.gallery_id, erasure.subject_id) == (gallery.id, subject)
    assert (erasure.num_templates, erasure.final, erasure.ledger_entry) == (3, False, None)
    assert gallery.erasure(subject) == erasure
    assert gallery.erasure(other).num_templates == 2


def test_it_is_final_once_purged(open_galleries: OpenGalleries) -> None:
    """The purge makes it final, also for a process that opens the folder later."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        subject = _enroll(gallery)
        assert not gallery.erase_subject(subject).final
        galleries.maintain()
        assert gallery.erasure(subject).final
        later = _enroll(gallery)
        assert not gallery.erase_subject(later).final
        assert gallery.erasure(subject).final
    with open_galleries() as galleries:
        assert galleries.get("people").erasure(subject).final
        galleries.maintain()
        assert galleries.get("people").erasure(later).final


def test_that_of_somebody_without_templates_becomes_final(open_galleries: OpenGalleries) -> None:
    """The name is to be purged though no vector went; so it is where the log is followed."""
    with open_galleries() as galleries, ExitStack() as stack:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        processes = [galleries]
        if galleries.store.database.shared:
            processes.append(stack.enter_context(open_galleries()))
        for process in processes:
            subject = _enroll(gallery, 1)
            gallery.remove_template(gallery.templates(subject)[0].id)
            for each in processes:
                each.maintain()
            assert not gallery.erase_subject(subject).final
            process.maintain()
            assert gallery.erasure(subject).final


def test_that_of_somebody_without_templates_waits_for_the_snapshot(data_folder: Path) -> None:
    """It is written anew at once: a vector of theirs may have been in it."""
    options = MemoryOptions(snapshot_from=1)
    with Galleries.open(data_folder, options=options, upkeep_s=None) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        subject, _ = _enroll(gallery, 1), _enroll(gallery, 2)
        gallery.remove_template(gallery.templates(subject)[0].id)
        galleries.maintain()
        assert not gallery.erase_subject(subject).final
        galleries.maintain()
        assert gallery.erasure(subject).final


@pytest.mark.postgres
def test_a_deleted_gallery_s_becomes_final_by_another_process(
    data_folder: Path, database_url: str
) -> None:
    """The one that deleted it may have died since."""
    with (
        Galleries.open(data_folder, database_url=database_url, upkeep_s=None) as ours,
        Galleries.open(data_folder, database_url=database_url, upkeep_s=None) as theirs,
    ):
        _enroll(ours.create("people", fingerprint=FINGERPRINT))
        theirs.maintain()
        assert not ours.erase("people").final
        theirs.maintain()
        assert ours.erasure("people").final


def test_it_names_the_entry_of_the_ledger(tmp_path: Path) -> None:
    """The number is that of the subject's own entry, after those of its templates."""
    with Galleries.open(tmp_path / "data", ledger=tmp_path / "ledger") as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        first, second = _enroll(gallery, 3), _enroll(gallery, 2)
        assert gallery.erase_subject(first).ledger_entry == 4
        assert gallery.erase_subject(second).ledger_entry == 7
        assert gallery.erasure(first).ledger_entry == 4


def test_who_is_there_has_no_receipt(gallery: Gallery) -> None:
    """Only who was removed has one."""
    with pytest.raises(SubjectNotFound):
        gallery.erasure(_enroll(gallery))


@pytest.fixture
def receipt(galleries: Galleries, gallery: Gallery) -> Receipt:
    """A signed one."""
    return galleries.receipt(gallery.erase_subject(_enroll(gallery)))


def test_a_receipt_is_genuine_after_its_way_through_json(receipt: Receipt) -> None:
    """As a document of its own, or inside the answer of a removal, it can be checked."""
    document = json.dumps(dataclasses.asdict(receipt))
    for text in (document, json.dumps({"num_templates": 3, "receipt": json.loads(document)})):
        assert is_genuine(read_receipt(text), public_key=receipt.public_key)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(final=True),
        lambda content: content.update(num_templates=4),
        lambda content: content.update(extra=1),
        lambda content: content.pop("removed_at"),
    ],
    ids=["final", "count", "more", "less"],
)
def test_a_changed_receipt_is_not(
    receipt: Receipt, change: Callable[[dict[str, Any]], object]
) -> None:
    """Nothing can be changed, added or left out."""
    content = dict(receipt.content)
    change(content)
    changed = dataclasses.replace(receipt, content=content)
    assert not is_genuine(changed, public_key=receipt.public_key)


def test_another_s_signature_is_not(receipt: Receipt) -> None:
    """The key that stands in a receipt proves nothing: the service's own is needed."""
    other = Signer(b"s" * 32)
    assert not is_genuine(receipt, public_key=other.public_key)
    assert not is_genuine(
        dataclasses.replace(receipt, signature="00"), public_key=receipt.public_key
    )
    with pytest.raises(RequestInvalid):
        is_genuine(receipt, public_key="no key")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "1", '{"receipt": 1}', '{"content": 1, "signature": 2, "public_key": 3}',
     '{"content": {}, "signature": 2, "public_key": "a"}', "[" * 100_000],
)  # fmt: skip
def test_what_is_no_receipt_is_refused(text: str) -> None:
    """Any other text is the caller's mistake."""
    with pytest.raises(RequestInvalid):
        read_receipt(text)


def test_a_deleted_gallery_has_one(open_galleries: OpenGalleries) -> None:
    """It counts who went, is final once purged, and outlives the process."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        for num in (3, 2):
            _enroll(gallery, num)
        gallery.remove_subject(_enroll(gallery, 1))
        erasure = galleries.erase("people")
        assert (erasure.gallery_id, erasure.subject_id) == (gallery.id, None)
        assert (erasure.num_templates, erasure.num_subjects, erasure.final) == (5, 2, False)
        assert galleries.erasure("people") == erasure
    with open_galleries() as galleries:
        assert not galleries.erasure("people").final
        galleries.maintain()
        assert galleries.erasure("people").final
        receipt = galleries.receipt(galleries.erasure("people"))
        assert is_genuine(receipt, public_key=receipt.public_key)
        assert receipt.content["num_subjects"] == 2


def test_it_is_that_of_the_last_gallery_of_the_name(galleries: Galleries) -> None:
    """A gallery that is there has none; one that was made and deleted again has its own."""
    with pytest.raises(GalleryNotFound):
        galleries.erasure("people")
    first = galleries.create("people", fingerprint=FINGERPRINT)
    with pytest.raises(GalleryNotFound):
        galleries.erasure("people")
    galleries.delete("people")
    galleries.maintain()
    second = galleries.create("people", fingerprint=FINGERPRINT)
    assert galleries.erasure("people").gallery_id == first.id
    galleries.delete("people")
    assert galleries.erasure("people").gallery_id == second.id
    assert not galleries.erasure("people").final


def test_it_is_not_final_while_a_snapshot_lies_there(galleries: Galleries) -> None:
    """Whatever of the gallery lies beside the database counts, too."""
    gallery = galleries.create("people", fingerprint=FINGERPRINT)
    galleries.delete("people")
    galleries.maintain()
    left = galleries.path / "snapshots" / gallery.id
    left.mkdir(parents=True)
    assert not galleries.erasure("people").final
    left.rmdir()
    assert galleries.erasure("people").final


def test_a_gallery_s_names_its_entry_of_the_ledger(tmp_path: Path) -> None:
    """Also where a restored backup was without the deletion, and it was carried out again."""
    with Galleries.open(tmp_path / "data", ledger=tmp_path / "ledger") as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        gallery.remove_subject(_enroll(gallery, 1))
        _enroll(gallery, 2)
    shutil.copytree(tmp_path / "data", tmp_path / "backup")
    with Galleries.open(tmp_path / "data", ledger=tmp_path / "ledger") as galleries:
        erasure = galleries.erase("people")
        assert erasure.ledger_entry == 3
    with Galleries.open(tmp_path / "backup", ledger=tmp_path / "ledger") as galleries:
        again = galleries.erasure("people")
        assert (again.gallery_id, again.ledger_entry) == (erasure.gallery_id, 3)
        assert (again.num_templates, again.num_subjects) == (2, 1)
        assert not again.final
        galleries.maintain()
        assert galleries.erasure("people").final
