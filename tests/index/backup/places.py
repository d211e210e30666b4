"""Places that were changed after their backup, and what is in them."""

from pathlib import Path

from index.backup.saving import save
from index.galleries import Galleries
from index.gallery import Gallery
from index.place import Place
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors

NUM_PEOPLE = 6
REMOVED = 2
"""Who was in the backup, and was removed after it."""

ADDED = NUM_PEOPLE
"""Who came after the backup."""

_VECTORS = unit_vectors(NUM_PEOPLE + 1, seed=31)

BEFORE = frozenset(range(NUM_PEOPLE + 1)) - {REMOVED}
"""Who is there before a restore."""

AFTER = BEFORE - {ADDED}
"""Who is there after it."""


def place_in(folder: Path, url: str | None = None) -> Place:
    """Return a place with a ledger."""
    return Place(data_folder=folder / "data", database_url=url, ledger=folder / "removals.ledger")


def opened(place: Place) -> Galleries:
    """Open the galleries as a service does."""
    return Galleries.open(
        place.data_folder, database_url=place.database_url, ledger=place.ledger, upkeep_s=3600
    )


def fill(place: Place) -> None:
    """Make a gallery, and people that are known by one template each."""
    with opened(place) as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        for number in range(NUM_PEOPLE):
            enroll(gallery, number)


def back_up(place: Place) -> None:
    """Save it beside its data folder."""
    save(
        place.data_folder,
        place.data_folder.with_name("backup"),
        database_url=place.database_url,
    )


def change(place: Place) -> None:
    """Remove somebody, and enroll somebody."""
    with opened(place) as galleries:
        gallery = galleries.get("people")
        subject = gallery.find_subject(external_id=str(REMOVED))
        assert subject is not None
        gallery.remove_subject(subject.id)
        enroll(gallery, ADDED)


def enroll(gallery: Gallery, number: int) -> None:
    """Enroll a person."""
    gallery.enroll([new_template(_VECTORS[number])], external_id=str(number))


def people(place: Place) -> frozenset[int]:
    """Return who is there; SQL and memory must say the same."""
    with opened(place) as galleries:
        gallery = galleries.get("people")
        found = frozenset(
            number
            for number in range(NUM_PEOPLE + 1)
            if identify(gallery, _VECTORS[number]).decision == "match"
        )
        assert found == {int(each.external_id or -1) for each in gallery.subjects().subjects}
        assert gallery.num_subjects == gallery.num_templates == len(found)
    return found
