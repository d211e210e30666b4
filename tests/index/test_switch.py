"""A gallery gets another one's name: in one commit, and nothing that is meant for it gets lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from embedding.errors import (
    GalleryExists,
    GalleryNotFound,
    GalleryReplaced,
    NameInvalid,
    RequestInvalid,
)
from index.galleries import Galleries
from index.gallery import Gallery
from index.rules import GalleryRules
from tests.index.conftest import OpenGalleries
from tests.index.samples import (
    FINGERPRINT,
    OTHER_FINGERPRINT,
    identify,
    new_template,
    unit_vectors,
)

_VECTORS = unit_vectors(3)


def test_a_switch_is_for_what_was_seen(open_galleries: OpenGalleries) -> None:
    """A gallery that changed after it was looked at keeps its name; so does everything else."""
    with open_galleries() as galleries:
        old = galleries.create("people", fingerprint=FINGERPRINT)
        new = galleries.create("new", fingerprint=OTHER_FINGERPRINT)
        galleries.create("taken", fingerprint=FINGERPRINT)
        sequence = old.sequence
        old.enroll([new_template(unit_vectors(1)[0])])
        with pytest.raises(RequestInvalid, match="changed"):
            galleries.switch("people", new, kept_name="old", sequence=sequence)
        with pytest.raises(GalleryExists):
            galleries.switch("people", new, kept_name="taken", sequence=old.sequence)
        with pytest.raises(NameInvalid):
            galleries.switch("people", new, kept_name="a/b", sequence=old.sequence)
        assert galleries.get("people") is old
        galleries.switch("people", new, kept_name="old", sequence=old.sequence)
        assert [each.name for each in galleries.list()] == ["old", "people", "taken"]
        assert galleries.get("people").id == new.id


@pytest.mark.postgres
def test_other_processes_follow_a_switch(tmp_path: Path, database_url: str) -> None:
    """Whoever shares the database finds the new gallery under the name after the next sync."""
    with (
        Galleries.open(tmp_path / "data", database_url=database_url) as galleries,
        Galleries.open(tmp_path / "data", database_url=database_url) as others,
    ):
        old = galleries.create("people", fingerprint=FINGERPRINT)
        new = galleries.create("new", fingerprint=OTHER_FINGERPRINT)
        assert others.get("people").id == old.id
        galleries.switch("people", new, kept_name="old", sequence=old.sequence)
        others.sync()
        assert others.get("people").id == new.id
        assert others.get("old").id == old.id
        assert [each.name for each in others.list()] == ["old", "people"]


@pytest.fixture
def both(tmp_path: Path, database_url: str) -> Iterator[tuple[Galleries, Galleries]]:
    """Two processes' galleries; the second follows only when it is told to."""
    data = tmp_path / "data"
    with (
        Galleries.open(data, database_url=database_url) as one,
        Galleries.open(data, database_url=database_url) as other,
    ):
        assert other._follower is not None
        other._follower.stop()
        yield one, other


def _switched(one: Galleries, other: Galleries) -> Gallery:
    """A gallery of the other process that has lost its name, with ann in it and in the new one."""
    old = one.create("people", fingerprint=FINGERPRINT)
    old.enroll([new_template(_VECTORS[0])], name="ann")
    new = one.create("new", fingerprint=OTHER_FINGERPRINT)
    new.enroll([new_template(_VECTORS[1], fingerprint=OTHER_FINGERPRINT)], name="ann")
    other.sync()
    held = other.get("people")
    one.switch("people", new, kept_name="kept", sequence=old.sequence)
    return held


def _ann(gallery: Gallery) -> str:
    subject = gallery.find_subject(name="ann")
    assert subject is not None
    return subject.id


_CHANGES: dict[str, Callable[[Gallery], object]] = {
    "enroll": lambda held: held.enroll([new_template(_VECTORS[2])], name="ben"),
    "remove_subject": lambda held: held.remove_subject(_ann(held)),
    "remove_template": lambda held: held.remove_template(held.templates(_ann(held))[0].id),
    "rename": lambda held: held.rename(_ann(held), name=None),
    "set_rules": lambda held: held.set_rules(GalleryRules(max_templates=1)),
    "delete": lambda held: held.delete(),
}


