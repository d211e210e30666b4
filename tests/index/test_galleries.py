"""The galleries of a data folder."""

from pathlib import Path

import pytest

from embedding.errors import (
    GalleryExists,
    GalleryNotFound,
    NameInvalid,
    RequestInvalid,
    StoreError,
    StoreInUse,
    SubjectNotFound,
    TemplateNotFound,
)
from index.galleries import Galleries
from tests.index.samples import (
    FINGERPRINT,
    OTHER_FINGERPRINT,
    identify,
    new_template,
    unit_vectors,
)


def test_galleries_are_there_after_a_restart(data_folder: Path) -> None:
    """Name, model, id and time of creation come back, ordered by name."""
    with Galleries.open(data_folder) as galleries:
        galleries.create("staff", fingerprint=FINGERPRINT)
        galleries.create("guests", fingerprint=OTHER_FINGERPRINT)
        before = [(g.id, g.name, g.fingerprint, g.created_at) for g in galleries.list()]
    with Galleries.open(data_folder) as galleries:
        after = [(g.id, g.name, g.fingerprint, g.created_at) for g in galleries.list()]
    assert after == before
    assert [each[1] for each in after] == ["guests", "staff"]


def test_get_gives_one_object(galleries: Galleries) -> None:
    """Everybody who asks for a gallery shares its vectors."""
    created = galleries.create("staff", fingerprint=FINGERPRINT)
    assert galleries.get("staff") is created


def test_an_unknown_gallery_is_not_found(galleries: Galleries) -> None:
    """Get and delete say that there is none."""
    for call in (galleries.get, galleries.delete):
        with pytest.raises(GalleryNotFound, match="no gallery"):
            call("unknown")


def test_a_name_is_taken_once(galleries: Galleries) -> None:
    """A second gallery with the same name is refused."""
    galleries.create("staff", fingerprint=FINGERPRINT)
    with pytest.raises(GalleryExists, match="exists"):
        galleries.create("staff", fingerprint=OTHER_FINGERPRINT)


def test_a_bad_name_or_fingerprint_makes_no_gallery(galleries: Galleries) -> None:
    """Nothing is written when something is refused."""
    with pytest.raises(NameInvalid):
        galleries.create("a/b", fingerprint=FINGERPRINT)
    with pytest.raises(RequestInvalid):
        galleries.create("staff", fingerprint="model")
    assert galleries.list() == ()


def test_a_deleted_gallery_is_gone_with_all_that_it_held(data_folder: Path) -> None:
    """Its templates are counted, its name is free, its handle answers no more."""
    vectors = unit_vectors(2)
    with Galleries.open(data_folder) as galleries:
        old = galleries.create("staff", fingerprint=FINGERPRINT)
        old.enroll([new_template(each) for each in vectors], name="Anna")
        assert galleries.delete("staff") == 2
        with pytest.raises(GalleryNotFound):
            identify(old, vectors[0])
        with pytest.raises(GalleryNotFound):
            old.enroll([new_template(vectors[0])], name="Anna")
        new = galleries.create("staff", fingerprint=OTHER_FINGERPRINT)
        assert (new.num_subjects, new.num_templates) == (0, 0)
    with Galleries.open(data_folder) as galleries:
        assert galleries.get("staff").num_templates == 0


def test_galleries_do_not_see_each_other(galleries: Galleries) -> None:
    """A subject of one gallery is unknown in another, by face and by id."""
    vector = unit_vectors(1)[0]
    staff = galleries.create("staff", fingerprint=FINGERPRINT)
    guests = galleries.create("guests", fingerprint=FINGERPRINT)
    enrolled = staff.enroll([new_template(vector)], name="Anna")
    assert identify(guests, vector).decision == "unknown"
    assert guests.find_subject(name="Anna") is None
    assert guests.enroll([new_template(vector)], name="Anna").created
    with pytest.raises(SubjectNotFound):
        guests.subject(enrolled.subject_id)
    with pytest.raises(TemplateNotFound):
        guests.template(enrolled.template_ids[0])


def test_an_open_folder_is_in_use(data_folder: Path) -> None:
    """A second opener gets the address that was given through set_url."""
    with Galleries.open(data_folder) as galleries:
        galleries.set_url("http://127.0.0.1:8321")
        with pytest.raises(StoreInUse) as caught:
            Galleries.open(data_folder)
        assert caught.value.url == "http://127.0.0.1:8321"


def test_closed_galleries_say_so(data_folder: Path) -> None:
    """After close every call is a clear error, and the folder is free."""
    galleries = Galleries.open(data_folder)
    gallery = galleries.create("staff", fingerprint=FINGERPRINT)
    galleries.close()
    galleries.close()
    with pytest.raises(StoreError, match="closed"):
        galleries.get("staff")
    with pytest.raises(GalleryNotFound, match="closed"):
        gallery.subjects()
    Galleries.open(data_folder).close()


def test_a_failed_open_leaves_the_folder_free(data_folder: Path) -> None:
    """The lock is given back when the database cannot be opened."""
    data_folder.mkdir(mode=0o700)
    database = data_folder / "facegallery.sqlite"
    database.write_bytes(b"no database" * 1000)
    for _ in range(2):
        with pytest.raises(StoreError, match="damaged"):
            Galleries.open(data_folder)
    database.unlink()
    Galleries.open(data_folder).close()


def test_secrets_are_those_of_the_folder(data_folder: Path) -> None:
    """A secret is the same after a restart."""
    with Galleries.open(data_folder) as galleries:
        secret = galleries.secret("keys")
    with Galleries.open(data_folder) as galleries:
        assert galleries.secret("keys") == secret


def test_galleries_come_page_by_page(galleries: Galleries) -> None:
    """By name, those that are to be shown, also where the last one of a page is deleted."""
    for name in ("e", "B", "c", "a", "d"):
        galleries.create(name, fingerprint=FINGERPRINT)

    def shown(name: str) -> bool:
        return name != "c"

    first, cursor = galleries.page(limit=2, shown=shown)
    assert [each.name for each in first] == ["B", "a"]
    galleries.delete("a")
    galleries.create("aa", fingerprint=FINGERPRINT)
    second, cursor = galleries.page(limit=2, cursor=cursor, shown=shown)
    assert [each.name for each in second] == ["aa", "d"]
    third, cursor = galleries.page(limit=2, cursor=cursor, shown=shown)
    assert ([each.name for each in third], cursor) == (["e"], None)
    everything, cursor = galleries.page(limit=5)
    assert (everything, cursor) == (galleries.list(), None)


def test_a_page_of_galleries_has_bounds_and_a_cursor_of_its_own(galleries: Galleries) -> None:
    """Limits out of range, and cursors that are another list's, are refused."""
    for name in ("a", "b"):
        galleries.create(name, fingerprint=FINGERPRINT)
        galleries.keys.add(name, secret_hash=b"h", role="admin")
    for limit in (0, 1001):
        with pytest.raises(RequestInvalid, match="limit must be 1 to 1000"):
            galleries.page(limit=limit)
    _, of_keys = galleries.keys.page(limit=1)
    with pytest.raises(RequestInvalid, match="not one of this list"):
        galleries.page(limit=1, cursor=of_keys)
