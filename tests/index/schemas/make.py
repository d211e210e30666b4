"""Makes the data folder of the present schema: ``python -m tests.index.schemas.make FOLDER``.

Run it before the schema changes, and commit what it writes: the folder, and the answers that
every later version has to give from it.
"""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.galleries import Galleries
from index.gallery import Gallery
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


def main() -> None:
    """Write the folder, the probes and the answers."""
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
    np.save(out / "probes.npy", probes_PD)
    text = json.dumps(expected, indent=1, ensure_ascii=False, default=str)
    (out / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