@pytest.mark.postgres
@pytest.mark.parametrize("change", list(_CHANGES))
@pytest.mark.parametrize("synced", [False, True])
def test_a_change_for_the_name_is_not_lost(
    both: tuple[Galleries, Galleries], change: str, synced: bool
) -> None:
    """It is refused, whether its process knows of the switch or not, and works anew."""
    one, other = both
    held = _switched(one, other)
    if synced:
        other.sync()
    with pytest.raises(GalleryReplaced, match="again"):
        _CHANGES[change](held)
    assert _ann(one.get("kept"))
    assert one.get("kept").num_templates == 1
    assert one.get("kept").rules().max_templates is None
    # Whoever asks by name has the new one at once, without waiting for the follower.
    assert other.get("people").fingerprint == OTHER_FINGERPRINT
    other.get("people").remove_subject(_ann(other.get("people")))
    one.sync()
    assert one.get("people").find_subject(name="ann") is None


@pytest.mark.postgres
def test_a_deletion_by_name_is_not_of_the_wrong_one(both: tuple[Galleries, Galleries]) -> None:
    """The new gallery goes, also where the process does not know of the switch yet."""
    one, other = both
    _switched(one, other)
    other.delete("people")
    one.sync()
    assert [each.name for each in one.list()] == ["kept"]


@pytest.mark.postgres
def test_who_first_sees_the_new_one_after_the_switch(both: tuple[Galleries, Galleries]) -> None:
    """It is there under its name after one sync, and the old one under the kept one."""
    one, other = both
    old = one.create("people", fingerprint=FINGERPRINT)
    other.sync()
    new = one.create("new", fingerprint=OTHER_FINGERPRINT)
    one.switch("people", new, kept_name="kept", sequence=old.sequence)
    other.sync()
    assert {each.name: each.id for each in other.list()} == {"people": new.id, "kept": old.id}


def test_an_object_of_before_is_the_same_gallery(open_galleries: OpenGalleries) -> None:
    """It answers and follows as the renamed one does, and is gone with it."""
    with open_galleries() as galleries:
        old = galleries.create("people", fingerprint=FINGERPRINT)
        new = galleries.create("new", fingerprint=OTHER_FINGERPRINT)
        galleries.switch("people", new, kept_name="kept", sequence=old.sequence)
        galleries.get("kept").enroll([new_template(_VECTORS[0])], name="ann")
        assert old.num_templates == 1
        found = identify(old, _VECTORS[0]).subject
        assert found is not None
        assert found.name == "ann"
        galleries.delete("kept")
        with pytest.raises(GalleryNotFound):
            identify(old, _VECTORS[0])


@pytest.mark.parametrize("of_new", [False, True])
def test_a_removal_that_failed_is_carried_out_before(
    tmp_path: Path, any_database_url: str | None, of_new: bool
) -> None:
    """It is in the ledger: the old gallery has changed by it, and the new one has nobody more."""
    with Galleries.open(
        tmp_path / "data",
        database_url=any_database_url,
        ledger=tmp_path / "removals",
        upkeep_s=None,
    ) as galleries:
        old = galleries.create("people", fingerprint=FINGERPRINT)
        old.enroll([new_template(_VECTORS[0])], name="ann")
        new = galleries.create("new", fingerprint=OTHER_FINGERPRINT)
        new.enroll([new_template(_VECTORS[1], fingerprint=OTHER_FINGERPRINT)], name="ann")
        _fail_to_remove(galleries, new if of_new else old)
        if of_new:
            galleries.switch("people", new, kept_name="kept", sequence=old.sequence)
            assert galleries.get("people").find_subject(name="ann") is None
            assert _ann(galleries.get("kept"))
        else:
            with pytest.raises(RequestInvalid, match="changed"):
                galleries.switch("people", new, kept_name="kept", sequence=old.sequence)
            assert galleries.get("people").id == old.id
            assert old.find_subject(name="ann") is None


def _fail_to_remove(galleries: Galleries, gallery: Gallery) -> None:
    """Try to remove ann; the process is interrupted between the ledger and the commit."""
    with pytest.raises(RuntimeError):
        _interrupted(galleries, gallery, _ann(gallery))


def _interrupted(galleries: Galleries, gallery: Gallery, subject_id: str) -> None:
    with galleries._store.database.transaction() as connection:
        removed = gallery._store._remove_subject(connection, subject_id)
        galleries._store._erasures._remember(connection, gallery._store._entries(removed))
        raise RuntimeError("interrupted")
