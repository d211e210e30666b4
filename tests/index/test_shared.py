"""Several processes on one PostgreSQL database: each follows what the others change."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from embedding.errors import GalleryExists, GalleryNotFound, StoreError
from index.galleries import Galleries
from index.place import Place
from index.transfer import Transferred, export_gallery, import_gallery
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors
from tests.index.waiting import wait_until

pytestmark = pytest.mark.postgres

_VECTORS = unit_vectors(40)


@pytest.fixture
def both(data_folder: Path, database_url: str) -> Iterator[tuple[Galleries, Galleries]]:
    """Two services of one database and data folder."""
    with (
        Galleries.open(data_folder, database_url=database_url) as one,
        Galleries.open(data_folder, database_url=database_url) as other,
    ):
        yield one, other


def test_an_enroll_is_seen_by_the_other(both: tuple[Galleries, Galleries]) -> None:
    """Gallery, subject and templates come over without anybody asking."""
    one, other = both
    gallery = one.create("people", fingerprint=FINGERPRINT)
    gallery.enroll([new_template(_VECTORS[0])], name="Anna")
    wait_until(lambda: bool(other.list()) and other.list()[0].num_templates == 1)
    found = identify(other.get("people"), _VECTORS[0])
    assert found.candidates[0].subject.name == "Anna"
    assert other.get("people").num_subjects == 1


def test_a_refresh_knows_what_was_acknowledged(both: tuple[Galleries, Galleries]) -> None:
    """After it, an enroll that the other had acknowledged before is found, without a wait."""
    one, other = both
    gallery = one.create("people", fingerprint=FINGERPRINT)
    seen = other.get("people")
    for number in range(20):
        enrolled = gallery.enroll([new_template(_VECTORS[number])], name=f"S{number}")
        seen.refresh()
        assert identify(seen, _VECTORS[number]).candidates[0].subject_id == enrolled.subject_id
    one.delete("people")
    with pytest.raises(GalleryNotFound):
        seen.refresh()


def test_a_removal_is_never_answered_by_the_other(both: tuple[Galleries, Galleries]) -> None:
    """From the return of the removal on, whatever the other's memory still holds."""
    one, other = both
    gallery = one.create("people", fingerprint=FINGERPRINT)
    for number in range(10):
        enrolled = gallery.enroll([new_template(_VECTORS[number])], name=f"S{number}")
        wait_until(lambda: bool(identify(other.get("people"), _VECTORS[number]).candidates))  # noqa: B023
        gallery.remove_subject(enrolled.subject_id)
        assert identify(other.get("people"), _VECTORS[number]).candidates == ()
    wait_until(lambda: other.get("people").num_templates == 0)


