"""Makes the data folder of the present schema: ``python -m tests.index.schemas.make FOLDER``.

Run it before the schema changes, and commit what it writes: the folder, the same rows as a dump
of PostgreSQL, and the answers that every later version has to give from both.
"""

import argparse
import dataclasses
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import create_engine, func, select, text

from index.galleries import Galleries
from index.gallery import Gallery
from index.store.postgres import PostgresDatabase
from index.store.tables import METADATA
from tests.index.postgres import new_database, postgres_server, tool
from tests.index.samples import FINGERPRINT, at_similarity, identify, new_template, unit_vectors

NUM_SUBJECTS = 6


def answers(gallery: Gallery, probes_PD: NDArray[np.float32]) -> list[dict[str, Any]]:
    """What the gallery says of each probe, as plain values."""
    found = []
    for probe in probes_PD:
        one = identify(gallery, probe)
        found.append(
            {
                "decision": one.decision,
                "candidates": [
                    {
                        "subject": each.subject.id,
                        "name": each.subject.name,
                        "external_id": each.subject.external_id,
                        "num_templates": each.subject.num_templates,
                        "template": each.template_id,
                        "similarity": round(each.similarity, 5),
                    }
                    for each in one.candidates
                ],
            }
        )
    return found


def fill(gallery: Gallery) -> NDArray[np.float32]:
    """Enroll synthetic subjects and remove some again; returns probes (P, D)."""
    centres_ND = unit_vectors(NUM_SUBJECTS, seed=7)
    ids = []
    for number, centre in enumerate(centres_ND):
        new = [
            new_template(
                at_similarity(centre, 0.8 - 0.05 * k, seed=10 * number + k),
                image_id=f"image-{number}-{k}",
                quality=0.5 + 0.1 * k,
            )
            for k in range(2)
        ]
        name = None if number == 3 else f"Subject {number} ünï"
        external_id = f"ext-{number}" if number % 2 else None
        ids.append(gallery.enroll(new, name=name, external_id=external_id))
    gallery.remove_subject(ids[1].subject_id)
    gallery.remove_template(ids[2].template_ids[0])
    gallery.rename(ids[0].subject_id, name="Renamed")
    return np.concatenate([centres_ND, unit_vectors(3, seed=8)])


def dump(database: Path, url: str) -> str:
    """Return what pg_dump writes of an empty database that gets the rows of a SQLite file."""
    with tempfile.TemporaryDirectory() as folder, Galleries.open(Path(folder), database_url=url):
        pass
    source, target = create_engine(f"sqlite:///{database}"), PostgresDatabase(url)
    with source.connect() as reader, target.transaction() as writer:
        tables = METADATA.sorted_tables
        # The audit log's triggers refuse that what opening the database wrote goes.
        writer.execute(text("SET LOCAL session_replication_role = replica"))
        for table in reversed(tables):
            writer.execute(table.delete())
        for table in tables:
            rows = [dict(each) for each in reader.execute(select(table)).mappings()]
            if rows:
                writer.execute(table.insert(), rows)
            if "id" in table.c:
                highest = writer.scalar(select(func.max(table.c.id))) or 1
                counter = func.pg_get_serial_sequence(table.name, "id")
                writer.execute(select(func.setval(counter, highest)))
    target.close()
    command = (tool("pg_dump"), "--inserts", "--no-owner", "--no-privileges", url)
    written = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # What psql alone understands.
    return "".join(each for each in written.splitlines(keepends=True) if each[:1] != "\\")


def main() -> None:
    """Write the folder, the dump, the probes and the answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="new; such as tests/index/schemas/0001")
    out = parser.parse_args().folder
    out.mkdir(parents=True)
    with Galleries.open(out / "data") as galleries:
        gallery = galleries.create("people", fingerprint=FINGERPRINT)
        probes_PD = fill(gallery)
        galleries.create("empty", fingerprint="b" * 64)
        galleries.keys.add("key-1", secret_hash=b"\x02" * 32, role="operator", label="door")
        expected = {
            "fingerprint": gallery.fingerprint,
            "num_subjects": gallery.num_subjects,
            "num_templates": gallery.num_templates,
            "subjects": [dataclasses.asdict(each) for each in gallery.subjects().subjects],
            "answers": answers(gallery, probes_PD),
        }
    (out / "data" / "facegallery.lock").unlink()
    with postgres_server() as server:
        written = dump(out / "data" / "facegallery.sqlite", new_database(server))
    (out / "postgresql.sql").write_text(written)
    np.save(out / "probes.npy", probes_PD)
    lines = json.dumps(expected, indent=1, ensure_ascii=False, default=str)
    (out / "expected.json").write_text(lines + "\n")


if __name__ == "__main__":
    main()
