"""Tests of looking up subjects by id."""

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import event

from embedding.errors import SubjectNotFound
from index.galleries import Galleries
from index.store.folder import DATABASE_NAME
from tests.index.samples import FINGERPRINT, identify, new_template, unit_vectors


def test_an_id_of_another_gallery_is_not_found(galleries: Galleries) -> None:
    """A gallery shows its own subjects only, though ids are unique over all galleries."""
    vectors = unit_vectors(2)
    one = galleries.create("one", fingerprint=FINGERPRINT)
    other = galleries.create("other", fingerprint=FINGERPRINT)
    enrolled = one.enroll([new_template(vectors[0])], name="Anna")
    other.enroll([new_template(vectors[1])], name="Berta")
    assert one.subject(enrolled.subject_id).name == "Anna"
    with pytest.raises(SubjectNotFound):
        other.subject(enrolled.subject_id)


def test_an_identification_reads_few_subjects(tmp_path: Path) -> None:
    """SQLite finds the candidates by their ids; reading all subjects would grow with them."""
    vectors = unit_vectors(3)
    asked: list[tuple[str, tuple[object, ...]]] = []
    with Galleries.open(tmp_path / "data") as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        for number, vector in enumerate(vectors):
            gallery.enroll([new_template(vector)], name=f"S{number}")
        engine = galleries._store.database._engine  # type: ignore[attr-defined]

        @event.listens_for(engine, "before_cursor_execute")
        def note(
            _: object, __: object, sql: str, values: tuple[object, ...], *___: object
        ) -> None:
            asked.append((sql, values))

        assert len(identify(gallery, vectors[0]).candidates) == 3
    with sqlite3.connect(tmp_path / "data" / DATABASE_NAME) as raw:
        plans = [
            str(raw.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchall())
            for sql, values in asked
            if sql.lstrip().startswith("SELECT")
        ]
    raw.close()
    assert any("subjects" in plan for plan in plans)
    assert not any("ix_subjects_gallery_id_subjects_id" in plan for plan in plans)
    assert not any("SCAN" in plan for plan in plans)
