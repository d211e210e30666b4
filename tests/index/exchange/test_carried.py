"""What a file carries of a gallery, from one database through a file into another, and back."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from embedding.errors import FaceGalleryError, RequestInvalid, SubjectNotFound
from index.details import DetailChange
from index.exchange.files import read_gallery, verify, write_gallery
from index.exchange.rows import ExchangeHeader
from index.galleries import Galleries
from index.gallery import Gallery
from index.rules import NEW_GALLERY_LEAD, GalleryRules
from index.transfer import export_stream, import_into
from tests.index.exchange.samples import (
    HEADER,
    fields,
    other_tools_columns,
    read_all,
    row,
    write_as_other_tool,
)
from tests.index.samples import FINGERPRINT, new_template, unit_vectors

RULES = GalleryRules(fusion="mean", max_templates=2, smallest_lead=0.1)
Open = Callable[[str], Galleries]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens folders by name, each with a database and a removal ledger of its own."""
    with ExitStack() as stack:

        def open_(name: str) -> Galleries:
            url = None
            if request.param == "postgres":
                from tests.index.postgres import new_database

                url = new_database(request.getfixturevalue("server_url"))
            return stack.enter_context(
                Galleries.open(
                    tmp_path / name,
                    database_url=url,
                    ledger=tmp_path / f"{name}.ledger",
                    upkeep_s=None,
                )
            )

        yield open_


def _content(galleries: Galleries, name: str = "people") -> bytes:
    return b"".join(export_stream(galleries, name))


def _read(content: bytes) -> tuple[ExchangeHeader, list[tuple[object, ...]]]:
    header, batches = read_gallery(content)
    return header, fields([each for batch in batches for each in batch])