def test_changes_of_both_end_in_the_same_memory(both: tuple[Galleries, Galleries]) -> None:
    """Enrolls and removals that interleave leave both with what SQL holds."""
    one, other = both
    one.create("people", fingerprint=FINGERPRINT)

    def change(galleries: Galleries, numbers: range) -> None:
        gallery = galleries.get("people")
        for number in numbers:
            enrolled = gallery.enroll([new_template(_VECTORS[number])], name=f"S{number}")
            if number % 3 == 0:
                gallery.remove_subject(enrolled.subject_id)

    threads = [
        threading.Thread(target=change, args=(one, range(20))),
        threading.Thread(target=change, args=(other, range(20, 40))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = {f"S{number}" for number in range(40) if number % 3}
    for galleries in both:
        gallery = galleries.get("people")
        wait_until(lambda: gallery.num_templates == len(expected))  # noqa: B023
        names = {
            candidate.subject.name
            for number in range(40)
            for candidate in identify(gallery, _VECTORS[number], num_candidates=1).candidates
        }
        assert names == expected
        assert gallery.num_subjects == len(expected)


def test_a_deleted_gallery_is_gone_for_the_other(both: tuple[Galleries, Galleries]) -> None:
    """Whoever held it gets a clear error."""
    one, other = both
    one.create("people", fingerprint=FINGERPRINT).enroll([new_template(_VECTORS[0])])
    held = other.get("people")
    one.delete("people")
    with pytest.raises(GalleryNotFound):
        held.enroll([new_template(_VECTORS[1])])
    wait_until(lambda: other.list() == ())
    with pytest.raises(GalleryNotFound):
        identify(held, _VECTORS[0])


def test_one_name_makes_one_gallery(both: tuple[Galleries, Galleries]) -> None:
    """The second creation is refused, though the other has not heard of the first."""
    one, other = both
    one.create("people", fingerprint=FINGERPRINT)
    with pytest.raises(GalleryExists):
        other.create("people", fingerprint=FINGERPRINT)


@pytest.mark.usefixtures("both")
def test_a_service_with_other_secrets_is_refused(database_url: str, tmp_path: Path) -> None:
    """Keys and cursors of one would be wrong at the other; the message says what to copy."""
    with pytest.raises(StoreError, match=r"\*\.secret"):
        Galleries.open(tmp_path / "elsewhere", database_url=database_url)


def test_staleness_is_reported(both: tuple[Galleries, Galleries]) -> None:
    """It is small while the database answers."""
    wait_until(lambda: all(each.staleness_s < 2.0 for each in both))


def test_an_import_is_seen_by_running_services(
    both: tuple[Galleries, Galleries], data_folder: Path, database_url: str, tmp_path: Path
) -> None:
    """The command, in a process of its own, adds to a gallery that two services have open."""
    pytest.importorskip("pyarrow", reason="needs facegallery[exchange]")
    file = tmp_path / "people.parquet"
    gallery = both[0].create("people", fingerprint=FINGERPRINT)
    for number in range(3):
        gallery.enroll([new_template(_VECTORS[number])], name=f"S{number}")
    with Place(data_folder=data_folder, database_url=database_url).opened() as store:
        export_gallery(store, "people", file)
    for subject in gallery.subjects().subjects[1:]:
        gallery.remove_subject(subject.id)
    _run_import(file, data_folder=data_folder, database_url=database_url)
    for galleries in both:
        gallery = galleries.get("people")
        wait_until(lambda: gallery.num_templates == 3)  # noqa: B023
        found = [identify(gallery, each).candidates[0].subject.name for each in _VECTORS[:3]]
        assert found == ["S0", "S1", "S2"]
        assert gallery.num_subjects == 3


def _run_import(file: Path, *, data_folder: Path, database_url: str) -> None:
    subprocess.run(
        [
            *(sys.executable, "-c", "from index.cli.main import main; main()"),
            *("import", file, "--gallery", "people"),
        ],
        env={each: value for each, value in os.environ.items() if "FACEGALLERY" not in each}
        | {
            "FACEGALLERY_DATA_FOLDER": str(data_folder),
            "FACEGALLERY_DATABASE_URL": database_url,
        },
        cwd=Path(__file__).parents[2],
        check=True,
    )


def test_who_is_removed_while_an_import_waits_does_not_come_back(
    data_folder: Path, database_url: str, tmp_path: Path
) -> None:
    """The import goes by what the ledger says when it has the gallery, not when it began."""
    pytest.importorskip("pyarrow", reason="needs facegallery[exchange]")
    file, ledger = tmp_path / "people.parquet", tmp_path / "removals.ledger"
    done: list[Transferred] = []
    place = Place(data_folder=data_folder, database_url=database_url, ledger=ledger)
    with (
        Galleries.open(data_folder, database_url=database_url, ledger=ledger) as galleries,
        place.opened() as store,
    ):
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        enrolled = gallery.enroll([new_template(_VECTORS[0])], name="Anna")
        export_gallery(store, "people", file)
        both = [
            threading.Thread(target=gallery.remove_subject, args=(enrolled.subject_id,)),
            threading.Thread(target=lambda: done.append(import_gallery(store, "people", file))),
        ]
        with psycopg.connect(database_url) as holder:
            holder.execute("SELECT id FROM galleries FOR UPDATE")
            for num_waiting, thread in enumerate(both, start=1):
                thread.start()
                wait_until(lambda: _num_waiting(database_url) == num_waiting)  # noqa: B023
        for thread in both:
            thread.join()
        assert [each.left_out for each in done] == [enrolled.template_ids]
        wait_until(lambda: gallery.num_templates == 0)
        assert identify(gallery, _VECTORS[0]).candidates == ()


def _num_waiting(database_url: str) -> int:
    """How many transactions of the database wait for a row that another holds."""
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with psycopg.connect(database_url) as connection:
        return int(connection.execute(query).fetchone()[0])  # type: ignore[index]
