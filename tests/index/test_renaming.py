"""A gallery that gets another name, with the keys that are tied to it."""

from pathlib import Path

import pytest

from embedding.errors import (
    GalleryExists,
    GalleryFilling,
    GalleryNotFound,
    GalleryReplaced,
    NameInvalid,
    RequestInvalid,
)
from index.galleries import Galleries
from tests.index.conftest import OpenGalleries
from tests.index.samples import (
    FINGERPRINT,
    OTHER_FINGERPRINT,
    identify,
    new_template,
    unit_vectors,
)
from tests.index.waiting import wait_until

_VECTORS = unit_vectors(3)


def _tied(galleries: Galleries, key_id: str) -> tuple[str, ...] | None:
    key = galleries.keys.get(key_id)
    assert key is not None
    return key.galleries


def _add_key(galleries: Galleries, key_id: str, *names: str) -> None:
    galleries.keys.add(
        key_id, secret_hash=key_id.encode(), role="operator", galleries=tuple(names) or None
    )


def test_what_a_key_reaches_is_told_by_id(open_galleries: OpenGalleries) -> None:
    """The same gallery before and after, also where another one gets the old name."""
    with open_galleries() as galleries:
        people = galleries.create("people", fingerprint=FINGERPRINT)
        for key_id, names in (("a", ["people", "absent"]), ("b", ["others"]), ("c", [])):
            _add_key(galleries, key_id, *names)
        assert galleries.keys.reached("a") == {people.id}
        galleries.rename("people", "staff")
        galleries.create("people", fingerprint=FINGERPRINT)
        assert galleries.keys.reached("a") == {people.id}
        assert [galleries.keys.reached(each) for each in ("b", "c", "unknown")] == [set()] * 3


def test_a_name_is_changed_with_its_keys(open_galleries: OpenGalleries) -> None:
    """What it holds stays, each key reaches what it did, and all of it is on disk."""
    with open_galleries() as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        galleries.create("others", fingerprint=FINGERPRINT)
        anna = gallery.enroll([new_template(_VECTORS[0])], name="Anna").subject_id
        for key_id, names in (("a", ["people"]), ("b", ["others"]), ("c", [])):
            _add_key(galleries, key_id, *names)
        _add_key(galleries, "d", "staff", "people")
        renamed = galleries.rename("people", "staff")
        assert (renamed.id, renamed.name) == (gallery.id, "staff")
        with pytest.raises(GalleryNotFound):
            galleries.get("people")
        with pytest.raises(GalleryReplaced):
            gallery.enroll([new_template(_VECTORS[1])], name="Bert")
        renamed.enroll([new_template(_VECTORS[1])], name="Bert")
    with open_galleries() as galleries:
        assert [each.name for each in galleries.list()] == ["others", "staff"]
        subject = identify(galleries.get("staff"), _VECTORS[0]).subject
        assert subject is not None
        assert subject.id == anna
        assert [_tied(galleries, each) for each in "abcd"] == [
            ("staff",),
            ("others",),
            None,
            ("staff",),
        ]


def test_names_that_cannot_be_taken(galleries: Galleries) -> None:
    """One of another gallery, of a key without its gallery, or that is none; nothing changes."""
    galleries.create("people", fingerprint=FINGERPRINT)
    galleries.create("others", fingerprint=FINGERPRINT)
    _add_key(galleries, "a", "vault")
    _add_key(galleries, "b", "others", "people")
    with pytest.raises(RequestInvalid, match="tied to this name"):
        galleries.rename("people", "vault")
    with pytest.raises(GalleryExists):
        galleries.rename("people", "others")
    for wrong in ("", "a b", "a~b", "x" * 256):
        with pytest.raises(NameInvalid):
            galleries.rename("people", wrong)
    with pytest.raises(GalleryNotFound):
        galleries.rename("absent", "new")
    assert galleries.rename("people", "people").name == "people"
    galleries.filling("people", fingerprint=OTHER_FINGERPRINT, space=False)
    with pytest.raises(GalleryFilling):
        galleries.rename("people", "new")
    assert _tied(galleries, "b") == ("others", "people")
    galleries.keys.revoke("a")
    galleries.abandon("people")
    assert galleries.rename("people", "vault").name == "vault"


@pytest.mark.postgres
def test_other_processes_know_the_new_name(data_folder: Path, database_url: str) -> None:
    """They follow by themselves; a change by the old name is refused before they do."""
    with (
        Galleries.open(data_folder, database_url=database_url) as ours,
        Galleries.open(data_folder, database_url=database_url) as theirs,
    ):
        ours.create("people", fingerprint=FINGERPRINT)
        wait_until(lambda: bool(theirs.list()))
        held = theirs.get("people")
        ours.rename("people", "staff")
        with pytest.raises(GalleryReplaced):
            held.enroll([new_template(_VECTORS[0])], name="Anna")
        assert theirs.get("staff").id == held.id
        with pytest.raises(GalleryNotFound):
            theirs.get("people")
        # Both at once: one of them is told.
        theirs.rename("staff", "crew")
        with pytest.raises((GalleryReplaced, GalleryNotFound)):
            ours.rename("staff", "team")
        wait_until(lambda: [each.name for each in ours.list()] == ["crew"])