def _fill(gallery: Gallery) -> dict[str, str]:
    """People with all that is kept of them: two were merged, two are look-alikes."""
    vectors = iter(unit_vectors(20, seed=5))
    ids = {}
    for name, external_id in (("Ann", "a-1"), ("Bea", None), (None, "c-1"), ("Dan", None)):
        templates = [
            new_template(next(vectors), quality=quality, image_id=f"photo {quality}")
            for quality in (0.9, 0.8, 0.7)
        ]
        details = None
        if name == "Ann":
            details = DetailChange(
                metadata={"floor": 3, "tags": "x"},
                purpose="entry",
                consent="form 7",
                expires_at=datetime(2999, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
            )
        done = gallery.enroll(templates, name=name, external_id=external_id, details=details)
        ids[str(name or external_id)] = done.subject_id
    gallery.declare_look_alikes(ids["Ann"], ids["c-1"])
    gallery.merge_subjects(ids["Dan"], into=ids["Bea"])
    gallery.set_rules(RULES)
    return ids


def test_out_in_and_out_again_is_the_same(opened: Open) -> None:
    """Into an empty service: each row, and what the file says beside, are equal afterwards."""
    one, other = opened("one"), opened("other")
    ids = _fill(one.create("people", fingerprint=FINGERPRINT))
    content = _content(one)
    again = other.create("people", fingerprint=FINGERPRINT)
    done = import_into(other, "people", content).imported
    counts = (done.num_templates, done.num_subjects, done.num_look_alikes, done.num_merged)
    assert counts == (12, 3, 1, 1)
    assert (done.num_dropped, done.rules_taken_over) == (0, True)
    header, rows = _read(content)
    header_again, rows_again = _read(_content(other))
    assert rows_again == rows
    assert replace(header_again, exported_at=None) == replace(header, exported_at=None)
    assert (header.rules, header.merged) == (RULES, ((ids["Dan"], ids["Bea"]),))
    assert again.rules() == RULES
    with pytest.raises(SubjectNotFound) as error:
        again.subject(ids["Dan"])
    assert error.value.merged_into == ids["Bea"]


def test_an_import_done_twice_changes_nothing_beside_the_rows(opened: Open) -> None:
    """Nobody is merged, declared or removed again, and the change log stays as it is."""
    one, other = opened("one"), opened("other")
    _fill(one.create("people", fingerprint=FINGERPRINT))
    content = _content(one)
    again = other.create("people", fingerprint=FINGERPRINT)
    import_into(other, "people", content)
    sequence = again.sequence
    done = import_into(other, "people", content).imported
    assert (done.num_present, done.num_merged, done.rules_taken_over) == (12, 0, False)
    assert again.sequence == sequence


@pytest.mark.parametrize("chosen", ["rules", "people"])
def test_a_gallery_in_use_keeps_its_own_rules(opened: Open, chosen: str) -> None:
    """Where somebody chose rules, or is in the gallery, those of the file are not taken over."""
    one, other = opened("one"), opened("other")
    _fill(one.create("people", fingerprint=FINGERPRINT))
    again = other.create("people", fingerprint=FINGERPRINT)
    if chosen == "rules":
        again.set_rules(GalleryRules(smallest_lead=0.2))
    else:
        again.enroll([new_template(unit_vectors(1, seed=99)[0])], name="Zoe")
    before = again.rules()
    assert not import_into(other, "people", _content(one)).imported.rules_taken_over
    assert again.rules() == before != RULES


def test_an_import_keeps_to_the_cap(opened: Open) -> None:
    """The best templates of each person stay, and those that went do not come back."""
    one, other = opened("one"), opened("other")
    ids = _fill(one.create("people", fingerprint=FINGERPRINT))
    again = other.create("people", fingerprint=FINGERPRINT)
    again.set_rules(GalleryRules(max_templates=2, smallest_lead=NEW_GALLERY_LEAD))
    own = again.enroll([new_template(unit_vectors(1, seed=99)[0], quality=0.95)], name="Ann")
    content = _content(one)
    assert import_into(other, "people", content).imported.num_dropped == 2 + 1 + 4
    assert sorted(each.quality for each in again.templates(own.subject_id)) == [0.9, 0.95]
    assert [again.subject(ids[who]).num_templates for who in ("Bea", "c-1")] == [2, 2]
    assert (again.num_templates, again.num_subjects) == (6, 3)
    sequence = again.sequence
    later = import_into(other, "people", content)
    assert (later.imported.num_dropped, len(later.left_out)) == (0, 7)
    assert again.sequence == sequence


def test_who_was_erased_stays_out_under_all_their_ids(opened: Open) -> None:
    """Somebody who was removed here, and merged into another there, does not come back so."""
    one, other = opened("one"), opened("other")
    there = one.create("people", fingerprint=FINGERPRINT)
    dan = there.enroll([new_template(unit_vectors(1, seed=1)[0])], name="Dan").subject_id
    here = other.create("people", fingerprint=FINGERPRINT)
    import_into(other, "people", _content(one))
    here.remove_subject(dan)
    new = there.enroll([new_template(unit_vectors(1, seed=2)[0])], name="Daniel").subject_id
    there.merge_subjects(dan, into=new)
    done = import_into(other, "people", _content(one))
    assert (done.imported.num_templates, len(done.left_out)) == (0, 2)
    assert here.num_templates == 0


def test_somebody_who_is_there_is_not_said_to_be_merged(opened: Open) -> None:
    """A file of after a merge leaves the person of before, who is in the gallery, as they are."""
    one, other = opened("one"), opened("other")
    there = one.create("people", fingerprint=FINGERPRINT)
    vectors = unit_vectors(2, seed=3)
    dan, bea = (
        there.enroll([new_template(vector)], name=name).subject_id
        for vector, name in zip(vectors, ("Dan", "Bea"), strict=True)
    )
    here = other.create("people", fingerprint=FINGERPRINT)
    import_into(other, "people", _content(one))
    there.merge_subjects(dan, into=bea)
    assert import_into(other, "people", _content(one)).imported.num_merged == 0
    assert here.subject(dan).name == "Dan"
    header, _ = _read(_content(other))
    assert header.merged == ()


_ID, _OTHER = row(1).subject_id or "", row(2).subject_id or ""


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"merged": ((_ID, _ID),)}, "its own merged subject"),
        ({"merged": (("x", _ID),)}, "merged subject"),
        ({"merged": ((_ID, _OTHER), (_ID, row(3).subject_id))}, "twice"),
        ({"merged": ((_ID, _OTHER),) * 100_001}, "at most 100000"),
    ],
)
def test_bad_pairs_are_refused(path: Path, changes: dict[str, Any], problem: str) -> None:
    """Of merged subjects as of look-alikes: before anything is written."""
    with pytest.raises(FaceGalleryError, match=problem):
        write_gallery(path, [row()], header=replace(HEADER, **changes))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("facegallery.rules", "["),
        ("facegallery.rules", "[]"),
        ("facegallery.rules", "{}"),
        ("facegallery.rules", '{"fusion": 1, "max_templates": null, "smallest_lead": 0}'),
        ("facegallery.rules", '{"fusion": "x", "max_templates": null, "smallest_lead": 0}'),
        ("facegallery.rules", '{"fusion": "mean", "max_templates": true, "smallest_lead": 0}'),
        ("facegallery.rules", '{"fusion": "mean", "max_templates": 0, "smallest_lead": 0}'),
        ("facegallery.rules", '{"fusion": "mean", "max_templates": 1, "smallest_lead": NaN}'),
        ("facegallery.rules", '{"fusion": "mean", "max_templates": 1, "smallest_lead": 1e309}'),
        (
            "facegallery.rules",
            f'{{"fusion": "mean", "max_templates": 1, "smallest_lead": 1{"0" * 400}}}',
        ),
        ("facegallery.merged", '{"a": 1}'),
        ("facegallery.merged", '[["a"]]'),
        ("facegallery.merged", "[" * 100_000),
    ],
)
def test_bad_words_beside_the_rows_are_refused(path: Path, key: str, value: str) -> None:
    """Neither half of them nor a default is taken instead."""
    metadata = {"facegallery.format_version": "3", "facegallery.fingerprint": FINGERPRINT}
    write_as_other_tool(path, other_tools_columns(), metadata | {key: value})
    with pytest.raises(RequestInvalid):
        read_gallery(path)


def test_what_stands_beside_the_rows_is_under_the_digest(path: Path, tmp_path: Path) -> None:
    """A file whose rules or merged subjects were changed is damaged."""
    header = replace(HEADER, rules=RULES, merged=((_ID, _OTHER),), look_alikes=((_ID, _OTHER),))
    write_gallery(path, [row()], header=header)
    assert replace(read_all(path)[0], count=None) == header
    table, given = pq.read_table(path), pq.ParquetFile(path).metadata.metadata
    for key, change in (
        (b"facegallery.rules", (b"0.1", b"0.0")),
        (b"facegallery.merged", (_ID.encode(), row(3).subject_id.encode())),  # type: ignore[union-attr]
        (b"facegallery.merged", None),
    ):
        metadata = {each: value for each, value in given.items() if each != b"ARROW:schema"}
        if change is None:
            del metadata[key]
        else:
            metadata[key] = metadata[key].replace(*change)
        changed = tmp_path / "changed.parquet"
        pq.write_table(table.replace_schema_metadata(metadata), changed)
        with pytest.raises(RequestInvalid, match="damaged"):
            verify(changed)


def test_files_of_version_2_say_nothing_of_the_gallery(path: Path) -> None:
    """Keys of these names are another tool's own in them."""
    metadata = {"facegallery.format_version": "2", "facegallery.fingerprint": FINGERPRINT}
    write_as_other_tool(path, other_tools_columns(), metadata | {"facegallery.rules": "theirs"})
    header, _ = read_all(path)
    assert (header.rules, header.merged) == (None, ())
